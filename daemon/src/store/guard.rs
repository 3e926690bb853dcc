//! Opens a view that may panic, hang or lie.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use headstock_config::ledger::State;

use crate::store::view::{View, ViewError};

const PATIENCE: Duration = Duration::from_secs(10);

/// The view and its state; an empty one if it could not be used; `None` if there can be none.
pub(super) fn open(folder: &Path) -> Option<(View, State)> {
    let error = match try_open(folder) {
        Ok(opened) => return Some(opened),
        Err(error) => error,
    };
    tracing::warn!(%error, "the stored state cannot be used; it is folded again from the journal");
    if let Err(error) = set_aside(folder) {
        tracing::error!(%error, "the stored state cannot be set aside; there is none in this run");
        return None;
    }
    try_open(folder)
        .inspect_err(|error| tracing::error!(%error, "no state can be stored in this run"))
        .ok()
}

/// Opens it on a thread that may end as it likes, or not at all.
fn try_open(folder: &Path) -> Result<(View, State), ViewError> {
    let (opened, answer) = mpsc::sync_channel(1);
    let folder = folder.to_owned();
    let thread = thread::Builder::new().name("store-open".to_owned());
    let spawned = thread.spawn(move || {
        let view = catch_unwind(AssertUnwindSafe(|| View::open(&folder)));
        // Nobody listens any more if it took too long.
        opened.send(view.unwrap_or(Err(ViewError::Silent))).ok();
    });
    spawned.map_err(sled::Error::from)?;
    answer.recv_timeout(PATIENCE).unwrap_or(Err(ViewError::Silent))
}

/// Keeps what was there for whoever wants to look, but only the latest.
fn set_aside(folder: &Path) -> std::io::Result<()> {
    for old in aside(folder)? {
        fs::remove_dir_all(old)?;
    }
    let ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let mut name = folder.as_os_str().to_owned();
    name.push(format!(".bad.{ms}"));
    fs::rename(folder, name)
}

/// What was set aside before.
fn aside(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let (Some(parent), Some(name)) = (folder.parent(), folder.file_name()) else {
        return Ok(Vec::new());
    };
    let prefix = format!("{}.bad.", name.to_string_lossy());
    let beside = fs::read_dir(parent)?.map(|it| Ok(it?.path()));
    let ours = |path: &PathBuf| {
        path.file_name().is_some_and(|it| it.to_string_lossy().starts_with(&prefix))
    };
    beside.filter(|it| it.as_ref().map_or(true, ours)).collect()
}
