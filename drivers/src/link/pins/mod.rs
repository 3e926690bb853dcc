//! Moves pins: performs what is asked of a board, and hears its edges.
//!
//! ```text
//!  Request --> PinCarrier --embedded-hal--> Line --> kernel, rppal, or a pretend board
//!  Reading <-- [ Board ] <-- edges <-- Pins::poll_edges
//! ```
//!
//! Every line is one object behind the traits of embedded-hal; who moves it is decided once, when
//! it is reserved. Lines are reserved when the carrier opens and kept until it closes, so that
//! nobody else takes them in between.
//!
//! Invariants: an output has its safe level from the first moment that it is ours; it goes back
//! there when the carrier closes or is dropped, and when the house's heart has stopped. A pulse
//! ends by itself. What a killed process leaves on its lines is for the resistors of the circuit:
//! the kernel promises nothing.

mod cdev;
mod dim;
mod heart;
mod open;
mod pretend;
mod rppal;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::path::PathBuf;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use embedded_hal::digital::{ErrorKind, InputPin, OutputPin};
use embedded_hal::pwm::SetDutyCycle;
use headstock_config::machine::{Machine, PinsBy, Port};
use headstock_config::point::Quality;

pub use self::heart::Heart;
use self::open::Open;
use super::failure::{OpenError, Why};
use super::os;
use crate::bus::{Carrier, Errand, Fault, Place, Reading};
use crate::gpio::{Answer, Board, Edge, Gpio, Request, Seen, Use};

/// Why a line could not be read or driven.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct PinError(#[from] io::Error);

impl embedded_hal::digital::Error for PinError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Other
    }
}

impl embedded_hal::pwm::Error for PinError {
    fn kind(&self) -> embedded_hal::pwm::ErrorKind {
        embedded_hal::pwm::ErrorKind::Other
    }
}

impl From<Infallible> for PinError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl From<PinError> for Fault {
    fn from(error: PinError) -> Self {
        Self::Lost(error.to_string())
    }
}

/// A line that is driven, and can be looked at.
trait Driven: OutputPin + InputPin {}
impl<P: OutputPin + InputPin> Driven for P {}

/// A line that has been reserved.
enum Line {
    In(Box<dyn InputPin<Error = PinError> + Send>),
    Out(Box<dyn Driven<Error = PinError> + Send>),
    /// By a timer of the board.
    Dimmed(Box<dyn SetDutyCycle<Error = PinError> + Send>),
}

/// Who moves the lines of a board.
trait Pins: Send {
    /// Takes a line; `index` is what its edges are called by. An output has its safe level from
    /// then on.
    fn reserve(&mut self, index: usize, wanted: &Use) -> Result<Line, Why>;

    /// Whether bounces of this line are kept away before we hear of it.
    fn filters(&self, index: usize) -> bool;

    /// Edges that have come; pending as long as there is none.
    fn poll_edges(
        &mut self,
        context: &mut Context<'_>,
        edges: &mut Vec<Edge>,
    ) -> Poll<io::Result<()>>;
}

/// The moment of a timestamp that the kernel took with CLOCK_MONOTONIC.
fn moment(timestamp: Duration) -> io::Result<Instant> {
    let (now, clock) = (Instant::now(), os::monotonic()?);
    Ok(now.checked_sub(clock.saturating_sub(timestamp)).unwrap_or(now))
}

#[derive(Clone, Debug)]
enum By {
    Cdev,
    Rppal,
    Pretend(PathBuf),
}

/// Carries requests to the pins of this board. See the head of this file.
pub struct PinCarrier {
    by: By,
    /// For errors: whose pins, and how they are reached.
    whose: String,
    port: String,
    board: Board,
    heart: Heart,
    open: Option<Open>,
}

impl PinCarrier {
    /// For the pins of these machines, all on one port. Opens nothing yet.
    pub fn new(machines: &[Machine], heart: Heart) -> Self {
        let port = machines.first().map(|it| &it.port);
        let by = match port {
            Some(Port::Pins(PinsBy::Rppal)) => By::Rppal,
            Some(Port::Path(path)) => By::Pretend(path.clone()),
            _ => By::Cdev,
        };
        let names: Vec<&str> = machines.iter().map(|it| it.id.as_str()).collect();
        Self {
            by,
            whose: names.join(", "),
            port: port.map(ToString::to_string).unwrap_or_default(),
            board: Board::new(machines),
            heart,
            open: None,
        }
    }

    /// Edges that the kernel had no room for, since the start.
    pub fn lost_edges(&self) -> u64 {
        self.board.lost()
    }

    fn failed(&self, port: &str, why: Why) -> OpenError {
        OpenError { machine: self.whose.clone(), port: port.to_owned(), why }
    }

    fn pins(&self) -> Result<Box<dyn Pins>, Why> {
        Ok(match &self.by {
            By::Cdev => Box::new(cdev::Chips::default()),
            By::Rppal => Box::new(rppal::Raspberry::new()?),
            By::Pretend(path) => Box::new(pretend::Socket::new(path)?),
        })
    }

    fn opened(&mut self) -> Result<(&mut Open, &mut Board), Fault> {
        let open = self.open.as_mut().ok_or_else(|| Fault::Lost("it is not open".into()))?;
        Ok((open, &mut self.board))
    }

    fn look(&mut self, places: &[Place]) -> Result<Answer, Fault> {
        let (open, board) = self.opened()?;
        let lines = places.iter().filter_map(|place| Some((*place, board.line(*place)?)));
        let lines: Vec<(Place, usize)> = lines.collect();
        Ok(lines.into_iter().map(|(place, line)| (place, open.look(line, board))).collect())
    }

    fn drive(&mut self, place: Place, share: f64, until: Option<Instant>) -> Result<Answer, Fault> {
        let stopped = self.heart.stopped(Instant::now());
        let (open, board) = self.opened()?;
        let line =
            board.line(place).ok_or_else(|| Fault::Unlike("there is no such line".into()))?;
        if stopped && share != open.safe(line) {
            let means = "the house does not answer: outputs stay in their safe state";
            return Err(Fault::Refused { number: 0, means, later: true });
        }
        open.drive(line, share)?;
        open.pulse(line, until);
        board.driven(line, share);
        // A pulse may be over before anybody looks: that it has begun is told with it.
        Ok(until.map(|_| (place, Seen::good(share))).into_iter().collect())
    }

    /// Does what is due; what is to be told of it.
    fn keep_up(&mut self, now: Instant) -> Result<Vec<Reading>, Fault> {
        let mut out = Vec::new();
        self.watch_the_heart(now, &mut out)?;
        let (open, board) = self.opened()?;
        board.tick(now, &mut out);
        for line in open.over(now)? {
            board.driven(line, 0.0);
            out.extend(board.told(line, now, &Seen::good(0.0)));
        }
        open.flicker(now)?;
        Ok(out)
    }

    /// A house that hangs can switch nothing off any more.
    fn watch_the_heart(&mut self, now: Instant, out: &mut Vec<Reading>) -> Result<(), Fault> {
        let stopped = self.heart.stopped(now);
        let why = format!("the house was silent for {} s", self.heart.patience().as_secs());
        let whose = self.whose.clone();
        let (open, board) = self.opened()?;
        if stopped == std::mem::replace(&mut open.heart_stopped, stopped) {
            return Ok(());
        }
        if !stopped {
            tracing::info!(machine = %whose, "the house answers again; outputs stay as they are");
            return Ok(());
        }
        tracing::error!(machine = %whose, "{why}: outputs go to their safe state");
        open.all_safe()?;
        for line in open.outputs() {
            let safe = open.safe(line);
            board.driven(line, safe);
            let (quality, why) = (Quality::Uncertain, Some(why.clone()));
            out.extend(board.told(line, now, &Seen { raw: Some(safe), quality, why }));
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Instant> {
        let open = self.open.as_ref()?;
        // A heart that has stopped is asked now and then whether it beats again.
        let heart = if open.heart_stopped {
            Instant::now() + self.heart.patience()
        } else {
            self.heart.stops_at()
        };
        open.deadlines().chain(self.board.deadline()).chain([heart]).min()
    }

    /// Edges into readings; a line of which some were lost is looked at.
    fn take(&mut self, edges: Vec<Edge>) -> Result<Vec<Reading>, Fault> {
        let (open, board) = self.opened()?;
        let mut out = Vec::new();
        for edge in edges {
            if board.edge(edge, &mut out) {
                let seen = open.look(edge.line, board);
                out.extend(board.told(edge.line, Instant::now(), &seen));
            }
        }
        Ok(out)
    }

    /// Waits for edges, or for the time to do something; what there is to tell then, if anything.
    async fn wait(&mut self) -> Result<Vec<Reading>, Fault> {
        let due = self.deadline();
        let (open, _) = self.opened()?;
        let mut edges = Vec::new();
        let come = poll_fn(|context| open.poll_edges(context, &mut edges));
        tokio::select! {
            biased;
            come = come => come.map_err(|error| Fault::Lost(error.to_string()))?,
            () = until(due) => (),
        }
        self.take(edges)
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

impl Carrier<Gpio> for PinCarrier {
    async fn open(&mut self) -> Result<(), OpenError> {
        // Lines must be free before they are taken again.
        self.open = None;
        let pins = self.pins().map_err(|why| self.failed(&self.port, why))?;
        let open = Open::reserve(pins, self.board.uses())
            .map_err(|(line, why)| self.failed(&line, why))?;
        self.board.opened(&open.filtered());
        self.open = Some(open);
        Ok(())
    }

    /// Nothing here takes any time: there is nothing to call back.
    async fn perform(
        &mut self,
        _: usize,
        request: &Request,
        errand: Errand<'_>,
    ) -> Result<Answer, Fault> {
        errand.may()?;
        match request {
            Request::Look(places) => self.look(places),
            Request::Set(place, share) => self.drive(*place, *share, None),
            Request::Pulse(place, length) => {
                self.drive(*place, 1.0, Some(Instant::now() + *length))
            }
        }
    }

    async fn unasked(&mut self) -> Result<Vec<Reading>, Fault> {
        loop {
            let out = self.keep_up(Instant::now())?;
            if !out.is_empty() {
                return Ok(out);
            }
            let out = self.wait().await?;
            if !out.is_empty() {
                return Ok(out);
            }
        }
    }

    async fn close(&mut self) {
        self.open = None;
    }
}
