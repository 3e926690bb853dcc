//! Looks after the journal's reserve: while space is low it is laid again from time to time.
//!
//! Laying it writes as many bytes as it has, so a full disk is not asked more often than
//! [`AGAIN`]: an SD card wears, and whoever frees space can wait that long.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::journal::Space;

/// Between two tries to lay the reserve.
pub(super) const AGAIN: Duration = Duration::from_secs(30);

/// When the reserve is to be laid again.
pub(super) struct Room {
    again: Duration,
    /// When it was last tried or known to be there.
    since: Instant,
}

impl Room {
    pub(super) fn new(again: Duration) -> Self {
        Self { again, since: Instant::now() }
    }

    /// Whether only the reserve is left, or not even that. Never waits: laying it is somebody
    /// else's work, and a later look sees what came of it.
    pub(super) fn low(&mut self, now: Instant, space: &Arc<Space>) -> bool {
        let low = space.low();
        if !low {
            self.since = now;
        } else if self.again <= now.saturating_duration_since(self.since) {
            self.since = now;
            space.fill();
        }
        low
    }
}
