//! What is wrong is refused in the documented words, and nothing is kept of it.

use std::time::Duration;

use futures_util::stream;
use http_body_util::StreamBody;
use hyper::Request;
use hyper::body::{Bytes, Frame};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::{MOMENT, Trial};

/// A body of unannounced length.
fn chunked(
    path: &str,
    pieces: usize,
    piece: usize,
) -> Request<StreamBody<impl futures_util::Stream<Item = std::io::Result<Frame<Bytes>>>>> {
    let content = move |_| Ok(Frame::data(Bytes::from(vec![b'\n'; piece])));
    let body = StreamBody::new(stream::iter((0..pieces).map(content)));
    Request::builder().method("POST").uri(path).body(body).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_served_is_refused_with_an_error_body() {
    let trial = Trial::open().await;
    for path in ["/", "/api/v1", "/api/v1/nothing", "/api/v1/jobs/j1/fly", "/favicon.ico"] {
        assert_eq!(trial.ask("GET", path, "").await.refused(404), "web.no_such_path", "{path}");
    }
    let answer = trial.ask("PUT", "/api/v1/files", "").await;
    assert_eq!(answer.refused(405), "web.wrong_method");
    assert_eq!(answer.headers["allow"], "GET, POST");
    for path in ["/api/v1/jobs/j99", "/api/v1/files/f", "/api/v1/equipment/lathe"] {
        assert!(trial.ask("GET", path, "").await.refused(404).starts_with("desk.unknown_"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_words_are_named_with_what_is_accepted() {
    let trial = Trial::open().await;
    let commands = "/api/v1/equipment/mill/commands";
    let answer = trial.post(commands, json!({ "command": "hodl" })).await;
    assert_eq!(answer.refused(400), "web.json");
    let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("`hodl`") && message.contains("`hold`"), "{message}");
    for body in
        ["", "{", "[]", "{\"command\":\"jog\"}", "{\"command\":\"jog\",\"by\":[1],\"feed\":1}"]
    {
        assert_eq!(trial.ask("POST", commands, body).await.refused(400), "web.json", "{body}");
    }
    let stop = trial.post("/api/v1/stop", json!({ "scope": "all", "hwo": "hold" })).await;
    assert_eq!(stop.refused(400), "web.json");
    for path in ["/api/v1/events?after=x", "/api/v1/jobs?state=lost", "/api/v1/files/f/preflight"] {
        assert_eq!(trial.ask("GET", path, "").await.refused(400), "web.query", "{path}");
    }
    let unnamed = trial.ask("POST", "/api/v1/files", "G0").await;
    assert_eq!(unnamed.refused(400), "web.query");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_another_type_is_not_taken() {
    let trial = Trial::open().await;
    for path in ["/api/v1/files?name=a.nc", "/api/v1/equipment/mill/commands"] {
        let request = Request::post(path).header("content-type", "multipart/form-data; boundary=x");
        let answer = trial.send(request.body(String::from("--x")).unwrap()).await;
        assert_eq!(answer.refused(415), "web.media_type");
    }
    assert_eq!(trial.stored(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_bounded_whether_or_not_it_says_how_long_it_is() {
    let trial = Trial::open_with("max_upload_bytes = 100000").await;
    let stop = "/api/v1/stop";
    assert_eq!(trial.ask("POST", stop, vec![b' '; 70_000]).await.refused(413), "web.too_big");
    assert_eq!(trial.send(chunked(stop, 70, 1000)).await.refused(413), "web.too_big");

    let files = "/api/v1/files?name=a.nc";
    assert_eq!(trial.ask("POST", files, vec![b'\n'; 100_001]).await.refused(413), "web.too_big");
    assert_eq!(trial.send(chunked(files, 101, 1000)).await.refused(413), "file.too_big");
    assert_eq!(trial.stored(), 0);
    trial.send(chunked(files, 100, 1000)).await.with(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_breaks_off_leaves_nothing() {
    let trial = Trial::open().await;
    let mut client = UnixStream::connect(trial.socket()).await.unwrap();
    let head =
        "POST /api/v1/files?name=a.nc HTTP/1.1\r\nhost: x\r\ncontent-length: 999\r\n\r\nG0 X1\n";
    client.write_all(head.as_bytes()).await.unwrap();
    let begun = async {
        while trial.stored() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        drop(client);
        while trial.stored() != 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(MOMENT, begun).await.expect("it begins, then nothing is left");
    assert_eq!(trial.get("/api/v1/files").await, json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_http_is_hung_up_on() {
    let trial = Trial::open().await;
    for noise in [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], &[b'A'; 64 * 1024]] {
        let mut client = UnixStream::connect(trial.socket()).await.unwrap();
        // It may be hung up on before all of it has been sent.
        client.write_all(noise).await.ok();
        let mut answer = Vec::new();
        let end = tokio::time::timeout(MOMENT, client.read_to_end(&mut answer)).await;
        assert!(end.is_ok(), "it is hung up on");
    }
    trial.get("/api/v1/system").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_id_is_taken_over_if_it_is_sane() {
    let trial = Trial::open().await;
    let ask = |id: &'static str| {
        Request::get("/health").header("x-request-id", id).body(String::new()).unwrap()
    };
    assert_eq!(trial.send(ask("trace-7")).await.headers["x-request-id"], "trace-7");
    let made = trial.send(ask("a b")).await.headers["x-request-id"].clone();
    assert_ne!(made, "a b");
    assert_ne!(made, trial.send(ask("")).await.headers["x-request-id"]);
}
