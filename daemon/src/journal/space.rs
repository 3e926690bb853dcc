//! The reserve: a file that is only there to be removed when the disk is full.
//!
//! ```text
//!            filled               disk full: reserve removed
//!  filling ----------> reserved -----------------------------> low
//!     |                                                         |
//!     | does not fit                             fill() again   |
//!     +-----------------------> low <-- does not fit --+--------+-> reserved
//! ```
//!
//! What it frees lets a running job be written down to its end. While space is low the desk
//! refuses new work; nothing here decides that.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::journal::disk::{Disk, write_zeros};

const NAME: &str = "reserve";
const PARTIAL: &str = "reserve.part";
const STEP: u64 = 256 * 1024;

/// Whether there is room, and the reserve that makes some.
#[derive(Debug)]
pub struct Space {
    disk: Arc<dyn Disk>,
    reserve_bytes: u64,
    low: AtomicBool,
    /// Guards the files; holds whether somebody is filling.
    filling: Mutex<bool>,
}

impl Space {
    pub(super) fn new(disk: Arc<dyn Disk>, reserve_bytes: u64) -> Arc<Self> {
        Arc::new(Self { disk, reserve_bytes, low: false.into(), filling: false.into() })
    }

    /// The disk was full and the reserve is not back.
    pub fn low(&self) -> bool {
        self.low.load(Ordering::Acquire)
    }

    /// Starts to lay the reserve in the background, unless it is there or being laid. Call it
    /// again from time to time while space is low. It is never in the way of a write: whoever
    /// finds the disk full takes back what has been laid so far.
    pub fn fill(self: &Arc<Self>) {
        let mut filling = self.filling.lock().unwrap_or_else(PoisonError::into_inner);
        if *filling || self.reserve_bytes == 0 {
            return;
        }
        let space = Arc::clone(self);
        let thread = thread::Builder::new().name("journal-reserve".to_owned());
        *filling = thread.spawn(move || space.fill_now()).is_ok();
    }

    fn fill_now(&self) {
        let filled = self.lay();
        let mut filling = self.filling.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = &filled {
            self.disk.remove(PARTIAL).ok();
            tracing::warn!(%error, "the journal's disk reserve does not fit");
        }
        // Somebody took it back meanwhile: they have set `low` and know better.
        if *filling {
            self.low.store(filled.is_err(), Ordering::Release);
        }
        *filling = false;
    }

    fn lay(&self) -> io::Result<()> {
        if self.disk.size(NAME).is_ok_and(|it| it == self.reserve_bytes) {
            return Ok(());
        }
        let mut at = 0;
        while at < self.reserve_bytes {
            let filling = self.filling.lock().unwrap_or_else(PoisonError::into_inner);
            if !*filling {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let file = self.disk.open(PARTIAL)?;
            let step = STEP.min(self.reserve_bytes - at);
            write_zeros(&*file, at, step)?;
            file.sync()?;
            at += step;
        }
        self.disk.rename(PARTIAL, NAME)?;
        self.disk.sync()
    }

    /// Gives the reserve to whoever found the disk full. Returns whether there was any.
    pub(super) fn release(&self) -> bool {
        let mut filling = self.filling.lock().unwrap_or_else(PoisonError::into_inner);
        *filling = false;
        self.low.store(true, Ordering::Release);
        let freed = [NAME, PARTIAL].map(|name| self.disk.remove(name).is_ok());
        if freed.contains(&true) {
            tracing::warn!("the disk is full; the journal goes on with its reserve");
            return self.disk.sync().is_ok();
        }
        false
    }
}
