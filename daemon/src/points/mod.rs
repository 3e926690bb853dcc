//! Points: the latest of every value that any device reports.
//!
//! ```text
//!  machine tasks --report--> [ latest, by number ] --follow--> rules, alarms, feeds
//! ```
//!
//! Reporting never waits for anybody who looks on: a follower that is behind is told which points
//! changed and reads the latest of each.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use headstock_config::machine::Machine;
use headstock_config::moment;
use headstock_config::point::{Point, Quality, Value};

use crate::clock::now_ms;

/// A point's number. Numbers are given when the house opens and mean nothing outside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PointId(pub u32);

/// A point as the house knows it before anything has been said.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Declared {
    /// `machine.tag`.
    pub name: String,
    /// Its unit.
    pub unit: String,
    /// A person may set it.
    pub writable: bool,
    /// Older than this it is stale.
    pub age_limit: Duration,
    /// A change that is not larger is not passed on to followers.
    pub deadband: f64,
}

/// What is said about a point.
#[derive(Clone, Debug, PartialEq)]
pub struct News {
    /// Which.
    pub id: PointId,
    /// Its value; `None`: the old one stands and only the quality is news.
    pub value: Option<Value>,
    /// How far it can be believed.
    pub quality: Quality,
    /// When the device said so.
    pub at: Instant,
    /// Why the quality is not good, for people.
    pub why: Option<String>,
}

/// The latest of a point.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Latest {
    /// Its value; `None` as long as there has been none.
    pub value: Option<Value>,
    /// How far it can be believed now.
    pub quality: Quality,
    /// When the device last said so.
    pub seen: Option<Instant>,
    /// Milliseconds since 1970 of the same.
    pub at_ms: Option<u64>,
    /// Why the quality is not good, for people.
    pub why: Option<String>,
}

/// All points. Cheap to clone.
#[derive(Clone, Default)]
pub struct Points {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    declared: Vec<Declared>,
    numbers: BTreeMap<String, PointId>,
    latest: Mutex<Vec<Latest>>,
}

impl Points {
    /// Points of which nothing has been said. Of two with one name the first is kept.
    pub fn new(declared: Vec<Declared>) -> Self {
        let mut numbers = BTreeMap::new();
        for (number, point) in (0..).zip(&declared) {
            numbers.entry(point.name.clone()).or_insert(PointId(number));
        }
        let latest = Mutex::new(vec![Latest::default(); declared.len()]);
        Self { inner: Arc::new(Inner { declared, numbers, latest }) }
    }

    /// The points of these machines.
    pub fn of(machines: &[Machine]) -> Self {
        let tags = machines.iter().flat_map(|machine| {
            machine.tags.iter().map(|tag| Declared {
                name: format!("{}.{}", machine.id, tag.name),
                unit: tag.unit.clone(),
                writable: tag.write,
                age_limit: Duration::from_millis(tag.age_limit_ms),
                deadband: tag.deadband,
            })
        });
        Self::new(tags.collect())
    }

    /// The number of the point with this name.
    pub fn id(&self, name: &str) -> Option<PointId> {
        self.inner.numbers.get(name).copied()
    }

    fn latest(&self) -> MutexGuard<'_, Vec<Latest>> {
        self.inner.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what a device has said. Never waits for a reader.
    pub fn report(&self, news: impl IntoIterator<Item = News>) {
        let mut latest = self.latest();
        for it in news {
            let Some(point) = latest.get_mut(it.id.0 as usize) else { continue };
            if it.value.is_some() {
                point.value = it.value;
                point.seen = Some(it.at);
                let ago = u64::try_from(it.at.elapsed().as_millis()).unwrap_or(0);
                point.at_ms = Some(now_ms().saturating_sub(ago));
            }
            point.quality = it.quality;
            point.why = it.why;
        }
    }

    /// The latest of a point, stale if it is older than its limit.
    pub fn now(&self, id: PointId) -> Latest {
        let point = self.latest().get(id.0 as usize).cloned().unwrap_or_default();
        let limit = self.inner.declared.get(id.0 as usize).map(|it| it.age_limit);
        aged(point, limit.unwrap_or_default())
    }

    /// One point, for the doors.
    pub fn one(&self, name: &str) -> Option<Point> {
        let id = self.id(name)?;
        Some(self.shown(id, self.now(id)))
    }

    /// All points in the order of their names, for the doors.
    pub fn all(&self) -> Vec<Point> {
        self.inner.numbers.values().map(|id| self.shown(*id, self.now(*id))).collect()
    }

    fn shown(&self, id: PointId, latest: Latest) -> Point {
        let declared = &self.inner.declared[id.0 as usize];
        Point {
            name: declared.name.clone(),
            value: latest.value,
            unit: declared.unit.clone(),
            quality: latest.quality,
            at: latest.at_ms.map(moment::rfc3339),
            at_ms: latest.at_ms,
            writable: declared.writable,
            why: latest.why,
        }
    }
}

fn aged(mut point: Latest, limit: Duration) -> Latest {
    let age = point.seen.map(|seen| seen.elapsed());
    if point.quality.believable() && age.is_some_and(|age| limit < age) {
        point.quality = Quality::Stale;
        point.why = age.map(|age| format!("not heard for {:.1} s", age.as_secs_f64()));
    }
    point
}
