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
//! machine coordinates, a millimetre inside the limits: whatever is lost or sent twice leads no
//! farther.
//!
//! Invariant: from the last sign of the operator to rest the machine covers no more than
//! `v × (lease + link + buffer) + v² / 2a`, and the feed is capped so that this is within the
//! declared overrun, axis by axis. Pure: time and position come in as arguments.

use std::time::Instant;

use headstock_config::command::HoldWish;
use headstock_config::machine::{Envelope, JogNow, Xyz};

use super::modal::decimal;
use crate::Refusal;
use crate::hand::{Lease, Sign, Way};

/// Motion that the controller may hold, seconds at the feed.
const BUFFER_S: f64 = 0.1;
/// A segment, seconds at the feed: four of them fill the buffer.
const SEGMENT_S: f64 = 0.025;
/// A segment is no shorter than this, mm: less than a step moves nothing.
const SHORTEST: f64 = 0.005;
/// Bytes that may be ahead of a cancel on the wire.
const AHEAD_BITS: f64 = 640.0;
/// What adapter and scheduler add to that, seconds.
const DELAY_S: f64 = 0.015;

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
    lease: Lease,
    way: Way,
    /// mm/s.
    speed: f64,
    /// mm.
    stop_mm: f64,
    /// How far it has been sent, mm.
    sent: f64,
}

impl HeldJog {
    /// Begins one where the machine rests, at `from` in machine coordinates.
    pub(super) fn begin(
        now: Instant,
        wish: HoldWish,
        frame: &Frame,
        from: Xyz,
    ) -> Result<Self, Refusal> {
        let lease = Lease::begin(now, wish)?;
        let way = Way::new(wish.toward, from, &frame.envelope)?;
        let wait_s =
            lease.seconds() + BUFFER_S + DELAY_S + AHEAD_BITS / f64::from(frame.baud.max(1));
        let a = way.along(&frame.acceleration);
        let rate = way.along(&frame.max_rate) / 60.0;
        let overrun = way.along(&frame.overrun);
        let sound = |it: f64| it.is_finite() && 0.0 < it;
        if ![a, rate, overrun].into_iter().all(sound) {
            let why = "the controller has not told accelerations and rates that a hold-to-run jog \
                       could be bounded by";
            return Err(Refusal::Unready(why.into()));
        }
        let speed = (wish.feed / 60.0).min(rate).min(fastest_within(overrun, wait_s, a));
        let stop_mm = speed * wait_s + speed * speed / (2.0 * a);
        Ok(Self { lease, way, speed, stop_mm, sent: 0.0 })
    }

    /// A sign of the operator.
    pub(super) fn sign(&mut self, now: Instant, wish: &HoldWish) -> Sign {
        self.lease.sign(now, wish)
    }

    /// The operator has not been heard of for the length of the lease.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.lease.is_over(now)
    }

    /// When it will be over unless it is renewed.
    pub(super) fn lease_until(&self) -> Instant {
        self.lease.until()
    }

    /// The next segment, if the controller may have one: as it was reported at `at`.
    pub(super) fn next(&mut self, now: Instant, at: Xyz) -> Option<String> {
        // How far it has come by its own report; never farther than it was sent.
        let done = self.way.done(at).clamp(0.0, self.sent);
        let segment = (self.speed * SEGMENT_S).max(SHORTEST);
        let window = (self.speed * BUFFER_S).max(2.0 * SHORTEST);
        let to = (self.sent + segment).min(self.way.reach());
        if self.is_over(now) || to <= self.sent || window < to - done {
            return None;
        }
        self.sent = to;
        Some(self.line(to))
    }

    fn line(&self, to: f64) -> String {
        let mut line = String::from("$J=G53G21G90");
        for (letter, at) in ["X", "Y", "Z"].into_iter().zip(self.way.at(to)) {
            if let Some(at) = at {
                line.push_str(letter);
                line.push_str(&decimal(at));
            }
        }
        line + "F" + &decimal(self.speed * 60.0)
    }

    /// As everybody is shown it.
    pub(super) fn shown(&self) -> JogNow {
        let rounded = |it: f64| (it * 1000.0).round() / 1000.0;
        JogNow {
            toward: self.lease.wish().toward,
            feed: rounded(self.speed * 60.0),
            stop_mm: rounded(self.stop_mm),
            at_limit: self.way.reach() <= self.sent,
        }
    }
}

/// The speed at which `v × wait + v² / 2a` is this distance.
fn fastest_within(distance: f64, wait_s: f64, a: f64) -> f64 {
    a * ((wait_s * wait_s + 2.0 * distance / a).sqrt() - wait_s)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
        assert!(matches!(out, Err(Refusal::Unready(_))));
    }

    #[test]
    fn a_machine_of_which_nothing_is_known_is_not_held() {
        let unknown = Frame { acceleration: [0.0; 3], ..FRAME };
        let wish = wish([1, 0, 0], 600.0);
        assert!(HeldJog::begin(Instant::now(), wish, &unknown, MIDDLE).is_err());
    }
}
