//! The ways to a standstill.
//!
//! ```text
//!                '!?'                 at rest              banner            report
//! halt --------> Slowing ---------------> Resetting ---------> Settling ---------> over
//!                  | no rest in sight, no      | 0x18              same position?
//!                  v report: position doubted  |
//! reset -----------------------------------> --+
//! ```
//!
//! A stop that keeps position is a feed hold, rest *as the controller reports it*, then a soft
//! reset: never a fixed delay, since a heavy axis may take its time. Invariants: the hold byte
//! goes out in the call that asks for it, ahead of every line; once a stop has begun, no line
//! goes out until it is over; a lost program is declared exactly once. Not here: what a stop
//! means to the job.

use std::time::{Duration, Instant};

use headstock_config::command::Stop;
use headstock_config::event::{Cause, Event};
use headstock_config::machine::{Mode, StopMeans, Xyz};

use super::Grbl;
use super::hold::DOOR;
use super::protocol::State;
use crate::Outbox;

pub(super) const RESET: u8 = 0x18;
pub(super) const FEED_HOLD: u8 = b'!';
pub(super) const CYCLE_START: u8 = b'~';

/// Slowing down without coming nearer to rest for so long means that it never will.
const STUCK: Duration = Duration::from_secs(10);
/// While slowing down, silence of this length means that it cannot be waited for.
const DEAF: Duration = Duration::from_millis(1500);
/// A reset is answered by a banner within this time.
const GREETING: Duration = Duration::from_secs(2);
/// Resets sent before giving up.
const RESETS: u8 = 3;
/// The first report after a banner comes within this time.
const FIRST_REPORT: Duration = Duration::from_millis(1500);
/// Positions before and after a reset may differ by this much, mm.
const SAME: f64 = 0.02;

/// A stop on its way.
#[derive(Debug)]
pub(super) struct Stopping {
    phase: Phase,
    /// The program that is lost by it, to be declared in the end.
    lost: Option<(Cause, String)>,
    /// `Event::AtRest` is expected.
    announce: bool,
    /// Position can be trusted, as far as is known.
    kept: bool,
    /// Where it came to rest.
    rest: Option<Xyz>,
    /// Waits for a controller that has fallen silent, however long it takes.
    patient: bool,
    /// The reset was asked for by us.
    asked: bool,
}

#[derive(Debug)]
enum Phase {
    Slowing { progress: Instant, at: Option<Xyz>, reports: u64 },
    Resetting { since: Instant, tries: u8 },
    Settling { since: Instant, reports: u64 },
}

/// Why a stop is wanted.
pub(super) struct Reason {
    /// What ends the program, if one runs.
    pub(super) cause: Cause,
    /// For people.
    pub(super) text: String,
    /// `Event::AtRest` is expected.
    pub(super) announce: bool,
}

impl Stopping {
    pub(super) fn is_patient(&self) -> bool {
        self.patient
    }

    fn slows(&self) -> bool {
        matches!(self.phase, Phase::Slowing { .. })
    }

    /// A reset is on its way; answers that come now belong to what it throws away.
    pub(super) fn resets(&self) -> bool {
        matches!(self.phase, Phase::Resetting { .. })
    }
}

/// A reset empties the controller's receive buffer, half a line included. What still waits here
/// must not follow it: it would be carried out after the stop.
fn reset_now(out: &mut Outbox) {
    out.bytes.clear();
    out.urgent.push(RESET);
}

impl Grbl {
    /// `Driver::stop`.
    pub(super) fn stop_by(&mut self, now: Instant, how: Stop, out: &mut Outbox) {
        let reason = |text: &str| Reason { cause: Cause::Asked, text: text.into(), announce: true };
        match (how, self.setup.stop) {
            (Stop::Hold, _) => self.hold_motion(now, out),
            (Stop::Stop, StopMeans::HoldThenReset) => {
                self.halt(now, reason("stopped on request"), out);
            }
            (Stop::Stop, StopMeans::Reset) => self.reset(now, reason("stopped on request"), out),
            (Stop::Abort, _) => self.reset(now, reason("aborted on request"), out),
        }
    }

    /// Feed hold, rest, reset.
    pub(super) fn halt(&mut self, now: Instant, reason: Reason, out: &mut Outbox) {
        if self.cannot_slow_down() {
            return self.reset(now, reason, out);
        }
        if self.stopping.is_none() {
            let reports = self.sight.reports;
            let at = self.sight.live.machine_position;
            self.begin_stopping(Phase::Slowing { progress: now, at, reports });
        }
        self.join_stopping(reason);
        // What the link has not taken yet would only be thrown away by the reset.
        out.bytes.clear();
        if self.stopping.as_ref().is_some_and(Stopping::slows) {
            self.poll.ask(now, &[self.slowing_byte()], out);
        }
    }

    /// What brings it to rest, and puts a beam out before the reset does.
    fn slowing_byte(&self) -> u8 {
        if self.beam_outlives_hold() { DOOR } else { FEED_HOLD }
    }

    /// Reset at once; position is kept only if it rests already.
    pub(super) fn reset(&mut self, now: Instant, reason: Reason, out: &mut Outbox) {
        let kept = self.rests() && !self.lock_lost_position;
        let rest = self.sight.live.machine_position.filter(|_| kept);
        let resets = Phase::Resetting { since: now, tries: 1 };
        match &mut self.stopping {
            None => self.begin_stopping(resets),
            // A reset is under way; more of them change nothing.
            Some(stopping) if !stopping.slows() => return self.join_stopping(reason),
            Some(stopping) => stopping.phase = resets,
        }
        self.join_stopping(reason);
        let stopping = self.stopping.as_mut().expect("it was begun above");
        (stopping.kept, stopping.rest, stopping.asked) = (kept, rest, true);
        reset_now(out);
    }

    fn begin_stopping(&mut self, phase: Phase) {
        self.stopping = Some(Stopping {
            phase,
            lost: None,
            announce: false,
            kept: true,
            rest: None,
            patient: false,
            asked: true,
        });
    }

    fn join_stopping(&mut self, reason: Reason) {
        let lost = self.drop_program().then_some((reason.cause, reason.text));
        self.errands.clear();
        self.jogs.clear();
        self.hold.clear();
        if let Some(stopping) = &mut self.stopping {
            stopping.lost = stopping.lost.take().or(lost);
            stopping.announce |= reason.announce;
            stopping.patient = false;
        }
    }

    /// Nothing moves, and nothing that has been sent can still make it move.
    pub(super) fn rests(&self) -> bool {
        self.sight.at_rest(self.it.quiet_planner)
            && (self.stream.is_empty() || self.sight.state != State::Idle)
            && self.homing.is_none()
    }

    /// A hold has no effect here, or is not needed.
    fn cannot_slow_down(&self) -> bool {
        self.homing.is_some()
            || self.locked_silent
            || matches!(self.sight.state, State::Alarm | State::Sleep | State::Home | State::Check)
            || (self.rests() && self.sight.state == State::Idle && self.program.is_none())
    }

    /// The controller fell silent: whatever it does, it shall rest when it is back.
    pub(super) fn halt_when_back(&mut self, now: Instant, out: &mut Outbox) {
        let reason = Reason { cause: Cause::Link, text: String::new(), announce: false };
        self.halt(now, reason, out);
        if let Some(stopping) = &mut self.stopping {
            stopping.patient = stopping.slows();
        }
    }

    /// A banner came without our asking: what becomes of it shows in the next report. Lines that
    /// were on the wire at that moment reach a controller that knows nothing of what came before:
    /// it is held, and reset once more, before they lead anywhere.
    pub(super) fn settle_after_restart(&mut self, now: Instant, out: &mut Outbox) {
        let kept = self.sight.reports > 0 && self.rests();
        let rest = self.sight.live.machine_position;
        let reports = self.sight.reports;
        self.begin_stopping(if self.stream.is_empty() {
            Phase::Settling { since: now, reports }
        } else {
            out.urgent.push(FEED_HOLD);
            Phase::Slowing { progress: now, at: rest, reports }
        });
        let text = "the controller restarted by itself".into();
        self.join_stopping(Reason { cause: Cause::Restarted, text, announce: false });
        let stopping = self.stopping.as_mut().expect("it was begun above");
        (stopping.kept, stopping.rest, stopping.asked) = (kept, rest, false);
        self.poll.ask(now, &[], out);
    }

    /// A banner came while a stop was on its way. Returns whether it was ours.
    pub(super) fn stop_heard_banner(&mut self, now: Instant, out: &mut Outbox) -> bool {
        let rests = self.rests();
        let reports = self.sight.reports;
        let Some(stopping) = &mut self.stopping else { return false };
        if stopping.slows() {
            // It restarted before we asked it to.
            stopping.asked = false;
            stopping.kept = rests;
            stopping.rest = self.sight.live.machine_position;
        }
        let asked = stopping.asked;
        stopping.phase = Phase::Settling { since: now, reports };
        self.poll.ask(now, &[], out);
        asked
    }

    /// An alarm came while a stop was on its way.
    pub(super) fn stop_heard_alarm(&mut self, now: Instant, kept: bool, out: &mut Outbox) {
        let Some(stopping) = &mut self.stopping else { return };
        stopping.kept &= kept;
        if stopping.slows() {
            stopping.rest = None;
            stopping.phase = Phase::Resetting { since: now, tries: 1 };
            reset_now(out);
        }
    }

    /// A report came.
    pub(super) fn stop_saw(&mut self, now: Instant, out: &mut Outbox) {
        self.hold_saw(now, out);
        let at_rest = self.sight.at_rest(self.it.quiet_planner);
        let position = self.sight.live.machine_position;
        let slowing = self.slowing_byte();
        let (state, seen) = (self.sight.state, self.sight.reports);
        let unread = !self.stream.is_empty();
        let Some(stopping) = &mut self.stopping else { return };
        match &mut stopping.phase {
            Phase::Slowing { progress, at, reports } => {
                // An idle machine with unread lines may be about to start on them: look twice.
                let sure = state != State::Idle || !unread || *reports + 1 < seen;
                if at_rest && sure {
                    stopping.rest = position;
                    stopping.phase = Phase::Resetting { since: now, tries: 1 };
                    reset_now(out);
                    return;
                }
                if position != *at {
                    (*progress, *at) = (now, position);
                }
                if matches!(state, State::Run | State::Jog) {
                    out.urgent.push(slowing);
                }
            }
            Phase::Settling { reports, .. } if *reports < seen => {
                if let (Some(rest), Some(position)) = (stopping.rest, position) {
                    let same = (0..3).all(|axis| (rest[axis] - position[axis]).abs() < SAME);
                    stopping.kept &= same;
                }
                self.conclude(out);
            }
            _ => (),
        }
    }

    /// When a stop needs looking after.
    pub(super) fn stop_deadline(&self) -> Option<Instant> {
        let stopping = self.stopping.as_ref()?;
        match &stopping.phase {
            // Polling looks after it.
            Phase::Slowing { .. } => None,
            Phase::Resetting { since, .. } => Some(*since + GREETING),
            Phase::Settling { since, .. } => Some(*since + FIRST_REPORT),
        }
    }

    /// Looks after a stop that gets no answer.
    pub(super) fn stop_tick(&mut self, now: Instant, out: &mut Outbox) {
        let deaf = DEAF <= self.poll.silence(now);
        let Some(stopping) = &mut self.stopping else { return };
        match &mut stopping.phase {
            Phase::Slowing { progress, .. }
                if !stopping.patient && (deaf || STUCK <= now - *progress) =>
            {
                stopping.kept = false;
                stopping.phase = Phase::Resetting { since: now, tries: 1 };
                reset_now(out);
                let text = "no rest after the hold; it was reset in motion".into();
                out.events.push_back(Event::Remark { text });
            }
            Phase::Resetting { since, tries } if *since + GREETING <= now => {
                if *tries < RESETS {
                    (*since, *tries) = (now, *tries + 1);
                    reset_now(out);
                } else {
                    (stopping.kept, stopping.rest) = (false, None);
                    self.stream.clear();
                    self.dirty = true;
                    self.silent = true;
                    self.conclude(out);
                }
            }
            Phase::Settling { since, .. } if *since + FIRST_REPORT <= now => self.conclude(out),
            _ => (),
        }
    }

    /// The stop is over: says what came of it.
    fn conclude(&mut self, out: &mut Outbox) {
        let Some(stopping) = self.stopping.take() else { return };
        let Stopping { lost, kept, rest, announce, asked, .. } = stopping;
        if !kept {
            self.doubt(if asked { "it was reset in motion" } else { "the controller restarted" });
        }
        self.show_mode(out);
        if announce {
            let position = rest.or(self.sight.live.machine_position);
            out.events.push_back(Event::AtRest { position, position_kept: kept });
        }
        if let Some((cause, reason)) = lost {
            out.events.push_back(Event::ProgramLost { cause, reason, position_kept: kept });
        }
    }

    /// Position is not to be trusted any more.
    pub(super) fn doubt(&mut self, why: &str) {
        self.sight.live.position_doubt = Some(why.into());
        self.sight.live.homed = Some(false);
    }

    /// Ends a stop that the link did not survive: what it would have declared.
    pub(super) fn stop_cut_off(&mut self) -> Option<(Cause, String)> {
        self.stopping.take()?.lost
    }

    /// The mode while a stop is on its way, where the state word does not tell.
    /// A stop is not over before it is known what came of it.
    pub(super) fn stopping_mode(&self) -> Option<Mode> {
        self.stopping.as_ref()?;
        (!matches!(self.sight.state, State::Alarm | State::Sleep)).then_some(Mode::Holding)
    }
}
