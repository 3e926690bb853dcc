//! The minutes of points, on disk: a few figures for each point and minute, in append-only files.
//!
//! ```text
//!  board --closed minutes--> keeper's thread --write--> [ 0000000007.minutes ]   the newest
//!                                                       [ 0000000006.minutes ]   ended, synced
//!  history <--read by time-----------------------------       …
//!                                       over budget:    [ 0000000003.minutes ]   the oldest goes
//! ```
//!
//! A file is of one run of the house, so that the points' numbers in it mean one thing; their names
//! stand in it. Order comes from the files' numbers: a clock that jumps makes minutes that come
//! twice or out of order, and both are added up when they are read. What is not as it was written
//! (a torn tail after a crash, a flipped bit) ends the file there, and no file is written to again
//! after its run.
//!
//! Synced to the medium are files when they are ended, not minutes: a power cut may take what the
//! system had not written by itself, half a minute usually, and a card is spared 1,400 syncs a day.
//!
//! Invariants: no more than the budget is kept; a disk that is full or fails costs minutes, which
//! are counted and told, and nothing else.

mod anything;
mod record;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use self::anything::{read_anything, repaired};
use self::record::{END, Frames, HEADER, Item};
use super::sum::Sum;
use crate::journal::disk::{Disk, DiskFile};

/// Bytes after which a file is ended, unless the budget asks for less.
const LARGE: u64 = 8 << 20;
/// A file with fewer bytes goes on after its hour, for a day at most: a small house has few files.
const SMALL: u64 = 64 << 10;
/// Minutes of an hour and of a day.
const HOUR: u64 = 60;
const DAY: u64 = 24 * HOUR;
/// Files that are kept, however small they are: each run of the house begins one.
const FILES: usize = 4096;
const ENDING: &str = ".minutes";

/// A point's minute that is over: its number, the minute since 1970, and what it was.
pub(super) type Minute = (u32, u64, Sum);

/// The files.
pub(super) struct Shelf {
    disk: Arc<dyn Disk>,
    budget: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By their numbers, the newest last.
    files: Vec<File>,
    /// The newest, while this run writes to it.
    open: Option<Open>,
}

/// A file as it is known without reading it.
struct File {
    sequence: u64,
    bytes: u64,
    /// First and last minute; `None`: it must be read to know.
    lies: Option<(u64, u64)>,
}

/// The file that is written to. Its bytes and minutes stand in the list.
struct Open {
    file: Box<dyn DiskFile>,
    /// The points whose names stand in it.
    named: HashSet<u32>,
    /// The first minute that was written.
    began: u64,
}

impl Shelf {
    /// Looks at what there is. The budget is in bytes.
    pub(super) fn open(disk: Arc<dyn Disk>, budget: u64) -> io::Result<Self> {
        let mut files = Vec::new();
        for name in disk.list()? {
            let Some(sequence) = number_of(&name) else { continue };
            let bytes = disk.size(&name)?;
            let tail = disk.read(&name, bytes.saturating_sub(END as u64), END)?;
            files.push(File { sequence, bytes, lies: record::read_end(sequence, &tail) });
        }
        files.sort_by_key(|it| it.sequence);
        let shelf = Self { disk, budget, state: Mutex::new(State { files, open: None }) };
        shelf.look_at_newest()?;
        shelf.keep_to_budget(&mut shelf.state());
        Ok(shelf)
    }

    /// Says what a crash has cost.
    fn look_at_newest(&self) -> io::Result<()> {
        let state = self.state();
        let Some(newest) = state.files.last().filter(|it| it.lies.is_none()) else { return Ok(()) };
        let name = name_of(newest.sequence);
        let bytes = self.read(newest)?;
        let good = record::walk(&bytes, |_| ());
        if good < bytes.len() {
            let lost = bytes.len() - good;
            tracing::warn!(file = name, lost, "a minute was being written when the box stopped");
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, file: &File) -> io::Result<Vec<u8>> {
        // Longer files than we write are not ours.
        let length = usize::try_from(file.bytes.min(2 * LARGE)).expect("some megabytes");
        self.disk.read(&name_of(file.sequence), 0, length)
    }

    /// Writes what `take` hands out, called when nobody reads: what has been handed out is to be
    /// found here afterwards. `name` tells the points' names. How many minutes were written.
    pub(super) fn write<'a>(
        &self,
        name: impl Fn(u32) -> &'a str,
        take: impl FnOnce() -> Vec<Minute>,
    ) -> Result<usize, Unwritten> {
        let mut state = self.state();
        let minutes = take();
        if minutes.is_empty() {
            return Ok(0);
        }
        let written = self.append(&mut state, &name, &minutes);
        self.keep_to_budget(&mut state);
        written.map_err(|error| Unwritten { error, minutes: minutes.len() })?;
        Ok(minutes.len())
    }

    fn append<'a>(
        &self,
        state: &mut State,
        name: impl Fn(u32) -> &'a str,
        minutes: &[Minute],
    ) -> io::Result<()> {
        let (_, latest, _) = minutes.last().expect("there are some");
        if state.ends(*latest, self.large()) {
            self.end(state);
        }
        if state.open.is_none() {
            self.begin(state, *latest)?;
        }
        let State { files, open } = state;
        let (Some(file), Some(open)) = (files.last_mut(), open) else {
            unreachable!("a file has just been begun");
        };
        let mut frames = Frames::new(file.sequence);
        let new: Vec<u32> = unnamed(minutes, &open.named);
        frames.names(new.iter().map(|number| (u64::from(*number), name(*number))));
        for one in minutes.chunk_by(|(_, one, _), (_, other, _)| one == other) {
            frames.minute(one[0].1, one.iter().map(|(number, _, sum)| (u64::from(*number), sum)));
        }
        let bytes = frames.done();
        // Where this fails the next one begins at the same place.
        open.file.write_at(file.bytes, &bytes)?;
        open.named.extend(new);
        file.bytes += bytes.len() as u64;
        for (_, minute, _) in minutes {
            let (first, last) = file.lies.unwrap_or((*minute, *minute));
            file.lies = Some((first.min(*minute), last.max(*minute)));
        }
        Ok(())
    }

    /// Bytes after which a file is ended.
    fn large(&self) -> u64 {
        LARGE.min(self.budget / 4)
    }

    fn begin(&self, state: &mut State, began: u64) -> io::Result<()> {
        let sequence = state.files.last().map_or(1, |it| it.sequence.saturating_add(1));
        let file = self.disk.open(&name_of(sequence))?;
        let begun = file.write_at(0, &record::header(sequence)).and_then(|()| self.disk.sync());
        if let Err(error) = begun {
            // The next attempt has the same number.
            self.disk.remove(&name_of(sequence)).ok();
            return Err(error);
        }
        state.files.push(File { sequence, bytes: HEADER as u64, lies: None });
        state.open = Some(Open { file, named: HashSet::new(), began });
        Ok(())
    }

    /// Ends the file that is open. Whatever fails then, it is as good as one of a crash.
    fn end(&self, state: &mut State) {
        let (Some(open), Some(file)) = (state.open.take(), state.files.last_mut()) else { return };
        let Some((first, last)) = file.lies else { return };
        let mut frames = Frames::new(file.sequence);
        frames.the_end(first, last);
        let bytes = frames.done();
        let ended = open.file.write_at(file.bytes, &bytes).and_then(|()| {
            file.bytes += bytes.len() as u64;
            open.file.sync()
        });
        if let Err(error) = ended {
            tracing::warn!(%error, "a file of minutes could not be ended");
        }
    }

    /// Ends the file that is open: the house closes.
    pub(super) fn close(&self) {
        self.end(&mut self.state());
    }

    /// Removes the oldest files while there is too much.
    fn keep_to_budget(&self, state: &mut State) {
        let total = |state: &State| state.files.iter().map(|it| it.bytes).sum::<u64>();
        while self.budget < total(state) || FILES < state.files.len() {
            let kept = usize::from(state.open.is_some());
            if state.files.len() <= kept {
                return;
            }
            let oldest = state.files.remove(0);
            if let Err(error) = self.disk.remove(&name_of(oldest.sequence)) {
                tracing::warn!(%error, "a file of minutes could not be removed");
            }
        }
    }

    /// Bytes of all files.
    #[cfg(test)]
    fn bytes(&self) -> u64 {
        self.state().files.iter().map(|it| it.bytes).sum()
    }

    /// A look at what is written now; while `meanwhile` runs nothing is written.
    pub(super) fn look<T>(&self, meanwhile: impl FnOnce() -> T) -> (Look<'_>, T) {
        let state = self.state();
        let files = state.files.iter().map(|it| File { ..*it }).collect();
        (Look { shelf: self, files }, meanwhile())
    }
}

/// Minutes that could not be written: why, and how many there were.
#[derive(Debug, thiserror::Error)]
#[error("{minutes} minutes of points could not be written")]
pub(super) struct Unwritten {
    #[source]
    pub(super) error: io::Error,
    pub(super) minutes: usize,
}

/// What was written at a moment.
pub(super) struct Look<'a> {
    shelf: &'a Shelf,
    files: Vec<File>,
}

impl Look<'_> {
    /// Reads the minutes of a point from `from` to before `to`, in the order in which they were
    /// written. Reads the disk. A file that has been removed meanwhile was too old.
    pub(super) fn read(&self, name: &str, from: u64, to: u64, mut heard: impl FnMut(u64, Sum)) {
        for file in &self.files {
            if file.lies.is_some_and(|(first, last)| last < from || to <= first) {
                continue;
            }
            let Ok(bytes) = self.shelf.read(file) else { continue };
            let (mut number, mut lies) = (None, None);
            record::walk(&bytes, |item| match item {
                Item::Name(its, said) if said == name => number = Some(its),
                Item::Minute(minute, its, rest) => {
                    let (first, last) = lies.unwrap_or((minute, minute));
                    lies = Some((minute.min(first), minute.max(last)));
                    if Some(its) == number && (from..to).contains(&minute) {
                        heard(minute, rest.sum());
                    }
                }
                _ => (),
            });
            self.shelf.lies(file.sequence, lies);
        }
    }
}

impl Shelf {
    /// A file that had to be read to know where it lies need not be again.
    fn lies(&self, sequence: u64, lies: Option<(u64, u64)>) {
        let mut state = self.state();
        let known = state.files.iter_mut().find(|it| it.sequence == sequence);
        if let Some(file) = known.filter(|it| it.lies.is_none()) {
            // Nothing in it: no time is asked for that is before the first and after the last.
            file.lies = lies.or(Some((u64::MAX, 0)));
        }
    }
}

impl State {
    /// Whether the open file ends before this minute is written.
    fn ends(&self, minute: u64, large: u64) -> bool {
        let (Some(open), Some(file)) = (&self.open, self.files.last()) else { return false };
        let age = minute.abs_diff(open.began);
        large <= file.bytes || DAY <= age || HOUR <= age && SMALL <= file.bytes
    }
}

fn unnamed(minutes: &[Minute], named: &HashSet<u32>) -> Vec<u32> {
    let mut seen = HashSet::new();
    let numbers = minutes.iter().map(|(number, ..)| *number);
    numbers.filter(|it| !named.contains(it) && seen.insert(*it)).collect()
}

fn name_of(sequence: u64) -> String {
    format!("{sequence:010}{ENDING}")
}

fn number_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(ENDING)?;
    digits.parse().ok().filter(|number| name_of(*number) == name)
}
