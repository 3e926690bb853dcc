//! What is refused again and again: written down often enough to be seen, not often enough to
//! fill a disk.
//!
//! Each person has [`TOLD`] refusals in [`WINDOW`] that are written down. What comes beyond them
//! is counted, and the count stands beside the next one that is written down. Pure: time comes in
//! as an argument.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Refusals of one person that are written down within [`WINDOW`].
const TOLD: u32 = 20;
/// How long they count.
const WINDOW: Duration = Duration::from_secs(60);
/// People counted apart: more than have tokens in any workshop. The next one begins a new count.
const PEOPLE: usize = 256;

/// Who was refused how often lately.
#[derive(Debug, Default)]
pub(super) struct Refusals(BTreeMap<String, Count>);

#[derive(Debug)]
struct Count {
    since: Instant,
    told: u32,
    untold: u64,
}

/// What is to be done about one refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeat {
    /// It is written down, with the number of those before it that were not.
    Tell(u64),
    /// It is written down, and is the last one for a while.
    LastTold,
    /// It is only counted.
    Untold,
}

impl Refusals {
    /// Counts one.
    pub(super) fn count(&mut self, now: Instant, who: &str) -> Repeat {
        if PEOPLE <= self.0.len() && !self.0.contains_key(who) {
            self.0.clear();
        }
        let new = || Count { since: now, told: 0, untold: 0 };
        let count = self.0.entry(who.to_owned()).or_insert_with(new);
        if WINDOW <= now.saturating_duration_since(count.since) {
            (count.since, count.told) = (now, 0);
        }
        count.told = count.told.saturating_add(1);
        match count.told {
            TOLD => Repeat::LastTold,
            told if told < TOLD => Repeat::Tell(std::mem::take(&mut count.untold)),
            _ => {
                count.untold += 1;
                Repeat::Untold
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_refused_all_the_time_is_written_down_now_and_then() {
        let (mut refusals, start) = (Refusals::default(), Instant::now());
        let told = (0..1000).filter(|_| refusals.count(start, "mallory") != Repeat::Untold).count();
        assert_eq!(told, 20);
        assert_eq!(refusals.count(start, "ada"), Repeat::Tell(0), "others count for themselves");
        assert_eq!(refusals.count(start + WINDOW, "mallory"), Repeat::Tell(980));
        assert_eq!(refusals.count(start + WINDOW, "mallory"), Repeat::Tell(0));
    }

    #[test]
    fn a_crowd_of_names_takes_no_more_room_than_a_few() {
        let (mut refusals, start) = (Refusals::default(), Instant::now());
        for name in 0..10_000 {
            refusals.count(start, &name.to_string());
        }
        assert!(refusals.0.len() <= PEOPLE);
    }
}
