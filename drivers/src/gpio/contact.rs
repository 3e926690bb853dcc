//! A contact: a switch, a button, a door. It bounces, and sometimes it is broken.
//!
//! ```text
//!            edge (kernel has filtered)
//!  told ------------------------------------> told
//!   |  edge (nobody has)                       ^
//!   +------> settling --kept still so long-----+
//!   |           | edge: begins anew
//!   +--more than 40 edges in a second--> chattering --a second with few--> told
//! ```
//!
//! Invariants: a change is told once; a contact that chatters is told bad once, and good again
//! when it has come to rest, at the level that the line then has.

use std::time::{Duration, Instant};

/// More edges than this within [`WINDOW`] come from no hand and no door: a broken wire, a relay
/// that flutters, or a line that picks up mains hum (100 edges in a second).
const EDGES_MAX: u32 = 40;
/// What edges are counted over.
const WINDOW: Duration = Duration::from_secs(1);

/// What is to be told after something was noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// Nothing.
    None,
    /// It is high or low since then.
    Level(bool, Instant),
    /// It cannot be believed any more.
    Chatter,
}

#[derive(Debug)]
pub(super) struct Contact {
    /// How long a level must be kept before it counts; 0: the kernel has seen to that.
    still: Duration,
    high: Option<bool>,
    settling: Option<(bool, Instant)>,
    window: Option<Instant>,
    edges: u32,
    chatters: bool,
}

impl Contact {
    pub(super) fn new(still: Duration) -> Self {
        Self { still, high: None, settling: None, window: None, edges: 0, chatters: false }
    }

    /// The level that was told last.
    pub(super) fn high(&self) -> Option<bool> {
        self.high
    }

    pub(super) fn chatters(&self) -> bool {
        self.chatters
    }

    /// The line went to this level.
    pub(super) fn edge(&mut self, high: bool, at: Instant) -> News {
        self.count(at);
        if self.chatters {
            self.settling = Some((high, at));
            return News::None;
        }
        if EDGES_MAX < self.edges {
            self.chatters = true;
            self.settling = Some((high, at));
            return News::Chatter;
        }
        if self.still.is_zero() {
            return self.becomes(high, at);
        }
        // Back where it was before it has settled: it has only bounced.
        self.settling = (self.high != Some(high)).then_some((high, at));
        News::None
    }

    fn count(&mut self, at: Instant) {
        match self.window {
            Some(begun) if at.saturating_duration_since(begun) < WINDOW => self.edges += 1,
            _ => (self.window, self.edges) = (Some(at), 1),
        }
    }

    fn becomes(&mut self, high: bool, at: Instant) -> News {
        self.settling = None;
        if self.high.replace(high) == Some(high) { News::None } else { News::Level(high, at) }
    }

    /// The line was looked at. What nobody told of is taken over: an edge was lost.
    pub(super) fn look(&mut self, high: bool, now: Instant) -> News {
        if self.chatters || self.settling.is_some() || self.high == Some(high) {
            return News::None;
        }
        match self.high {
            None => self.becomes(high, now),
            Some(_) if self.still.is_zero() => self.becomes(high, now),
            Some(_) => {
                self.settling = Some((high, now));
                News::None
            }
        }
    }

    /// When it wants to be asked again.
    pub(super) fn deadline(&self) -> Option<Instant> {
        if self.chatters {
            return self.window.map(|begun| begun + WINDOW);
        }
        self.settling.map(|(_, since)| since + self.still)
    }

    pub(super) fn tick(&mut self, now: Instant) -> News {
        if self.deadline().is_none_or(|at| now < at) {
            return News::None;
        }
        if self.chatters {
            if EDGES_MAX < self.edges {
                (self.window, self.edges) = (Some(now), 0);
                return News::None;
            }
            self.chatters = false;
            let settled = self.settling.take().map(|(high, _)| high).or(self.high);
            // Told in any case: it was bad until now.
            return settled.map_or(News::None, |high| {
                self.high = Some(high);
                News::Level(high, now)
            });
        }
        match self.settling {
            // The moment of the change is when it began to keep still.
            Some((high, since)) => self.becomes(high, since),
            None => News::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_contact_that_bounces_is_told_once_when_it_has_settled() {
        let now = Instant::now();
        let mut door = Contact::new(10 * MS);
        assert_eq!(door.look(false, now), News::Level(false, now));
        for (ms, high) in [(1, true), (2, false), (3, true), (5, false), (6, true)] {
            assert_eq!(door.edge(high, now + ms * MS), News::None);
        }
        assert_eq!(door.tick(now + 15 * MS), News::None);
        assert_eq!(door.deadline(), Some(now + 16 * MS));
        assert_eq!(door.tick(now + 16 * MS), News::Level(true, now + 6 * MS));
        assert_eq!((door.deadline(), door.tick(now + 99 * MS)), (None, News::None));
    }

    #[test]
    fn what_the_kernel_has_filtered_is_told_at_once() {
        let now = Instant::now();
        let mut door = Contact::new(Duration::ZERO);
        door.look(true, now);
        assert_eq!(door.edge(false, now + MS), News::Level(false, now + MS));
        assert_eq!(door.edge(false, now + 2 * MS), News::None, "an edge between was lost");
    }

    #[test]
    fn an_edge_that_was_lost_is_made_up_for_by_a_look() {
        let now = Instant::now();
        let mut door = Contact::new(Duration::ZERO);
        door.look(true, now);
        assert_eq!(door.look(false, now + MS), News::Level(false, now + MS));
    }

    #[test]
    fn a_contact_that_chatters_is_bad_until_it_rests() {
        let now = Instant::now();
        let mut door = Contact::new(Duration::ZERO);
        door.look(false, now);
        let mut told = Vec::new();
        for ms in 0..1_500_u32 {
            told.push(door.tick(now + ms * MS));
            told.push(door.edge(ms % 2 == 0, now + ms * MS));
        }
        told.retain(|it| *it != News::None);
        assert_eq!(told.iter().filter(|it| **it == News::Chatter).count(), 1);
        assert_eq!(told.last(), Some(&News::Chatter), "and nothing after it");
        let mut rested = None;
        while let Some(at) = door.deadline() {
            rested = Some(door.tick(at)).filter(|it| *it != News::None).or(rested);
        }
        assert!(matches!(rested, Some(News::Level(false, _))), "{rested:?}");
        assert!(!door.chatters());
    }
}
