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
use super::ring::{self, Noted, Ring};
use super::sum::Sum;
use super::under_way::{Moment, UnderWay};
use super::{Declared, Latest, News, PointId};

/// After so long even a value that has not changed is told.
pub(super) const SILENCE: Duration = Duration::from_secs(60);
/// Bytes of a text that are kept. Registers hold at most 250 of them.
const TEXT: usize = 256;

/// What is to be told of a point.
pub(super) struct Told {
    step: Step,
    /// When it became so, by both clocks.
    at: Moment,
    /// When that was noticed.
    noticed: Instant,
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
    /// What has been told and has held in the minute that is under way.
    under_way: UnderWay,
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
            self.latest.value = value;
            self.latest.seen = Some(at);
            self.latest.at_ms = Some(moment.at(at).now_ms);
        }
        if self.latest.value.is_none() && quality != Quality::Bad {
            (quality, why) = (Quality::Bad, Some("nothing has been read yet".to_owned()));
        }
        (self.latest.quality, self.latest.why) = (quality, why);
        let latest = std::mem::take(&mut self.latest);
        self.latest = aged(latest, declared.age_limit, moment.now);
        let worth = self.worth_telling(declared, moment.now, spoke);
        let at = if spoke { moment.at(at) } else { moment };
        worth.then(|| self.told(at, moment.now, spoke))
    }

    /// Makes it stale if it has reached its limit; what is to be told of that.
    pub(super) fn age(&mut self, declared: &Declared, moment: Moment) -> Option<Told> {
        let latest = std::mem::take(&mut self.latest);
        self.latest = aged(latest, declared.age_limit, moment.now);
        let worth = self.worth_telling(declared, moment.now, false);
        worth.then(|| self.told(moment, moment.now, false))
    }

    fn worth_telling(&self, declared: &Declared, now: Instant, spoke: bool) -> bool {
        let Some((value, quality, at)) = &self.told else { return true };
        *quality != self.latest.quality
            || differs(value.as_ref(), self.latest.value.as_ref(), declared.deadband)
            || spoke && SILENCE <= now.saturating_duration_since(*at)
    }

    fn told(&self, at: Moment, noticed: Instant, spoke: bool) -> Told {
        let Latest { value, quality, .. } = &self.latest;
        let step = Step { value: value.clone(), quality: *quality, at: at.now };
        Told { step, at, noticed, spoke }
    }

    /// When it becomes stale, if nothing is heard before.
    pub(super) fn deadline(&self, declared: &Declared) -> Option<Instant> {
        let ages = self.latest.quality.believable() && !declared.age_limit.is_zero();
        self.latest.seen.filter(|_| ages)?.checked_add(declared.age_limit)
    }

    /// Tells everybody who follows, and keeps it; at most `share` of these. Adds whom to `wake`;
    /// minutes that are over go to `over`.
    pub(super) fn tell(
        &mut self,
        id: PointId,
        told: Told,
        share: usize,
        wake: &mut Vec<Arc<Ear>>,
        over: &mut impl FnMut(u64, Sum),
    ) {
        let Told { step, at, noticed, spoke } = told;
        let Step { value, quality, .. } = &step;
        let (at, anew) = self.under_way.next(at);
        if !anew {
            self.before(at, over);
        }
        let (value, at_ms) = (value.as_ref(), at.now_ms);
        let told = if spoke { ring::Told::Value } else { ring::Told::Quality };
        self.ring.add(Noted { at_ms, value, quality: *quality, told, anew }, share);
        self.under_way.add(at, value.filter(|_| spoke).cloned(), *quality, over);
        for ear in &self.ears {
            if ear.tell(id, step.clone(), 1) {
                wake.push(ear.clone());
            }
        }
        self.told = Some((step.value, step.quality, noticed));
    }

    /// How it stood until this moment, at which something else is told.
    fn before(&mut self, at: Moment, over: &mut impl FnMut(u64, Sum)) {
        match &self.told {
            Some((Some(value), quality, _)) if quality.believable() => {
                self.under_way.hold(value, *quality, at, over);
            }
            Some((_, quality, _)) => self.under_way.doubt(*quality, at.now_ms, over),
            None => (),
        }
    }

    /// Takes in that what was told last has held until now, or until its age limit.
    pub(super) fn pass(
        &mut self,
        declared: &Declared,
        moment: Moment,
        share: usize,
        over: &mut impl FnMut(u64, Sum),
    ) {
        let deadline = self.deadline(declared).filter(|it| *it < moment.now);
        let until = deadline.map_or(moment, |it| moment.at(it));
        let Some((Some(value), quality, _)) = &self.told else { return };
        if quality.believable() && !self.under_way.hold(value, *quality, until, over) {
            let (at_ms, value, told) = (until.now_ms, Some(value), ring::Told::Nothing);
            self.ring.add(Noted { at_ms, value, quality: *quality, told, anew: true }, share);
        }
    }

    /// Takes out the minute that is under way, if it is one of these.
    pub(super) fn end_minute(&mut self, of: impl FnOnce(u64) -> bool) -> Option<(u64, Sum)> {
        self.under_way.end(of)
    }

    /// What has been told lately.
    pub(super) fn ring(&self) -> &Ring {
        &self.ring
    }

    /// The minute that is under way, and until when it is known.
    pub(super) fn under_way(&self) -> &UnderWay {
        &self.under_way
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
