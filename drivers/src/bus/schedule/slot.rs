//! A poll and its times.
//!
//! Releases stand at a fixed phase, `k × period`. A poll that is late goes out once for the latest
//! of the releases it has missed, and the others are counted: nothing is ever queued twice.

use std::time::{Duration, Instant};

use crate::bus::Poll;

/// The golden ratio's fractional part: multiples of it spread evenly, however many there are.
const GOLDEN: f64 = 0.618_033_988_749_895;
/// A tag that the device refuses to tell is asked for this rarely.
const REFUSED: Duration = Duration::from_secs(60);

/// One poll.
#[derive(Clone, Debug)]
pub(super) struct Slot<R> {
    pub(super) machine: usize,
    pub(super) period: Duration,
    pub(super) request: R,
    pub(super) cost: Duration,
    /// The release that is next, or waits.
    pub(super) due: Instant,
    /// It goes ahead of other polls: somebody waits for rest.
    pub(super) urgent: bool,
    /// It reads a tag that tells whether its machine rests.
    pub(super) tells_rest: bool,
    /// It was released out of its turn, as soon as possible: that is no lateness.
    pub(super) hurried: bool,
    /// A release of its phase.
    pub(super) phase: Instant,
    /// Latest that it ever began after its release.
    pub(super) latest: Duration,
    /// Releases that were left out.
    pub(super) overruns: u64,
}

impl<R> Slot<R> {
    pub(super) fn new(now: Instant, index: usize, poll: Poll<R>, cost: Duration) -> Self {
        let Poll { machine, period, request } = poll;
        let share = (index as f64 * GOLDEN).fract();
        Self {
            machine,
            period,
            request,
            cost,
            due: now,
            urgent: false,
            tells_rest: false,
            hurried: false,
            phase: now + period.mul_f64(share),
            latest: Duration::ZERO,
            overruns: 0,
        }
    }

    /// When it is too late: earlier ones go first.
    pub(super) fn deadline(&self) -> Instant {
        self.due + self.period
    }

    /// It goes out now: the next release is the next of its phase.
    pub(super) fn goes(&mut self, now: Instant) {
        let hurried = std::mem::take(&mut self.hurried);
        let late = if hurried { Duration::ZERO } else { now.saturating_duration_since(self.due) };
        self.latest = self.latest.max(late);
        self.overruns += (late.as_nanos() / self.period.as_nanos().max(1)) as u64;
        self.due = self.after(now);
        self.urgent = false;
    }

    /// Its device does not want to tell: asks again, though seldom.
    pub(super) fn refused(&mut self, now: Instant) {
        self.due = self.due.max(now + REFUSED);
    }

    /// It is read as soon as possible.
    pub(super) fn at_once(&mut self, now: Instant) {
        self.due = now;
        self.hurried = true;
    }

    /// The first release of its phase after this moment.
    fn after(&self, now: Instant) -> Instant {
        let Some(past) = now.checked_duration_since(self.phase) else { return self.phase };
        let periods = past.as_nanos() / self.period.as_nanos().max(1) + 1;
        let whole = self.period.as_nanos().saturating_mul(periods);
        self.phase + Duration::from_nanos(u64::try_from(whole).unwrap_or(u64::MAX))
    }

    /// Somebody waits for what it tells.
    pub(super) fn urge(&mut self, at: Instant) {
        self.due = self.due.min(at);
        self.urgent = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_poll_goes_out_once_and_keeps_its_phase() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let poll = Poll { machine: 0, period: Duration::from_millis(100), request: () };
        let mut slot = Slot::new(start, 0, poll, Duration::ZERO);
        slot.goes(at(0));
        assert_eq!(slot.due, at(100));
        slot.goes(at(130));
        assert_eq!((slot.due, slot.overruns), (at(200), 0));
        slot.goes(at(455));
        assert_eq!((slot.due, slot.overruns), (at(500), 2));
        assert_eq!(slot.latest, Duration::from_millis(255));
        slot.at_once(at(460));
        slot.goes(at(990));
        assert_eq!((slot.due, slot.overruns), (at(1_000), 2));
        assert_eq!(slot.latest, Duration::from_millis(255));
    }

    #[test]
    fn polls_of_one_period_do_not_come_in_a_burst() {
        let start = Instant::now();
        let mut dues: Vec<u128> = (0..20)
            .map(|index| {
                let poll = Poll { machine: 0, period: Duration::from_secs(1), request: () };
                let mut slot = Slot::new(start, index, poll, Duration::ZERO);
                slot.goes(start);
                (slot.due - start).as_millis() % 1_000
            })
            .collect();
        dues.sort_unstable();
        let widest = dues.windows(2).map(|pair| pair[1] - pair[0]).max();
        assert!(widest < Some(120), "{dues:?}");
    }
}
