//! The feed: everything that happens, as it happens, over a WebSocket.
//!
//! ```text
//!            without `after`            with `after=N`
//!  open ----> snapshot as of M          entries N+1 … M, read from the journal
//!                 \                        /
//!                  `--> entries M+1 … <---'   each exactly once, in order
//!                       live values           latest of each machine, ten times a second at most
//!                       points                latest of those that changed, if asked for, as often
//! ```
//!
//! A client that reads too slowly loses live values, never entries: entries that it could not
//! take in time are read from the journal when it can. One that takes nothing for [`TAKES`], or
//! does not answer a ping for [`ANSWERS`], is hung up on. The house never waits for a client.
//!
//! Invariant: `told` is the number of the last entry that the client has been given; only
//! `told + 1` is ever given next.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use headstock_config::api::FeedMessage;
use headstock_config::ledger::{Entry, Fact};
use headstock_config::machine::Live;
use headstock_config::people::Person;
use serde::Deserialize;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at, timeout};
use warp::http::HeaderValue;
use warp::http::header::SEC_WEBSOCKET_PROTOCOL;
use warp::reply::{Reply, Response};
use warp::ws::{Message, WebSocket};

use super::ask::Asked;
use super::error::Failure;
use super::hands::Hands;
use super::who;
use crate::desk::{Desk, Snapshot};
use crate::points::Follower;

/// How long a client may take for one message.
const TAKES: Duration = Duration::from_secs(30);
/// How often a client is asked whether it is there.
const PING: Duration = Duration::from_secs(20);
/// How long nothing may be heard of it.
const ANSWERS: Duration = Duration::from_secs(60);
/// Between two live values of one machine.
const PULSE: Duration = Duration::from_millis(100);
/// Entries read from the journal at a time.
const PAGE: usize = 256;
/// Largest message that a client may send, bytes.
const HEARS: usize = 4096;
/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// Points in one message.
const POINTS: usize = 500;
/// Beginnings of names that one feed may ask for.
const PREFIXES: usize = 32;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    after: Option<u64>,
    /// Beginnings of points' names, by commas.
    points: Option<String>,
}

/// Why a feed ends, as the client is told (RFC 6455, 7.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The client has left or is out of reach: nobody to tell.
    Gone,
    /// The client is too slow or does not answer.
    Slow,
    /// The house is closing.
    Closing,
    /// Its token has been revoked.
    Revoked,
    /// Old entries cannot be read.
    Unreadable,
}

pub(super) async fn open(ask: Asked) -> Result<Response, Failure> {
    let Wanted { after, points } = ask.query()?;
    let Asked { hall, who, headers, socket, .. } = ask;
    let socket = socket.ok_or(Failure::NotAWebSocket)?;
    let feeds = &hall.feeds;
    let seat = feeds.take().ok_or_else(|| Failure::Crowded(format!("{} feeds", feeds.all())))?;
    let (desk, closing) = (hall.door.desk.clone(), hall.closing.clone());
    let points = points.map(|prefixes| follow(&desk, &prefixes));
    let upgraded = move |socket: WebSocket| async move {
        let (to_client, mut from_client) = socket.split();
        let (mut hands, refusals) = Hands::new(hall, who.clone());
        let mut feed =
            Feed { desk, who, to_client, refusals, points, told: 0, pinged: Instant::now() };
        let end = tokio::select! {
            end = feed.tell(after) => end,
            end = listen(&mut from_client, &mut hands) => end,
            () = closing.cancelled() => End::Closing,
        };
        hands.let_go().await;
        feed.close(end, from_client).await;
        drop(seat);
    };
    let socket = socket.max_message_size(HEARS).max_frame_size(HEARS);
    let mut answer = socket.on_upgrade(upgraded).into_response();
    if who::subprotocol(&headers).is_some() {
        let agreed = HeaderValue::from_static(who::BEARER);
        answer.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, agreed);
    }
    Ok(answer)
}

/// Follows the points whose names begin so.
fn follow(desk: &Desk, prefixes: &str) -> Follower {
    let points = desk.points();
    let prefixes = prefixes.split(',').take(PREFIXES).map(str::trim);
    points.follow(prefixes.flat_map(|prefix| points.beginning(prefix)))
}

/// Hears the client until it leaves or falls silent. Pings are answered by being read.
async fn listen(from_client: &mut SplitStream<WebSocket>, hands: &mut Hands) -> End {
    loop {
        match timeout(ANSWERS, from_client.next()).await {
            Err(_) => return End::Slow,
            Ok(Some(Ok(message))) if !message.is_close() => {
                if let Ok(text) = message.to_str() {
                    hands.hear(text).await;
                }
            }
            Ok(_) => return End::Gone,
        }
    }
}

struct Feed {
    desk: Desk,
    who: Person,
    to_client: SplitSink<WebSocket, Message>,
    points: Option<Follower>,
    /// What the client asked for over the feed and was refused.
    refusals: mpsc::Receiver<FeedMessage>,
    /// The last entry that the client has been given.
    told: u64,
    /// When the client was last asked whether it is there.
    pinged: Instant,
}

impl Feed {
    async fn tell(&mut self, after: Option<u64>) -> End {
        match self.tell_all(after).await {
            Ok(never) => match never {},
            Err(end) => end,
        }
    }

    async fn tell_all(&mut self, after: Option<u64>) -> Result<std::convert::Infallible, End> {
        let (snapshot, mut entries) = self.desk.snapshot();
        let latest = snapshot.number;
        match after.filter(|&number| number <= latest) {
            Some(number) => self.told = number,
            // Also for a client whose number this book has not come to: it is of another book.
            None => {
                self.told = latest;
                let Snapshot { number, equipment, jobs, alarms } = snapshot;
                self.send(&FeedMessage::Snapshot { number, equipment, jobs, alarms }).await?;
            }
        }
        self.catch_up(latest).await?;
        let mut machines: Vec<_> = self.desk.watch_machines().collect();
        let (mut pulse, mut ping) = (interval(PULSE), interval_at(Instant::now() + PING, PING));
        pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                entry = entries.recv() => self.happened(entry).await?,
                Some(refused) = self.refusals.recv() => self.send(&refused).await?,
                _ = ping.tick() => self.ping().await?,
                _ = pulse.tick() => {
                    self.live(&mut machines).await?;
                    self.changed().await?;
                }
            }
        }
    }

    async fn happened(&mut self, entry: Result<Arc<Entry>, RecvError>) -> Result<(), End> {
        match entry {
            Ok(entry) => {
                // What was published between two looks may have been read from the journal.
                self.catch_up(entry.number.saturating_sub(1)).await?;
                self.entry(&entry).await
            }
            Err(RecvError::Lagged(_)) => {
                let latest = self.desk.ledger().state().applied;
                self.catch_up(latest).await
            }
            Err(RecvError::Closed) => Err(End::Closing),
        }
    }

    /// Gives the entries up to this one that the client has not been given.
    async fn catch_up(&mut self, latest: u64) -> Result<(), End> {
        while self.told < latest {
            let page = self.desk.ledger().read(self.told + 1, PAGE).await;
            let page = page.map_err(|error| {
                tracing::warn!(%error, "a feed ends: its gap cannot be read");
                End::Unreadable
            })?;
            if page.is_empty() {
                return Err(End::Unreadable);
            }
            for entry in &page {
                self.entry(entry).await?;
            }
        }
        Ok(())
    }

    async fn entry(&mut self, entry: &Entry) -> Result<(), End> {
        if entry.number <= self.told {
            return Ok(());
        }
        if PING <= self.pinged.elapsed() {
            // A gap may take a slow client longer than it may stay silent.
            self.ping().await?;
        }
        self.send(&FeedMessage::Entry { entry: entry.clone().for_people() }).await?;
        self.told = entry.number;
        match &entry.fact {
            Fact::TokenRevoked { name } if *name == self.who.name => Err(End::Revoked),
            _ => Ok(()),
        }
    }

    async fn live(&mut self, machines: &mut [(String, watch::Receiver<Live>)]) -> Result<(), End> {
        for (machine, live) in machines {
            if live.has_changed().unwrap_or(false) {
                let live = live.borrow_and_update().clone();
                self.send(&FeedMessage::Live { machine: machine.clone(), live }).await?;
            }
        }
        Ok(())
    }

    async fn changed(&mut self) -> Result<(), End> {
        let Some(changes) = self.points.as_mut().map(Follower::take) else { return Ok(()) };
        for some in changes.chunks(POINTS) {
            let points = self.desk.points();
            let points: Vec<_> = some.iter().filter_map(|it| points.listed(it.id)).collect();
            if !points.is_empty() {
                self.send(&FeedMessage::Points { points }).await?;
            }
        }
        Ok(())
    }

    async fn ping(&mut self) -> Result<(), End> {
        self.pinged = Instant::now();
        self.give(Message::ping("")).await
    }

    async fn send(&mut self, message: &FeedMessage) -> Result<(), End> {
        let text = serde_json::to_string(message).expect("messages have only string keys");
        self.give(Message::text(text)).await
    }

    async fn give(&mut self, message: Message) -> Result<(), End> {
        match timeout(TAKES, self.to_client.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Gone),
            Err(_) => Err(End::Slow),
        }
    }

    /// Says goodbye and waits a moment for the client's own, without which the goodbye could be
    /// lost on the way.
    async fn close(&mut self, end: End, mut from_client: SplitStream<WebSocket>) {
        let (code, reason): (u16, &str) = match end {
            End::Gone => (1000, ""),
            End::Slow => (1008, "too slow"),
            End::Closing => (1001, "the house is closing"),
            End::Revoked => (1008, "the token was revoked"),
            End::Unreadable => (1011, "the journal cannot be read"),
        };
        let goodbye = async {
            // A client that has left cannot be told.
            self.to_client.send(Message::close_with(code, reason)).await.ok();
            while from_client.next().await.is_some_and(|message| message.is_ok()) {}
        };
        // Nothing is owed to a client that does not take its goodbye.
        timeout(GOODBYE, goodbye).await.ok();
    }
}
