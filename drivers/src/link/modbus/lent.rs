//! A port, lent out for a while.
//!
//! The library wants to own what it reads from and writes to; the bus wants to keep its port when
//! the library is dropped after a fault. So it gets a handle. The handle also keeps the time: a
//! read that has to end does, as an error, and whoever reads drops the handle.
//!
//! ```text
//!  ask(limits) -> write -> [ nothing yet ] --first_ms--> timed out
//!                              | bytes
//!                          [ coming in ] --gap of silence, or all_ms--> timed out
//! ```

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

use super::evidence::Evidence;
use crate::link::{Link, failure};
use crate::modbus::frame::Mbap;

/// Bytes kept of what came in one exchange: more is no answer.
const SEEN_MAX: usize = 1_024;

/// A port that is open.
#[derive(Clone, Debug)]
pub(super) enum Port {
    /// A serial line.
    Serial(Arc<Link>),
    /// A connection.
    Stream(Arc<TcpStream>),
}

impl Port {
    fn poll_read(&self, task: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Serial(link) => link.poll_read(task, buffer),
            Self::Stream(stream) => loop {
                ready!(stream.poll_read_ready(task))?;
                match stream.try_read(buffer) {
                    Ok(0) => return Poll::Ready(Err(failure::gone())),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => (),
                    read => return Poll::Ready(read),
                }
            },
        }
    }

    fn poll_write(&self, task: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Serial(link) => link.poll_write(task, bytes),
            Self::Stream(stream) => loop {
                ready!(stream.poll_write_ready(task))?;
                match stream.try_write(bytes) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => (),
                    wrote => return Poll::Ready(wrote),
                }
            },
        }
    }

    /// Waits for bytes.
    pub(super) async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        std::future::poll_fn(|task| self.poll_read(task, buffer)).await
    }
}

/// How long an exchange may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// The first byte comes by then.
    pub(super) first: Instant,
    /// Between two bytes no more than this passes.
    pub(super) gap: Duration,
    /// The last byte comes by then.
    pub(super) all: Instant,
}

/// What is known of the exchange under way, or of the latest.
#[derive(Debug)]
pub(super) struct Exchange {
    limits: Limits,
    /// It has begun and has not ended.
    pub(super) under_way: bool,
    /// On a line: when it can be given up for a stop if nothing has come by then.
    grace: Option<Instant>,
    /// The request has been written whole.
    written: bool,
    /// Its number, over TCP: another one for every exchange.
    pub(super) transaction: u16,
    /// What was sent.
    pub(super) sent: Vec<u8>,
    /// What has come, up to a bound.
    pub(super) seen: Vec<u8>,
    /// When the last of it came.
    pub(super) last: Option<Instant>,
}

impl Default for Exchange {
    fn default() -> Self {
        let now = Instant::now();
        let limits = Limits { first: now, gap: Duration::ZERO, all: now };
        Self {
            limits,
            under_way: false,
            grace: None,
            written: false,
            transaction: 0,
            sent: Vec::new(),
            seen: Vec::new(),
            last: None,
        }
    }
}

impl Exchange {
    /// Nothing is under way.
    pub(super) fn ends(&mut self) {
        self.under_way = false;
    }

    /// When it can be given up for a stop: not while its answer is coming in, or while a part of it is
    /// not written. `None`: nothing is under way.
    pub(super) fn ends_early_at(&self, now: Instant) -> Option<Option<Instant>> {
        let whole = self.sent.is_empty() || self.written;
        let cut = self.seen.is_empty() && whole;
        self.under_way.then(|| cut.then_some(self.grace.unwrap_or(now)))
    }

    fn until(&self) -> Instant {
        match self.last {
            None => self.limits.first,
            Some(last) => self.limits.all.min(last + self.limits.gap),
        }
    }
}

/// Nothing in there can be half done.
pub(super) fn locked(exchange: &Mutex<Exchange>) -> MutexGuard<'_, Exchange> {
    exchange.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The handle. Clones are of the same port and the same exchange.
#[derive(Debug)]
pub(super) struct Lent {
    port: Port,
    evidence: Evidence,
    // Held for a few instructions, never across an await.
    exchange: Arc<Mutex<Exchange>>,
    sleep: Pin<Box<Sleep>>,
}

impl Clone for Lent {
    fn clone(&self) -> Self {
        let sleep = Box::pin(tokio::time::sleep(Duration::ZERO));
        let (port, evidence) = (self.port.clone(), self.evidence.clone());
        Self { port, evidence, exchange: self.exchange.clone(), sleep }
    }
}

impl Lent {
    /// A handle of this port.
    pub(super) fn new(port: Port, evidence: Evidence, exchange: Arc<Mutex<Exchange>>) -> Self {
        let sleep = Box::pin(tokio::time::sleep(Duration::ZERO));
        Self { port, evidence, exchange, sleep }
    }

    /// The exchange under way.
    pub(super) fn exchange(&self) -> MutexGuard<'_, Exchange> {
        locked(&self.exchange)
    }

    /// Another exchange begins; on a line it can be given up after this `grace`.
    pub(super) fn begin(&self, limits: Limits, grace: Option<Duration>) {
        let mut exchange = self.exchange();
        exchange.limits = limits;
        exchange.under_way = true;
        exchange.grace = grace.map(|grace| Instant::now() + grace);
        exchange.written = false;
        exchange.transaction = exchange.transaction.wrapping_add(1);
        exchange.sent.clear();
        exchange.seen.clear();
        exchange.last = None;
    }

    /// The exchange has ended.
    pub(super) fn ends(&self) {
        self.exchange().ends();
    }

    /// Of what has come, this is the answer.
    pub(super) fn keep_only(&self, frame: &[u8]) {
        self.exchange().seen = frame.to_vec();
    }

    /// This came and answers something that was given up; `rest` has come behind it.
    pub(super) fn drop_stranger(&self, frame: &Mbap, rest: &[u8]) {
        let number = frame.transaction;
        self.evidence.verdict(format!("dropped: transaction {number} was given up"));
        self.exchange().seen = rest.to_vec();
    }

    fn saw(&self, bytes: &[u8]) {
        self.evidence.received(bytes);
        let mut exchange = self.exchange();
        let room = SEEN_MAX - exchange.seen.len().min(SEEN_MAX);
        exchange.seen.extend_from_slice(&bytes[..bytes.len().min(room)]);
        exchange.last = Some(Instant::now());
    }
}

impl AsyncRead for Lent {
    fn poll_read(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let until = self.exchange().until();
        if let Poll::Ready(read) = self.port.poll_read(task, buffer.initialize_unfilled()) {
            let read = read?;
            buffer.advance(read);
            let filled = buffer.filled().len();
            self.saw(&buffer.filled()[filled - read..]);
            // Whoever goes on and on is no device.
            let late = self.exchange().limits.all < Instant::now();
            return Poll::Ready(if late { Err(io::ErrorKind::TimedOut.into()) } else { Ok(()) });
        }
        self.sleep.as_mut().reset(until.into());
        ready!(self.sleep.as_mut().poll(task));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncWrite for Lent {
    fn poll_write(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(wrote) = self.port.poll_write(task, bytes) {
            let wrote = wrote?;
            self.evidence.sent(&bytes[..wrote]);
            self.exchange().sent.extend_from_slice(&bytes[..wrote]);
            return Poll::Ready(Ok(wrote));
        }
        let until = self.exchange().limits.first;
        self.sleep.as_mut().reset(until.into());
        ready!(self.sleep.as_mut().poll(task));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// Whoever writes says so when it has written all.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.exchange().written = true;
        Poll::Ready(Ok(()))
    }

    /// What is lent is not closed.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
