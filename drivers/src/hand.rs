//! What moving by hand has in common on all machines: where a step may end; and of a jog that somebody
//! holds, the lease, what follows it, and the way.
//!
//! Nobody can prove that a key is still down, so the operator's client says so again and again, and
//! each time it counts for as long as the lease. How much motion a machine may hold beyond that is
//! its driver's affair. Pure: time and position come in as arguments.

use std::time::{Duration, Instant};

use headstock_config::command::HoldWish;
use headstock_config::machine::{Envelope, Xyz};

use crate::Refusal;

/// Distance kept from the limits, mm.
const MARGIN: f64 = 1.0;
/// A lease that is shorter would end between two signs; one that is longer says nothing.
const LEASE_MS: std::ops::RangeInclusive<u64> = 50..=500;
/// Signs that go on for this long after a lapse are those of somebody who holds on, or late ones.
const LET_GO: Duration = Duration::from_millis(500);

/// What somebody wants who holds a key down, and for how long it counts.
#[derive(Debug)]
pub(crate) struct Lease {
    wish: HoldWish,
    until: Instant,
}

/// What becomes of a sign of the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sign {
    /// The jog goes on.
    Renewed,
    /// It is the sign of another jog.
    Other,
}

impl Lease {
    /// The first sign. Fails if it makes no sense.
    pub(crate) fn begin(now: Instant, wish: HoldWish) -> Result<Self, Refusal> {
        check(&wish)?;
        Ok(Self { wish, until: now + Duration::from_millis(wish.lease_ms) })
    }

    /// A further sign.
    pub(crate) fn sign(&mut self, now: Instant, wish: &HoldWish) -> Sign {
        if *wish != self.wish || self.is_over(now) {
            return Sign::Other;
        }
        self.until = now + Duration::from_millis(self.wish.lease_ms);
        Sign::Renewed
    }

    /// The operator has not been heard of for the length of the lease.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        self.until <= now
    }

    /// When it will be over unless it is renewed.
    pub(crate) fn until(&self) -> Instant {
        self.until
    }

    pub(crate) fn wish(&self) -> &HoldWish {
        &self.wish
    }

    pub(crate) fn seconds(&self) -> f64 {
        self.wish.lease_ms as f64 / 1000.0
    }
}

fn check(wish: &HoldWish) -> Result<(), Refusal> {
    if wish.toward == [0; 3] || wish.toward.iter().any(|it| !(-1..=1).contains(it)) {
        return Err(Refusal::BadCommand("`toward` is -1, 0 or 1 for each axis, one not 0".into()));
    }
    if !wish.feed.is_finite() || !(0.1..=1e6).contains(&wish.feed) {
        return Err(Refusal::BadCommand(format!("{} is no feed in mm/min", wish.feed)));
    }
    if !LEASE_MS.contains(&wish.lease_ms) {
        let (least, most) = (LEASE_MS.start(), LEASE_MS.end());
        let why = format!("`lease_ms` is {least} to {most}, and renewed three times as often");
        return Err(Refusal::BadCommand(why));
    }
    Ok(())
}

/// Whether a step of an axis, in mm, ends within the limits. One that is outside (parked beside the
/// bed) may come back. `rounding`: of what is told of a place; `whose`: what reaches so far.
pub(crate) fn step_stays(
    limits: &Envelope,
    axis: usize,
    (from, to): (f64, f64),
    (rounding, whose): (f64, &str),
) -> Result<(), Refusal> {
    let (low, high) = (limits.min[axis], limits.max[axis]);
    if (low.min(from) - rounding..=high.max(from) + rounding).contains(&to) {
        return Ok(());
    }
    let letter = ["X", "Y", "Z"][axis];
    Err(Refusal::Unready(format!(
        "{letter} would go from {from:.2} to {to:.2}; {whose} reaches {low} to {high}: take a \
         shorter step"
    )))
}

/// The way of a jog: from where the machine rests to [`MARGIN`] before its limits.
#[derive(Debug)]
pub(crate) struct Way {
    from: Xyz,
    unit: Xyz,
    /// mm.
    reach: f64,
}

impl Way {
    /// Fails if there is none.
    pub(crate) fn new(toward: [i8; 3], from: Xyz, envelope: &Envelope) -> Result<Self, Refusal> {
        let length = toward.iter().map(|it| f64::from(*it).powi(2)).sum::<f64>().sqrt();
        let unit = toward.map(|it| f64::from(it) / length);
        let reach = reach(envelope, from, &unit);
        if !reach.is_finite() || reach <= 0.0 {
            return Err(Refusal::Unready("there is no way left in that direction".into()));
        }
        Ok(Self { from, unit, reach })
    }

    /// Its length, mm.
    pub(crate) fn reach(&self) -> f64 {
        self.reach
    }

    /// The size along the way that exceeds no axis' own.
    pub(crate) fn along(&self, size: &Xyz) -> f64 {
        let axes = (0..3).filter(|&axis| self.unit[axis] != 0.0);
        axes.map(|axis| size[axis] / self.unit[axis].abs()).fold(f64::INFINITY, f64::min)
    }

    /// How far a machine at this place has come, mm.
    pub(crate) fn done(&self, at: Xyz) -> f64 {
        (0..3).map(|axis| (at[axis] - self.from[axis]) * self.unit[axis]).sum()
    }

    /// The place so many mm along the way; only of the axes that move.
    pub(crate) fn at(&self, mm: f64) -> [Option<f64>; 3] {
        let at = |axis: usize| self.from[axis] + mm * self.unit[axis];
        std::array::from_fn(|axis| (self.unit[axis] != 0.0).then(|| at(axis)))
    }
}

/// How far the ray from here stays inside, mm.
fn reach(envelope: &Envelope, from: Xyz, unit: &Xyz) -> f64 {
    let room = |axis: usize| {
        let edge = if 0.0 < unit[axis] {
            envelope.max[axis] - MARGIN - from[axis]
        } else {
            from[axis] - envelope.min[axis] - MARGIN
        };
        edge / unit[axis].abs()
    };
    (0..3).filter(|&axis| unit[axis] != 0.0).map(room).fold(f64::INFINITY, f64::min)
}

/// Late signs of a jog that has lapsed.
#[derive(Debug, Default)]
pub(crate) struct Lapse(Option<Instant>);

impl Lapse {
    /// A lease has run out.
    pub(crate) fn begin(&mut self, now: Instant) {
        self.0 = Some(now);
    }

    /// The operator has let go.
    pub(crate) fn end(&mut self) {
        self.0 = None;
    }

    /// A sign came: whether it may begin a jog. Signs that were held up on their way arrive in a
    /// burst, and must not set a machine in motion whose operator has let go long ago.
    pub(crate) fn may_begin(&mut self, now: Instant) -> bool {
        let late = self.0.is_some_and(|last| now < last + LET_GO);
        self.0 = late.then_some(now);
        !late
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_wish_is_refused() {
        let wish = |toward, feed, lease_ms| HoldWish { toward, feed, lease_ms };
        let refused = |wish| Lease::begin(Instant::now(), wish).is_err();
        for toward in [[0, 0, 0], [2, 0, 0], [0, -3, 0]] {
            assert!(refused(wish(toward, 600.0, 150)), "{toward:?}");
        }
        for feed in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e9] {
            assert!(refused(wish([1, 0, 0], feed, 150)), "{feed}");
        }
        for lease_ms in [0, 49, 501, u64::MAX] {
            assert!(refused(wish([1, 0, 0], 600.0, lease_ms)), "{lease_ms}");
        }
        assert!(!refused(wish([1, 0, -1], 600.0, 150)));
    }

    #[test]
    fn a_burst_of_late_signs_begins_nothing() {
        let (mut lapse, start) = (Lapse::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        assert!(lapse.may_begin(at(0)));
        lapse.begin(at(100));
        for ms in (150..3000).step_by(50) {
            assert!(!lapse.may_begin(at(ms)), "{ms}");
        }
        assert!(lapse.may_begin(at(4000)));
        lapse.begin(at(4100));
        lapse.end();
        assert!(lapse.may_begin(at(4150)), "the key was let go and pressed again");
    }
}
