//! The latest changes of one point, in memory: 16 bytes each, and the oldest give way.
//!
//! ```text
//!  63..52 unused | 51..50 kind | 49..48 quality | 47..0 milliseconds since 1970
//!  63..0  the number's bits, or 0 or 1, or the text's place in the ring's own list
//! ```
//!
//! Invariant: every change whose time is at or after [`Ring::whole_from`] is here, however the
//! clock has jumped.

use std::collections::VecDeque;

use headstock_config::point::{Quality, Value};

const AT: u64 = (1 << 48) - 1;
const NONE: u64 = 0;
const FLAG: u64 = 1;
const NUMBER: u64 = 2;
const TEXT: u64 = 3;
/// Different texts that are kept. A point that says more of them begins anew: what it said before
/// is then only in its minutes.
const TEXTS: usize = 64;
/// Bytes of those texts.
const TEXT_BYTES: usize = 2048;
/// Bytes of an entry.
pub(super) const ENTRY: usize = 16;

#[derive(Clone, Copy)]
struct Entry {
    head: u64,
    bits: u64,
}

/// The latest changes of one point.
#[derive(Default)]
pub(super) struct Ring {
    entries: VecDeque<Entry>,
    texts: Vec<Box<str>>,
    /// The time of the latest that gave way, plus one.
    whole_from: u64,
}

impl Ring {
    /// Changes at or after this time, in milliseconds since 1970, are all here.
    pub(super) fn whole_from(&self) -> u64 {
        self.whole_from
    }

    /// Notes a change; at most `share` of them are kept.
    pub(super) fn add(
        &mut self,
        at_ms: u64,
        value: Option<&Value>,
        quality: Quality,
        share: usize,
    ) {
        let (kind, bits) = match value {
            None => (NONE, 0),
            Some(Value::Flag(flag)) => (FLAG, u64::from(*flag)),
            Some(Value::Number(number)) => (NUMBER, number.to_bits()),
            Some(Value::Text(text)) => (TEXT, self.text(text)),
        };
        let head = at_ms.min(AT) | (quality as u64) << 48 | kind << 50;
        while share <= self.entries.len() {
            self.give_way();
        }
        if self.entries.len() == self.entries.capacity() {
            // Grown by hand: left to itself it would grow past its share.
            let more = self.entries.len().max(4).min(share - self.entries.len());
            self.entries.reserve_exact(more);
        }
        self.entries.push_back(Entry { head, bits });
    }

    fn give_way(&mut self) {
        if let Some(gone) = self.entries.pop_front() {
            self.whole_from = self.whole_from.max((gone.head & AT) + 1);
        }
    }

    /// The place of a text.
    fn text(&mut self, text: &str) -> u64 {
        let known = self.texts.iter().position(|it| **it == *text);
        let place = known.unwrap_or_else(|| {
            let bytes: usize = self.texts.iter().map(|it| it.len()).sum();
            if self.texts.len() == TEXTS || TEXT_BYTES < bytes + text.len() {
                while !self.entries.is_empty() {
                    self.give_way();
                }
                self.texts.clear();
            }
            self.texts.push(text.into());
            self.texts.len() - 1
        });
        place as u64
    }

    /// All of it as it is now, to be looked at where it keeps nobody waiting.
    pub(super) fn copied(&self) -> Past {
        let (older, newer) = self.entries.as_slices();
        Past { entries: [older, newer].concat(), texts: self.texts.clone() }
    }
}

/// A copy of a ring.
pub(super) struct Past {
    entries: Vec<Entry>,
    texts: Vec<Box<str>>,
}

impl Past {
    /// The changes with a time from `from` to before `to`, in the order in which they came.
    pub(super) fn between(
        &self,
        from: u64,
        to: u64,
    ) -> impl Iterator<Item = (u64, Option<Value>, Quality)> + '_ {
        let at = |entry: &Entry| entry.head & AT;
        let inside = self.entries.iter().filter(move |it| from <= at(it) && at(it) < to);
        inside.map(move |it| (at(it), self.value(*it), quality(it.head)))
    }

    fn value(&self, entry: Entry) -> Option<Value> {
        match entry.head >> 50 & 3 {
            FLAG => Some(Value::Flag(entry.bits != 0)),
            NUMBER => Some(Value::Number(f64::from_bits(entry.bits))),
            TEXT => {
                let text = self.texts.get(usize::try_from(entry.bits).ok()?)?;
                Some(Value::Text(text.to_string()))
            }
            _ => None,
        }
    }
}

fn quality(head: u64) -> Quality {
    match head >> 48 & 3 {
        0 => Quality::Good,
        1 => Quality::Uncertain,
        2 => Quality::Stale,
        _ => Quality::Bad,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn between(ring: &Ring, from: u64, to: u64) -> Vec<(u64, Option<Value>, Quality)> {
        ring.copied().between(from, to).collect()
    }

    #[test]
    fn what_goes_in_comes_out_in_order_and_the_oldest_give_way() {
        let mut ring = Ring::default();
        let rows = [
            (5, Some(Value::Number(-0.25)), Quality::Good),
            (3, Some(Value::Flag(true)), Quality::Uncertain),
            (9, Some(Value::Text("running".into())), Quality::Stale),
            (9, None, Quality::Bad),
        ];
        for (at, value, quality) in &rows {
            ring.add(*at, value.as_ref(), *quality, 4);
        }
        assert_eq!((between(&ring, 0, 10), ring.whole_from()), (rows.to_vec(), 0));
        assert_eq!(between(&ring, 5, 9), rows[..1]);
        ring.add(4, None, Quality::Good, 4);
        assert_eq!(ring.whole_from(), 6, "nothing of before is missed from here on");
        assert_eq!(ring.entries.capacity(), 4);
    }

    #[test]
    fn a_point_with_ever_new_texts_takes_no_more_room() {
        let mut ring = Ring::default();
        for number in 0..1000 {
            let text = Value::Text(format!("{number:0100}"));
            ring.add(number, Some(&text), Quality::Good, 100);
            assert_eq!(between(&ring, number, number + 1), [(number, Some(text), Quality::Good)]);
        }
        assert!(ring.texts.len() <= TEXTS && ring.entries.len() <= 100);
        assert!(900 < ring.whole_from());
    }
}
