//! The doors tried from outside: a whole house with a pretend machine in a temporary folder,
//! asked over real sockets.

mod crowd;
mod discover;
mod errors;
mod feed;
mod hangup;
mod history;
mod points;
mod roles;
mod work;

use std::path::PathBuf;
use std::time::Duration;

use headstock_config::api::TokenMade;
use headstock_config::people::Role;
use headstock_drivers::registry;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes};
use hyper::client::conn::http1::handshake;
use hyper::{HeaderMap, Request};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use crate::house::{Ground, House};

/// A small program that cuts a square.
const PROGRAM: &str = "G21 G90\nG0 Z5\nM3 S1000\nG1 Z0 F300\nX10\nY10\nX0\nY0\nG0 Z5\nM5\nM30\n";
/// Longest wait for something that takes a moment.
const MOMENT: Duration = Duration::from_secs(20);

/// A house that is being tried.
struct Trial {
    house: House,
    folder: TempDir,
}

/// What came back.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// The JSON of an answer with this status.
    #[track_caller]
    fn with(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        if self.body.is_empty() { Value::Null } else { self.json() }
    }

    /// The code of a refusal, which must be worded as documented.
    #[track_caller]
    fn refused(&self, status: u16) -> String {
        let body = self.with(status);
        super::openapi::tests::check("ErrorBody", &body);
        assert_eq!(body["error"]["requestId"], self.headers["x-request-id"].to_str().unwrap());
        body["error"]["code"].as_str().unwrap().to_owned()
    }
}

impl Trial {
    async fn open() -> Self {
        Self::open_with("").await
    }

    /// Opens a house with more in its configuration.
    async fn open_with(more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("headstock.toml");
        let text = format!(
            "[web]\nlisten = \"127.0.0.1:0\"\n{more}\n[sim]\ntime_scale = 0\n\
             [[machine]]\nid = \"mill\"\ndriver = \"grbl\"\nport = \"sim:grbl\"\nbaud = 115200\n"
        );
        std::fs::write(&file, text).unwrap();
        Self::open_in(folder).await
    }

    /// Opens a house with what lies in this folder.
    async fn open_in(folder: TempDir) -> Self {
        let file = folder.path().join("headstock.toml");
        let settings = headstock_config::load::load(&file, &registry::names())
            .unwrap_or_else(|problems| panic!("{problems:?}"));
        let socket = folder.path().join("s");
        let ground = Ground { settings, state_dir: folder.path().join("state"), socket };
        Self { house: House::open(ground).await.unwrap(), folder }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("s")
    }

    /// Files in the folder of programs.
    fn stored(&self) -> usize {
        std::fs::read_dir(self.folder.path().join("state/files")).unwrap().count()
    }

    /// Asks on the box's own socket, as the daemon's own user.
    async fn ask(&self, method: &str, path: &str, body: impl AsRef<[u8]>) -> Answer {
        let request = Request::builder().method(method).uri(path);
        let request = request.body(Full::new(Bytes::copy_from_slice(body.as_ref()))).unwrap();
        self.send(request).await
    }

    async fn send<B>(&self, request: Request<B>) -> Answer
    where
        B: Body<Data = Bytes, Error: std::error::Error + Send + Sync> + Send + 'static,
    {
        talk(UnixStream::connect(self.socket()).await.unwrap(), request).await
    }

    async fn get(&self, path: &str) -> Value {
        self.ask("GET", path, "").await.with(200)
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.ask("POST", path, body.to_string()).await
    }

    /// Asks over TCP, with a token or without.
    async fn over_tcp(&self, token: &str, method: &str, path: &str, body: &str) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if !token.is_empty() {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = request.body(Full::new(Bytes::copy_from_slice(body.as_bytes()))).unwrap();
        talk(TcpStream::connect(self.house.web).await.unwrap(), request).await
    }

    async fn token(&self, name: &str, role: Role) -> String {
        let made = self.post("/api/v1/auth/tokens", json!({ "name": name, "role": role })).await;
        serde_json::from_value::<TokenMade>(made.with(201)).unwrap().token
    }

    async fn upload(&self) -> String {
        let file = self.ask("POST", "/api/v1/files?name=part.nc", PROGRAM).await.with(201);
        file["id"].as_str().unwrap().to_owned()
    }

    /// Asks until the answer is as wished.
    async fn until(&self, path: &str, wished: impl Fn(&Value) -> bool) -> Value {
        let mut latest = Value::Null;
        let asked = async {
            loop {
                latest = self.get(path).await;
                if wished(&latest) {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let came = tokio::time::timeout(MOMENT, asked).await.is_ok();
        assert!(came, "still {latest:#}");
        latest
    }

    /// Waits until the machine has introduced itself and would take a job.
    async fn idle(&self) {
        let ready = |it: &Value| it["state"] == "idle" && it["controller"].is_object();
        self.until("/api/v1/equipment/mill", ready).await;
    }
}

/// One request on a connection of its own.
async fn talk<S, B>(stream: S, request: Request<B>) -> Answer
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    B: Body<Data = Bytes, Error: std::error::Error + Send + Sync> + Send + 'static,
{
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(async move { connection.await.ok() });
    let answer = sender.send_request(request).await.unwrap();
    let (head, body) = answer.into_parts();
    let body = body.collect().await.unwrap().to_bytes().to_vec();
    Answer { status: head.status.as_u16(), headers: head.headers, body }
}
