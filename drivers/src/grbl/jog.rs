//! Moving by hand: steps, one at a time, and what ends them. What is held down is `jog_hold`.
//!
//! A jog that lies unread in the receive ring survives 0x85 and is carried out afterwards (seen on
//! real GRBL 1.1h: the machine drove on for 6 mm). So at most one `$J` is ever unanswered, at most
//! one more waits here, and a cancel is over when none is unanswered *and* the machine rests. It is
//! repeated when a jog begins after that rest, or goes on without slowing down; never while one
//! comes to rest: with a motor delay (`$1`) GRBL 1.1h still says Jog for a moment after its last
//! step, and a 0x85 in that moment leaves it deaf to lines until `~` (reproduced on real firmware,
//! gnea/grbl#195). Firmware that empties its ring on 0x85 answers nothing for what was in it.

use std::time::{Duration, Instant};

use headstock_config::command::HoldWish;
use headstock_config::machine::{Envelope, JogNow, Xyz};

use super::Grbl;
use super::jog_hold::{Frame, HeldJog};
use super::modal::decimal;
use super::protocol::State;
use super::stream::What;
use crate::hand::{Lapse, Sign, step_stays};
use crate::{Outbox, Refusal};

const CANCEL: u8 = 0x85;
/// What a position is rounded to when it is reported, mm.
const ROUNDING: f64 = 0.002;
/// After a cancel, a flushed jog is given this long to be answered all the same.
const FLUSHED: Duration = Duration::from_millis(300);
/// A jog that has not slowed down this long after a cancel has not heard it.
const UNHEARD: Duration = Duration::from_millis(150);

/// Jogs that have not been sent, and a cancel under way.
#[derive(Debug, Default)]
pub(super) struct Jogs {
    waiting: Option<String>,
    /// A step was sent, and no rest has been reported since it was answered.
    stepping: bool,
    held: Option<HeldJog>,
    lapse: Lapse,
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
        self.held = None;
    }

    pub(super) fn busy(&self) -> bool {
        self.waiting.is_some() || self.cancelled.is_some() || self.stepping || self.is_held()
    }

    /// Somebody holds one.
    pub(super) fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// When the one that is held is over unless it is renewed.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.held.as_ref().map(HeldJog::lease_until)
    }

    /// As everybody is shown it.
    pub(super) fn shown(&self) -> Option<JogNow> {
        self.held.as_ref().map(HeldJog::shown)
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
    /// Takes a step. While one is under way there is no other: keys that repeat themselves would
    /// have the machine drive on long after they were let go.
    pub(super) fn jog(
        &mut self,
        by: [Option<f64>; 3],
        feed: f64,
        absolute: bool,
    ) -> Result<(), Refusal> {
        let line = line(by, feed, absolute)?;
        self.jog_is_free()?;
        self.ends_within(by, absolute)?;
        (self.jogs.waiting, self.jogs.stepping) = (Some(line), true);
        Ok(())
    }

    /// A step ends where the machine can be, as far as both are known.
    fn ends_within(&self, by: [Option<f64>; 3], absolute: bool) -> Result<(), Refusal> {
        let (Some(from), Some(limits)) = (self.known_place(), self.limits()) else {
            return Ok(());
        };
        let work = self.sight.live.work_position;
        // Where a work coordinate lies is known only with where the machine is in them.
        let way = |axis: usize, value: f64| match (absolute, work) {
            (false, _) => Some(value),
            (true, work) => Some(value - work?[axis]),
        };
        let given = (0..3).filter_map(|axis| Some((axis, way(axis, by[axis]?)?)));
        given
            .map(|(axis, by)| (axis, (from[axis], from[axis] + by)))
            .try_for_each(|(axis, ends)| step_stays(&limits, axis, ends, (ROUNDING, "the machine")))
    }

    /// Where the machine is, in its own coordinates, if that is certain.
    fn known_place(&self) -> Option<Xyz> {
        let live = &self.sight.live;
        let certain = live.homed == Some(true) && live.position_doubt.is_none();
        live.machine_position.filter(|_| certain)
    }

    /// Where it can be: declared, or as the controller's own settings say.
    fn limits(&self) -> Option<Envelope> {
        let it = &self.it.controller;
        let told = || {
            let travel = it.travel.filter(|it| it.iter().all(|it| *it > 0.0))?;
            let known = it.homing == Some(true);
            known.then(|| Envelope { min: travel.map(|it| -it), max: [0.0; 3] })
        };
        self.setup.envelope.or_else(told)
    }

    fn jog_is_free(&self) -> Result<(), Refusal> {
        if self.jogs.cancelled.is_some() {
            return Err(Refusal::NotNow("ending a jog"));
        }
        if self.jogs.busy() || self.stream.has_jog() || self.sight.state == State::Jog {
            return Err(Refusal::NotNow("jogging"));
        }
        Ok(())
    }

    /// A sign of somebody who holds a key down: begins a jog or lets it go on.
    pub(super) fn jog_hold(
        &mut self,
        now: Instant,
        wish: HoldWish,
        out: &mut Outbox,
    ) -> Result<(), Refusal> {
        if let Some(held) = &mut self.jogs.held {
            if held.sign(now, &wish) == Sign::Renewed {
                return Ok(());
            }
            self.cancel_jog(now, out);
            return Err(Refusal::NotNow("ending a jog"));
        }
        self.jog_is_free()?;
        if !self.jogs.lapse.may_begin(now) {
            return Err(Refusal::NotNow("held on: let go and press again"));
        }
        if !self.stream.is_empty() || !self.errands.is_empty() || !self.rests() {
            return Err(Refusal::NotNow("busy"));
        }
        let (frame, from) = self.jog_frame()?;
        self.jogs.held = Some(HeldJog::begin(now, wish, &frame, from)?);
        Ok(())
    }

    /// What a jog that is held is bounded by, and where it begins.
    fn jog_frame(&self) -> Result<(Frame, Xyz), Refusal> {
        let Some(from) = self.known_place() else {
            let why = "the machine has not been homed: jog in steps of at most 1 mm, or home it";
            return Err(Refusal::Unready(why.into()));
        };
        let Some(envelope) = self.limits() else {
            let why = "nobody knows the limits of the machine: jog in steps of at most 1 mm, or \
                       declare `envelope`";
            return Err(Refusal::Unready(why.into()));
        };
        let it = &self.it.controller;
        let frame = Frame {
            envelope,
            max_rate: it.max_rate.unwrap_or_default(),
            acceleration: it.acceleration.unwrap_or_default(),
            overrun: self.setup.jog_overrun,
            baud: self.setup.baud,
        };
        Ok((frame, from))
    }

    /// Anything but a sign of the operator ends what is held.
    pub(super) fn jog_let_go(&mut self, now: Instant, out: &mut Outbox) {
        if self.jogs.is_held() {
            self.cancel_jog(now, out);
        }
    }

    /// Sends the waiting jog if it may go.
    pub(super) fn send_jog(&mut self, now: Instant, out: &mut Outbox) {
        if self.jogs.held.as_ref().is_some_and(|held| held.is_over(now)) {
            self.jogs.lapse.begin(now);
            return self.cancel_jog(now, out);
        }
        let free = self.stream.is_empty() && self.errands.is_empty() && self.stopping.is_none();
        let state_allows = matches!(self.sight.state, State::Idle | State::Jog);
        if !free || !state_allows || self.jogs.cancelled.is_some() {
            return;
        }
        let at = self.sight.live.machine_position;
        let segment = self.jogs.held.as_mut().zip(at).and_then(|(held, at)| held.next(now, at));
        if let Some(line) = self.jogs.waiting.take().or(segment) {
            self.stream.send(now, &line, What::Jog(line.clone()), &mut out.bytes);
        }
    }

    /// The operator says that the key was let go.
    pub(super) fn jog_end(&mut self, now: Instant, out: &mut Outbox) {
        self.cancel_jog(now, out);
        self.jogs.lapse.end();
    }

    /// Ends a jog.
    pub(super) fn cancel_jog(&mut self, now: Instant, out: &mut Outbox) {
        self.jogs.hold();
        self.jogs.cancelled = Some(Cancel { at: now, feed: f64::INFINITY, rested: false });
        self.poll.ask(now, &[CANCEL], out);
    }

    /// A report came while a jog may be ending.
    pub(super) fn jog_saw(&mut self, now: Instant, out: &mut Outbox) {
        let rests = self.sight.at_rest(self.it.quiet_planner);
        if rests && !self.stream.has_jog() && self.jogs.waiting.is_none() {
            self.jogs.stepping = false;
        }
        if !matches!(self.sight.state, State::Idle | State::Jog) {
            // A hold, a door, an alarm: whoever holds a key is not in charge any more.
            self.jogs.held = None;
        }
        let Some(cancel) = &mut self.jogs.cancelled else { return };
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
            self.jogs.hold();
            self.jogs.stepping = false;
            self.command_failed(line, refused, out);
        }
    }
}
