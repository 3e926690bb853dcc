//! Connections: accepted while there are seats, spoken HTTP/1.1 with, ended in order.
//!
//! A client that is silent for [`HEAD_TIME`], before a request or between two, or takes nothing of
//! an answer for [`TAKES`], is hung up on, so that the seats are for those who use them. The two
//! doors have seats of their own: a crowd on the network keeps nobody from the box's own socket.

use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use warp::filters::BoxedFilter;
use warp::reply::Response;

use super::Listeners;
use super::hall::{Hall, Seats};
use super::stall::Stalls;
use super::who::{self, Peer};

/// How long the head of a request may take to arrive, and a connection may rest between two.
const HEAD_TIME: Duration = Duration::from_secs(30);
/// How long a client may take nothing of an answer.
const TAKES: Duration = Duration::from_secs(30);
/// Largest head of a request, bytes.
const HEAD_MAX: usize = 32 * 1024;
/// After a failure to accept that is not the client's, such as too many open files.
const BREATH: Duration = Duration::from_millis(100);
/// How long a client that finds no seat may take to hear so.
const FAREWELL: Duration = Duration::from_secs(1);
/// What such a client hears.
const NO_SEAT: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\n\
    content-length: 0\r\nconnection: close\r\n\r\n";

type Everything = BoxedFilter<(Response,)>;

/// Accepts until `closing` is cancelled, then waits for what is under way.
pub(super) async fn serve(
    listeners: Listeners,
    hall: &Arc<Hall>,
    filter: Everything,
    closing: &CancellationToken,
) {
    let Listeners { file, tcp, unix, .. } = listeners;
    let desk = Receptionist { hall: hall.clone(), filter };
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = closing.cancelled() => break,
            Some(_) = open.join_next(), if !open.is_empty() => (),
            accepted = unix.accept() => match accepted {
                Ok((stream, _)) => desk.admit_user(&mut open, stream),
                Err(error) => not_accepted(&error).await,
            },
            accepted = tcp.accept() => match accepted {
                Ok((stream, _)) => desk.admit(&mut open, &hall.tcp, nodelay(stream), Peer::Network),
                Err(error) => not_accepted(&error).await,
            },
        }
    }
    drop(file);
    drop((tcp, unix));
    while open.join_next().await.is_some() {}
    hall.deeds.close();
    hall.deeds.wait().await;
    hall.feeds.empty().await;
}

fn nodelay(stream: TcpStream) -> TcpStream {
    // Only costs time if it fails.
    stream.set_nodelay(true).ok();
    stream
}

async fn not_accepted(error: &std::io::Error) {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if !matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        tracing::warn!(%error, "a connection could not be accepted");
        tokio::time::sleep(BREATH).await;
    }
}

struct Receptionist {
    hall: Arc<Hall>,
    filter: Everything,
}

impl Receptionist {
    fn admit_user(&self, open: &mut JoinSet<()>, stream: UnixStream) {
        let people = &self.hall.door.settings.people;
        match who::user(&stream, people) {
            Ok(person) => self.admit(open, &self.hall.socket, stream, Peer::User(person)),
            // It has gone already.
            Err(error) => tracing::debug!(%error, "nobody at the far end of the socket"),
        }
    }

    fn admit<S>(&self, open: &mut JoinSet<()>, seats: &Seats, mut stream: S, peer: Peer)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Some(seat) = seats.take() else {
            open.spawn(async move {
                let told = tokio::time::timeout(FAREWELL, stream.write_all(NO_SEAT));
                // Whether or not it listens.
                told.await.ok();
            });
            return;
        };
        let (filter, closing) = (self.filter.clone(), self.hall.closing.clone());
        open.spawn(async move {
            converse(stream, filter, peer, closing).await;
            drop(seat);
        });
    }
}

/// Answers one client's requests until it leaves, is silent for too long, or the doors close.
pub(super) async fn converse<S>(
    stream: S,
    filter: Everything,
    peer: Peer,
    closing: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let everything = TowerToHyperService::new(warp::service(filter));
    let service = hyper::service::service_fn(move |mut request| {
        request.extensions_mut().insert(peer.clone());
        everything.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_MAX)
        .serve_connection(TokioIo::new(Stalls::new(stream, TAKES)), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = closing.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended in disorder");
    }
}
