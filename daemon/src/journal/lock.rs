//! One process at a time.

use std::fs::{File, TryLockError};
use std::path::Path;

use crate::journal::error::{DiskError, OpenError};

/// Held as long as it lives; the system lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Takes the lock of a folder that exists, or says who cannot.
pub fn take(folder: &Path) -> Result<Lock, OpenError> {
    let file = File::create(folder.join("lock")).map_err(DiskError::of("open", "lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(Lock { _file: file }),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(folder.to_owned())),
        Err(TryLockError::Error(error)) => Err(DiskError::of("lock", "lock")(error).into()),
    }
}
