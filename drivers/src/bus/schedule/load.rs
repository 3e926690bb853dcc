//! How busy a bus is, and how long its devices take.

use std::time::{Duration, Instant};

/// Utilisation is told over so many seconds.
const SECONDS: usize = 10;

/// How long a bus was busy lately, and ever.
#[derive(Clone, Debug)]
pub struct Load {
    since: Instant,
    busy: Duration,
    /// Busy time by second, the present one at `second % SECONDS`.
    ring: [Duration; SECONDS],
    second: u64,
}

impl Load {
    /// Of a bus on which nothing has happened yet.
    pub fn new(now: Instant) -> Self {
        Self { since: now, busy: Duration::ZERO, ring: [Duration::ZERO; SECONDS], second: 0 }
    }

    /// It was busy from then to now.
    pub fn busy(&mut self, from: Instant, now: Instant) {
        self.busy += now.saturating_duration_since(from);
        // A transaction that takes longer than the ring is long fills all of it.
        let ring = Duration::from_secs(SECONDS as u64 - 1);
        let mut from = from.max(now.checked_sub(ring).unwrap_or(from));
        while from < now {
            let second = self.turn(from);
            let end = (self.since + Duration::from_secs(second + 1)).min(now);
            self.ring[(second % SECONDS as u64) as usize] += end.saturating_duration_since(from);
            from = end;
        }
        self.turn(now);
    }

    /// Share of the last ten seconds in which it was busy, 0 to 1.
    pub fn utilisation(&mut self, now: Instant) -> f64 {
        self.turn(now);
        let whole = now.saturating_duration_since(self.since).as_secs_f64();
        let span = whole.min(SECONDS as f64 - 1.0 + whole.fract());
        let busy: Duration = self.ring.iter().sum();
        if span <= 0.0 { 0.0 } else { (busy.as_secs_f64() / span).min(1.0) }
    }

    /// Time that it has been busy, and time that has passed, since it was made.
    pub fn ever(&self, now: Instant) -> (Duration, Duration) {
        (self.busy, now.saturating_duration_since(self.since))
    }

    /// Empties the seconds between the last one and this one; which one this is.
    fn turn(&mut self, now: Instant) -> u64 {
        let second = now.saturating_duration_since(self.since).as_secs();
        for emptied in (self.second + 1..=second).rev().take(SECONDS) {
            self.ring[(emptied % SECONDS as u64) as usize] = Duration::ZERO;
        }
        self.second = self.second.max(second);
        second
    }
}

/// How long answers took: counted by powers of two, microseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    counts: [u64; 32],
}

impl Times {
    /// One more.
    pub fn took(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1);
        self.counts[(micros.ilog2() as usize).min(31)] += 1;
    }

    /// The time that this share of the answers did not exceed, rounded up to a power of two;
    /// `None` before the first.
    pub fn share(&self, share: f64) -> Option<Duration> {
        let all: u64 = self.counts.iter().sum();
        let wanted = (all as f64 * share).ceil() as u64;
        let mut seen = 0;
        let at = self.counts.iter().position(|count| {
            seen += count;
            0 < seen && wanted <= seen
        })?;
        Some(Duration::from_micros(1 << (at + 1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utilisation_is_the_share_of_the_last_seconds() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut load = Load::new(start);
        for tenth in 0..200 {
            load.busy(at(tenth * 100), at(tenth * 100 + 50));
        }
        assert!((load.utilisation(at(20_000)) - 0.5).abs() < 0.03);
        assert!((load.utilisation(at(24_500)) - 0.26).abs() < 0.06);
        assert_eq!(load.utilisation(at(60_000)), 0.0);
        assert_eq!(load.ever(at(60_000)), (Duration::from_secs(10), Duration::from_secs(60)));
        load.busy(at(60_000), at(90_000));
        assert!(0.9 < load.utilisation(at(90_000)));
    }

    #[test]
    fn answers_are_counted_by_powers_of_two() {
        let mut times = Times::default();
        assert_eq!(times.share(0.5), None);
        for ms in [1, 1, 1, 30] {
            times.took(Duration::from_millis(ms));
        }
        assert_eq!(times.share(0.5), Some(Duration::from_micros(1_024)));
        assert_eq!(times.share(0.99), Some(Duration::from_micros(32_768)));
    }
}
