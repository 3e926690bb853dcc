//! Moving by hand for as long as somebody holds a key: hold-to-run.
//!
//! ```text
//!            begin                 renewed in time               lease over, let go, limit refused,
//!  (none) ----------> under way <------------------+             alarm, stop, any other command
//!                       |  short segments, at most |                        |
//!                       +--- 100 ms of motion -----+      0x85 until rest <-+
//! ```
//!
//! Nobody can prove that a key is still down, so the operator's client says so again and again,
//! and each time it counts for as long as the lease. The controller never holds more motion than
//! [`BUFFER_S`] at the feed, measured by its own reports: with the link dead, the house gone or the
//! cancel lost it comes to rest where its last segment ends. Each segment is an absolute target in
//! machine coordinates, inside the limits by [`MARGIN`]: whatever is lost or sent twice leads no
//! farther.
//!
//! Invariant: from the last sign of the operator to rest the machine covers no more than
//! `v × (lease + link + buffer) + v² / 2a`, and the feed is capped so that this is within the
//! declared overrun, axis by axis. Pure: time and position come in as arguments.

use std::time::{Duration, Instant};

use headstock_config::command::HoldWish;
use headstock_config::machine::{Envelope, JogNow, Xyz};

use super::modal::decimal;
use crate::Refusal;

/// Motion that the controller may hold, seconds at the feed.
const BUFFER_S: f64 = 0.1;
/// A segment, seconds at the feed: four of them fill the buffer.
const SEGMENT_S: f64 = 0.025;
/// A segment is no shorter than this, mm: less than a step moves nothing.
const SHORTEST: f64 = 0.005;
/// Distance kept from the limits, mm.
const MARGIN: f64 = 1.0;
/// Bytes that may be ahead of a cancel on the wire.
const AHEAD_BITS: f64 = 640.0;
/// What adapter and scheduler add to that, seconds.
const DELAY_S: f64 = 0.015;
/// A lease that is shorter would end between two signs; one that is longer says nothing.
const LEASE_MS: std::ops::RangeInclusive<u64> = 50..=500;
/// Signs that go on for this long after a lapse are those of somebody who holds on, or late ones.
const LET_GO: Duration = Duration::from_millis(500);

/// What is known of the machine, and what it is allowed to overrun.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    /// What the tool can reach, machine coordinates.
    pub(super) envelope: Envelope,
    /// Highest rates, mm/min.
    pub(super) max_rate: Xyz,
    /// mm/s².
    pub(super) acceleration: Xyz,
    /// Distance that may be covered after the operator's last sign, mm per axis.
    pub(super) overrun: Xyz,
    /// Bits per second on the wire.
    pub(super) baud: u32,
}

/// A jog that somebody holds.
#[derive(Debug)]
pub(super) struct HeldJog {
    wish: HoldWish,
    lease_until: Instant,
    from: Xyz,
    unit: Xyz,
    /// mm/s.
    speed: f64,
    /// mm.
    stop_mm: f64,
    /// How far the ray stays inside the limits, mm.
    reach: f64,
    /// How far it has been sent, mm.
    sent: f64,
}

/// What becomes of a sign of the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// The jog goes on.
    Renewed,
    /// It is the sign of another jog.
    Other,
}

impl HeldJog {
    /// Begins one where the machine rests, at `from` in machine coordinates.
    pub(super) fn begin(
        now: Instant,
        wish: HoldWish,
        frame: &Frame,
        from: Xyz,
    ) -> Result<Self, Refusal> {
        check(&wish)?;
        let length = wish.toward.iter().map(|it| f64::from(it * it)).sum::<f64>().sqrt();
        let unit = wish.toward.map(|it| f64::from(it) / length);
        let lease_s = wish.lease_ms as f64 / 1000.0;
        let wait_s = lease_s + BUFFER_S + DELAY_S + AHEAD_BITS / f64::from(frame.baud.max(1));
        let a = along(&frame.acceleration, &unit);
        let rate = along(&frame.max_rate, &unit) / 60.0;
        let overrun = along(&frame.overrun, &unit);
        let reach = reach(&frame.envelope, from, &unit);
        let sound = |it: f64| it.is_finite() && 0.0 < it;
        if ![a, rate, overrun].into_iter().all(sound) || !reach.is_finite() {
            let why = "the controller has not told accelerations and rates that a hold-to-run jog \
                       could be bounded by";
            return Err(Refusal::BadCommand(why.into()));
        }
        if reach <= 0.0 {
            return Err(Refusal::BadCommand("there is no way left in that direction".into()));
        }
        let speed = (wish.feed / 60.0).min(rate).min(fastest_within(overrun, wait_s, a));
        let stop_mm = speed * wait_s + speed * speed / (2.0 * a);
        let lease_until = now + Duration::from_millis(wish.lease_ms);
        Ok(Self { wish, lease_until, from, unit, speed, stop_mm, reach, sent: 0.0 })
    }

    /// A sign of the operator.
    pub(super) fn sign(&mut self, now: Instant, wish: &HoldWish) -> Sign {
        if *wish != self.wish || self.is_over(now) {
            return Sign::Other;
        }
        self.lease_until = now + Duration::from_millis(self.wish.lease_ms);
        Sign::Renewed
    }

    /// The operator has not been heard of for the length of the lease.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.lease_until <= now
    }

    /// When it will be over unless it is renewed.
    pub(super) fn lease_until(&self) -> Instant {
        self.lease_until
    }

    /// The next segment, if the controller may have one: as it was reported at `at`.
    pub(super) fn next(&mut self, now: Instant, at: Xyz) -> Option<String> {
        let done = self.done(at);
        let segment = (self.speed * SEGMENT_S).max(SHORTEST);
        let window = (self.speed * BUFFER_S).max(2.0 * SHORTEST);
        let to = (self.sent + segment).min(self.reach);
        if self.is_over(now) || to <= self.sent || window < to - done {
            return None;
        }
        self.sent = to;
        Some(self.line(to))
    }

    /// How far it has come by its own report; never farther than it was sent.
    fn done(&self, at: Xyz) -> f64 {
        let way: f64 = (0..3).map(|axis| (at[axis] - self.from[axis]) * self.unit[axis]).sum();
        way.clamp(0.0, self.sent)
    }

    fn line(&self, to: f64) -> String {
        let mut line = String::from("$J=G53G21G90");
        for (axis, letter) in ["X", "Y", "Z"].into_iter().enumerate() {
            if self.wish.toward[axis] != 0 {
                line.push_str(letter);
                line.push_str(&decimal(self.from[axis] + to * self.unit[axis]));
            }
        }
        line + "F" + &decimal(self.speed * 60.0)
    }

    /// As everybody is shown it.
    pub(super) fn shown(&self) -> JogNow {
        let rounded = |it: f64| (it * 1000.0).round() / 1000.0;
        JogNow {
            toward: self.wish.toward,
            feed: rounded(self.speed * 60.0),
            stop_mm: rounded(self.stop_mm),
            at_limit: self.reach <= self.sent,
        }
    }
}

/// Late signs of a jog that has lapsed.
#[derive(Debug, Default)]
pub(super) struct Lapse(Option<Instant>);

impl Lapse {
    /// A lease has run out.
    pub(super) fn begin(&mut self, now: Instant) {
        self.0 = Some(now);
    }

    /// The operator has let go.
    pub(super) fn end(&mut self) {
        self.0 = None;
    }

    /// A sign came: whether it may begin a jog. Signs that were held up on their way arrive in a
    /// burst, and must not set a machine in motion whose operator has let go long ago.
    pub(super) fn may_begin(&mut self, now: Instant) -> bool {
        let late = self.0.is_some_and(|last| now < last + LET_GO);
        self.0 = late.then_some(now);
        !late
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

/// The size along a direction that exceeds no axis' own.
fn along(size: &Xyz, unit: &Xyz) -> f64 {
    let axes = (0..3).filter(|&axis| unit[axis] != 0.0);
    axes.map(|axis| size[axis] / unit[axis].abs()).fold(f64::INFINITY, f64::min)
}

/// The speed at which `v × wait + v² / 2a` is this distance.
fn fastest_within(distance: f64, wait_s: f64, a: f64) -> f64 {
    a * ((wait_s * wait_s + 2.0 * distance / a).sqrt() - wait_s)
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

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Frame = Frame {
        envelope: Envelope { min: [-300.0, -200.0, -80.0], max: [0.0; 3] },
        max_rate: [6000.0, 6000.0, 2000.0],
        acceleration: [250.0, 250.0, 100.0],
        overrun: [5.0, 5.0, 1.0],
        baud: 115_200,
    };
    const MIDDLE: Xyz = [-150.0, -100.0, -40.0];

    fn wish(toward: [i8; 3], feed: f64) -> HoldWish {
        HoldWish { toward, feed, lease_ms: 150 }
    }

    fn begun(toward: [i8; 3], feed: f64) -> HeldJog {
        HeldJog::begin(Instant::now(), wish(toward, feed), &FRAME, MIDDLE).unwrap()
    }

    /// The table of the design, for a = 250 mm/s², less the difference in link times.
    #[test]
    fn the_feed_is_capped_so_that_the_printed_stop_distance_is_true() {
        for (feed, stop_mm) in [(300.0, 1.4), (600.0, 2.9)] {
            let shown = begun([1, 0, 0], feed).shown();
            assert!((shown.feed - feed).abs() < 1e-9);
            assert!((shown.stop_mm - stop_mm).abs() < 0.1, "{shown:?}");
        }
        for (toward, most) in [([1, 0, 0], 5.0), ([0, 0, -1], 1.0)] {
            let shown = begun(toward, 3000.0).shown();
            assert!(shown.feed < 3000.0 && (shown.stop_mm - most).abs() < 1e-3, "{shown:?}");
        }
        let slanting = begun([1, 0, 1], 3000.0).shown().stop_mm / 2_f64.sqrt();
        assert!((slanting - 1.0).abs() < 1e-3, "{slanting} mm in Z");
    }

    #[test]
    fn no_more_than_a_tenth_of_a_second_is_on_its_way() {
        let now = Instant::now();
        let mut jog = begun([1, 0, 0], 600.0);
        let lines: Vec<String> = std::iter::from_fn(|| jog.next(now, MIDDLE)).collect();
        assert_eq!(lines.len(), 4, "{lines:?}");
        assert_eq!(lines[0], "$J=G53G21G90X-149.75F600");
        assert_eq!(lines[3], "$J=G53G21G90X-149F600");
        assert_eq!(jog.next(now, [-149.76, -100.0, -40.0]), None);
        assert!(jog.next(now, [-149.74, -100.0, -40.0]).is_some());
        // A report from nowhere opens nothing but the next segment.
        assert!(jog.next(now, [500.0, 0.0, 0.0]).is_some());
        jog.next(now + Duration::from_millis(150), MIDDLE).ok_or(()).unwrap_err();
    }

    #[test]
    fn the_ray_ends_a_millimetre_before_the_limits() {
        let now = Instant::now();
        let near = [-1.6, -100.0, -40.0];
        let mut jog = HeldJog::begin(now, wish([1, 0, 0], 600.0), &FRAME, near).unwrap();
        let mut last = String::new();
        let mut at = near;
        while let Some(line) = jog.next(now, at) {
            last = line;
            at[0] += 0.25;
        }
        assert_eq!(last, "$J=G53G21G90X-1F600");
        assert!(jog.shown().at_limit);
        let out = HeldJog::begin(now, wish([1, 0, 0], 600.0), &FRAME, [-0.5, -100.0, -40.0]);
        assert!(matches!(out, Err(Refusal::BadCommand(_))));
    }

    #[test]
    fn what_is_no_wish_is_refused() {
        let refused = |wish| HeldJog::begin(Instant::now(), wish, &FRAME, MIDDLE).is_err();
        for toward in [[0, 0, 0], [2, 0, 0], [0, -3, 0]] {
            assert!(refused(wish(toward, 600.0)), "{toward:?}");
        }
        for feed in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e9] {
            assert!(refused(wish([1, 0, 0], feed)), "{feed}");
        }
        for lease_ms in [0, 49, 501, u64::MAX] {
            assert!(refused(HoldWish { lease_ms, ..wish([1, 0, 0], 600.0) }), "{lease_ms}");
        }
        let unknown = Frame { acceleration: [0.0; 3], ..FRAME };
        let jog = HeldJog::begin(Instant::now(), wish([1, 0, 0], 600.0), &unknown, MIDDLE);
        assert!(jog.is_err());
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
