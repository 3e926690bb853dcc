//! A point's minute that is under way: what was told in it, and what held.
//!
//! ```text
//!  told   a            b                                c
//!  minute |--a----|-b--b-------|--b---------|--b-------c-c---   a minute in which b merely held
//!         ended             ended        ended         since    is one as well
//! ```
//!
//! What was told last holds up to [`UnderWay::since`] as far as the minutes know; from there on it
//! is added when the next is told, when the keeper ends the minute, or when somebody looks.
//!
//! Invariants: time that runs backwards weighs nothing; where the wall's clock has been set, nothing
//! holds across; minutes are handed over in the order in which they end.

use std::time::Instant;

use headstock_config::point::{Quality, Value};

use super::sum::Sum;
use crate::clock::now_ms;

/// Milliseconds of a minute.
pub(super) const MINUTE: u64 = 60_000;
/// A wall's clock that goes wrong by more than this and a thousandth has been set, milliseconds:
/// time services slew by half of a thousandth at most, and step over longer distances.
const SLACK: f64 = 1_000.0;

/// A moment by both clocks: the one that never jumps, and the wall's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) now: Instant,
    /// Milliseconds since 1970.
    pub(super) now_ms: u64,
}

impl Moment {
    /// This moment.
    pub(super) fn now() -> Self {
        Self { now: Instant::now(), now_ms: now_ms() }
    }

    /// The moment at which the other clock says this, which may be earlier.
    pub(super) fn at(self, earlier: Instant) -> Self {
        let ago = self.now.saturating_duration_since(earlier).as_millis();
        let ago = u64::try_from(ago).unwrap_or(u64::MAX);
        Self { now: earlier, now_ms: self.now_ms.saturating_sub(ago) }
    }

    /// Whether the wall's clock has been set since an earlier moment.
    fn jumped(self, since: Self) -> bool {
        let ahead = self.now.saturating_duration_since(since.now).as_secs_f64();
        let behind = since.now.saturating_duration_since(self.now).as_secs_f64();
        let (passed, wall) = ((ahead - behind) * 1e3, self.now_ms as f64 - since.now_ms as f64);
        SLACK + passed.abs() / 1e3 < (wall - passed).abs()
    }
}

/// What lies from one time to before another, by the spans in which it lies: the span's number and
/// how much of it, in milliseconds.
pub(super) fn pieces(
    from_ms: u64,
    until_ms: u64,
    every_ms: u64,
) -> impl Iterator<Item = (u64, u64)> {
    let mut at = from_ms;
    std::iter::from_fn(move || {
        let span = at / every_ms;
        let end = span.saturating_add(1).saturating_mul(every_ms).min(until_ms);
        let piece = end.checked_sub(at).filter(|ms| 0 < *ms)?;
        at = end;
        Some((span, piece))
    })
}

/// Whether a span in which something is told has also some of what was before it.
pub(super) fn reaches(since_ms: u64, told_ms: u64, every_ms: u64) -> bool {
    since_ms.max(told_ms / every_ms * every_ms) < told_ms
}

/// The minute that is under way.
#[derive(Default)]
pub(super) struct UnderWay {
    minute: Option<(u64, Sum)>,
    /// Up to here what was told last is in the minutes; `None`: nothing was told.
    since: Option<Moment>,
}

impl UnderWay {
    /// When something that is told at this moment counts, and whether nothing holds up to there. A
    /// late answer counts from where the one before it began: time runs backwards only if it was set.
    pub(super) fn next(&self, at: Moment) -> (Moment, bool) {
        match self.since {
            Some(since) if at.jumped(since) => (at, true),
            Some(since) if at.now_ms < since.now_ms => (since, false),
            since => (at, since.is_none()),
        }
    }

    /// The value, which can be believed, has held until now; `false`: the clock was set meanwhile,
    /// and it does so from now on. Minutes that are over go to `over`.
    pub(super) fn hold(
        &mut self,
        value: &Value,
        quality: Quality,
        until: Moment,
        over: &mut impl FnMut(u64, Sum),
    ) -> bool {
        let Some(since) = self.since else { return true };
        if until.jumped(since) {
            self.since = Some(until);
            return false;
        }
        for (minute, ms) in pieces(since.now_ms, until.now_ms, MINUTE) {
            self.sum(minute, over).hold(value, quality, ms);
        }
        if since.now_ms < until.now_ms {
            self.since = Some(until);
        }
        true
    }

    /// It could not be believed until this time, at which something is told.
    pub(super) fn doubt(&mut self, quality: Quality, at_ms: u64, over: &mut impl FnMut(u64, Sum)) {
        if self.since.is_some_and(|since| reaches(since.now_ms, at_ms, MINUTE)) {
            self.sum(at_ms / MINUTE, over).doubt(quality);
        }
    }

    /// Adds a change; without a value only the quality is news.
    pub(super) fn add(
        &mut self,
        at: Moment,
        value: Option<Value>,
        quality: Quality,
        over: &mut impl FnMut(u64, Sum),
    ) {
        self.sum(at.now_ms / MINUTE, over).add(value, quality);
        self.since = Some(at);
    }

    fn sum(&mut self, minute: u64, over: &mut impl FnMut(u64, Sum)) -> &mut Sum {
        if let Some((ended, sum)) = self.end(|it| it != minute) {
            over(ended, sum);
        }
        let (_, sum) = self.minute.get_or_insert_with(|| (minute, Sum::default()));
        sum
    }

    /// Takes out the minute, if it is one of these.
    pub(super) fn end(&mut self, of: impl FnOnce(u64) -> bool) -> Option<(u64, Sum)> {
        self.minute.take_if(|(minute, _)| of(*minute))
    }

    /// The minute, as far as it is known.
    pub(super) fn minute(&self) -> Option<&(u64, Sum)> {
        self.minute.as_ref()
    }

    /// Up to when what was told last is known to hold, milliseconds since 1970.
    pub(super) fn since_ms(&self) -> u64 {
        self.since.map_or(0, |it| it.now_ms)
    }
}
