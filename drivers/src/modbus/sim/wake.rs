//! Waking a thread that sleeps in `ppoll`, and ending it.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Rung from outside.
#[derive(Debug)]
pub(super) struct Bell {
    stop: Arc<AtomicBool>,
    wire: UnixStream,
}

/// Heard by the thread.
#[derive(Debug)]
pub(super) struct Heard {
    stop: Arc<AtomicBool>,
    wire: UnixStream,
}

/// A bell and where it is heard.
pub(super) fn pair() -> io::Result<(Bell, Heard)> {
    let (wire, heard) = UnixStream::pair()?;
    wire.set_nonblocking(true)?;
    heard.set_nonblocking(true)?;
    let stop = Arc::new(AtomicBool::new(false));
    Ok((Bell { stop: stop.clone(), wire }, Heard { stop, wire: heard }))
}

impl Bell {
    /// Wakes the thread.
    pub(super) fn ring(&self) {
        // If the socket is full, the thread is about to wake anyway.
        (&self.wire).write_all(&[0]).ok();
    }

    /// Ends it.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
        self.ring();
    }
}

impl Heard {
    /// Whether it is to end.
    pub(super) fn over(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// What to wait for.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.wire.as_fd()
    }

    /// Only that it rang counts, not how often.
    pub(super) fn hush(&self) {
        let mut ignored = [0; 64];
        while (&self.wire).read(&mut ignored).is_ok_and(|read| read == ignored.len()) {}
    }
}
