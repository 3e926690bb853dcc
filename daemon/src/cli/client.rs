//! HTTP/1.1 over the daemon's Unix socket.
//!
//! Every request opens a connection of its own. On a Unix socket that costs some ten
//! microseconds, and it means that a daemon that was restarted in between is simply reached
//! again. Nothing is retried here: a request that was sent once is never sent twice.

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::TryStreamExt;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::runtime::Runtime;
use tokio_util::io::ReaderStream;

use super::exit::Exit;
use super::trouble::Trouble;

/// Longest wait for an answer. A stop waits for the machine to rest, an upload for its analysis.
const PATIENCE: Duration = Duration::from_secs(60);
/// Longest wait for the answer to an upload or for a download, which may be large.
const PATIENCE_WITH_FILES: Duration = Duration::from_secs(1_800);
/// Bytes read from a file at a time.
const PIECE: usize = 64 * 1024;

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Asks the daemon behind one socket. Paths are below `/api/v1/`.
pub(super) struct Client {
    socket: PathBuf,
    patience: Duration,
    runtime: Runtime,
}

impl Client {
    /// A client for this socket. Nothing is opened yet.
    pub(super) fn new(socket: PathBuf) -> Result<Self, Trouble> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| {
            let means = "nothing was sent";
            Trouble::new(Exit::Failed, "cli.runtime", error, means, "check the limits of this user")
        })?;
        Ok(Self { socket, patience: PATIENCE, runtime })
    }

    /// The same, waiting at most this long for an answer.
    pub(super) fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// `GET`.
    pub(super) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Trouble> {
        self.ask(Method::GET, path, None::<&()>)
    }

    /// `POST` with a JSON body.
    pub(super) fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Trouble> {
        self.ask(Method::POST, path, Some(body))
    }

    /// `PUT` with a JSON body.
    pub(super) fn put<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Trouble> {
        self.ask(Method::PUT, path, Some(body))
    }

    /// `DELETE`.
    pub(super) fn delete(&self, path: &str) -> Result<(), Trouble> {
        self.ask(Method::DELETE, path, None::<&()>)
    }

    fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<T, Trouble> {
        let json = body.map(|body| serde_json::to_vec(body).expect("requests are valid JSON"));
        let mut request = request(method, path);
        if json.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let body = Full::from(json.unwrap_or_default()).map_err(|never| match never {});
        let request = finish(request, body.boxed_unsync());
        self.exchange(self.patience, request)
    }

    /// `POST` of a file's content, `told` being told how many bytes have been read so far.
    pub(super) fn post_file<T: DeserializeOwned>(
        &self,
        path: &str,
        file: std::fs::File,
        length: u64,
        mut told: impl FnMut(u64) + Send + 'static,
    ) -> Result<T, Trouble> {
        let file = tokio::fs::File::from_std(file).take(length);
        let mut read = 0;
        let pieces = ReaderStream::with_capacity(file, PIECE).map_ok(move |piece| {
            read += piece.len() as u64;
            told(read);
            Frame::data(piece)
        });
        let request = request(Method::POST, path)
            .header(CONTENT_TYPE, "application/octet-stream")
            .header(CONTENT_LENGTH, length);
        let request = finish(request, StreamBody::new(pieces).boxed_unsync());
        self.exchange(PATIENCE_WITH_FILES, request)
    }

    /// `GET` of a file's content into `to`. Returns how many bytes were written.
    pub(super) fn get_file(&self, path: &str, to: std::fs::File) -> Result<u64, Trouble> {
        let request = finish(
            request(Method::GET, path),
            Full::default().map_err(|never| match never {}).boxed_unsync(),
        );
        self.within(PATIENCE_WITH_FILES, async {
            let mut body = self.send(request).await?.into_body();
            let mut to = tokio::fs::File::from_std(to);
            let mut written = 0;
            while let Some(frame) = body.frame().await {
                let Ok(piece) = frame.map_err(lost)?.into_data() else { continue };
                to.write_all(&piece).await.map_err(unwritten)?;
                written += piece.len() as u64;
            }
            to.flush().await.map_err(unwritten)?;
            Ok(written)
        })
    }

    /// Sends a request and reads its whole answer.
    fn exchange<T: DeserializeOwned>(
        &self,
        patience: Duration,
        request: Request<Body>,
    ) -> Result<T, Trouble> {
        let answer = self.within(patience, async {
            let answer = self.send(request).await?.into_body().collect().await;
            Ok(answer.map_err(lost)?.to_bytes())
        })?;
        parse(&answer)
    }

    /// Runs a conversation, at most so long.
    fn within<T>(
        &self,
        patience: Duration,
        conversation: impl Future<Output = Result<T, Trouble>>,
    ) -> Result<T, Trouble> {
        self.runtime.block_on(async {
            tokio::time::timeout(patience, conversation).await.map_err(|_| silent(patience))?
        })
    }

    /// Sends a request on a connection of its own; an answer other than success is an error.
    async fn send(&self, request: Request<Body>) -> Result<Response<Incoming>, Trouble> {
        let stream = UnixStream::connect(&self.socket).await;
        let stream = stream.map_err(|error| unreachable(&self.socket, &error))?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(lost)?;
        // Its error is also the request's, and there it is told.
        tokio::spawn(async move { connection.await.ok() });
        let answer = sender.send_request(request).await.map_err(lost)?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let body = answer.into_body().collect().await.map_err(lost)?.to_bytes();
        Err(Trouble::answered(status.as_u16(), &body))
    }
}

fn request(method: Method, path: &str) -> hyper::http::request::Builder {
    Request::builder().method(method).uri(format!("/api/v1/{path}")).header(HOST, "headstock")
}

fn finish(request: hyper::http::request::Builder, body: Body) -> Request<Body> {
    request.body(body).expect("paths are percent-encoded and headers are our own")
}

/// An answer's JSON; no body at all stands for `null`.
fn parse<T: DeserializeOwned>(answer: &[u8]) -> Result<T, Trouble> {
    let answer = if answer.is_empty() { b"null" } else { answer };
    serde_json::from_slice(answer).map_err(|error| {
        let message = format!("the daemon's answer is not understood: {error}");
        let means = "the request was carried out";
        let remedy = "check that `headstock` and the daemon are of the same version";
        Trouble::new(Exit::Failed, "cli.answer", message, means, remedy)
    })
}

/// A text as one segment of a path or one value of a query.
pub(super) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'~' => out.push(byte.into()),
            // A segment of dots alone would be taken for a step up the path.
            b'.' if text.bytes().any(|it| it != b'.') => out.push('.'),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

fn unreachable(socket: &Path, error: &io::Error) -> Trouble {
    let remedy = match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "join the group that owns the socket (usually `headstock`) and log in again"
        }
        _ => {
            "start it with `systemctl start headstock` or `headstock daemon`, or name its socket \
             with --socket"
        }
    };
    Trouble::new(
        Exit::Unreachable,
        "cli.unreachable",
        format!("cannot reach the daemon at {}: {error}", socket.display()),
        "nothing was sent; whatever runs goes on",
        remedy,
    )
}

fn lost(error: hyper::Error) -> Trouble {
    Trouble::new(
        Exit::Unreachable,
        "cli.lost",
        format!("the daemon broke off: {}", headstock_config::explain::sentence(&error)),
        "the request may or may not have been carried out",
        "ask with `headstock status` before sending it again",
    )
}

fn silent(patience: Duration) -> Trouble {
    Trouble::new(
        Exit::Unreachable,
        "cli.silent",
        format!("the daemon has not answered within {} s", patience.as_secs()),
        "the request may or may not have been carried out",
        "look into its log with `journalctl -u headstock`",
    )
}

fn unwritten(error: io::Error) -> Trouble {
    let means = "the download is not complete";
    let remedy = "check the free space and who may write there";
    Trouble::new(Exit::Failed, "cli.file", format!("cannot write: {error}"), means, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_person_types_stays_within_its_segment() {
        let typed = [
            ("j12", "j12"),
            ("part 1.nc", "part%201.nc"),
            ("../stop?x=1&y#z", "..%2Fstop%3Fx%3D1%26y%23z"),
            ("..", "%2E%2E"),
            ("größe", "gr%C3%B6%C3%9Fe"),
        ];
        for (text, segment) in typed {
            assert_eq!(encoded(text), segment);
        }
    }
}
