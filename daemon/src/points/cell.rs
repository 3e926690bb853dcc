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
use super::{Declared, Latest, News, PointId};

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

/// One point on the board.
#[derive(Default)]
pub(super) struct Cell {
    latest: Latest,
    /// What was last told, and when.
    told: Option<(Option<Value>, Quality, Instant)>,
    /// Who wants to be told.
    ears: Vec<Arc<Ear>>,
}

impl Cell {
    /// The latest, as it was when something was last said.
    pub(super) fn latest(&self) -> &Latest {
        &self.latest
    }

    /// Takes in what a device has said; what is to be told of it, if anything.
    pub(super) fn hear(&mut self, declared: &Declared, moment: Moment, news: News) -> Option<Step> {
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
        self.worth_telling(declared, moment.now, spoke).then(|| self.step(at, moment.now))
    }

    /// Makes it stale if it has reached its limit; what is to be told of that.
    pub(super) fn age(&mut self, declared: &Declared, now: Instant) -> Option<Step> {
        let latest = std::mem::take(&mut self.latest);
        self.latest = aged(latest, declared.age_limit, now);
        self.worth_telling(declared, now, false).then(|| self.step(now, now))
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

    /// Tells everybody who follows.
    pub(super) fn tell(&self, id: PointId, step: &Step) {
        for ear in &self.ears {
            ear.tell(id, step.clone(), 1);
        }
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
