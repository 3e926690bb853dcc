//! What the guard, the desk, machine tasks and doors share: the rules, what they remember, and
//! what is on its way from the guard to the hand.
//!
//! Invariants: nothing here waits for a disk or a device; a latch is set here before the stop that
//! goes with it is sent, so whoever has asked later than that stop is refused, and whoever has
//! asked before it is overtaken (see `machine/lane.rs`).

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use headstock_config::command::Command;
use headstock_config::ledger::State;
use headstock_config::rule::{Because, Does, Reading};
use tokio::sync::Notify;

use super::declared::Declared;
use super::engine::open;
use super::follow::Phase;
use super::guard::did;
use super::judge::{Asker, Interlocked, Memory, Wish, judge};
use crate::histogram::Histogram;
use crate::machine;
use crate::points::{PointId, Points};

/// Notes that may wait for the hand. It takes them within a millisecond or two; more mean that the
/// runtime is stuck, and then the oldest are given up: the stops have been sent all the same.
const WAITING: usize = 1024;

/// The rules of a house. Cheap to clone; without any, nothing is refused.
#[derive(Clone, Default)]
pub struct Rules {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    declared: Declared,
    points: Points,
    ids: BTreeMap<String, PointId>,
    memory: Mutex<Memory>,
    status: Mutex<Status>,
    notes: Mutex<Notes>,
    /// When the guard last went round; `None`: there is none.
    round: Mutex<Option<Instant>>,
    /// Somebody has left a note.
    noted: Notify,
    /// From the moment at which a device said what tripped an interlock until the byte of the stop
    /// had been handed to the machine's port.
    times: Histogram,
}

/// How rules stand, as the guard last saw them.
#[derive(Clone, Debug, Default)]
pub(super) struct Status {
    pub(super) phases: Vec<Phase>,
    /// How often each interlock has tripped since the house opened.
    pub(super) trips: Vec<u64>,
    /// Why each interlock is tripped, if it is.
    pub(super) tripped: Vec<Option<Because>>,
    /// The hardware stop chain counts as open.
    pub(super) chain_open: bool,
    /// Tags that people have set or whose machine was held, and who: what follows stands back.
    set: Vec<SetAside>,
    /// Follow rules, by number, whose tag was not put on, and when that was wished.
    given_up: BTreeMap<usize, Instant>,
}

/// What follows a tag has to stand back.
#[derive(Clone, Debug)]
pub(super) struct SetAside {
    pub(super) point: String,
    /// On whose account.
    pub(super) by: String,
    /// The tag's machine was held; otherwise somebody has set the tag.
    pub(super) held: bool,
}

impl Status {
    fn stand_back(&mut self, point: String, by: &str, held: bool) {
        // One of each kind for each tag is enough.
        self.set.retain(|it| (&it.point, it.held) != (&point, held));
        self.set.push(SetAside { point, by: by.to_owned(), held });
    }
}

#[derive(Default)]
struct Notes {
    waiting: VecDeque<Note>,
    lost: u64,
}

/// What the guard has done, for the hand to write down and to do the rest of.
pub(super) enum Note {
    /// An interlock has tripped, or a button was pressed: name, why, and what was done.
    Tripped {
        rule: String,
        because: Because,
        did: String,
    },
    Released {
        rule: String,
    },
    /// It is latched, whatever the book may say.
    Latched {
        rule: String,
        because: Because,
    },
    Opened {
        because: Because,
    },
    Closed,
    /// A machine is not clear, whatever the book may say.
    Uncleared {
        machine: String,
        because: Because,
    },
    /// A follow rule stands back.
    StoodBack {
        rule: String,
        by: String,
    },
    /// A stop is on its way.
    Stopped {
        seen: Instant,
        machine: String,
        told: machine::Told,
    },
    Pressed {
        point: String,
        role: headstock_config::tag::Role,
    },
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Rules {
    /// The rules as the book has them.
    pub fn new(declared: Declared, points: Points, book: &State) -> Self {
        let named = |name: String| Some((name.clone(), points.id(&name)?));
        let written = declared.rules.interlocks.iter().filter_map(|it| match &it.does {
            Does::Write(output) => Some(output.point()),
            Does::Stop { .. } => None,
        });
        let ids = declared.points().into_iter().chain(written).filter_map(named).collect();
        let status = Status {
            phases: vec![Phase::default(); declared.rules.follows.len()],
            trips: vec![0; declared.rules.interlocks.len()],
            ..Status::default()
        };
        let memory = Mutex::new(remembered(&declared, book));
        let status = Mutex::new(status);
        let inner = Inner { declared, points, ids, memory, status, ..Inner::default() };
        Self { inner: Arc::new(inner) }
    }

    /// What is declared.
    pub fn declared(&self) -> &Declared {
        &self.inner.declared
    }

    /// The points that rules look at.
    pub(super) fn ids(&self) -> &BTreeMap<String, PointId> {
        &self.inner.ids
    }

    /// Where they are.
    pub(super) fn points(&self) -> &Points {
        &self.inner.points
    }

    /// What a point says at this moment.
    pub fn read(&self, point: &str) -> Reading {
        let id = self.inner.ids.get(point).copied().or_else(|| self.inner.points.id(point));
        let Some(id) = id else { return Reading::default() };
        let latest = self.inner.points.now(id);
        Reading { value: latest.value, quality: latest.quality }
    }

    /// What stands against a wish at this moment, if anything.
    pub fn judge(&self, asker: &Asker, machine: &str, wish: &Wish<'_>) -> Result<(), Interlocked> {
        // Remembered things first: what is latched after that has sent a stop, which overtakes this.
        let memory = locked(&self.inner.memory).clone();
        judge(&self.inner.declared, &memory, asker, machine, wish, &|point| self.read(point))
    }

    /// What rules remember.
    pub(super) fn memory(&self) -> MutexGuard<'_, Memory> {
        locked(&self.inner.memory)
    }

    /// Why the hardware stop chain is not closed, if it is not.
    pub fn chain_open(&self) -> Option<Because> {
        open(&self.inner.declared.chain, &|point| self.read(point)).map(|(because, _)| because)
    }

    /// Why an interlock is tripped and what it has done, if it is, as the guard last saw it.
    pub fn tripped(&self, rule: &str) -> Option<(Because, String)> {
        let number = self.inner.declared.rules.interlocks.iter().position(|it| it.name == rule)?;
        let because = locked(&self.inner.status).tripped.get(number).cloned().flatten()?;
        Some((because, did(&self.inner.declared.rules.interlocks[number].does)))
    }

    /// Why machines were stopped on account of the hardware stop chain, while it is open.
    pub fn chain_stops(&self) -> Option<Because> {
        let stops = locked(&self.inner.status).chain_open;
        if stops { self.chain_open() } else { None }
    }

    /// How often an interlock has tripped since the house opened; 0 if there is none of this name.
    pub fn trips(&self, rule: &str) -> u64 {
        let mut names = self.inner.declared.rules.interlocks.iter();
        let number = names.position(|it| it.name == rule);
        number.and_then(|it| self.status().trips.get(it).copied()).unwrap_or_default()
    }

    /// Whether an interlock waits for a person to reset it.
    pub fn latched(&self, rule: &str) -> bool {
        locked(&self.inner.memory).latched.contains_key(rule)
    }

    /// A person has reset an interlock that latches, and knew of so many trips. `false`: it has
    /// tripped again since, and stays as it is.
    pub fn reset(&self, rule: &str, trips: u64) -> bool {
        let mut memory = locked(&self.inner.memory);
        let same = self.trips(rule) == trips;
        if same {
            memory.latched.remove(rule);
        }
        same
    }

    /// Has a trip that latches written down once more.
    pub fn tell_again(&self, rule: &str) {
        let because = locked(&self.inner.memory).latched.get(rule).cloned();
        if let Some(because) = because {
            self.note(Note::Latched { rule: rule.to_owned(), because });
        }
    }

    /// The chain is open: machines that move wait for a person from now on.
    pub(super) fn opened(&self, because: &Because) {
        let mut memory = locked(&self.inner.memory);
        memory.uncleared.extend(self.inner.declared.movers.iter().cloned());
        memory.openings += 1;
        memory.opened = because.clone();
    }

    /// How often the chain has opened since the house did.
    pub fn openings(&self) -> u64 {
        locked(&self.inner.memory).openings
    }

    /// A person has looked at a machine after the chain was open, and knew of so many openings.
    /// `false`: it has been open again since, and the machine waits as it did.
    pub fn cleared(&self, machine: &str, openings: u64) -> bool {
        let mut memory = locked(&self.inner.memory);
        if memory.openings == openings {
            memory.uncleared.remove(machine);
            return true;
        }
        // In the book the clearing may come after that opening.
        let because = memory.opened.clone();
        drop(memory);
        self.note(Note::Uncleared { machine: machine.to_owned(), because });
        false
    }

    /// Machines that nobody has cleared since the chain was open.
    pub fn uncleared(&self) -> Vec<String> {
        locked(&self.inner.memory).uncleared.iter().cloned().collect()
    }

    /// A person has told a machine something; if that was a tag, rules may have to stand back.
    pub fn told(&self, machine: &str, command: &Command, by: &str) {
        let Command::Write { tag, .. } = command else { return };
        let point = format!("{machine}.{tag}");
        let optional = |it: &headstock_config::rule::Follow| it.optional && it.point() == point;
        if self.inner.declared.rules.follows.iter().any(optional) {
            locked(&self.inner.status).stand_back(point, by, false);
        }
    }

    /// A machine is held: whatever follows something there has to stand back.
    pub fn held(&self, machine: &str, by: &str) {
        let mut status = locked(&self.inner.status);
        let follows = self.inner.declared.rules.follows.iter();
        for rule in follows.filter(|it| it.machine == machine) {
            status.stand_back(rule.point(), by, true);
        }
    }

    /// Tags of which what follows has to stand back, and on whose account, since this was last asked.
    pub(super) fn take_set(&self) -> Vec<SetAside> {
        std::mem::take(&mut locked(&self.inner.status).set)
    }

    /// A follow rule's tag was not put on as wished at this moment, and will not be.
    pub(super) fn give_up(&self, rule: usize, wished: Instant) {
        locked(&self.inner.status).given_up.insert(rule, wished);
    }

    /// Follow rules that have been given up since this was last asked.
    pub(super) fn take_given_up(&self) -> BTreeMap<usize, Instant> {
        std::mem::take(&mut locked(&self.inner.status).given_up)
    }

    pub(super) fn status(&self) -> MutexGuard<'_, Status> {
        locked(&self.inner.status)
    }

    /// The guard has gone round.
    pub(super) fn go_round(&self) {
        *locked(&self.inner.round) = Some(Instant::now());
    }

    /// Whether there is a guard that has not gone round for this long.
    pub fn late(&self, allowed: Duration) -> bool {
        locked(&self.inner.round).is_some_and(|at| allowed < at.elapsed())
    }

    /// Leaves a note for the hand. Never waits.
    pub(super) fn note(&self, note: Note) {
        let mut notes = locked(&self.inner.notes);
        if WAITING <= notes.waiting.len() {
            notes.waiting.pop_front();
            notes.lost += 1;
        }
        notes.waiting.push_back(note);
        drop(notes);
        self.inner.noted.notify_one();
    }

    /// The notes that wait, and how many were given up before them.
    pub(super) fn take_notes(&self) -> (VecDeque<Note>, u64) {
        let mut notes = locked(&self.inner.notes);
        (std::mem::take(&mut notes.waiting), std::mem::take(&mut notes.lost))
    }

    /// Waits until somebody has left a note.
    pub(super) async fn noted(&self) {
        self.inner.noted.notified().await;
    }

    /// From what a device said until the byte of the stop had been handed to a port.
    pub fn times(&self) -> &Histogram {
        &self.inner.times
    }

    /// How often each interlock has tripped since the house opened.
    pub fn trip_counts(&self) -> Vec<(String, u64)> {
        let names = self.inner.declared.rules.interlocks.iter().map(|it| it.name.clone());
        names.zip(self.status().trips.clone()).collect()
    }
}

/// Latches and machines that wait to be cleared, as the book has them.
fn remembered(declared: &Declared, book: &State) -> Memory {
    // In the book of an older version only the alarm says so.
    let stands = |name: &str| {
        book.latched.contains_key(name) || book.alarms.get(name).is_some_and(|it| it.latched)
    };
    let latching = declared.rules.interlocks.iter().filter(|it| it.latch && stands(&it.name));
    let because = |it: &headstock_config::rule::Interlock| {
        if let Some(because) = book.latched.get(&it.name) {
            return because.clone();
        }
        let test =
            it.when.tests().first().map(|test| (test.point.clone(), test.compare.to_string()));
        let (point, against) = test.unwrap_or_default();
        let is = book.alarms.get(&it.name).and_then(|it| it.value.clone());
        Because { point, is: is.unwrap_or_else(|| "not remembered".into()), against }
    };
    let waits = book.machines.iter().filter(|(_, machine)| machine.uncleared);
    Memory {
        latched: latching.map(|it| (it.name.clone(), because(it))).collect(),
        uncleared: waits.map(|(id, _)| id.clone()).collect(),
        ..Memory::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guard_that_does_not_go_round_is_late() {
        let rules = Rules::default();
        assert!(!rules.late(Duration::ZERO), "there is none");
        rules.go_round();
        assert!(!rules.late(Duration::from_secs(60)));
        let past = Instant::now().checked_sub(Duration::from_secs(9)).unwrap();
        *locked(&rules.inner.round) = Some(past);
        assert!(rules.late(Duration::from_secs(8)));
    }
}
