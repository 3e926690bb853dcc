//! The REST and WebSocket doors: the same routes on TCP and on the box's own socket.
//!
//! ```text
//!  TCP ----\                                                  /-> 404, 405
//!           > connection -> who asks -> table of routes ------> a resource -> DESK
//!  socket -/   bounded       token,                            \-> feed <- LEDGER, live values
//!              in number     peer uid
//! ```
//!
//! A door is thin: it reads a request, asks the desk and words the answer. No rule of the
//! workshop stands here; who may do what is judged at the desk.
//!
//! `routes::ROUTES` is the one list of what is served. Requests are dispatched by it and the
//! OpenAPI document is written from it, so the two cannot differ.
//!
//! Invariants: what changes anything is carried out to its end, whether or not its client still
//! waits; no body is read without a bound in size and time; nothing that a client does or
//! leaves undone keeps the house waiting; every refusal is an `ErrorBody` with a request id.

mod alarms;
mod ask;
mod auth;
mod connection;
mod discover;
mod equipment;
mod error;
mod events;
mod feed;
mod files;
mod hall;
mod hands;
mod health;
mod jobs;
mod listen;
mod metrics;
mod openapi;
mod points;
mod process;
mod routes;
mod stall;
mod stop;
mod system;
mod tally;
mod who;

#[cfg(test)]
mod trial;

use std::sync::Arc;
use std::time::Instant;

use headstock_config::settings::Settings;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::http::{HeaderMap, HeaderValue, Method, StatusCode};
use warp::reply::Response;
use warp::ws::Ws;

use self::ask::{Asked, Body};
use self::error::Failure;
use self::hall::Hall;
pub use self::listen::{BindError, Listeners, bind};
use self::routes::Takes;
use self::who::Peer;
use crate::desk::Desk;

/// What the doors open onto.
#[derive(Clone)]
pub struct Door {
    /// Where everything is asked for.
    pub desk: Desk,
    /// What is declared.
    pub settings: Arc<Settings>,
    /// When the house opened.
    pub opened: Instant,
}

/// Serves both doors until `closing` is cancelled, then ends what is under way in order. Feeds
/// are told to come back later.
pub async fn serve(listeners: Listeners, door: Door, closing: CancellationToken) {
    let hall = Arc::new(Hall::new(door, listeners.tcp_addr(), closing.clone()));
    connection::serve(listeners, &hall, filter(hall.clone()), &closing).await;
}

/// The head of a request.
struct Head {
    method: Method,
    path: String,
    query: String,
    headers: HeaderMap,
    peer: Peer,
}

/// Everything that is served, as one filter.
fn filter(hall: Arc<Hall>) -> BoxedFilter<(Response,)> {
    let query = warp::query::raw().or(warp::any().map(String::new)).unify();
    let peer = warp::ext::optional().map(|peer: Option<Peer>| peer.unwrap_or(Peer::Network));
    let socket = warp::ws().map(Some).or(warp::any().map(|| None)).unify();
    warp::method()
        .and(warp::path::full())
        .and(query)
        .and(warp::header::headers_cloned())
        .and(peer)
        .and(socket)
        .and(warp::body::stream())
        .then(move |method, path: warp::path::FullPath, query, headers, peer, socket, body| {
            let path = path.as_str().to_owned();
            let head = Head { method, path, query, headers, peer };
            answer(hall.clone(), head, socket, ask::body(body))
        })
        .boxed()
}

async fn answer(hall: Arc<Hall>, head: Head, socket: Option<Ws>, body: Body) -> Response {
    let began = Instant::now();
    let id = hall.request_id(&head.headers);
    let (method, path) = (head.method.clone(), head.path.clone());
    let mut response = match enter(hall, head, socket, body, began).await {
        Ok(response) => response,
        Err(failure) => failure.response(&id),
    };
    log(&id, &method, &path, response.status(), began);
    let value = HeaderValue::from_str(&id).expect("a request id is visible ASCII");
    response.headers_mut().insert("x-request-id", value);
    response
}

async fn enter(
    hall: Arc<Hall>,
    head: Head,
    socket: Option<Ws>,
    body: Body,
    began: Instant,
) -> Result<Response, Failure> {
    let (route, names) = routes::find(&head.method, &head.path)?;
    let who = match route.least {
        Some(_) => who::person(&hall.door.desk, &head.peer, &head.headers)?,
        None => who::anybody(),
    };
    let Head { query, headers, .. } = head;
    let (text, deeds) = (Vec::new(), hall.deeds.clone());
    let mut ask = Asked { hall, route, who, names, query, headers, body, text, socket, began };
    match (route.method, route.takes) {
        ("GET", _) => return (route.go)(ask).await,
        (_, Takes::Json(_)) => ask.read().await?,
        // An upload ends with the client that brings it; it sees to its own last step.
        (_, Takes::Bytes) => return (route.go)(ask).await,
        (_, Takes::Nothing) => (),
    }
    to_its_end(&deeds, (route.go)(ask)).await
}

/// Does something on a task of its own. A connection is dropped together with everything that it
/// waits for when its client hangs up: a deed half done, written down and never passed on, must
/// not come of that.
async fn to_its_end<T: Send + 'static>(
    deeds: &TaskTracker,
    deed: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> Result<T, Failure> {
    deeds.spawn(deed).await.unwrap_or_else(|error| Err(Failure::Broke(error)))
}

fn log(request: &str, method: &Method, path: &str, status: StatusCode, began: Instant) {
    let ms = began.elapsed().as_millis() as u64;
    let status = status.as_u16();
    if 500 <= status {
        tracing::warn!(request, %method, path, status, ms, "request failed");
    } else {
        // What was asked for stands in the book; this is for whoever looks into a door.
        tracing::debug!(request, %method, path, status, ms, "request");
    }
}
