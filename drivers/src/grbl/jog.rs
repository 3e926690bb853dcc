//! Moving by hand.
//!
//! A jog that lies unread in the receive ring survives 0x85 and is carried out afterwards (seen on
//! real GRBL 1.1h: the machine drove on for 6 mm). So at most one `$J` is ever unanswered, at most
//! one more waits here, and a cancel is over when none is unanswered *and* the machine rests. It is
//! repeated when a jog begins after that rest, or goes on without slowing down; never while one
//! comes to rest: with a motor delay (`$1`) GRBL 1.1h still says Jog for a moment after its last
//! step, and a 0x85 in that moment leaves it deaf to lines until `~` (reproduced on real firmware,
//! gnea/grbl#195). Firmware that empties its ring on 0x85 answers nothing for what was in it.

use std::time::{Duration, Instant};

use super::Grbl;
use super::modal::decimal;
use super::protocol::State;
use super::stream::What;
use crate::{Outbox, Refusal};

const CANCEL: u8 = 0x85;
/// After a cancel, a flushed jog is given this long to be answered all the same.
const FLUSHED: Duration = Duration::from_millis(300);
/// A jog that has not slowed down this long after a cancel has not heard it.
const UNHEARD: Duration = Duration::from_millis(150);

/// Jogs that have not been sent, and a cancel under way.
#[derive(Debug, Default)]
pub(super) struct Jogs {
    waiting: Option<String>,
    cancelled: Option<Cancel>,
}

/// A cancel under way.
#[derive(Clone, Copy, Debug)]
struct Cancel {
    /// When it was sent last.
    at: Instant,
    /// The feed reported last.
    feed: f64,
    /// Rest was reported since it was sent last.
    rested: bool,
}

impl Jogs {
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// A hold ends a jog; what waits must not start afterwards.
    pub(super) fn hold(&mut self) {
        self.waiting = None;
    }

    pub(super) fn busy(&self) -> bool {
        self.waiting.is_some() || self.cancelled.is_some()
    }
}

/// The line for a jog in millimetres.
pub(super) fn line(by: [Option<f64>; 3], feed: f64, absolute: bool) -> Result<String, Refusal> {
    let mut text = format!("$J={}G21", if absolute { "G90" } else { "G91" });
    text.push_str(&targets(by)?);
    Ok(text + &feed_word(feed)?)
}

/// Axis words for what is given: at least one, all of them numbers.
pub(super) fn targets(at: [Option<f64>; 3]) -> Result<String, Refusal> {
    let mut text = String::new();
    for (axis, value) in ["X", "Y", "Z"].into_iter().zip(at) {
        let Some(value) = value else { continue };
        if !value.is_finite() || 1e5 < value.abs() {
            return Err(Refusal::BadCommand(format!("{axis} {value} is no distance")));
        }
        text.push_str(axis);
        text.push_str(&decimal(value));
    }
    if text.is_empty() { Err(Refusal::BadCommand("no axis is named".into())) } else { Ok(text) }
}

/// `F` and a sensible feed.
pub(super) fn feed_word(feed: f64) -> Result<String, Refusal> {
    if feed.is_finite() && (0.1..=1e6).contains(&feed) {
        Ok(format!("F{}", decimal(feed)))
    } else {
        Err(Refusal::BadCommand(format!("{feed} is no feed in mm/min")))
    }
}

impl Grbl {
    /// Takes a jog, to be sent at once or after the one that is being answered.
    pub(super) fn jog(&mut self, line: String) -> Result<(), Refusal> {
        if self.jogs.cancelled.is_some() {
            return Err(Refusal::NotNow("ending a jog"));
        }
        if self.jogs.waiting.is_some() {
            return Err(Refusal::Backlog(1));
        }
        self.jogs.waiting = Some(line);
        Ok(())
    }

    /// Sends the waiting jog if it may go.
    pub(super) fn send_jog(&mut self, now: Instant, out: &mut Outbox) {
        let free = self.stream.is_empty() && self.errands.is_empty() && self.stopping.is_none();
        let state_allows = matches!(self.sight.state, State::Idle | State::Jog);
        if !free || !state_allows || self.jogs.cancelled.is_some() {
            return;
        }
        if let Some(line) = self.jogs.waiting.take() {
            self.stream.send(now, &line, What::Jog(line.clone()), &mut out.bytes);
        }
    }

    /// Ends a jog.
    pub(super) fn cancel_jog(&mut self, now: Instant, out: &mut Outbox) {
        self.jogs.waiting = None;
        self.jogs.cancelled = Some(Cancel { at: now, feed: f64::INFINITY, rested: false });
        self.poll.ask(now, &[CANCEL], out);
    }

    /// A report came while a jog may be ending.
    pub(super) fn jog_saw(&mut self, now: Instant, out: &mut Outbox) {
        let Some(cancel) = &mut self.jogs.cancelled else { return };
        let rests = self.sight.at_rest(self.it.quiet_planner);
        if rests && self.it.jog_cancel_flushes && FLUSHED <= now - cancel.at {
            self.stream.forget_jogs();
        }
        if rests && !self.stream.has_jog() {
            self.jogs.cancelled = None;
            return;
        }
        let feed = self.sight.live.feed;
        let unheard = UNHEARD <= now - cancel.at && 0.0 < feed && cancel.feed <= feed;
        let jogs = self.sight.state == State::Jog;
        cancel.feed = feed;
        cancel.rested |= rests;
        if jogs && (cancel.rested || unheard) {
            (cancel.at, cancel.rested) = (now, false);
            out.urgent.push(CANCEL);
        }
    }

    /// A jog was answered.
    pub(super) fn jog_answered(&mut self, line: String, refused: Option<u16>, out: &mut Outbox) {
        // FluidNC refuses what a cancel throws away; that is what was wanted.
        if refused.is_some() && self.jogs.cancelled.is_none() {
            self.jogs.waiting = None;
            self.command_failed(line, refused, out);
        }
    }
}
