//! One point on the board: its latest, and what is worth telling about it.
//!
//! ```text
//!          heard, believable            age limit reached
//!  bad <----------------------> good ---------------------> stale
//!   ^   heard bad            ^  uncertain                     |
//!   |                        +------------- heard ------------+
//! ```
//!
//! A pure thing: time comes in as an argument. Told is what differs in quality, what differs from
//! the value last told by more than the deadband, and, however little it differs, the first value
//! after [`SILENCE`]: so a slow drift is told, and a record has an entry a minute.

use std::sync::Arc;
use std::time::{Duration, Instant};

use headstock_config::point::{Quality, Value};

use super::follower::{Ear, Step};
use super::ring::Ring;
use super::sum::Sum;
use super::{Declared, Latest, News, PointId};
use crate::clock::now_ms;

/// After so long even a value that has not changed is told.
pub(super) const SILENCE: Duration = Duration::from_secs(60);
/// Bytes of a text that are kept. Registers hold at most 250 of them.
const TEXT: usize = 256;

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
}

/// Milliseconds of a minute.
pub(super) const MINUTE: u64 = 60_000;

/// What is to be told of a point.
pub(super) struct Told {
    pub(super) step: Step,
    /// Milliseconds since 1970 of the same.
    at_ms: u64,
    /// The device said a value; otherwise only the quality is news.
    spoke: bool,
}

/// One point on the board.
#[derive(Default)]
pub(super) struct Cell {
    latest: Latest,
    /// What was last told, and when.
    told: Option<(Option<Value>, Quality, Instant)>,
    /// Who wants to be told.
    ears: Vec<Arc<Ear>>,
    /// What has been told lately.
    ring: Ring,
    /// What has been told in the minute that is under way.
    minute: Option<(u64, Sum)>,
}

impl Cell {
    /// The latest, as it was when something was last said.
    pub(super) fn latest(&self) -> &Latest {
        &self.latest
    }

    /// Takes in what a device has said; what is to be told of it, if anything.
    pub(super) fn hear(&mut self, declared: &Declared, moment: Moment, news: News) -> Option<Told> {
        let News { value, mut quality, at, mut why, .. } = news;
        let value = match value {
            Some(Value::Number(number)) if !number.is_finite() => {
                (quality, why) = (Quality::Bad, Some("what was read is not a number".to_owned()));
                None
            }
            value => value.map(clipped),
        };
        let spoke = value.is_some();
        if spoke {
            let ago = moment.now.saturating_duration_since(at).as_millis();
            let ago = u64::try_from(ago).unwrap_or(u64::MAX);
            self.latest.value = value;
            self.latest.seen = Some(at);
            self.latest.at_ms = Some(moment.now_ms.saturating_sub(ago));
        }
        if self.latest.value.is_none() && quality != Quality::Bad {
            (quality, why) = (Quality::Bad, Some("nothing has been read yet".to_owned()));
        }
        (self.latest.quality, self.latest.why) = (quality, why);
        let latest = std::mem::take(&mut self.latest);
        self.latest = aged(latest, declared.age_limit, moment.now);
        let worth = self.worth_telling(declared, moment.now, spoke);
        let at = if spoke { at } else { moment.now };
        worth.then(|| Told {
            spoke,
            at_ms: self.at_ms(moment, spoke),
            step: self.step(at, moment.now),
        })
    }

    /// Makes it stale if it has reached its limit; what is to be told of that.
    pub(super) fn age(&mut self, declared: &Declared, moment: Moment) -> Option<Told> {
        let Moment { now, now_ms } = moment;
        let latest = std::mem::take(&mut self.latest);
        self.latest = aged(latest, declared.age_limit, now);
        let worth = self.worth_telling(declared, now, false);
        worth.then(|| Told { spoke: false, at_ms: now_ms, step: self.step(now, now) })
    }

    fn at_ms(&self, moment: Moment, spoke: bool) -> u64 {
        self.latest.at_ms.filter(|_| spoke).unwrap_or(moment.now_ms)
    }

    fn worth_telling(&self, declared: &Declared, now: Instant, spoke: bool) -> bool {
        let Some((value, quality, at)) = &self.told else { return true };
        *quality != self.latest.quality
            || differs(value.as_ref(), self.latest.value.as_ref(), declared.deadband)
            || spoke && SILENCE <= now.saturating_duration_since(*at)
    }

    fn step(&mut self, at: Instant, now: Instant) -> Step {
        let Latest { value, quality, .. } = &self.latest;
        self.told = Some((value.clone(), *quality, now));
        Step { value: value.clone(), quality: *quality, at }
    }

    /// When it becomes stale, if nothing is heard before.
    pub(super) fn deadline(&self, declared: &Declared) -> Option<Instant> {
        let ages = self.latest.quality.believable() && !declared.age_limit.is_zero();
        self.latest.seen.filter(|_| ages)?.checked_add(declared.age_limit)
    }

    /// Tells everybody who follows, and keeps it; at most `share` of these. Adds whom to `wake`.
    /// The minute before, if this is the first of another.
    pub(super) fn tell(
        &mut self,
        id: PointId,
        told: Told,
        share: usize,
        wake: &mut Vec<Arc<Ear>>,
    ) -> Option<(u64, Sum)> {
        let Told { step: Step { value, quality, .. }, at_ms, spoke } = &told;
        let value = value.as_ref().filter(|_| *spoke);
        self.ring.add(*at_ms, value, *quality, share);
        let over = self.end_minute(|minute| minute != at_ms / MINUTE);
        let (_, sum) = self.minute.get_or_insert_with(|| (at_ms / MINUTE, Sum::default()));
        sum.add(value.cloned(), *quality);
        for ear in &self.ears {
            if ear.tell(id, told.step.clone(), 1) {
                wake.push(ear.clone());
            }
        }
        over
    }

    /// Takes out the minute that is under way, if it is one of these.
    pub(super) fn end_minute(&mut self, of: impl FnOnce(u64) -> bool) -> Option<(u64, Sum)> {
        self.minute.take_if(|(minute, _)| of(*minute))
    }

    /// What has been told lately.
    pub(super) fn ring(&self) -> &Ring {
        &self.ring
    }

    /// The minute that is under way.
    pub(super) fn minute(&self) -> Option<&(u64, Sum)> {
        self.minute.as_ref()
    }

    /// Somebody follows from now on, and is told how it is.
    pub(super) fn add(&mut self, id: PointId, ear: Arc<Ear>, age_limit: Duration, now: Instant) {
        let latest = aged(self.latest.clone(), age_limit, now);
        let at = latest.seen.unwrap_or(now);
        ear.tell(id, Step { value: latest.value, quality: latest.quality, at }, 0);
        self.ears.push(ear);
    }

    /// Somebody follows no longer.
    pub(super) fn remove(&mut self, ear: &Arc<Ear>) {
        self.ears.retain(|it| !Arc::ptr_eq(it, ear));
    }
}

/// The same, stale if it has reached this age.
pub(super) fn aged(mut point: Latest, limit: Duration, now: Instant) -> Latest {
    let Some(age) = point.seen.map(|seen| now.saturating_duration_since(seen)) else {
        return point;
    };
    if point.quality.believable() && !limit.is_zero() && limit <= age {
        point.quality = Quality::Stale;
    }
    if point.quality == Quality::Stale {
        point.why = Some(format!("not heard for {:.1} s", age.as_secs_f64()));
    }
    point
}

fn differs(told: Option<&Value>, now: Option<&Value>, deadband: f64) -> bool {
    match (told, now) {
        (Some(Value::Number(told)), Some(Value::Number(now))) => deadband < (now - told).abs(),
        (told, now) => told != now,
    }
}

fn clipped(value: Value) -> Value {
    match value {
        Value::Text(mut text) if TEXT < text.len() => {
            text.truncate(text.floor_char_boundary(TEXT));
            Value::Text(text)
        }
        value => value,
    }
}
