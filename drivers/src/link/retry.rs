//! How long to wait before a link is tried again. Pure: nobody sleeps here.

use std::time::Duration;

/// The first wait: a cable that was bumped is back at once.
const FIRST: Duration = Duration::from_millis(250);
/// The longest wait: a person who has plugged something in should not have to wonder.
const LONGEST: Duration = Duration::from_secs(5);

/// Waits that double from 250 ms to 5 s.
#[derive(Clone, Copy, Debug, Default)]
pub struct Retry {
    failures: u32,
}

impl Retry {
    /// It failed again: wait this long.
    pub fn failed(&mut self) -> Duration {
        let doubled = FIRST.saturating_mul(2_u32.saturating_pow(self.failures));
        self.failures = self.failures.saturating_add(1);
        doubled.min(LONGEST)
    }

    /// It worked: the next failure is a first one.
    pub fn worked(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_five_seconds_and_start_over_after_success() {
        let mut retry = Retry::default();
        let waits: Vec<u128> = (0..7).map(|_| retry.failed().as_millis()).collect();
        assert_eq!(waits, [250, 500, 1_000, 2_000, 4_000, 5_000, 5_000]);
        retry.worked();
        assert_eq!(retry.failed().as_millis(), 250);
    }

    #[test]
    fn a_port_that_is_gone_for_a_year_overflows_nothing() {
        let mut retry = Retry { failures: u32::MAX };
        assert_eq!(retry.failed(), LONGEST);
    }
}
