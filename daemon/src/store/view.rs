//! The state as it lies in sled: one tree, values as JSON.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;

use headstock_config::ledger::{Changed, State};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sled::{Batch, Db};

use crate::store::keys::{self, ALARM, DONE, FILE, HOUSE, JOB, LATCH, MACHINE, TOKEN};
use crate::store::{FINISHED_JOBS, History};

const CACHE_BYTES: u64 = 16 * 1024 * 1024;

/// An open view.
#[derive(Debug)]
pub(super) struct View {
    db: Db,
    sum: Sum,
}

/// What goes with the keys.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct House {
    /// The last entry folded in.
    applied: u64,
    next_job: u64,
    closed: bool,
    /// The program that folded: another one may fold differently.
    version: String,
    /// Over everything but this.
    sum: Sum,
}

/// The exclusive or of a hash of each key and its value: changes with every one of them, and can
/// be kept up without looking at the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Sum([u8; 16]);

/// Why a view cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum ViewError {
    #[error(transparent)]
    Sled(#[from] sled::Error),
    #[error("it was written by version {0}")]
    Version(String),
    #[error("`{0}` cannot be read")]
    Value(String),
    #[error("its sum is not the one it was stored with")]
    Sum,
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error("it did not answer")]
    Silent,
}

impl Sum {
    fn toggle(&mut self, key: &[u8], value: &[u8]) {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&(key.len() as u64).to_le_bytes()).update(key).update(value);
        for (mine, its) in self.0.iter_mut().zip(hasher.finalize().as_bytes()) {
            *mine ^= its;
        }
    }
}

impl View {
    /// Opens the view and reads all of it.
    pub(super) fn open(folder: &Path) -> Result<(Self, State), ViewError> {
        let db = sled::Config::new().path(folder).cache_capacity(CACHE_BYTES).open()?;
        let (mut state, mut sum, mut done) = (State::default(), Sum::default(), VecDeque::new());
        for pair in db.iter() {
            let (key, value) = pair?;
            if key == HOUSE {
                continue;
            }
            sum.toggle(&key, &value);
            let key = String::from_utf8_lossy(&key);
            if key.starts_with(DONE) {
                done.push_back((key.into_owned(), value));
                done.drain(..done.len().saturating_sub(FINISHED_JOBS));
            } else {
                place(&mut state, &key, &value)?;
            }
        }
        for (key, value) in done {
            place(&mut state, &key, &value)?;
        }
        let house = match db.get(HOUSE)? {
            Some(value) => parse::<House>("meta/house", &value)?,
            None => House::of(&state, sum),
        };
        if house.version != env!("CARGO_PKG_VERSION") {
            return Err(ViewError::Version(house.version));
        }
        if house.sum != sum || (house.applied == 0 && sum != Sum::default()) {
            return Err(ViewError::Sum);
        }
        (state.applied, state.next_job, state.closed) =
            (house.applied, house.next_job, house.closed);
        Ok((Self { db, sum }, state))
    }

    /// Writes what has changed and how far the state has been folded, in one batch.
    pub(super) fn save(&mut self, state: &State, changed: &[Changed]) -> Result<(), ViewError> {
        let mut puts = BTreeMap::new();
        for change in changed {
            puts.extend(keys::puts(state, change)?);
        }
        let (mut batch, mut sum) = (Batch::default(), self.sum);
        for (key, value) in puts {
            if let Some(old) = self.db.get(&key)? {
                sum.toggle(key.as_bytes(), &old);
            }
            match value {
                Some(value) => {
                    sum.toggle(key.as_bytes(), &value);
                    batch.insert(key.as_bytes(), value);
                }
                None => batch.remove(key.as_bytes()),
            }
        }
        batch.insert(HOUSE, serde_json::to_vec(&House::of(state, sum))?);
        self.db.apply_batch(batch)?;
        self.sum = sum;
        Ok(())
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) -> Result<(), ViewError> {
        self.db.clear()?;
        self.sum = Sum::default();
        Ok(())
    }

    /// What is stored of jobs.
    pub(super) fn history(&self) -> History {
        History::of(&self.db)
    }

    /// Hands everything to the system.
    pub(super) fn flush(&self) {
        if let Err(error) = self.db.flush() {
            tracing::warn!(%error, "the stored state was not flushed; the next start catches up");
        }
    }
}

impl House {
    fn of(state: &State, sum: Sum) -> Self {
        let State { applied, next_job, closed, .. } = *state;
        Self { applied, next_job, closed, version: env!("CARGO_PKG_VERSION").to_owned(), sum }
    }
}

fn place(state: &mut State, key: &str, value: &[u8]) -> Result<(), ViewError> {
    if let Some(id) = key.strip_prefix(MACHINE) {
        state.machines.insert(id.to_owned(), parse(key, value)?);
    } else if let Some(id) = key.strip_prefix(FILE) {
        state.files.insert(id.to_owned(), parse(key, value)?);
    } else if let Some(name) = key.strip_prefix(TOKEN) {
        state.tokens.insert(name.to_owned(), parse(key, value)?);
    } else if let Some(id) = key.strip_prefix(ALARM) {
        state.alarms.insert(id.to_owned(), parse(key, value)?);
    } else if let Some(rule) = key.strip_prefix(LATCH) {
        state.latched.insert(rule.to_owned(), parse(key, value)?);
    } else {
        let number = key.strip_prefix(JOB).or_else(|| key.strip_prefix(DONE));
        let number = number.and_then(|it| it.parse().ok());
        let number = number.ok_or_else(|| ViewError::Value(key.to_owned()))?;
        state.jobs.insert(number, parse(key, value)?);
    }
    Ok(())
}

fn parse<T: DeserializeOwned>(key: &str, value: &[u8]) -> Result<T, ViewError> {
    serde_json::from_slice(value).map_err(|_| ViewError::Value(key.to_owned()))
}
