//! Clients that are many, silent or still there when the doors close.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::net::{TcpStream, UnixStream};
use tokio_util::sync::CancellationToken;
use warp::Filter;
use warp::reply::Reply;

use super::super::connection::converse;
use super::super::who::Peer;
use super::{MOMENT, Trial};

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_on_the_network_leaves_the_boxs_own_socket_free() {
    let trial = Trial::open().await;
    let mut crowd = Vec::new();
    for _ in 0..128 {
        crowd.push(TcpStream::connect(trial.house.web).await.unwrap());
    }
    let mut late = TcpStream::connect(trial.house.web).await.unwrap();
    let mut heard = String::new();
    let end = tokio::time::timeout(MOMENT, late.read_to_string(&mut heard)).await;
    assert!(end.is_ok() && heard.starts_with("HTTP/1.1 503"), "{heard}");
    trial.get("/api/v1/system").await;
    drop(crowd);
    let free = async {
        while trial.metric("headstock_connections{door=\"tcp\"}").await != "0" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(MOMENT, free).await.expect("seats are given back");
    trial.over_tcp("", "GET", "/health", "").await.with(200);
}

#[tokio::test(start_paused = true)]
async fn a_silent_client_is_hung_up_on_before_a_request_and_between_two() {
    for said in ["", "GET / HT", "GET / HTTP/1.1\r\nhost: x\r\n\r\n"] {
        let (mut client, stream) = duplex(4096);
        let filter = warp::any().map(|| "ok".into_response()).boxed();
        let talk = converse(stream, filter, Peer::Network, CancellationToken::new());
        let talk = tokio::spawn(talk);
        client.write_all(said.as_bytes()).await.unwrap();
        let mut heard = Vec::new();
        let began = tokio::time::Instant::now();
        client.read_to_end(&mut heard).await.unwrap();
        talk.await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(60), "{said:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closing_house_waits_for_no_silent_client() {
    let trial = Trial::open().await;
    let mut silent = UnixStream::connect(trial.socket()).await.unwrap();
    silent.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut some = [0; 12];
    silent.read_exact(&mut some).await.unwrap();
    assert_eq!(&some, b"HTTP/1.1 200");
    let socket = trial.socket();
    tokio::time::timeout(Duration::from_secs(5), trial.house.close()).await.expect("in time");
    assert!(!socket.exists(), "the socket is removed");
}

impl Trial {
    async fn metric(&self, name: &str) -> String {
        let answer = self.ask("GET", "/metrics", "").await;
        let text = String::from_utf8(answer.body).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("{name} in {text}")).trim().to_owned()
    }
}
