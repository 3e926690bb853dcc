//! Points through the doors: looked at, followed, read back in time, set.

use headstock_config::api::FeedMessage;
use serde_json::{Value, json};

use super::super::openapi::tests::check;
use super::feed::Client;
use super::{MOMENT, Trial};

impl Trial {
    async fn point(&self, name: &str, wished: impl Fn(&Value) -> bool) -> Value {
        self.until(&format!("/api/v1/points/{name}"), wished).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_is_reported_is_a_point() {
    let trial = Trial::open().await;
    trial.idle().await;
    trial.point("mill.mode", |it| it["value"] == "idle" && it["quality"] == "good").await;
    trial.point("house.disk_free", |it| it["quality"] == "good").await;
    let all = trial.get("/api/v1/points").await;
    let all = all.as_array().unwrap();
    all.iter().for_each(|point| check("Point", point));
    let name = |it: &Value| it["name"].as_str().unwrap().to_owned();
    assert!(all.is_sorted_by_key(name));
    let of_mill = trial.get("/api/v1/points?machine=mill").await;
    assert!(10 < of_mill.as_array().unwrap().len());
    let some = trial.get("/api/v1/points?prefix=mill.work_").await;
    let some: Vec<String> = some.as_array().unwrap().iter().map(name).collect();
    assert_eq!(some, ["mill.work_x", "mill.work_y", "mill.work_z"]);
    assert_eq!(trial.get("/api/v1/points?machine=mil").await, json!([]));
    let mode = trial.get("/api/v1/points/mill.mode").await;
    assert!(mode["at"].as_str().unwrap().ends_with('Z') && mode["unit"] == "");
    let unknown = trial.ask("GET", "/api/v1/points/mill.w", "").await;
    assert_eq!(unknown.refused(404), "desk.unknown_point");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_point_is_read_back_in_time() {
    let trial = Trial::open().await;
    trial.idle().await;
    trial.point("mill.mode", |it| it["value"] == "idle").await;
    for query in
        ["?from=-1h", "?every=1m", "?from=-10m&to=now&every=10s", "?from=2000-01-01T00:00:00Z"]
    {
        let spans = trial.get(&format!("/api/v1/points/mill.mode{query}")).await;
        check("PointOrHistory", &spans);
        let last = spans.as_array().unwrap().last().expect("it has been idle").clone();
        assert_eq!(last["last"], "idle", "{query}");
    }
    assert_eq!(trial.get("/api/v1/points/mill.mode?from=-2h&to=-1h").await, json!([]));
    for query in
        ["?from=then", "?from=-1h&evry=1m", "?from=-1h&every=1ms", "?from=now&to=-1s", "?every=x"]
    {
        let refused = trial.ask("GET", &format!("/api/v1/points/mill.mode{query}"), "").await;
        assert_eq!(refused.refused(400), "web.query", "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_is_still_known_after_a_restart() {
    let trial = Trial::open().await;
    trial.idle().await;
    let jog = json!({ "command": "jog", "by": [5.0, null, null], "feed": 500.0 });
    trial.post("/api/v1/equipment/mill/commands", jog).await.with(202);
    let there = trial.point("mill.work_x", |it| it["value"] == 5.0).await;
    let Trial { house, folder } = trial;
    house.close().await;
    let trial = Trial::open_in(folder).await;
    trial.idle().await;
    trial.point("mill.work_x", |it| it["value"] == 0.0 && it["quality"] == "good").await;
    let from = there["at_ms"].as_u64().unwrap() / 60_000 * 60_000;
    let most = |spans: &Value| {
        let spans = spans.as_array().unwrap().iter();
        spans.filter_map(|it| it["max"].as_f64()).fold(0.0, f64::max)
    };
    let path = format!("/api/v1/points/mill.work_x?from={from}&every=1m");
    trial.until(&path, |spans| most(spans) == 5.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_machine_reports_cannot_be_set_and_that_is_written_down() {
    let trial = Trial::open().await;
    let set = async |name: &str, body: Value| {
        trial.ask("PUT", &format!("/api/v1/points/{name}"), body.to_string()).await
    };
    let to = json!({ "value": 3.5 });
    assert_eq!(set("mill.x", to.clone()).await.refused(400), "desk.point_read_only");
    assert_eq!(set("mill.w", to.clone()).await.refused(404), "desk.unknown_point");
    assert_eq!(set("nothing", to).await.refused(404), "desk.unknown_point");
    assert_eq!(set("mill.x", json!({ "value": null })).await.refused(400), "web.json");
    let answered = |events: &Value| {
        let refused = events.as_array().unwrap().iter().filter(|it| it["fact"] == "answered");
        refused.filter(|it| it["refused"] == "point `mill.x` cannot be set").count() == 1
    };
    trial.until("/api/v1/events", answered).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_that_asks_for_points_is_told_what_changes() {
    let trial = Trial::open().await;
    trial.idle().await;
    let mut client = Client::open(&trial, "?after=0&points=mill.x,house.").await;
    let jog = json!({ "command": "jog", "by": [5.0, null, null], "feed": 500.0 });
    trial.post("/api/v1/equipment/mill/commands", jog).await.with(202);
    let (mut moved, mut box_seen) = (false, false);
    let heard = async {
        while !moved || !box_seen {
            let FeedMessage::Points { points } = client.hear().await.unwrap() else { continue };
            for point in points {
                let number = point.value.as_ref().and_then(|it| it.number());
                match point.name.as_str() {
                    "mill.x" => moved |= number.is_some_and(|it| 0.0 < it || it < 0.0),
                    "house.disk_free" => box_seen |= number.is_some(),
                    other => assert!(other.starts_with("house."), "{other} was not asked for"),
                }
            }
        }
    };
    tokio::time::timeout(MOMENT, heard).await.expect("it is told");
}

#[tokio::test(flavor = "multi_thread")]
async fn points_are_figures_for_prometheus_while_they_can_be_believed() {
    let trial = Trial::open().await;
    trial.idle().await;
    trial.point("mill.feed", |it| it["quality"] == "good").await;
    let page = String::from_utf8(trial.ask("GET", "/metrics", "").await.body).unwrap();
    assert!(page.contains("headstock_point{name=\"mill.feed\",unit=\"mm/min\"} 0\n"), "{page}");
    assert!(page.contains("headstock_point_quality{name=\"mill.feed\"} 0\n"));
    // A text is no figure.
    assert!(!page.contains("headstock_point{name=\"mill.mode\""));
    assert!(page.contains("headstock_point_quality{name=\"mill.mode\"} 0\n"));
}

/// A relay and a thermostat on a pretend bus.
const BUS: &str = r#"
[[machine]]
id = "vfd"
driver = "modbus-tcp"
port = "sim:modbus-tcp"
tag = [
    { name = "target", area = "holding", address = 1, type = "u16", scale = 0.01, unit = "Hz", range = [0.0, 60.0], period_ms = 50, write = true },
    { name = "relay", area = "coil", address = 3, type = "bit", period_ms = 50, write = true },
    { name = "status", area = "holding", address = 2, type = "u16", period_ms = 50 },
]
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_is_set_and_answered_with_what_is_read_back() {
    let trial = Trial::open_with(BUS).await;
    trial.point("vfd.target", |it| it["quality"] == "good").await;
    let set = async |name: &str, value: Value| {
        let body = json!({ "value": value }).to_string();
        trial.ask("PUT", &format!("/api/v1/points/{name}"), body).await
    };
    for target in [12.5, 50.0, 0.0, 33.33] {
        let point = set("vfd.target", json!(target)).await.with(200);
        check("Point", &point);
        let found = point["value"].as_f64().unwrap();
        assert!((found - target).abs() < 1e-9 && point["quality"] == "good", "{point}");
    }
    // While it is read again and again and does not change, what it is weighs more and more.
    let path = "/api/v1/points/vfd.target?from=-2m&every=1m";
    let told = |spans: &Value| {
        let spans = spans.as_array().unwrap();
        let count: u64 = spans.iter().filter_map(|it| it["count"].as_u64()).sum();
        (count, spans.iter().map(|it| it["mean"].as_f64()).collect::<Vec<_>>())
    };
    let (count, means) = told(&trial.get(path).await);
    trial.until(path, |spans| told(spans).0 == count && told(spans).1 != means).await;
    let relay = set("vfd.relay", json!(true)).await.with(200);
    assert_eq!((&relay["value"], &relay["writable"]), (&json!(true), &json!(true)));
    assert_eq!(set("vfd.target", json!(61.0)).await.status / 100, 4);
    assert_eq!(set("vfd.target", json!("fast")).await.status / 100, 4);
    assert_eq!(set("vfd.status", json!(1)).await.refused(400), "desk.point_read_only");
    let viewer = trial.token("v", headstock_config::people::Role::Viewer).await;
    let path = "/api/v1/points/vfd.relay";
    let forbidden = trial.over_tcp(&viewer, "PUT", path, r#"{"value":false}"#).await;
    assert_eq!(forbidden.refused(403), "desk.forbidden");
    assert_eq!(trial.get(path).await["value"], true, "it was not switched");
}
