//! Pulse width modulation by switching a line on and off ourselves.
//!
//! Good for lamps, heaters and fans that are switched slowly. A thread of user space is late by a
//! tenth of a millisecond as a rule and by more on a busy box: at 100 Hz the share is true to
//! about a hundredth. Faster than that is for a timer of the board (`port = "rppal"` on the pins
//! that have one) or a chip of its own.

use std::time::{Duration, Instant};

use super::super::failure::Why;

/// Fastest that this is done, Hz.
const HERTZ_MAX: u32 = 200;

#[derive(Debug)]
pub(super) struct Dim {
    period: Duration,
    share: f64,
    on: bool,
    /// When it is to be switched; `None`: it is on or off for good.
    next: Option<Instant>,
}

impl Dim {
    /// Off.
    pub(super) fn new(hertz: u32) -> Result<Self, Why> {
        if HERTZ_MAX < hertz {
            return Err(Why::Unfit(format!(
                "{hertz} Hz is faster than the {HERTZ_MAX} Hz that can be switched here"
            )));
        }
        let period = Duration::from_secs(1) / hertz.max(1);
        Ok(Self { period, share: 0.0, on: false, next: None })
    }

    /// From now on this share; whether the line is on now.
    pub(super) fn set(&mut self, share: f64, now: Instant) -> bool {
        self.share = share.clamp(0.0, 1.0);
        self.on = 0.0 < self.share;
        let part = 0.0 < self.share && self.share < 1.0;
        self.next = part.then(|| now + self.period.mul_f64(self.share));
        self.on
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.next
    }

    /// Whether the line is to be switched now, and to what.
    pub(super) fn step(&mut self, now: Instant) -> Option<bool> {
        let due = self.next.filter(|at| *at <= now)?;
        self.on = !self.on;
        let share = if self.on { self.share } else { 1.0 - self.share };
        let lasts = self.period.mul_f64(share);
        // Who comes a whole period late does not make up for it by flickering.
        self.next = Some(if due + lasts <= now { now + lasts } else { due + lasts });
        Some(self.on)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_on_for_its_share_of_each_period() {
        let begun = Instant::now();
        let mut dim = Dim::new(100).unwrap();
        assert!(dim.set(0.25, begun));
        let (mut on, mut before) = (Duration::ZERO, begun);
        for _ in 0..20 {
            let at = dim.deadline().unwrap();
            if dim.step(at) == Some(false) {
                on += at - before;
            }
            before = at;
        }
        assert_eq!((on, before - begun), (Duration::from_millis(25), Duration::from_millis(100)));
    }

    #[test]
    fn on_and_off_for_good_need_no_switching_and_nothing_is_promised_that_cannot_be_kept() {
        let mut dim = Dim::new(50).unwrap();
        for share in [0.0, 1.0] {
            assert_eq!(dim.set(share, Instant::now()), share == 1.0);
            assert_eq!(dim.deadline(), None);
        }
        assert!(Dim::new(25_000).is_err());
    }
}
