//! Moving by hand for as long as somebody holds a key, where no move can be broken off.
//!
//! ```text
//!            G21 G90             renewed in time                lease over, let go, stop, silence,
//!  (none) ----------> under way <---------------+               any other command
//!                       |  one segment after    |                         |
//!                       +--- another -----------+   modes back, M400 M114 <-+
//! ```
//!
//! A Marlin forgets what is planned only by M410, and where it is with it. So what bounds the way
//! to rest is how little it has been given: a planner comes to rest where its last move ends. Each
//! segment is an absolute target, a millimetre inside the limits: what is lost, late or sent twice
//! leads no farther. The next segment goes when the last one has been answered, no sooner than that
//! takes at the feed, and
//!
//! ```text
//!  counted   only if at most two moves are unfinished: `ok … P13`, less than when it rested
//!  waited    only if none is: behind each segment M400, where a firmware tells no P
//! ```
//!
//! Invariant: from the operator's last sign to rest the machine covers no more than `v × lease` and
//! some segments: those that are unfinished, one that is begun within the lease, one for an answer
//! that was changed or counted wrongly. The feed is capped so that this is within the declared
//! overrun, axis by axis; no acceleration, no override and no delay of the link makes it more.
//! Sources: Marlin `src/gcode/queue.cpp` (`ok_to_send`), `src/module/planner.cpp` (a segment is
//! longer than `DEFAULT_MINSEGMENTTIME`, 20 ms, which it would be drawn out to). Pure: time comes in
//! as an argument.

use std::time::{Duration, Instant};

use headstock_config::command::HoldWish;
use headstock_config::machine::{Envelope, JogNow, Xyz};

use crate::Refusal;
use crate::hand::{Lease, Sign, Way};

/// Between two questions for what is unfinished.
const ASK_AGAIN: Duration = Duration::from_millis(10);
/// A segment is no shorter than this, mm: less than some steps is not planned.
const SHORTEST: f64 = 0.02;

/// How it is known what is unfinished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// Free planner blocks come with every answer.
    Counted,
    /// M400 is answered when all motion is over.
    Waited,
}

impl Style {
    /// Seconds of a segment at the feed.
    fn segment_s(self) -> f64 {
        match self {
            Self::Counted => 0.03,
            Self::Waited => 0.08,
        }
    }

    /// Moves that are unfinished at the most when the next one is sent.
    fn open(self) -> usize {
        match self {
            Self::Counted => 2,
            Self::Waited => 0,
        }
    }

    /// Segments of the invariant.
    fn segments(self) -> f64 {
        // With the one that is being sent, the one in the lease, and the one for a wrong answer.
        self.open() as f64 + 3.0
    }
}

/// What is to be sent next.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Next {
    /// A move.
    Segment(String),
    /// A line whose answer tells what is unfinished.
    Ask(&'static str),
}

/// What is known of the printer, and what it is allowed to overrun.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) envelope: Envelope,
    /// Distance that may be covered after the operator's last sign, mm per axis.
    pub(super) overrun: Xyz,
    pub(super) style: Style,
}

/// A jog that somebody holds.
#[derive(Debug)]
pub(super) struct HeldJog {
    lease: Lease,
    way: Way,
    from: Xyz,
    style: Style,
    /// mm/s.
    speed: f64,
    /// mm.
    segment: f64,
    stop_mm: f64,
    /// How far it has been sent, mm.
    sent: f64,
    /// No segment goes before this.
    ready: Instant,
    /// No question goes before this.
    ask: Instant,
    /// Segments that are not known to be finished.
    open: usize,
    free: Free,
}

/// Free planner blocks while it rests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Free {
    Unknown,
    /// Told once: one changed digit must not decide it.
    Once(usize),
    Sure(usize),
}

impl HeldJog {
    /// Begins one where the machine rests.
    pub(super) fn begin(
        now: Instant,
        wish: HoldWish,
        frame: &Frame,
        from: Xyz,
    ) -> Result<Self, Refusal> {
        let lease = Lease::begin(now, wish)?;
        let way = Way::new(wish.toward, from, &frame.envelope)?;
        let style = frame.style;
        let overrun = way.along(&frame.overrun);
        let speed = (wish.feed / 60.0).min(fastest(overrun, lease.seconds(), style));
        if !speed.is_finite() || speed <= 0.0 {
            let why = "`jog_overrun` leaves no room for a hold-to-run jog: jog in steps";
            return Err(Refusal::Unready(why.into()));
        }
        let segment = (speed * style.segment_s()).max(SHORTEST);
        let stop_mm = speed * lease.seconds() + style.segments() * segment;
        let (sent, open, free) = (0.0, 0, Free::Unknown);
        let (ready, ask) = (now, now);
        Ok(Self { lease, way, from, style, speed, segment, stop_mm, sent, ready, ask, open, free })
    }

    /// A sign of the operator.
    pub(super) fn sign(&mut self, now: Instant, wish: &HoldWish) -> Sign {
        self.lease.sign(now, wish)
    }

    /// The operator has not been heard of for the length of the lease.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.lease.is_over(now)
    }

    /// When something is due. `free`: nothing is in flight and nothing else goes first.
    pub(super) fn deadline(&self, free: bool) -> Instant {
        let next = if self.must_ask() { self.ask } else { self.ready };
        let more = self.must_ask() || !self.is_at_limit();
        if free && more { next.min(self.lease.until()) } else { self.lease.until() }
    }

    /// Whether it must be known first what is unfinished.
    fn must_ask(&self) -> bool {
        let unknown = self.style == Style::Counted && !matches!(self.free, Free::Sure(_));
        // At the limit only to show where it is.
        unknown || self.style.open() < self.open || self.is_at_limit() && 0 < self.open
    }

    fn is_at_limit(&self) -> bool {
        self.way.reach() <= self.sent
    }

    /// What goes next: everything has been answered. `percent`: the feed override.
    pub(super) fn next(&mut self, now: Instant, percent: u16) -> Option<Next> {
        if self.is_over(now) {
            return None;
        }
        if self.must_ask() {
            if now < self.ask {
                return None;
            }
            self.ask = now + ASK_AGAIN;
            return Some(Next::Ask(if self.style == Style::Counted { "G21" } else { "M400" }));
        }
        let to = (self.sent + self.segment).min(self.way.reach());
        if now < self.ready || to <= self.sent {
            return None;
        }
        if 0.0 < self.sent {
            // The second one goes with the first: nothing is ahead yet, and it shall go on smoothly.
            self.ready = now + Duration::from_secs_f64((to - self.sent) / self.speed);
        }
        (self.sent, self.open) = (to, self.open + 1);
        Some(Next::Segment(self.line(percent)))
    }

    fn line(&self, percent: u16) -> String {
        let mut line = String::from("G1");
        for (letter, at) in ["X", "Y", "Z"].into_iter().zip(self.way.at(self.sent)) {
            if let Some(at) = at {
                line += &format!(" {letter}{at:.3}");
            }
        }
        // The firmware makes the override's share of it.
        line + &format!(" F{:.1}", self.speed * 6000.0 / f64::from(percent.max(1)))
    }

    /// So many planner blocks are free, and all that was sent is planned.
    pub(super) fn told(&mut self, free: usize) {
        match self.free {
            _ if self.style == Style::Waited => (),
            Free::Sure(all) => self.open = all.saturating_sub(free),
            Free::Once(all) if all == free => self.free = Free::Sure(all),
            _ => self.free = Free::Once(free),
        }
    }

    /// All motion is over.
    pub(super) fn rests(&mut self) {
        if self.style == Style::Waited {
            self.open = 0;
        }
    }

    /// Where it is, as far as is known.
    pub(super) fn place(&self) -> Xyz {
        let done = (self.sent - self.open as f64 * self.segment).max(0.0);
        let at = self.way.at(done);
        std::array::from_fn(|axis| at[axis].unwrap_or(self.from[axis]))
    }

    /// As everybody is shown it.
    pub(super) fn shown(&self) -> JogNow {
        let rounded = |it: f64| (it * 1000.0).round() / 1000.0;
        JogNow {
            toward: self.lease.wish().toward,
            feed: rounded(self.speed * 60.0),
            stop_mm: rounded(self.stop_mm),
            at_limit: self.is_at_limit(),
        }
    }
}

/// The speed at which `v × lease` and the segments are this distance, mm/s; none: not above 0.
fn fastest(distance: f64, lease_s: f64, style: Style) -> f64 {
    let speed = distance / (lease_s + style.segments() * style.segment_s());
    if SHORTEST <= speed * style.segment_s() {
        return speed;
    }
    // Segments are no shorter, however slow it goes.
    speed.min((distance - style.segments() * SHORTEST) / lease_s)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Frame = Frame {
        envelope: Envelope { min: [0.0; 3], max: [220.0, 220.0, 250.0] },
        overrun: [5.0, 5.0, 1.0],
        style: Style::Counted,
    };
    const MIDDLE: Xyz = [110.0, 110.0, 100.0];

    fn begun(frame: &Frame, toward: [i8; 3], feed: f64) -> (Instant, HeldJog) {
        let now = Instant::now();
        let wish = HoldWish { toward, feed, lease_ms: 150 };
        (now, HeldJog::begin(now, wish, frame, MIDDLE).unwrap())
    }

    fn at(start: Instant, ms: u64) -> Instant {
        start + Duration::from_millis(ms)
    }

    #[test]
    fn the_feed_is_capped_so_that_the_printed_stop_distance_is_true() {
        for style in [Style::Counted, Style::Waited] {
            let frame = Frame { style, ..FRAME };
            for (toward, most) in [([1, 0, 0], 5.0), ([0, 0, -1], 1.0)] {
                let shown = begun(&frame, toward, 6000.0).1.shown();
                assert!((shown.stop_mm - most).abs() < 1e-3, "{shown:?}");
                assert!(100.0 < shown.feed, "and it is of use: {shown:?}");
            }
            let slow = begun(&frame, [1, 0, 0], 6.0).1.shown();
            assert!(slow.feed == 6.0 && slow.stop_mm < 0.2, "{slow:?}");
        }
        let tight = Frame { overrun: [0.05; 3], ..FRAME };
        let wish = HoldWish { toward: [1, 0, 0], feed: 600.0, lease_ms: 150 };
        assert!(HeldJog::begin(Instant::now(), wish, &tight, MIDDLE).is_err());
    }

    #[test]
    fn no_segment_goes_before_it_is_twice_told_what_rest_looks_like() {
        let (start, mut jog) = begun(&FRAME, [1, 0, 0], 600.0);
        assert_eq!(jog.next(start, 100), Some(Next::Ask("G21")));
        jog.told(75);
        assert_eq!(jog.next(at(start, 5), 100), None);
        assert_eq!(jog.next(at(start, 10), 100), Some(Next::Ask("G21")));
        jog.told(15);
        assert_eq!(jog.next(at(start, 20), 100), Some(Next::Ask("G21")));
        jog.told(15);
        let line = "G1 X110.300 F600.0".to_owned();
        assert_eq!(jog.next(at(start, 21), 100), Some(Next::Segment(line)));
    }

    #[test]
    fn a_third_unfinished_move_is_the_last_until_one_is_over() {
        let (start, mut jog) = begun(&FRAME, [0, -1, 0], 600.0);
        jog.told(15);
        jog.told(15);
        for (ms, free) in [(0, 14), (0, 13), (30, 12)] {
            assert!(matches!(jog.next(at(start, ms), 100), Some(Next::Segment(_))));
            jog.told(free);
            if free == 13 {
                assert_eq!(jog.next(at(start, ms + 29), 100), None, "not before its time");
            }
        }
        assert_eq!(jog.next(at(start, 120), 200), Some(Next::Ask("G21")));
        jog.told(12);
        assert_eq!(jog.next(at(start, 130), 200), Some(Next::Ask("G21")));
        jog.told(13);
        let line = "G1 Y108.800 F300.0".to_owned();
        assert_eq!(jog.next(at(start, 131), 200), Some(Next::Segment(line)), "half of it doubled");
        assert_eq!(jog.next(at(start, 150), 100), None, "the lease is over");
    }

    #[test]
    fn a_firmware_that_counts_nothing_rests_between_segments() {
        let (start, mut jog) = begun(&Frame { style: Style::Waited, ..FRAME }, [1, 0, 0], 600.0);
        assert!(matches!(jog.next(start, 100), Some(Next::Segment(_))));
        jog.told(15);
        assert_eq!(jog.next(at(start, 85), 100), Some(Next::Ask("M400")));
        assert_eq!(jog.next(at(start, 90), 100), None);
        jog.rests();
        assert!(matches!(jog.next(at(start, 95), 100), Some(Next::Segment(_))));
    }

    #[test]
    fn the_way_ends_a_millimetre_before_the_limits() {
        let wish = HoldWish { toward: [1, 0, 0], feed: 600.0, lease_ms: 500 };
        let start = Instant::now();
        let near = [218.6, 110.0, 100.0];
        let mut jog = HeldJog::begin(start, wish, &FRAME, near).unwrap();
        let mut last = None;
        jog.told(15);
        for ms in 0..400 {
            jog.told(15);
            last = jog.next(at(start, ms), 100).or(last);
        }
        assert_eq!(last, Some(Next::Segment("G1 X219.000 F461.5".into())));
        assert!(jog.shown().at_limit);
        assert_eq!(jog.deadline(true), at(start, 500));
    }
}
