//! A point's history: the minutes on disk, then the changes in memory, as one.
//!
//! ```text
//!  disk: minutes of earlier runs and of this one | over, not written | under way
//!  ring:                          (older gave way)  . .. . .  ... .. ..  . . . |
//!  answer:  minutes ------------------------------->|<------------ changes ----|
//!                                                   seam: a full minute
//! ```
//!
//! Everything that is told of a point goes into its ring and into the minute that is under way,
//! both with the time that the device said it. At the seam, the first full minute of which the ring
//! has forgotten nothing, the answer goes over from the one to the other: a change is counted once.

use std::collections::BTreeMap;

use headstock_config::point::Span;

use super::cell::MINUTE;
use super::ring::ENTRY;
use super::sum::Sum;
use super::{PointId, Points};

/// Spans that an answer has at most.
pub const SPANS: u64 = 10_000;
/// Changes of a point that are kept at least, and at most: a look at them is a copy of 16 bytes each, made
/// under the lock under which devices report.
const SHARE: std::ops::RangeInclusive<usize> = 8..=65_536;

/// Changes of each of so many points that fit into so many bytes.
pub(super) fn share(memory_bytes: u64, points: usize) -> usize {
    let entries = usize::try_from(memory_bytes).unwrap_or(usize::MAX) / ENTRY;
    (entries / points.max(1)).clamp(*SHARE.start(), *SHARE.end())
}

/// What is asked for.
#[derive(Clone, Copy)]
struct Range {
    from_ms: u64,
    to_ms: u64,
    every_ms: u64,
}

/// Spans as they fill, by their beginnings.
#[derive(Default)]
struct Spans(BTreeMap<u64, Sum>);

impl Spans {
    fn add(&mut self, at_ms: u64, every_ms: u64, sum: Sum) {
        self.0.entry(at_ms / every_ms * every_ms).or_default().merge(sum);
    }
}

impl Points {
    /// What a point was from `from_ms` to before `to_ms`, in spans of `every_ms`, oldest first.
    /// Spans begin at multiples of `every_ms` since 1970; those of which nothing is known are left
    /// out. Further back than memory reaches a span has at least a minute. There are at most
    /// [`SPANS`]: where more are asked for they are longer. Reads the disk.
    pub fn history(&self, name: &str, from_ms: u64, to_ms: u64, every_ms: u64) -> Vec<Span> {
        let Some(id) = self.id(name) else { return Vec::new() };
        let every_ms = every_ms.max(to_ms.saturating_sub(from_ms).div_ceil(SPANS)).max(1);
        let range = Range { from_ms, to_ms, every_ms };
        let spans = match self.inner.shelf.get() {
            None => self.in_memory(id, range).1,
            Some(shelf) => {
                let (look, (seam, in_memory)) = shelf.look(|| self.in_memory(id, range));
                let mut spans = Spans::default();
                let to = to_ms.div_ceil(MINUTE).min(seam);
                look.read(name, from_ms / MINUTE, to, |minute, sum| {
                    spans.add(minute.saturating_mul(MINUTE), every_ms, sum);
                });
                for (at_ms, sum) in in_memory.0 {
                    spans.add(at_ms, every_ms, sum);
                }
                spans
            }
        };
        spans.0.into_iter().map(|(at_ms, sum)| sum.span(at_ms)).collect()
    }

    /// The seam, as a minute since 1970, and what of the answer is in memory: minutes before it
    /// that are not written, changes behind it.
    fn in_memory(&self, id: PointId, range: Range) -> (u64, Spans) {
        let mut spans = Spans::default();
        let Range { from_ms, to_ms, every_ms } = range;
        let board = self.board();
        let cell = &board.cells[id.0 as usize];
        let seam = cell.ring().whole_from().max(self.inner.opened_ms).div_ceil(MINUTE);
        let (from, to) = (from_ms / MINUTE, to_ms.div_ceil(MINUTE).min(seam));
        let over = board.kept.over.iter().filter(|(number, ..)| *number == id.0);
        let over = over.map(|(_, minute, sum)| (minute, sum));
        let under_way = cell.minute().map(|(minute, sum)| (minute, sum));
        for (minute, sum) in over.chain(under_way) {
            if (from..to).contains(minute) {
                spans.add(minute * MINUTE, every_ms, sum.clone());
            }
        }
        let past = cell.ring().copied();
        drop(board);
        for (at_ms, value, quality) in past.between(from_ms.max(seam * MINUTE), to_ms) {
            let mut sum = Sum::default();
            sum.add(value, quality);
            spans.add(at_ms, every_ms, sum);
        }
        (seam, spans)
    }
}

#[cfg(test)]
mod tests;
