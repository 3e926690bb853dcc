//! Jobs that have been over for so long that no [`State`] holds them any more.
//!
//! They are read beside whoever writes the view, which sled permits, so a question about last
//! year never keeps the writer from writing. What a state holds is always newer than what is
//! stored of it, and a job is stored before a state lets go of it: asking the state first and the
//! view afterwards misses none.

use std::collections::BTreeMap;

use headstock_config::job::Job;
use headstock_config::ledger::State;
use sled::Db;

use crate::store::keys::{self, DONE, JOB};
use crate::store::oldest_held;

/// Stored jobs that are looked at for one question; a filter that fits none of them would read
/// them all. More than a busy box finishes in a year.
const LOOKED_AT: usize = 50_000;

/// The stored jobs. Cheap to clone; every method waits for the disk.
#[derive(Clone, Debug, Default)]
pub struct History {
    db: Option<Db>,
}

impl History {
    pub(super) fn of(db: &Db) -> Self {
        Self { db: Some(db.clone()) }
    }

    /// A job, if it is stored and can be read.
    pub fn job(&self, number: u64) -> Option<Job> {
        let db = self.db.as_ref()?;
        let get = |prefix| db.get(keys::numbered(prefix, number)).ok().flatten();
        let value = get(DONE).or_else(|| get(JOB))?;
        serde_json::from_slice(&value).ok()
    }

    /// Finished jobs with numbers below `before`, newest first.
    fn finished(&self, before: u64) -> impl Iterator<Item = (u64, Job)> {
        let range = keys::numbered(DONE, 0)..keys::numbered(DONE, before);
        let pairs = self.db.iter().flat_map(move |db| db.range(range.clone()).rev());
        pairs.take(LOOKED_AT).filter_map(|pair| {
            let (key, value) = pair.ok()?;
            let number = std::str::from_utf8(&key).ok()?.strip_prefix(DONE)?.parse().ok()?;
            Some((number, serde_json::from_slice(&value).ok()?))
        })
    }
}

/// An answer to the question which jobs there are, newest first.
#[derive(Debug)]
pub struct Page {
    jobs: BTreeMap<u64, Job>,
    limit: usize,
    /// Below this number more may be stored than the state holds.
    older: Option<u64>,
}

impl Page {
    /// What the state knows: up to `limit` jobs with numbers below `before` (all of them if
    /// `None`) for which `wanted` is true.
    pub fn of(
        state: &State,
        before: Option<u64>,
        limit: usize,
        wanted: impl Fn(&Job) -> bool,
    ) -> Self {
        let before = before.unwrap_or(u64::MAX);
        let held = state.jobs.range(..before).rev().filter(|(_, job)| wanted(job)).take(limit);
        let jobs: BTreeMap<u64, Job> = held.map(|(number, job)| (*number, job.clone())).collect();
        let oldest = oldest_held(state).map(|oldest| oldest.min(before));
        let newer = |oldest: u64| jobs.len() == limit && jobs.range(..oldest).next().is_none();
        let older = oldest.filter(|oldest| !newer(*oldest));
        Self { jobs, limit, older }
    }

    /// Nothing that is stored could change the answer.
    pub fn whole(&self) -> bool {
        self.older.is_none()
    }

    /// With what is stored.
    #[must_use]
    pub fn with(mut self, history: &History, wanted: impl Fn(&Job) -> bool) -> Self {
        let Some(older) = self.older.take() else { return self };
        let stored = history.finished(older).filter(|(_, job)| wanted(job)).take(self.limit);
        for (number, job) in stored {
            self.jobs.entry(number).or_insert(job);
        }
        self
    }

    /// The jobs, newest first.
    pub fn jobs(self) -> Vec<Job> {
        self.jobs.into_values().rev().take(self.limit).collect()
    }
}
