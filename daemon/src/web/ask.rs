//! A request as the resources see it, and the words of an answer.
//!
//! Invariant: a JSON body has at most [`JSON_MAX`] bytes and [`JSON_TIME`] to arrive, whether or
//! not the client announces its length.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{Stream, StreamExt};
use headstock_config::people::Person;
use hyper::body::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use warp::Buf;
use warp::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use warp::http::{HeaderMap, HeaderValue, StatusCode};
use warp::reply::{Reply, Response};
use warp::ws::Ws;

use super::error::Failure;
use super::hall::Hall;
use super::routes::Route;
use crate::desk::Desk;

/// Largest JSON body, bytes: a thousand times the largest that makes sense.
pub(super) const JSON_MAX: u64 = 64 * 1024;
/// How long a JSON body may take.
const JSON_TIME: Duration = Duration::from_secs(10);

/// A body on its way in.
pub(super) type Body = Pin<Box<dyn Stream<Item = Result<Bytes, warp::Error>> + Send>>;

/// A request that found its route.
pub(super) struct Asked {
    /// What all requests share.
    pub(super) hall: Arc<Hall>,
    /// The route it found.
    pub(super) route: &'static Route,
    /// Who asks.
    pub(super) who: Person,
    /// What stands in the place of each `{name}` of the route's path, decoded.
    pub(super) names: Vec<String>,
    /// The query as it was sent.
    pub(super) query: String,
    /// The headers.
    pub(super) headers: HeaderMap,
    /// The body, not yet read.
    pub(super) body: Body,
    /// The body, read, where the route takes JSON.
    pub(super) text: Vec<u8>,
    /// The WebSocket that it asks to become, if it does.
    pub(super) socket: Option<Ws>,
    /// When its head had been read.
    pub(super) began: Instant,
}

impl Asked {
    /// Where everything is asked for.
    pub(super) fn desk(&self) -> &Desk {
        &self.hall.door.desk
    }

    /// The same, timing stops from the moment at which this request arrived.
    pub(super) fn desk_since(&self) -> Desk {
        self.desk().since(self.began)
    }

    /// What stands in the place of the first `{name}` of the route's path.
    pub(super) fn name(&self) -> &str {
        self.names.first().expect("the route's path has a name in it")
    }

    /// The query's parameters. One that is not known is refused: it may be one that is misspelt.
    pub(super) fn query<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_urlencoded::from_str(&self.query).map_err(|error| Failure::Query(error.to_string()))
    }

    /// Reads the body of a route that takes JSON.
    pub(super) async fn read(&mut self) -> Result<(), Failure> {
        self.check_type(&["application/json", "application/x-www-form-urlencoded", "text/plain"])?;
        self.check_length(JSON_MAX)?;
        let read = tokio::time::timeout(JSON_TIME, read(&mut self.body, JSON_MAX));
        self.text = read.await.map_err(|_| Failure::Slow)??;
        Ok(())
    }

    /// The body as JSON.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_slice(&self.text)
            .map_err(|error| Failure::Json { error, route: self.route })
    }

    /// Refuses a body that says it is of another type than these. One that says nothing, and one
    /// that says what `curl --data` says of everything, is judged by its content.
    pub(super) fn check_type(&self, types: &[&str]) -> Result<(), Failure> {
        let Some(said) = self.headers.get(CONTENT_TYPE) else { return Ok(()) };
        let said = String::from_utf8_lossy(said.as_bytes());
        let essence = said.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if types.contains(&essence.as_str()) {
            return Ok(());
        }
        Err(Failure::MediaType { said: essence, route: self.route })
    }

    /// Refuses a body that announces more bytes than this.
    pub(super) fn check_length(&self, max: u64) -> Result<(), Failure> {
        let said = self.headers.get(CONTENT_LENGTH).and_then(|it| it.to_str().ok()?.parse().ok());
        if said.is_some_and(|length: u64| max < length) {
            Err(Failure::TooBig(max))
        } else {
            Ok(())
        }
    }
}

/// The pieces of a body, as they come.
pub(super) fn body<B: Buf>(
    stream: impl Stream<Item = Result<B, warp::Error>> + Send + 'static,
) -> Body {
    stream.map(|piece| piece.map(|mut it| it.copy_to_bytes(it.remaining()))).boxed()
}

async fn read(body: &mut Body, max: u64) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(|_| Failure::BrokenOff)?;
        if max < (bytes.len() + piece.len()) as u64 {
            return Err(Failure::TooBig(max));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

/// An answer in JSON.
pub(super) fn json(status: StatusCode, answer: &impl Serialize) -> Response {
    let text = serde_json::to_vec(answer).expect("answers have only string keys");
    typed(status, "application/json", text)
}

/// 200 with this.
pub(super) fn shown(answer: &impl Serialize) -> Response {
    json(StatusCode::OK, answer)
}

/// An answer of this content type.
pub(super) fn typed(status: StatusCode, kind: &'static str, body: Vec<u8>) -> Response {
    let mut response = body.into_response();
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// 204.
pub(super) fn nothing() -> Response {
    StatusCode::NO_CONTENT.into_response()
}
