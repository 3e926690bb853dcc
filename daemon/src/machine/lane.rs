//! The lane that stops travel in: one slot, in which the strongest of the stops that wait stands, and
//! on a board that cuts the power of other machines one for each of those tags.
//!
//! ```text
//!  Entrance --put--> [ the strongest, and all who asked ] --next--> Exit
//! ```
//!
//! The machines of a bus have a lane each; their task waits at all of them at once.
//!
//! Invariants: no stop finds the lane full, and a weaker one never displaces a stronger; every
//! stop is counted before anybody is told of it, so that what was asked for before it can be told
//! from what was asked for after.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use headstock_config::command::Stop;
use headstock_config::point::Value;
use tokio::sync::{Notify, oneshot};

use super::{Cut, Error, Sent};

/// Where stops go in. Cheap to clone.
#[derive(Clone)]
pub(super) struct Entrance(Arc<Lane>);

/// Where the machine's task takes them out. Dropped with the task: nobody stops any more.
pub(super) struct Exit(Arc<Lane>);

#[derive(Default)]
struct Lane {
    inside: Mutex<Inside>,
    /// Rung for every stop, in this lane and in those that share its task.
    came: Arc<Notify>,
}

#[derive(Default)]
struct Inside {
    waits: Option<StopNow>,
    /// Tags that are to cut a power, each once.
    cuts: Vec<CutNow>,
    /// Stops and cuts asked for so far.
    asked: u64,
    /// How many there were at the latest stop, and at the latest cut by each tag.
    stopped: u64,
    cut: BTreeMap<usize, u64>,
    /// Those of them that the task had taken out when its latest job ended.
    at_end: u64,
    taken: u64,
    closed: bool,
}

/// A stop on its way.
pub(super) struct StopNow {
    pub(super) how: Stop,
    /// Who asked for it.
    pub(super) by: String,
    /// Those who wait to hear that it was sent: no more than there are seats at the doors.
    askers: Vec<oneshot::Sender<Sent>>,
}

/// A tag on its way to cutting a power.
pub(super) struct CutNow {
    /// Its place among the tags of the machine.
    pub(super) tag: usize,
    /// What it is to be.
    pub(super) value: Value,
    /// Who asked for it.
    pub(super) by: String,
    /// As of a stop.
    askers: Vec<oneshot::Sender<Cut>>,
}

/// What comes out of the lane of a machine on a bus.
pub(super) enum Urgent {
    Stop(StopNow),
    Cut(CutNow),
}

/// A lane of which nothing is known yet.
pub(super) fn lane() -> (Entrance, Exit) {
    let lane = Arc::new(Lane::default());
    (Entrance(lane.clone()), Exit(lane))
}

/// So many lanes that lead to one task.
pub(super) fn lanes(count: usize) -> (Vec<Entrance>, Vec<Exit>) {
    let came = Arc::new(Notify::new());
    let lane = || Arc::new(Lane { came: came.clone(), ..Lane::default() });
    let lanes: Vec<Arc<Lane>> = (0..count).map(|_| lane()).collect();
    (lanes.iter().cloned().map(Entrance).collect(), lanes.into_iter().map(Exit).collect())
}

/// The next stop in any of these lanes, which belong together, and in which. Safe to drop while
/// it waits.
pub(super) async fn next_of(exits: &mut [Exit]) -> (usize, Urgent) {
    loop {
        for (index, exit) in exits.iter_mut().enumerate() {
            if let Some(urgent) = exit.take_urgent() {
                return (index, urgent);
            }
        }
        match exits.first() {
            Some(exit) => exit.0.came.notified().await,
            None => std::future::pending().await,
        }
    }
}

impl Lane {
    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entrance {
    /// Asks for a stop; what comes of it will be told.
    pub(super) fn put(&self, how: Stop, by: &str) -> Result<oneshot::Receiver<Sent>, Error> {
        let (asker, told) = oneshot::channel();
        let mut inside = self.0.inside();
        inside.asked += 1;
        inside.stopped = inside.asked;
        if inside.closed {
            return Err(Error::Gone);
        }
        let new = || StopNow { how, by: by.to_owned(), askers: Vec::new() };
        let waits = inside.waits.get_or_insert_with(new);
        if strength(waits.how) < strength(how) {
            (waits.how, waits.by) = (how, by.to_owned());
        }
        waits.askers.push(asker);
        drop(inside);
        self.0.came.notify_one();
        Ok(told)
    }

    /// Asks for one tag to cut a power; what comes of it will be told.
    pub(super) fn cut(
        &self,
        tag: usize,
        value: Value,
        by: &str,
    ) -> Result<oneshot::Receiver<Cut>, Error> {
        let (asker, told) = oneshot::channel();
        let mut inside = self.0.inside();
        inside.asked += 1;
        let asked = inside.asked;
        inside.cut.insert(tag, asked);
        if inside.closed {
            return Err(Error::Gone);
        }
        match inside.cuts.iter_mut().find(|it| it.tag == tag) {
            Some(cut) => cut.askers.push(asker),
            None => {
                let by = by.to_owned();
                inside.cuts.push(CutNow { tag, value, by, askers: vec![asker] });
            }
        }
        drop(inside);
        self.0.came.notify_one();
        Ok(told)
    }

    /// Counts a stop that a machine at rest need not be sent: what was asked for before it does not
    /// come after it.
    pub(super) fn overtake(&self) {
        let mut inside = self.0.inside();
        inside.asked += 1;
        inside.stopped = inside.asked;
        // A job that goes on after it and ends is followed by the next one.
        if inside.waits.is_none() {
            inside.taken = inside.asked;
        }
    }

    /// How many stops have been asked for.
    pub(super) fn asked(&self) -> u64 {
        self.0.inside().asked
    }

    /// How many of them came before the end of the machine's latest job.
    pub(super) fn asked_at_end(&self) -> u64 {
        self.0.inside().at_end
    }
}

impl Exit {
    /// The next stop. Safe to drop while it waits.
    pub(super) async fn next(&mut self) -> StopNow {
        loop {
            if let Some(stop) = self.take() {
                return stop;
            }
            self.0.came.notified().await;
        }
    }

    fn take(&mut self) -> Option<StopNow> {
        let mut inside = self.0.inside();
        let stop = inside.waits.take()?;
        inside.taken = inside.asked;
        Some(stop)
    }

    /// A cut goes before a stop: it takes more away.
    fn take_urgent(&mut self) -> Option<Urgent> {
        let cut = self.0.inside().cuts.pop();
        cut.map(Urgent::Cut).or_else(|| self.take().map(Urgent::Stop))
    }

    /// How many stops have been asked for, taken out or not.
    pub(super) fn asked(&self) -> u64 {
        self.0.inside().asked
    }

    /// Whether a value for this tag, asked for when there had been so many stops, comes too late.
    pub(super) fn overtook(&self, stops: u64, tag: Option<usize>) -> bool {
        let inside = self.0.inside();
        let cut = tag.and_then(|tag| inside.cut.get(&tag));
        stops < inside.stopped || cut.is_some_and(|cut| stops < *cut)
    }

    /// The machine's job is over.
    pub(super) fn job_ends(&mut self) {
        let mut inside = self.0.inside();
        inside.at_end = inside.taken;
    }
}

impl Drop for Exit {
    fn drop(&mut self) {
        let mut inside = self.0.inside();
        inside.closed = true;
        // Whoever waits hears that by its sender being dropped.
        inside.waits = None;
        inside.cuts.clear();
    }
}

impl StopNow {
    /// Tells those who asked for it what came of it.
    pub(super) fn tell(self, sent: &Sent) {
        for asker in self.askers {
            // The asker may have gone; the stop stands either way.
            asker.send(sent.clone()).ok();
        }
    }
}

impl CutNow {
    /// Takes in those who ask for the same once more; those who have gone are forgotten.
    pub(super) fn join(&mut self, other: Self) {
        self.askers.extend(other.askers);
        self.askers.retain(|asker| !asker.is_closed());
    }

    /// Tells those who asked for it what came of it.
    pub(super) fn tell(self, cut: &Cut) {
        for asker in self.askers {
            // The asker may have gone; the power is off either way.
            asker.send(cut.clone()).ok();
        }
    }
}

fn strength(how: Stop) -> u8 {
    match how {
        Stop::Hold => 0,
        Stop::Stop => 1,
        Stop::Abort => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_strongest_of_the_stops_that_wait_is_the_one_that_is_sent() {
        let (entrance, mut exit) = lane();
        let weak: Vec<_> = (0..100).map(|_| entrance.put(Stop::Hold, "ada").unwrap()).collect();
        let strong = entrance.put(Stop::Abort, "bob").unwrap();
        let late = entrance.put(Stop::Stop, "eve").unwrap();
        let stop = exit.next().await;
        assert_eq!((stop.how, stop.by.as_str(), entrance.asked()), (Stop::Abort, "bob", 102));
        stop.tell(&Err(Error::Gone));
        for told in weak.into_iter().chain([strong, late]) {
            assert_eq!(told.await.unwrap(), Err(Error::Gone));
        }
    }

    #[tokio::test]
    async fn a_task_waits_at_the_lanes_of_all_its_machines() {
        let (entrances, mut exits) = lanes(3);
        let waits = entrances[2].put(Stop::Stop, "ada").unwrap();
        let other = entrances[1].put(Stop::Hold, "bob").unwrap();
        for (expected, how) in [(1, Stop::Hold), (2, Stop::Stop)] {
            let (index, Urgent::Stop(stop)) = next_of(&mut exits).await else { panic!() };
            assert_eq!((index, stop.how), (expected, how));
            stop.tell(&Err(Error::Gone));
        }
        assert!(waits.await.is_ok() && other.await.is_ok());
        assert_eq!([0, 1, 2].map(|index| exits[index].asked()), [0, 1, 1]);
        let late = async {
            tokio::task::yield_now().await;
            assert!(entrances[0].put(Stop::Abort, "eve").is_ok());
        };
        let ((index, _), ()) = tokio::join!(next_of(&mut exits), late);
        assert_eq!(index, 0);
    }

    #[tokio::test]
    async fn a_cut_goes_before_a_stop_and_overtakes_what_was_asked_for_its_tag_alone() {
        let (entrances, mut exits) = lanes(1);
        let before = entrances[0].asked();
        let off = Value::Flag(false);
        let one = entrances[0].cut(3, off.clone(), "ada").unwrap();
        let same = entrances[0].cut(3, off, "bob").unwrap();
        assert!(exits[0].overtook(before, Some(3)) && !exits[0].overtook(before, Some(2)));
        let stop = entrances[0].put(Stop::Hold, "ada").unwrap();
        assert!(exits[0].overtook(before, Some(2)), "a stop overtakes everything");
        let after = entrances[0].asked();
        assert!(!exits[0].overtook(after, Some(3)));
        let (0, Urgent::Cut(cut)) = next_of(&mut exits).await else { panic!() };
        assert_eq!((cut.tag, cut.by.as_str()), (3, "ada"));
        cut.tell(&Err(Error::Deaf));
        assert_eq!((one.await.unwrap(), same.await.unwrap()), (Err(Error::Deaf), Err(Error::Deaf)));
        assert!(matches!(next_of(&mut exits).await, (0, Urgent::Stop(_))));
        drop((stop, exits));
        assert!(entrances[0].cut(3, Value::Flag(false), "ada").is_err());
    }

    #[tokio::test]
    async fn a_stop_that_is_only_counted_overtakes_what_was_asked_for_before_it() {
        let (entrance, mut exit) = lane();
        let before = entrance.asked();
        entrance.overtake();
        assert!(before < exit.asked());
        exit.job_ends();
        assert_eq!(entrance.asked_at_end(), entrance.asked());
        assert!(exit.take().is_none(), "nothing is sent");
    }

    #[tokio::test]
    async fn a_stop_is_not_waited_for_when_nobody_will_send_it() {
        let (entrance, exit) = lane();
        let waits = entrance.put(Stop::Hold, "ada").unwrap();
        drop(exit);
        assert!(waits.await.is_err());
        assert!(entrance.put(Stop::Hold, "ada").is_err());
    }
}
