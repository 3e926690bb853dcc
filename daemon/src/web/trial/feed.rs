//! The feed: nothing missed, nothing twice, nobody kept waiting.

use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use headstock_config::api::FeedMessage;
use headstock_config::job::JobEvent;
use headstock_config::ledger::Fact;
use headstock_config::people::Role;
use serde_json::{Value, json};
use tokio::net::{TcpStream, UnixStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use super::super::openapi::tests::check;
use super::{MOMENT, Trial};

pub(super) struct Client {
    socket: WebSocketStream<UnixStream>,
}

impl Client {
    pub(super) async fn open(trial: &Trial, query: &str) -> Self {
        Self::open_as(trial, query, None).await
    }

    async fn open_as(trial: &Trial, query: &str, token: Option<&str>) -> Self {
        let stream = UnixStream::connect(trial.socket()).await.unwrap();
        let mut request = format!("ws://box/api/v1/feed{query}").into_client_request().unwrap();
        if let Some(token) = token {
            let value = format!("Bearer {token}").parse().unwrap();
            request.headers_mut().insert("authorization", value);
        }
        let (socket, _) = tokio_tungstenite::client_async(request, stream).await.unwrap();
        Self { socket }
    }

    /// The next message; `None` when the feed has been closed, with the code it was closed with.
    pub(super) async fn hear(&mut self) -> Result<FeedMessage, u16> {
        loop {
            let next = tokio::time::timeout(MOMENT, self.socket.next()).await;
            match next.expect("something is heard") {
                Some(Ok(Message::Text(text))) => {
                    let value: Value = serde_json::from_str(&text).unwrap();
                    check("FeedMessage", &value);
                    return Ok(serde_json::from_value(value).unwrap());
                }
                Some(Ok(Message::Close(frame))) => {
                    return Err(frame.map_or(0, |it| it.code.into()));
                }
                Some(Ok(_)) => (),
                other => panic!("the feed broke: {other:?}"),
            }
        }
    }

    /// The number of the next entry, whatever live values come before it.
    async fn entry(&mut self) -> u64 {
        loop {
            if let FeedMessage::Entry { entry } = self.hear().await.expect("an open feed") {
                return entry.number;
            }
        }
    }
}

impl Trial {
    async fn last(&self) -> u64 {
        self.get("/api/v1/system").await["entry"].as_u64().unwrap()
    }

    async fn remark(&self, text: &str) -> u64 {
        let happened = JobEvent::Note { by: "ada".into(), text: text.to_owned() };
        let ledger = self.house.desk.ledger();
        ledger.write(Fact::Job { job: "j99".into(), happened }).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_begins_with_everything_and_goes_on_with_what_happens() {
    let trial = Trial::open().await;
    trial.idle().await;
    let mut client = Client::open(&trial, "").await;
    let FeedMessage::Snapshot { number, equipment, jobs, alarms: _ } = client.hear().await.unwrap()
    else {
        panic!("the snapshot comes first")
    };
    assert_eq!((equipment.len(), jobs.len()), (1, 0));
    for wanted in number + 1..number + 20 {
        trial.remark("tick").await;
        assert_eq!(client.entry().await, wanted);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_goes_on_where_it_left_off() {
    let trial = Trial::open().await;
    trial.idle().await;
    for _ in 0..600 {
        trial
            .house
            .desk
            .ledger()
            .note(Fact::Job {
                job: "j99".into(),
                happened: JobEvent::Note { by: "ada".into(), text: "tick".into() },
            })
            .unwrap();
    }
    trial.remark("tock").await;
    let mut client = Client::open(&trial, "?after=3").await;
    for wanted in 4..=trial.last().await {
        assert_eq!(client.entry().await, wanted);
    }
    let number = trial.remark("tick").await;
    assert_eq!(client.entry().await, number);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_of_another_book_is_answered_with_a_snapshot() {
    let trial = Trial::open().await;
    let mut client = Client::open(&trial, "?after=1000000").await;
    assert!(matches!(client.hear().await.unwrap(), FeedMessage::Snapshot { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_client_loses_no_entry_and_slows_nobody() {
    let trial = Trial::open().await;
    trial.idle().await;
    let mut client = Client::open(&trial, "").await;
    let FeedMessage::Snapshot { number, .. } = client.hear().await.unwrap() else {
        panic!("the snapshot comes first")
    };
    // More than the kernel and the house keep for it, while it reads nothing.
    let long = "x".repeat(8 * 1024);
    let mut last = number;
    let mut slowest = Duration::ZERO;
    for _ in 0..1500 {
        let began = Instant::now();
        last = trial.remark(&long).await;
        slowest = slowest.max(began.elapsed());
    }
    assert!(slowest < Duration::from_secs(10), "{slowest:?}");
    for wanted in number + 1..=last {
        assert_eq!(client.entry().await, wanted);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn live_values_come_by_themselves() {
    let trial = Trial::open().await;
    trial.idle().await;
    let mut client = Client::open(&trial, "?after=0").await;
    let jog = json!({ "command": "jog", "by": [5.0, null, null], "feed": 500.0 });
    trial.post("/api/v1/equipment/mill/commands", jog).await.with(202);
    let mut seen = false;
    while !seen {
        if let FeedMessage::Live { machine, live } = client.hear().await.unwrap() {
            seen = machine == "mill" && live.work_position.is_some_and(|it| it[0] == 5.0);
        }
    }
}

impl Client {
    async fn say(&mut self, words: Value) {
        self.socket.send(Message::text(words.to_string())).await.unwrap();
    }

    /// The next thing that was refused, by its code.
    async fn refusal(&mut self) -> String {
        loop {
            if let FeedMessage::Refused { code, .. } = self.hear().await.expect("an open feed") {
                return code;
            }
        }
    }
}

fn key(machine: &str) -> Value {
    json!({
        "type": "jog_hold", "machine": machine, "toward": [-1, 0, 0], "feed": 300, "lease_ms": 500,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_held_is_refused_over_the_feed() {
    let trial = Trial::open().await;
    trial.idle().await;
    let mut client = Client::open(&trial, "?after=0").await;
    client.say(key("mill")).await;
    assert_eq!(client.refusal().await, "machine.unready", "it has not been homed");
    client.say(key("lathe")).await;
    assert_eq!(client.refusal().await, "desk.unknown_machine");
    client.say(json!({ "type": "fly" })).await;
    assert_eq!(client.refusal().await, "feed.words");
    let token = trial.token("screen", Role::Viewer).await;
    let mut screen = Client::open_as(&trial, "?after=0", Some(&token)).await;
    screen.say(key("mill")).await;
    assert_eq!(screen.refusal().await, "desk.forbidden");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_held_over_the_feed_is_let_go_when_the_socket_is_closed() {
    let trial = Trial::open().await;
    trial.idle().await;
    let commands = "/api/v1/equipment/mill/commands";
    let homing = json!({ "command": "setting", "number": 22, "value": "1" });
    trial.post(commands, homing).await.with(202);
    trial.until("/api/v1/equipment/mill", |it| it["controller"]["homing"] == true).await;
    trial.post(commands, json!({ "command": "home" })).await.with(202);
    let homed = |it: &Value| it["live"]["homed"] == true && it["state"] == "idle";
    trial.until("/api/v1/equipment/mill", homed).await;

    let mut client = Client::open(&trial, "?after=0").await;
    let held = async {
        loop {
            client.say(key("mill")).await;
            if let FeedMessage::Live { live, .. } = client.hear().await.expect("an open feed")
                && let Some(jog) = live.jog
            {
                return jog;
            }
        }
    };
    let jog = tokio::time::timeout(MOMENT, held).await.expect("it is held");
    assert!(jog.stop_mm <= 5.0 && jog.toward == [-1, 0, 0], "{jog:?}");

    // Somebody else who tries comes and goes without a trace.
    let token = trial.token("tablet", Role::Operator).await;
    let mut other = Client::open_as(&trial, "?after=0", Some(&token)).await;
    let refused = async {
        loop {
            client.say(key("mill")).await;
            other.say(key("mill")).await;
            if other.refusal().await == "desk.in_hand" {
                return;
            }
        }
    };
    tokio::time::timeout(MOMENT, refused).await.expect("it is in somebody's hand");
    drop(other);
    for _ in 0..20 {
        client.say(key("mill")).await;
        client.hear().await.expect("an open feed");
    }
    let events = trial.get("/api/v1/events?limit=1000").await;
    assert!(!events.as_array().unwrap().iter().any(is_end), "{events}");

    drop(client);
    let ended = |it: &Value| it.as_array().unwrap().iter().any(is_end);
    fn is_end(entry: &Value) -> bool {
        entry["request"]["command"]["command"] == "jog_end"
    }
    trial.until("/api/v1/events?limit=1000", ended).await;
    trial.until("/api/v1/equipment/mill", |it| it["live"]["jog"].is_null()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_ends_with_its_token() {
    let trial = Trial::open().await;
    let token = trial.token("screen", Role::Viewer).await;
    let mut client = Client::open_as(&trial, "", Some(&token)).await;
    client.hear().await.unwrap();
    trial.ask("DELETE", "/api/v1/auth/tokens/screen", "").await.with(204);
    assert_eq!(client.end().await, 1008);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closing_house_says_goodbye_to_its_feeds() {
    let trial = Trial::open().await;
    let mut client = Client::open(&trial, "").await;
    client.hear().await.unwrap();
    let closed = tokio::spawn(trial.house.close());
    assert_eq!(client.end().await, 1001);
    closed.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_without_a_websocket_is_refused() {
    let trial = Trial::open().await;
    let answer = trial.ask("GET", "/api/v1/feed", "").await;
    assert_eq!(answer.refused(426), "web.not_a_websocket");
}

impl Client {
    /// The code that the feed is closed with.
    async fn end(&mut self) -> u16 {
        loop {
            if let Err(code) = self.hear().await {
                return code;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_in_a_browser_shows_its_token_as_a_subprotocol() {
    let trial = Trial::open().await;
    let token = trial.token("panel", Role::Viewer).await;
    let open = async |said: &str| {
        let stream = TcpStream::connect(trial.house.web).await.unwrap();
        let mut request = "ws://box/api/v1/feed".into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", said.parse().unwrap());
        tokio_tungstenite::client_async(request, stream).await
    };
    // A client refuses an answer that does not agree to a subprotocol that it asked for.
    let (mut socket, answer) = open(&format!("bearer, {token}")).await.unwrap();
    assert_eq!(answer.headers()["sec-websocket-protocol"], "bearer");
    assert!(socket.next().await.unwrap().unwrap().is_text());
    for wrong in ["bearer, guessed", "bearer", "chat"] {
        assert!(open(wrong).await.is_err(), "{wrong}");
    }
}
