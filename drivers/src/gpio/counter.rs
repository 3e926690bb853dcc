//! Counts pulses, and tells how fast they come.
//!
//! The kernel numbers the edges of a line: what is missing between two numbers was lost on the
//! way, and is counted all the same. Not for more than some thousand edges in a second: the kernel
//! wakes us for each.

use std::time::{Duration, Instant};

/// Without an edge for so long nothing turns.
const REST: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
pub(super) struct Counter {
    /// Since the line was opened.
    count: u64,
    number: Option<u32>,
    /// The last edge, and the count with it.
    last: Option<(Instant, u64)>,
    /// The same when the frequency was last asked for.
    asked: Option<(Instant, u64)>,
    hertz: f64,
}

impl Counter {
    /// The line was opened anew, and the kernel counts from its beginning.
    pub(super) fn opened(&mut self) {
        self.number = None;
        self.last = None;
        self.asked = None;
    }

    /// A pulse has come. `number` counts the edges of this line, lost ones included; how many were
    /// lost before this one.
    pub(super) fn edge(&mut self, at: Instant, number: Option<u32>) -> u32 {
        let step = match (self.number, number) {
            (Some(before), Some(now)) => now.wrapping_sub(before).max(1),
            _ => 1,
        };
        self.number = number.or(self.number);
        self.count += u64::from(step);
        self.last = Some((at, self.count));
        step - 1
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Pulses per second since this was last asked, Hz.
    pub(super) fn hertz(&mut self, now: Instant) -> f64 {
        let Some((at, count)) = self.last else { return 0.0 };
        let silence = now.saturating_duration_since(at);
        match self.asked {
            Some((before, then)) if then < count => {
                let span = at.saturating_duration_since(before).as_secs_f64();
                self.hertz = if span > 0.0 { (count - then) as f64 / span } else { self.hertz };
            }
            // No edge since: it can at most be as fast as the silence is long.
            _ if silence < REST => {
                self.hertz = self.hertz.min(1.0 / silence.as_secs_f64().max(1e-6))
            }
            _ => self.hertz = 0.0,
        }
        self.asked = self.last;
        self.hertz
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pulses_are_counted_even_if_the_kernel_lost_some() {
        let now = Instant::now();
        let mut meter = Counter::default();
        assert_eq!([1, 2, 5, 6].map(|number| meter.edge(now, Some(number))), [0, 0, 2, 0]);
        assert_eq!(meter.count(), 6);
        assert_eq!(meter.edge(now, Some(6)), 0, "a number twice is a pulse all the same");
    }

    #[test]
    fn the_frequency_is_that_of_the_edges_and_falls_to_nothing() {
        let now = Instant::now();
        let at = |ms: u64| now + Duration::from_millis(ms);
        let mut fan = Counter::default();
        assert_eq!(fan.hertz(at(0)), 0.0);
        fan.edge(at(10), None);
        fan.hertz(at(10));
        for pulse in 1..=50 {
            fan.edge(at(10 + pulse * 20), None);
        }
        assert!((fan.hertz(at(1_020)) - 50.0).abs() < 1e-9);
        assert!(fan.hertz(at(1_510)) <= 2.0, "one edge in half a second at most");
        assert_eq!(fan.hertz(at(9_000)), 0.0);
    }
}
