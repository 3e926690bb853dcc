//! The house's heart: it beats as long as the house goes round.
//!
//! Whoever drives outputs looks at it. A house that hangs can switch nothing off any more: its
//! outputs go to their safe state without it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Cheap to clone; all clones are one heart.
#[derive(Clone, Debug)]
pub struct Heart {
    begun: Instant,
    patience: Duration,
    /// Microseconds from `begun` to the last beat.
    beat: Arc<AtomicU64>,
}

impl Heart {
    /// Longer than a slow disk keeps the house waiting, shorter than a person needs to wonder.
    pub const PATIENCE: Duration = Duration::from_secs(10);

    /// A heart that has just beaten, and may be silent for so long.
    pub fn new(patience: Duration) -> Self {
        Self { begun: Instant::now(), patience, beat: Arc::default() }
    }

    /// The house goes round. Whether it had stopped before.
    pub fn beats(&self) -> bool {
        let stopped = self.stopped(Instant::now());
        let micros = u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.beat.fetch_max(micros, Ordering::Relaxed);
        stopped
    }

    /// How long it may be silent.
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// When it has stopped, unless it beats before.
    pub fn stops_at(&self) -> Instant {
        self.begun + Duration::from_micros(self.beat.load(Ordering::Relaxed)) + self.patience
    }

    /// Whether it has stopped by now.
    pub fn stopped(&self, now: Instant) -> bool {
        self.stops_at() <= now
    }
}

impl Default for Heart {
    fn default() -> Self {
        Self::new(Self::PATIENCE)
    }
}
