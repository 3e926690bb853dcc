//! Waiting for somebody to end what runs in the foreground.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{io, thread};

use tokio::signal::unix::{SignalKind, signal};

/// Calls `ready` as soon as a signal will be heard, then waits for SIGINT, SIGTERM or SIGHUP.
pub(super) fn until_ended(ready: impl FnOnce()) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hangup = signal(SignalKind::hangup())?;
        ready();
        tokio::select! {
            _ = interrupt.recv() => (),
            _ = terminate.recv() => (),
            _ = hangup.recv() => (),
        }
        Ok(())
    })
}

/// Whether somebody wishes the end, for those who are busy meanwhile.
#[derive(Clone)]
pub(super) struct Ended(Arc<AtomicBool>);

impl Ended {
    /// Listens from now on, on a thread of its own that ends with the program.
    pub(super) fn listen() -> Self {
        let ended = Self(Arc::default());
        let heard = ended.clone();
        thread::spawn(move || {
            if until_ended(|| ()).is_ok() {
                heard.0.store(true, Ordering::Release);
            }
        });
        ended
    }

    /// A signal has come.
    pub(super) fn so(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
