//! The state, kept between runs so that the journal need not be read from its beginning.
//!
//! ```text
//!  journal --catch_up--> State --save--> sled     the next run: sled --open--> State --catch_up--> …
//!                                          |
//!              error, panic, no answer, wrong sum, other version: set aside, begin empty
//! ```
//!
//! A view, not a record: sled 0.34 does not sync what it says it has flushed, so after a power
//! cut it may be old, wrong or unreadable. Old is caught up, wrong and unreadable are thrown away;
//! what it says is never believed against the journal. Nothing here can keep the house from
//! opening. This is the only place that knows sled.
//!
//! Invariant: everything in sled is the fold of the journal up to the `applied` beside it, because
//! both change in one batch; a sum over all keys and values says whether that is still so.

mod fold;
mod guard;
mod history;
mod keys;
#[cfg(test)]
mod tests;
mod view;

use std::path::Path;

use headstock_config::ledger::{Changed, Entry, Fact, State, job_number};

pub use crate::store::fold::FoldError;
pub use crate::store::history::{History, Page};
use crate::store::view::View;

/// Finished jobs that a [`State`] holds; older ones are read from a [`History`].
pub const FINISHED_JOBS: usize = 500;

/// The view on disk; without one if none could be opened, and then everything is in memory only.
#[derive(Debug)]
pub struct Store {
    view: Option<View>,
}

impl Store {
    /// Opens the view in this folder and reads the state from it. What cannot be used is set
    /// aside as `<folder>.bad.<milliseconds>`; the state is then empty, for
    /// [`catch_up`](Self::catch_up) to fill.
    pub fn open(folder: &Path) -> (Self, State) {
        match guard::open(folder) {
            Some((view, state)) => (Self { view: Some(view) }, state),
            None => (Self { view: None }, State::default()),
        }
    }

    /// Folds one entry into the state and says what it changed. Brings an old job back into the
    /// state first, if the entry is about one.
    pub fn fold(&self, state: &mut State, entry: &Entry) -> Vec<Changed> {
        if let Fact::Job { job, .. } = &entry.fact
            && let Some(number) = job_number(job)
            && !state.jobs.contains_key(&number)
            && let Some(job) = self.history().job(number)
        {
            state.jobs.insert(number, job);
        }
        state.apply(entry)
    }

    /// Writes what has changed, all of it or nothing. Does not wait for the disk, except where the
    /// system makes it wait: nobody should be kept from the state meanwhile. A view that cannot be
    /// written is given up until the next start.
    pub fn save(&mut self, state: &State, changed: &[Changed]) {
        if let Some(view) = &mut self.view
            && let Err(error) = view.save(state, changed)
        {
            tracing::error!(%error, "the stored state cannot be written; history beyond the latest \
                {FINISHED_JOBS} finished jobs is out of reach until the next start");
            self.view = None;
        }
    }

    /// Lets go of old finished jobs that have been saved.
    pub fn trim(&self, state: &mut State) {
        // Without a view they would be gone.
        if self.view.is_some() {
            trim(state);
        }
    }

    /// Jobs that have been over for long, to be read beside this.
    pub fn history(&self) -> History {
        self.view.as_ref().map(View::history).unwrap_or_default()
    }

    /// Waits until everything has been handed to the disk. For an end in order.
    pub fn close(self) {
        if let Some(view) = self.view {
            view.flush();
        }
    }
}

/// Lets go of all finished jobs but the newest [`FINISHED_JOBS`].
fn trim(state: &mut State) {
    if let Some(oldest) = oldest_held(state) {
        state.jobs.retain(|number, job| !job.state.over() || *number >= oldest);
    }
}

/// The number of the oldest finished job that a state need hold; `None` while it holds all.
fn oldest_held(state: &State) -> Option<u64> {
    let finished = state.jobs.iter().rev().filter(|(_, job)| job.state.over());
    finished.map(|(number, _)| *number).nth(FINISHED_JOBS - 1)
}
