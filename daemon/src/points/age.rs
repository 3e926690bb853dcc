//! When which point becomes stale: a heap of deadlines with at most one entry for each point.
//!
//! A point that is heard again is not moved in the heap; its entry is looked at when it is due
//! and put back with the deadline that holds by then. So a point costs one look per age limit,
//! however often it is heard.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::time::Instant;

/// Deadlines, by the numbers of their points.
#[derive(Default)]
pub(super) struct Ages {
    heap: BinaryHeap<Reverse<(Instant, u32)>>,
    waiting: HashSet<u32>,
}

impl Ages {
    /// Waits for this deadline unless the point has one already, which is not later. Whether it is
    /// now the first of all.
    pub(super) fn wait_for(&mut self, number: u32, deadline: Instant) -> bool {
        if !self.waiting.insert(number) {
            return false;
        }
        let first = self.next().is_none_or(|next| deadline < next);
        self.heap.push(Reverse((deadline, number)));
        first
    }

    /// Takes out a point whose deadline has come.
    pub(super) fn due(&mut self, now: Instant) -> Option<u32> {
        let &Reverse((deadline, number)) = self.heap.peek()?;
        if now < deadline {
            return None;
        }
        self.heap.pop();
        self.waiting.remove(&number);
        Some(number)
    }

    /// The first deadline.
    pub(super) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((deadline, _))| *deadline)
    }
}
