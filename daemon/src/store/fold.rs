//! From the journal to the state.

use std::ops::ControlFlow;

use headstock_config::explain::Explain;
use headstock_config::ledger::{Changed, Entry, State};

use crate::journal::{ReadError, Reader, Record};
use crate::store::Store;
#[cfg(test)]
use crate::store::trim;

/// Entries that are folded before the view is written.
const STRIDE: usize = 1000;

/// Why the journal cannot be folded.
#[derive(Debug, thiserror::Error)]
pub enum FoldError {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// An entry says something that this version does not know.
    #[error("entry {number} of the journal is not one that this version knows")]
    Entry {
        /// Its number.
        number: u64,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
}

impl Explain for FoldError {
    fn code(&self) -> &'static str {
        match self {
            Self::Read(error) => error.code(),
            Self::Entry { .. } => "store.fold.entry",
        }
    }

    fn means(&self) -> String {
        "what is true now cannot be worked out, so nothing is started".to_owned()
    }

    fn remedy(&self) -> String {
        match self {
            Self::Read(error) => error.remedy(),
            Self::Entry { .. } => "start the version that wrote it, or a later one".to_owned(),
        }
    }
}

impl Store {
    /// Folds everything in that the journal has beyond the state; everything there is, if the
    /// state is of a future that the journal does not know. Returns how many entries that were.
    pub fn catch_up(&mut self, state: &mut State, reader: &Reader) -> Result<u64, FoldError> {
        if state.applied > reader.last() {
            let (applied, last) = (state.applied, reader.last());
            tracing::warn!(applied, last, "the journal ends before the stored state does");
            self.forget();
            *state = State::default();
        }
        let (from, mut changed, mut folded) = (state.applied + 1, Vec::<Changed>::new(), 0);
        each_entry(reader, from, reader.last(), |entry| {
            changed.extend(self.fold(state, entry));
            folded += 1;
            if folded % STRIDE == 0 {
                self.save(state, &std::mem::take(&mut changed));
                self.trim(state);
            }
        })?;
        if folded > 0 {
            self.save(state, &changed);
            self.trim(state);
        }
        Ok(folded as u64)
    }

    fn forget(&mut self) {
        if let Some(view) = &mut self.view
            && let Err(error) = view.clear()
        {
            tracing::error!(%error, "the stored state cannot be cleared");
            self.view = None;
        }
    }
}

/// Whether a state is what the journal says from its first entry on. Reads all of it: for a quiet
/// moment.
#[cfg(test)]
pub(super) fn self_test(state: &State, reader: &Reader) -> Result<bool, FoldError> {
    let mut folded = State::default();
    each_entry(reader, 1, state.applied, |entry| {
        folded.apply(entry);
        if folded.applied.is_multiple_of(STRIDE as u64) {
            trim(&mut folded);
        }
    })?;
    let mut state = state.clone();
    trim(&mut state);
    trim(&mut folded);
    Ok(digest(&state) == digest(&folded))
}

/// A name for a state: equal for equal states, different for others.
#[cfg(test)]
fn digest(state: &State) -> String {
    let bytes = serde_json::to_vec(state).expect("a state has only text for keys and no readers");
    blake3::hash(&bytes).to_hex().to_string()
}

fn each_entry(
    reader: &Reader,
    from: u64,
    to: u64,
    mut visit: impl FnMut(&Entry),
) -> Result<(), FoldError> {
    let mut failed = None;
    reader.each(from, |record: &Record<'_>| {
        if record.number > to {
            return ControlFlow::Break(());
        }
        match serde_json::from_slice(record.body) {
            Ok(entry) => visit(&entry),
            Err(source) => {
                failed = Some(FoldError::Entry { number: record.number, source });
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    })?;
    failed.map_or(Ok(()), Err)
}
