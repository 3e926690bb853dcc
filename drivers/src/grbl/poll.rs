//! When to ask for the next status report.
//!
//! Adapted to what is going on: seldom at rest, five or ten times a second in a program, every
//! 25 ms while something is about to come to rest. Invariant: no second `?` while one is
//! unanswered, unless a hold byte needs one at once or the first must have been lost.

use std::time::{Duration, Instant};

use super::Grbl;
use super::introduce;
use super::protocol::State;
use crate::Outbox;

const SOON: Duration = Duration::from_millis(25);
const AGAIN: Duration = Duration::from_secs(1);
const FIRST: Duration = Duration::from_millis(300);
const IDLE: Duration = Duration::from_millis(250);
/// Silence after which nothing is known any more.
pub(super) const SILENCE: Duration = Duration::from_secs(3);
/// Homing answers nothing; after this long it must have gone wrong.
pub(super) const HOMING: Duration = Duration::from_secs(180);

/// The questions asked and answered.
#[derive(Debug, Default)]
pub(super) struct Poll {
    /// The latest `?`.
    asked: Option<Instant>,
    /// The oldest `?` that may still be unanswered.
    waiting_since: Option<Instant>,
}

impl Poll {
    /// Asks. `ahead` are realtime bytes that the question belongs to.
    pub(super) fn ask(&mut self, now: Instant, ahead: &[u8], out: &mut Outbox) {
        out.urgent.extend_from_slice(ahead);
        out.urgent.push(b'?');
        self.asked = Some(now);
        self.waiting_since.get_or_insert(now);
    }

    /// A question is unanswered.
    pub(super) fn is_waiting(&self) -> bool {
        self.waiting_since.is_some()
    }

    /// A report came.
    pub(super) fn answered(&mut self) {
        self.waiting_since = None;
    }

    /// How long no report has come although one was asked for.
    pub(super) fn silence(&self, now: Instant) -> Duration {
        self.waiting_since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }

    fn due(&self, every: Duration, again: Duration) -> Option<Instant> {
        Some(self.asked? + if self.waiting_since.is_some() { again } else { every })
    }
}

impl Grbl {
    /// When the next question is due.
    pub(super) fn poll_due(&self) -> Option<Instant> {
        let young = self.sight.reports == 0 && !self.intro.has_waited_long();
        self.poll.due(self.poll_every(), if young { FIRST } else { AGAIN })
    }

    fn poll_every(&self) -> Duration {
        if self.comes_to_rest() {
            return SOON;
        }
        let running = if self.setup.fast_link { 100 } else { 200 };
        match self.sight.state {
            State::Run | State::Hold | State::Door => Duration::from_millis(running),
            _ if self.program.is_some() => Duration::from_millis(running),
            State::Sleep => AGAIN,
            _ => IDLE,
        }
    }

    /// Something is about to be decided by the next report.
    fn comes_to_rest(&self) -> bool {
        let jogging = self.sight.state == State::Jog || self.stream.has_jog() || self.jogs.busy();
        self.stopping.as_ref().is_some_and(|stopping| !stopping.is_patient())
            || self.hold.is_pending()
            || jogging
            || self.overrides.busy()
            || self.intro.phase == introduce::Phase::Listening && self.sight.reports < 2
            || self.wants_offset()
            || self.program.as_ref().is_some_and(|program| program.waits_for_rest())
    }

    /// Work offset and overrides come only in some reports; until the first, ask quickly.
    fn wants_offset(&self) -> bool {
        let unknown = self.sight.live.work_offset.is_none() || !self.sight.overrides_known;
        unknown && self.sight.reports - self.sight.forgot_at < 35
    }
}
