//! Following points: which of them have changed since the follower last looked, and what each has
//! been meanwhile.
//!
//! ```text
//!  report --step--> [ ear: one change per point, at most STEPS steps each ] --take--> follower
//! ```
//!
//! Level-triggered: what waits is bounded by the number of points, however long a follower stays
//! away. A short pulse is seen all the same: a change carries its steps in order, and where there
//! were more than [`STEPS`] those are kept that a rule could miss, the smallest and the largest
//! number and the worst quality among them, and always the last.
//!
//! ```
//! use std::time::{Duration, Instant};
//!
//! use headstock_config::point::{Quality, Value};
//! use headstock_daemon::points::{Declared, News, Points};
//!
//! let points = Points::new(vec![Declared { name: "cell.door".into(), ..Declared::default() }]);
//! let door = points.id("cell.door").unwrap();
//! let mut follower = points.follow([door]);
//! follower.recv_timeout(Duration::ZERO); // how it is at first
//! for closed in [true, false, true] {
//!     let (value, quality) = (Some(Value::Flag(closed)), Quality::Good);
//!     points.report([News { id: door, value, quality, at: Instant::now(), why: None }]);
//! }
//! let changes = follower.recv_timeout(Duration::from_secs(1));
//! assert!(changes[0].was(|step| step.value == Some(Value::Flag(false))), "it was open for a moment");
//! ```

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use headstock_config::point::{Quality, Value};
use tokio::sync::Notify;

use super::{PointId, Points};

/// Steps of one point that are kept in order for a follower that is behind.
pub const STEPS: usize = 8;

/// What a point was from a moment on.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Its value; `None` as long as there has been none.
    pub value: Option<Value>,
    /// How far it could be believed.
    pub quality: Quality,
    /// When the device said so, or when it became stale.
    pub at: Instant,
}

/// What has become of one point since the follower last looked.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Which.
    pub id: PointId,
    /// How many changes there were; 0: none, this is how it was when following began.
    pub count: u64,
    /// What it was, oldest first: one to [`STEPS`] of them, the last being how it is now.
    pub steps: Vec<Step>,
}

impl Change {
    /// How it is now.
    pub fn last(&self) -> &Step {
        self.steps.last().expect("a change has at least one step")
    }

    /// Whether it was so at any moment since the follower last looked.
    pub fn was(&self, so: impl FnMut(&Step) -> bool) -> bool {
        self.steps.iter().any(so)
    }

    fn add(&mut self, step: Step, count: u64) {
        self.count += count;
        if self.steps.len() == STEPS {
            self.steps.remove(least_missed(&self.steps));
        }
        self.steps.push(step);
    }
}

/// The step that would be missed least: the oldest that is neither an extreme nor alone in what
/// it says. There is one, since at most three of [`STEPS`] are extremes.
fn least_missed(steps: &[Step]) -> usize {
    let number = |step: &Step| step.value.as_ref().and_then(Value::number);
    let by = |one: &f64, other: &f64| one.total_cmp(other);
    let min = steps.iter().filter_map(number).min_by(by);
    let max = steps.iter().filter_map(number).max_by(by);
    let worst = steps.iter().map(|step| step.quality).max();
    let first = |so: &dyn Fn(&Step) -> bool| steps.iter().position(so);
    let extremes = [
        min.and_then(|min| first(&|step| number(step) == Some(min))),
        max.and_then(|max| first(&|step| number(step) == Some(max))),
        first(&|step| Some(step.quality) == worst),
    ];
    let plain = || (0..steps.len()).filter(|index| !extremes.contains(&Some(*index)));
    let says = |one: &Step, other: &Step| one.value == other.value && one.quality == other.quality;
    let repeated =
        plain().find(|index| 1 < steps.iter().filter(|it| says(it, &steps[*index])).count());
    repeated.or_else(|| plain().next()).unwrap_or(0)
}

/// Where a follower is told. The board has one end of it, the follower the other.
#[derive(Default)]
pub(super) struct Ear {
    pending: Mutex<Pending>,
    /// Wakes a follower on a thread.
    thread: Condvar,
    /// Wakes a follower in a task.
    task: Notify,
}

#[derive(Default)]
struct Pending {
    /// In the order in which their points first changed.
    changes: Vec<Change>,
    places: HashMap<PointId, usize>,
}

impl Ear {
    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a step, counted as so many changes. The lock is held elsewhere only to take them.
    /// Whether the follower is to be woken, now that there is something.
    pub(super) fn tell(&self, id: PointId, step: Step, count: u64) -> bool {
        let mut pending = self.pending();
        let Pending { changes, places } = &mut *pending;
        if let Some(place) = places.get(&id) {
            changes[*place].add(step, count);
            return false;
        }
        places.insert(id, changes.len());
        changes.push(Change { id, count, steps: vec![step] });
        changes.len() == 1
    }

    /// Wakes the follower.
    pub(super) fn wake(&self) {
        self.thread.notify_one();
        self.task.notify_one();
    }

    fn take(pending: &mut Pending) -> Vec<Change> {
        pending.places.clear();
        std::mem::take(&mut pending.changes)
    }
}

/// Somebody who is told what changes. Dropped, it is told no more.
pub struct Follower {
    points: Points,
    ids: Vec<PointId>,
    pub(super) ear: Arc<Ear>,
}

impl Follower {
    /// Follows these points, all of which there are.
    pub(super) fn new(points: Points, ids: Vec<PointId>) -> Self {
        let ear = Arc::new(Ear::default());
        for id in &ids {
            let age_limit = points.inner.declared[id.0 as usize].age_limit;
            let cell = &mut points.board().cells[id.0 as usize];
            cell.add(*id, ear.clone(), age_limit, Instant::now());
        }
        Self { points, ids, ear }
    }

    /// The points that it follows.
    pub fn ids(&self) -> &[PointId] {
        &self.ids
    }

    /// What has changed since the last look; empty if nothing has. Never waits.
    pub fn take(&mut self) -> Vec<Change> {
        Ear::take(&mut self.ear.pending())
    }

    /// What has changed since the last look. For OS threads: waits until something does, for as
    /// long as this at most; then it is empty.
    pub fn recv_timeout(&mut self, patience: Duration) -> Vec<Change> {
        let pending = self.ear.pending();
        let nothing = |pending: &mut Pending| pending.changes.is_empty();
        let waited = self.ear.thread.wait_timeout_while(pending, patience, nothing);
        Ear::take(&mut waited.unwrap_or_else(PoisonError::into_inner).0)
    }

    /// What has changed since the last look; never empty. May be dropped halfway and loses nothing.
    pub async fn recv(&mut self) -> Vec<Change> {
        loop {
            let changes = self.take();
            if !changes.is_empty() {
                return changes;
            }
            self.ear.task.notified().await;
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        for id in &self.ids {
            self.points.board().cells[id.0 as usize].remove(&self.ear);
        }
    }
}
