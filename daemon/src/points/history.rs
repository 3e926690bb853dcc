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
//! both with the time that the device said it; it holds until the next is told, as long as it can
//! be believed. At the seam, the first full minute of which the ring has forgotten nothing, the
//! answer goes over from the one to the other: a change is counted once, and so is the time for
//! which it held, on either side of the seam.

use std::collections::BTreeMap;

use headstock_config::point::Span;

use super::ring::{ENTRY, Stood, Told};
use super::sum::Sum;
use super::under_way::{MINUTE, Moment, pieces, reaches};
use super::{Board, PointId, Points};

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
struct Spans {
    every_ms: u64,
    sums: BTreeMap<u64, Sum>,
}

impl Spans {
    fn new(every_ms: u64) -> Self {
        Self { every_ms, sums: BTreeMap::new() }
    }

    /// The span in which this time lies.
    fn at(&mut self, at_ms: u64) -> &mut Sum {
        self.sums.entry(at_ms / self.every_ms * self.every_ms).or_default()
    }

    /// Adds how a point stood between these times.
    fn stood(&mut self, stood: Stood, from_ms: u64, to_ms: u64) {
        let Stood { at_ms, until_ms, value, quality, told } = stood;
        if told != Told::Nothing && (from_ms..to_ms).contains(&at_ms) {
            self.at(at_ms).add(value.clone().filter(|_| told == Told::Value), quality);
        }
        let since_ms = at_ms.max(from_ms);
        match value {
            Some(value) if quality.believable() => {
                for (span, ms) in pieces(since_ms, until_ms.min(to_ms), self.every_ms) {
                    self.at(span * self.every_ms).hold(&value, quality, ms);
                }
            }
            _ if until_ms < to_ms && reaches(since_ms, until_ms, self.every_ms) => {
                self.at(until_ms).doubt(quality);
            }
            _ => (),
        }
    }
}

impl Points {
    /// What a point was from `from_ms` to before `to_ms`, in spans of `every_ms`, oldest first.
    /// Spans begin at multiples of `every_ms` since 1970; those in which nothing was told and
    /// nothing could be believed are left out. Further back than memory reaches a span has at least
    /// a minute. There are at most [`SPANS`]: where more are asked for they are longer. Reads the
    /// disk.
    pub fn history(&self, name: &str, from_ms: u64, to_ms: u64, every_ms: u64) -> Vec<Span> {
        let every_ms = every_ms.max(to_ms.saturating_sub(from_ms).div_ceil(SPANS)).max(1);
        self.history_at(Moment::now(), name, Range { from_ms, to_ms, every_ms })
    }

    fn history_at(&self, moment: Moment, name: &str, range: Range) -> Vec<Span> {
        let Some(id) = self.id(name) else { return Vec::new() };
        let spans = match self.inner.shelf.get() {
            None => self.in_memory(moment, id, range).1,
            Some(shelf) => {
                let (look, (seam, in_memory)) = shelf.look(|| self.in_memory(moment, id, range));
                let mut spans = Spans::new(range.every_ms);
                let to = range.to_ms.div_ceil(MINUTE).min(seam);
                look.read(name, range.from_ms / MINUTE, to, |minute, sum| {
                    spans.at(minute.saturating_mul(MINUTE)).merge(sum);
                });
                for (at_ms, sum) in in_memory.sums {
                    spans.at(at_ms).merge(sum);
                }
                spans
            }
        };
        spans.sums.into_iter().map(|(at_ms, sum)| sum.span(at_ms)).collect()
    }

    /// The seam, as a minute since 1970, and what of the answer is in memory: minutes before it
    /// that are not written, changes behind it.
    fn in_memory(&self, moment: Moment, id: PointId, range: Range) -> (u64, Spans) {
        let Range { from_ms, to_ms, every_ms } = range;
        let mut spans = Spans::new(every_ms);
        let mut board = self.board();
        let Board { cells, kept, .. } = &mut *board;
        let cell = &mut cells[id.0 as usize];
        self.pass(cell, id.0, moment, kept);
        let seam = cell.ring().whole_from().max(self.inner.opened_ms).div_ceil(MINUTE);
        let (from, to) = (from_ms / MINUTE, to_ms.div_ceil(MINUTE).min(seam));
        let over = kept.over.iter().filter(|(number, ..)| *number == id.0);
        let over = over.map(|(_, minute, sum)| (minute, sum));
        let under_way = cell.under_way().minute().map(|(minute, sum)| (minute, sum));
        for (minute, sum) in over.chain(under_way) {
            if (from..to).contains(minute) {
                spans.at(minute * MINUTE).merge(sum.clone());
            }
        }
        let (past, until_ms) = (cell.ring().copied(), cell.under_way().since_ms());
        drop(board);
        let from_ms = from_ms.max(seam * MINUTE);
        for stood in past.between(from_ms, to_ms, until_ms) {
            spans.stood(stood, from_ms, to_ms);
        }
        (seam, spans)
    }
}

#[cfg(test)]
mod tests;
