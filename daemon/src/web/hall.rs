//! What all requests share: the house behind the doors, seats for those who stay, and counts.

use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use warp::http::HeaderMap;

use super::Door;
use super::tally::Tally;

/// A number of places that are taken and given back.
#[derive(Clone)]
pub(super) struct Seats {
    all: usize,
    free: Arc<Semaphore>,
}

impl Seats {
    /// So many, all free.
    pub(super) fn new(all: usize) -> Self {
        Self { all, free: Arc::new(Semaphore::new(all)) }
    }

    /// Takes one until what is returned is dropped; `None` if all are taken.
    pub(super) fn take(&self) -> Option<OwnedSemaphorePermit> {
        self.free.clone().try_acquire_owned().ok()
    }

    /// How many are taken.
    pub(super) fn taken(&self) -> usize {
        self.all - self.free.available_permits()
    }

    /// How many there are.
    pub(super) fn all(&self) -> usize {
        self.all
    }

    /// Waits until nobody sits any more.
    pub(super) async fn empty(&self) {
        let all = u32::try_from(self.all).expect("there are few seats");
        // It is never closed.
        self.free.acquire_many(all).await.ok();
    }
}

/// What all requests share.
pub(super) struct Hall {
    /// What the doors open onto.
    pub(super) door: Door,
    /// Where REST listens.
    pub(super) web: SocketAddr,
    /// The doors are being closed.
    pub(super) closing: CancellationToken,
    /// Connections over TCP.
    pub(super) tcp: Seats,
    /// Connections on the box's own socket, apart so that a crowd on the network leaves them.
    pub(super) socket: Seats,
    /// Open feeds.
    pub(super) feeds: Seats,
    /// Uploads under way; each has a thread and a file.
    pub(super) uploads: Seats,
    /// Histories of points being read; each has a thread and may read much of the disk.
    pub(super) histories: Seats,
    /// Deeds under way, whether or not those who asked for them still wait.
    pub(super) deeds: TaskTracker,
    /// Program lines that were answered. Locked for no longer than it takes to add them up.
    pub(super) lines: Mutex<Tally>,
    boot: u64,
    requests: AtomicU64,
}

impl Hall {
    /// A hall that nobody has entered yet.
    pub(super) fn new(door: Door, web: SocketAddr, closing: CancellationToken) -> Self {
        let lines = Mutex::new(Tally::new(&door.desk.ledger().state()));
        Self {
            door,
            web,
            closing,
            tcp: Seats::new(128),
            socket: Seats::new(128),
            feeds: Seats::new(64),
            uploads: Seats::new(4),
            histories: Seats::new(4),
            deeds: TaskTracker::new(),
            lines,
            // Different each time the house opens; nothing hangs on its being secret.
            boot: RandomState::new().hash_one(std::process::id()) >> 32,
            requests: AtomicU64::new(1),
        }
    }

    /// The id that a request brings, if it is sane, or a new one.
    pub(super) fn request_id(&self, headers: &HeaderMap) -> String {
        let brought = headers.get("x-request-id").and_then(|id| id.to_str().ok());
        brought.filter(|id| is_sane(id)).map_or_else(|| self.next_id(), str::to_owned)
    }

    fn next_id(&self) -> String {
        format!("{:08x}-{}", self.boot, self.requests.fetch_add(1, Ordering::Relaxed))
    }
}

fn is_sane(id: &str) -> bool {
    let plain = |it: u8| it.is_ascii_alphanumeric() || matches!(it, b'-' | b'_' | b'.' | b':');
    (1..=64).contains(&id.len()) && id.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_sane_request_id_is_taken_over() {
        assert!(is_sane("0f-A_b.c:1"));
        for id in ["", "a b", "a\nb", "ü", &"x".repeat(65)] {
            assert!(!is_sane(id), "{id:?}");
        }
    }

    #[tokio::test]
    async fn a_seat_is_free_again_when_its_holder_leaves() {
        let seats = Seats::new(1);
        let held = seats.take();
        assert!(held.is_some() && seats.take().is_none());
        assert_eq!(seats.taken(), 1);
        drop(held);
        seats.empty().await;
        assert!(seats.take().is_some());
    }
}
