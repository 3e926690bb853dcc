//! Points: the latest of every value that any device reports.
//!
//! ```text
//!  machine tasks --report--> [ board: latest, by number ] --changes--> followers: rules, alarms, feeds
//!                                  ^            |
//!    the ager: good -> stale at its age limit   +--> rings in memory --> minutes on disk
//! ```
//!
//! Reporting never waits for anybody who looks on: a follower that is behind is told which points
//! changed and what each has been meanwhile (see [`Follower`]).
//!
//! Invariants: a value that is older than its point's age limit is shown as stale by everything
//! here, whether or not the ager has come by; what is told to a follower is told under the lock
//! under which it became the latest, so that no follower sees an older state last.

mod age;
mod cell;
mod follower;
mod history;
mod house;
mod keeper;
pub mod live;
pub mod minutes;
mod ring;
mod sum;
#[cfg(test)]
mod tests;
mod under_way;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use headstock_config::machine::Machine;
use headstock_config::moment;
use headstock_config::point::{Point, Quality, Value};
use headstock_config::settings;

use self::age::Ages;
use self::cell::{Cell, Told};
use self::follower::Ear;
pub use self::follower::{Change, Follower, STEPS, Step};
pub use self::history::SPANS;
pub use self::keeper::Keeper;
use self::minutes::{Minute, Shelf};
use self::sum::Sum;
use self::under_way::Moment;
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
    /// As old as this it is stale; zero: it never is.
    pub age_limit: Duration,
    /// A change that is not larger is not passed on to followers.
    pub deadband: f64,
    /// Not listed as long as it has had no value: not every device of its kind has it.
    pub optional: bool,
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
    board: Mutex<Board>,
    /// Calls the ager when there is an earlier deadline than the one that it waits for.
    sooner: tokio::sync::Notify,
    /// The minutes on disk, as soon as the keeper has opened them.
    shelf: OnceLock<Shelf>,
    /// Changes of each point that are kept in memory.
    share: usize,
    /// Nothing of before is in memory. Milliseconds since 1970.
    opened_ms: u64,
}

/// What changes. Locked for as long as it takes to note a few values, never for longer.
#[derive(Default)]
struct Board {
    cells: Vec<Cell>,
    ages: Ages,
    kept: Kept,
}

/// What is kept beside the cells.
#[derive(Default)]
struct Kept {
    /// Minutes that are over and not yet written, in the order in which they ended.
    over: Vec<Minute>,
    tally: Tally,
    /// Why minutes could not be written the last time; `None`: they were.
    gap: Option<String>,
}

/// What has come of everything that was reported since the house opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Changes that were told to followers and kept in memory.
    pub changes: u64,
    /// Minutes of points that were written to disk.
    pub minutes_written: u64,
    /// Minutes of points that could not be.
    pub minutes_lost: u64,
}

/// Minutes that wait to be written, for each point and at least: the keeper comes by every few
/// seconds, so more mean that it is stuck or that the clock jumps all the time.
const WAITING: (usize, usize) = (8, 1024);

impl Points {
    /// Points of which nothing has been said. Of two with one name the first is kept.
    pub fn new(declared: Vec<Declared>) -> Self {
        Self::within(declared, settings::Points::default().memory_bytes)
    }

    /// The same, with a history in memory of so many bytes altogether.
    pub fn within(declared: Vec<Declared>, memory_bytes: u64) -> Self {
        let mut numbers = BTreeMap::new();
        for (number, point) in (0..).zip(&declared) {
            numbers.entry(point.name.clone()).or_insert(PointId(number));
        }
        let cells = declared.iter().map(|_| Cell::default()).collect();
        let board = Mutex::new(Board { cells, ..Board::default() });
        let (share, opened_ms) = (history::share(memory_bytes, declared.len()), now_ms());
        let inner = Inner { declared, numbers, board, share, opened_ms, ..Inner::default() };
        Self { inner: Arc::new(inner) }
    }

    /// The points of these machines, and of the house.
    pub fn of(machines: &[Machine]) -> Self {
        Self::new(declared(machines))
    }

    /// The points of a house.
    pub fn of_house(settings: &settings::Settings) -> Self {
        Self::within(declared(&settings.machines), settings.points.memory_bytes)
    }

    /// The number of the point with this name.
    pub fn id(&self, name: &str) -> Option<PointId> {
        self.inner.numbers.get(name).copied()
    }

    /// A point as it was declared.
    pub fn declared(&self, id: PointId) -> Option<&Declared> {
        self.inner.declared.get(id.0 as usize)
    }

    /// The numbers of the points whose name begins so, in the order of their names.
    pub fn beginning<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = PointId> + 'a {
        let from = self.inner.numbers.range(prefix.to_owned()..);
        from.take_while(move |(name, _)| name.starts_with(prefix)).map(|(_, id)| *id)
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.inner.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what a device has said. Never waits for a reader.
    pub fn report(&self, news: impl IntoIterator<Item = News>) {
        self.report_at(Moment::now(), news);
    }

    fn report_at(&self, moment: Moment, news: impl IntoIterator<Item = News>) {
        let mut board = self.board();
        let Board { cells, ages, kept } = &mut *board;
        let (mut sooner, mut wake) = (false, Vec::new());
        for it in news {
            let number = it.id.0;
            let declared = self.inner.declared.get(number as usize);
            let (Some(declared), Some(cell)) = (declared, cells.get_mut(number as usize)) else {
                continue;
            };
            if let Some(told) = cell.hear(declared, moment, it) {
                self.tell(cell, number, told, kept, &mut wake);
            }
            if let Some(deadline) = cell.deadline(declared) {
                sooner |= ages.wait_for(number, deadline);
            }
        }
        drop(board);
        // Each follower once for all of it.
        wake.iter().for_each(|ear| ear.wake());
        if sooner {
            self.inner.sooner.notify_one();
        }
    }

    fn tell(
        &self,
        cell: &mut Cell,
        number: u32,
        told: Told,
        kept: &mut Kept,
        wake: &mut Vec<Arc<Ear>>,
    ) {
        kept.tally.changes += 1;
        let mut over = self.over(number, kept);
        cell.tell(PointId(number), told, self.inner.share, wake, &mut over);
    }

    /// Where minutes of a point go that are over.
    fn over(&self, number: u32, kept: &mut Kept) -> impl FnMut(u64, Sum) {
        let (each, least) = WAITING;
        let most = least.max(each * self.inner.declared.len());
        move |minute, sum| {
            if kept.over.len() < most {
                kept.over.push((number, minute, sum));
            } else {
                kept.tally.minutes_lost += 1;
            }
        }
    }

    /// Takes in that how a point stands has held until now.
    fn pass(&self, cell: &mut Cell, number: u32, moment: Moment, kept: &mut Kept) {
        let declared = &self.inner.declared[number as usize];
        cell.pass(declared, moment, self.inner.share, &mut self.over(number, kept));
    }

    /// Why the history has a gap now, for people; `None`: it has none.
    pub fn gap(&self) -> Option<String> {
        self.board().kept.gap.clone()
    }

    /// What has come of everything so far.
    pub fn tally(&self) -> Tally {
        self.board().kept.tally
    }

    /// Makes stale what has reached its age limit; the moment to look again, if there is one.
    fn age_at(&self, moment: Moment) -> Option<Instant> {
        let mut board = self.board();
        let Board { cells, ages, kept } = &mut *board;
        let mut wake = Vec::new();
        while let Some(number) = ages.due(moment.now) {
            let declared = &self.inner.declared[number as usize];
            let cell = &mut cells[number as usize];
            if let Some(told) = cell.age(declared, moment) {
                self.tell(cell, number, told, kept, &mut wake);
            }
            if let Some(deadline) = cell.deadline(declared) {
                ages.wait_for(number, deadline);
            }
        }
        let next = ages.next();
        drop(board);
        wake.iter().for_each(|ear| ear.wake());
        next
    }

    /// Makes points stale at their age limits, so that followers hear of it. Never ends.
    pub async fn grow_old(self) {
        loop {
            let next = self.age_at(Moment::now());
            let sooner = self.inner.sooner.notified();
            match next {
                Some(next) => drop(tokio::time::timeout_at(next.into(), sooner).await),
                None => sooner.await,
            }
        }
    }

    /// Follows these points. What is said from now on is not missed, and each of them is pending
    /// at first as it is now. Numbers of no point are passed over.
    pub fn follow(&self, ids: impl IntoIterator<Item = PointId>) -> Follower {
        let ids: BTreeSet<PointId> = ids.into_iter().collect();
        let ids = ids.into_iter().filter(|id| self.declared(*id).is_some()).collect();
        Follower::new(self.clone(), ids)
    }

    /// The latest of a point, stale if it has reached its limit.
    pub fn now(&self, id: PointId) -> Latest {
        self.now_at(id, Instant::now())
    }

    fn now_at(&self, id: PointId, now: Instant) -> Latest {
        let Some(declared) = self.declared(id) else { return Latest::default() };
        let latest = self.board().cells[id.0 as usize].latest().clone();
        cell::aged(latest, declared.age_limit, now)
    }

    /// One point, for the doors.
    pub fn one(&self, name: &str) -> Option<Point> {
        self.show(self.id(name)?)
    }

    /// All points in the order of their names, for the doors.
    pub fn all(&self) -> Vec<Point> {
        self.shown("")
    }

    /// The points whose name begins so, in the order of their names, for the doors.
    pub fn shown(&self, prefix: &str) -> Vec<Point> {
        self.beginning(prefix).filter_map(|id| self.listed(id)).collect()
    }

    /// A point, for the doors; `None` if it is an optional one that has had no value.
    pub fn listed(&self, id: PointId) -> Option<Point> {
        let optional = self.declared(id)?.optional;
        self.show(id).filter(|point| point.value.is_some() || !optional)
    }

    /// A point, for the doors.
    pub fn show(&self, id: PointId) -> Option<Point> {
        let (declared, latest) = (self.declared(id)?, self.now(id));
        Some(Point {
            name: declared.name.clone(),
            value: latest.value,
            unit: declared.unit.clone(),
            quality: latest.quality,
            at: latest.at_ms.map(moment::rfc3339),
            at_ms: latest.at_ms,
            writable: declared.writable,
            why: latest.why,
        })
    }
}

/// What is declared by these machines, and what every house has.
fn declared(machines: &[Machine]) -> Vec<Declared> {
    let tags = machines.iter().flat_map(|machine| {
        machine.tags.iter().map(|tag| Declared {
            name: format!("{}.{}", machine.id, tag.name),
            unit: tag.unit.clone(),
            writable: tag.write,
            age_limit: Duration::from_millis(tag.age_limit_ms),
            deadband: tag.deadband,
            optional: false,
        })
    });
    let live = machines.iter().flat_map(live::declared);
    tags.chain(live).chain(house::declared()).collect()
}
