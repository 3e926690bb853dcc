//! Order across boxes: a hybrid logical clock.
//!
//! Inside one box entries are ordered by their number. When the records of several boxes are
//! shown together, wall clocks alone are not enough: one may be wrong, and any may jump. A hybrid
//! logical clock (Kulkarni et al., "Logical Physical Clocks", 2014) stays close to wall time and
//! never goes back, and what was caused by a record is always stamped later than the record.
//!
//! Not here yet: the wire to a hub and what is carried over it.

use serde::{Deserialize, Serialize};

/// A stamp: 48 bits of milliseconds since 1970, 16 bits of counter.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Stamp(pub u64);

impl Stamp {
    /// The stamp of something that happens now, after `self` and after everything seen.
    ///
    /// `wall_ms` is the wall clock; when it stands still or went back, the counter goes on.
    #[must_use]
    pub fn next(self, wall_ms: u64) -> Self {
        let wall = (wall_ms & 0xffff_ffff_ffff) << 16;
        if self.0 < wall { Self(wall) } else { Self(self.0 + 1) }
    }

    /// The stamp after another box's record has been received.
    #[must_use]
    pub fn merged(self, received: Self, wall_ms: u64) -> Self {
        self.max(received).next(wall_ms)
    }

    /// Milliseconds since 1970 that it stands for.
    pub fn wall_ms(self) -> u64 {
        self.0 >> 16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_never_go_back_when_the_clock_does() {
        let first = Stamp::default().next(1_000);
        let second = first.next(400);
        let third = second.next(1_001);
        assert!(first < second && second < third);
        assert_eq!((first.wall_ms(), third.wall_ms()), (1_000, 1_001));
    }

    #[test]
    fn what_follows_a_received_record_is_stamped_later() {
        let theirs = Stamp::default().next(9_000);
        let ours = Stamp::default().next(1_000).merged(theirs, 1_001);
        assert!(theirs < ours);
    }
}
