//! The keeper: a thread that looks at the box, and writes minutes to disk as they end.
//!
//! ```text
//!  open the shelf -> [ look at the box; a minute is over: write it ] every few seconds -> the house
//!                                                                       closes: write the rest
//! ```
//!
//! A thread of its own, since a disk may take its time: while it does, nothing is written, the
//! house's own points become stale, and everything else goes on.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};

use tokio::sync::watch;

use super::house::{self, Sources};
use super::minutes::{Minute, Shelf};
use super::under_way::{MINUTE, Moment};
use super::{Board, Kept, Points};
use crate::clock::now_ms;
use crate::journal::disk::Folder;
use crate::ledger::Health;

/// Below so many free bytes no minutes are written: the rest of the disk is the journal's.
const SPARE: u64 = 64 << 20;
/// Cells that are looked through under one lock.
const AT_ONCE: usize = 256;

/// The thread. It ends when this is dropped or closed.
pub struct Keeper {
    /// Dropped, it says that the house closes.
    open: SyncSender<()>,
    thread: JoinHandle<()>,
}

struct Keeping {
    points: Points,
    state_dir: PathBuf,
    health: watch::Receiver<Health>,
    /// The minute that was under way at the last look.
    minute: u64,
    /// Minutes could not be written, and that has been said.
    said: bool,
}

impl Keeper {
    /// Starts it: minutes go to the folder `points` in the state folder, `disk_bytes` of them at
    /// most.
    pub fn start(
        points: Points,
        state_dir: &Path,
        disk_bytes: u64,
        health: watch::Receiver<Health>,
    ) -> std::io::Result<Self> {
        let state_dir = state_dir.to_owned();
        // Nothing is ever sent.
        let (open, closing) = sync_channel(1);
        let thread = Builder::new().name("points".into()).spawn(move || {
            let minute = now_ms() / MINUTE;
            points.open_shelf(&state_dir.join("points"), disk_bytes);
            Keeping { points, state_dir, health, minute, said: false }.keep(&closing);
        })?;
        Ok(Self { open, thread })
    }

    /// Says that the house closes; the thread that writes the rest and ends.
    pub fn close(self) -> JoinHandle<()> {
        drop(self.open);
        self.thread
    }
}

impl Keeping {
    fn keep(mut self, closing: &Receiver<()>) {
        loop {
            let journal = *self.health.borrow();
            house::look(&self.points, &Sources { state_dir: &self.state_dir, journal });
            let minute = now_ms() / MINUTE;
            if minute != self.minute {
                self.minute = minute;
                self.write(|of| of != minute);
            }
            if closing.recv_timeout(house::PERIOD) == Err(RecvTimeoutError::Disconnected) {
                return self.end();
            }
        }
    }

    fn write(&mut self, of: impl Fn(u64) -> bool) {
        let room = self.room();
        if let Err(reason) = self.points.write_minutes(Moment::now(), room, of) {
            if !std::mem::replace(&mut self.said, true) {
                tracing::error!(reason, "the history of points has a gap; values and alarms go on");
            }
        } else if std::mem::take(&mut self.said) {
            tracing::info!("the history of points is written again");
        }
    }

    fn room(&self) -> bool {
        let disk = rustix::fs::statvfs(&self.state_dir);
        disk.is_ok_and(|disk| SPARE <= disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    fn end(mut self) {
        self.write(|_| true);
        if let Some(shelf) = self.points.inner.shelf.get() {
            shelf.close();
        }
    }
}

impl Points {
    /// Opens the minutes on disk. Where that fails there are none in this run.
    fn open_shelf(&self, folder: &Path, disk_bytes: u64) {
        let opened = Folder::make(folder).and_then(|disk| Shelf::open(Arc::new(disk), disk_bytes));
        match opened {
            // It is opened once.
            Ok(shelf) => drop(self.inner.shelf.set(shelf)),
            Err(error) => {
                tracing::error!(folder = %folder.display(), %error, "the history of points cannot be opened");
            }
        }
    }

    /// Writes those minutes that are over, and those under way that are one of these. What cannot
    /// be written is counted; why, for people.
    pub(super) fn write_minutes(
        &self,
        moment: Moment,
        room: bool,
        of: impl Fn(u64) -> bool,
    ) -> Result<(), String> {
        let take = || self.take_minutes(moment, &of);
        let name = |number: u32| self.inner.declared[number as usize].name.as_str();
        let written = match self.inner.shelf.get() {
            Some(shelf) if room => shelf
                .write(name, take)
                .map_err(|unwritten| (unwritten.minutes, unwritten.error.to_string())),
            Some(_) => Err((take().len(), "the disk is nearly full".into())),
            None => Err((take().len(), "it could not be opened".into())),
        };
        let mut board = self.board();
        let Kept { tally, gap, .. } = &mut board.kept;
        *gap = written.as_ref().err().map(|(_, reason)| reason.clone());
        match written {
            Ok(count) => tally.minutes_written += count as u64,
            Err((lost, _)) => tally.minutes_lost += lost as u64,
        }
        gap.clone().map_or(Ok(()), Err)
    }

    fn take_minutes(&self, moment: Moment, of: impl Fn(u64) -> bool) -> Vec<Minute> {
        let mut minutes = std::mem::take(&mut self.board().kept.over);
        let numbers: Vec<usize> = (0..self.inner.declared.len()).collect();
        // Piece by piece: whoever reports does not wait for all of them.
        for some in numbers.chunks(AT_ONCE) {
            let Board { cells, kept, .. } = &mut *self.board();
            for index in some {
                let number = u32::try_from(*index).expect("points have numbers of 32 bits");
                self.pass(&mut cells[*index], number, moment, kept);
                // What has ended before comes before what is taken from the same cell.
                minutes.append(&mut kept.over);
                if let Some((minute, sum)) = cells[*index].end_minute(&of) {
                    minutes.push((number, minute, sum));
                }
            }
        }
        minutes
    }
}
