//! The latest changes of one point, in memory: 16 bytes each, and the oldest give way.
//!
//! ```text
//!  63..55 unused | 54 anew | 53..52 news | 51..50 kind | 49..48 quality | 47..0 milliseconds since 1970
//!  63..0  the number's bits, or 0 or 1, or the text's place in the ring's own list
//! ```
//!
//! Each holds until the next, unless that one begins anew.
//!
//! Invariant: every change whose time is at or after [`Ring::whole_from`] is here, and what held
//! there when it came, however the clock has jumped.

use std::collections::VecDeque;

use headstock_config::point::{Quality, Value};

const AT: u64 = (1 << 48) - 1;
const NONE: u64 = 0;
const FLAG: u64 = 1;
const NUMBER: u64 = 2;
const TEXT: u64 = 3;
const ANEW: u64 = 1 << 54;
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

impl Entry {
    fn at(self) -> u64 {
        self.head & AT
    }

    fn kind(self) -> u64 {
        self.head >> 50 & 3
    }

    fn news(self) -> Told {
        match self.head >> 52 & 3 {
            0 => Told::Value,
            1 => Told::Quality,
            _ => Told::Nothing,
        }
    }
}

/// What was told with a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// A value: the device said it.
    Value,
    /// Only the quality is news; the value stood before.
    Quality,
    /// The clock was set, and from here on it holds what held before.
    Nothing,
}

/// A change: how the point stands from here on.
pub(super) struct Noted<'a> {
    pub(super) at_ms: u64,
    pub(super) value: Option<&'a Value>,
    pub(super) quality: Quality,
    pub(super) told: Told,
    /// Nothing holds up to here.
    pub(super) anew: bool,
}

/// How a point stood from one change to the next.
#[derive(Debug, PartialEq)]
pub(super) struct Stood {
    pub(super) at_ms: u64,
    /// Before `at_ms` if it did not hold, or the clock has jumped.
    pub(super) until_ms: u64,
    pub(super) value: Option<Value>,
    pub(super) quality: Quality,
    pub(super) told: Told,
}

/// The latest changes of one point.
#[derive(Default)]
pub(super) struct Ring {
    entries: VecDeque<Entry>,
    texts: Vec<Box<str>>,
    /// The latest that gave way: it may hold up to the first that is here.
    gone: Option<Entry>,
    /// The latest time of those that gave way, plus one.
    whole_from: u64,
}

impl Ring {
    /// Changes at or after this time, in milliseconds since 1970, are all here.
    pub(super) fn whole_from(&self) -> u64 {
        self.whole_from
    }

    /// Notes a change; at most `share` of them are kept.
    pub(super) fn add(&mut self, noted: Noted<'_>, share: usize) {
        let (kind, bits) = match noted.value {
            None => (NONE, 0),
            Some(Value::Flag(flag)) => (FLAG, u64::from(*flag)),
            Some(Value::Number(number)) => (NUMBER, number.to_bits()),
            Some(Value::Text(text)) => (TEXT, self.text(text)),
        };
        let (quality, news) = (noted.quality as u64, noted.told as u64);
        let anew = if noted.anew { ANEW } else { 0 };
        let head = noted.at_ms.min(AT) | quality << 48 | kind << 50 | news << 52 | anew;
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
            self.whole_from = self.whole_from.max(gone.at() + 1);
            self.gone = Some(gone);
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
                self.forget_texts();
            }
            self.texts.push(text.into());
            self.texts.len() - 1
        });
        place as u64
    }

    /// Forgets all texts but that of the latest that gave way.
    fn forget_texts(&mut self) {
        let mut texts = std::mem::take(&mut self.texts);
        let Some(gone) = self.gone.as_mut().filter(|it| it.kind() == TEXT) else { return };
        self.texts.push(texts.swap_remove(gone.bits as usize));
        gone.bits = 0;
    }

    /// All of it as it is now, to be looked at where it keeps nobody waiting.
    pub(super) fn copied(&self) -> Past {
        let (older, newer) = self.entries.as_slices();
        let gone: &[Entry] = self.gone.as_slice();
        Past { entries: [gone, older, newer].concat(), texts: self.texts.clone() }
    }
}

/// A copy of a ring.
pub(super) struct Past {
    /// With the latest that gave way, if any did.
    entries: Vec<Entry>,
    texts: Vec<Box<str>>,
}

impl Past {
    /// How the point stood from `from` to before `to`, in the order in which it came: what changed
    /// there, and what still held there. The latest holds until `until_ms`. Nothing is missed from
    /// [`Ring::whole_from`] on.
    pub(super) fn between(
        &self,
        from: u64,
        to: u64,
        until_ms: u64,
    ) -> impl Iterator<Item = Stood> + '_ {
        let next = self.entries.iter().skip(1);
        let next = next.map(|it| if it.head & ANEW == 0 { it.at() } else { 0 });
        let stood = self.entries.iter().copied().zip(next.chain([until_ms]));
        let inside = move |at, until| at < to && (from <= at || from < until);
        let stood = stood.filter(move |(it, until)| inside(it.at(), *until));
        stood.map(|(it, until_ms)| Stood {
            at_ms: it.at(),
            until_ms,
            value: self.value(it),
            quality: quality(it.head),
            told: it.news(),
        })
    }

    fn value(&self, entry: Entry) -> Option<Value> {
        match entry.kind() {
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

    /// When, what and how good, and what of it was told.
    type Row = (u64, Option<Value>, Quality, Told);

    fn add(ring: &mut Ring, (at_ms, value, quality, told): &Row, share: usize) {
        let value = value.as_ref();
        let noted = Noted { at_ms: *at_ms, value, quality: *quality, told: *told, anew: false };
        ring.add(noted, share);
    }

    fn between(ring: &Ring, from: u64, to: u64) -> Vec<Row> {
        let past = ring.copied();
        let row = |it: Stood| (it.at_ms, it.value, it.quality, it.told);
        past.between(from, to, 0).map(row).collect()
    }

    #[test]
    fn what_goes_in_comes_out_in_order_and_the_oldest_give_way() {
        let mut ring = Ring::default();
        let rows = [
            (5, Some(Value::Number(-0.25)), Quality::Good, Told::Value),
            (3, Some(Value::Flag(true)), Quality::Uncertain, Told::Value),
            (9, Some(Value::Text("running".into())), Quality::Stale, Told::Nothing),
            (9, None, Quality::Bad, Told::Quality),
        ];
        rows.iter().for_each(|row| add(&mut ring, row, 4));
        assert_eq!((between(&ring, 0, 10), ring.whole_from()), (rows.to_vec(), 0));
        let held = [rows[0].clone(), rows[1].clone()];
        assert_eq!(between(&ring, 5, 9), held, "the one of before that held there as well");
        add(&mut ring, &(4, None, Quality::Good, Told::Value), 4);
        assert_eq!(ring.whole_from(), 6, "nothing of before is missed from here on");
        assert_eq!(ring.entries.capacity(), 4);
    }

    #[test]
    fn what_gave_way_still_holds_up_to_what_is_left() {
        let mut ring = Ring::default();
        let said = |at, number: f64| (at, Some(Value::Number(number)), Quality::Good, Told::Value);
        [said(1, 1.0), said(5, 2.0), said(20, 3.0)].iter().for_each(|row| add(&mut ring, row, 1));
        let past = ring.copied();
        let stood: Vec<_> = past.between(ring.whole_from(), 30, 25).collect();
        let times: Vec<_> = stood.iter().map(|it| (it.at_ms, it.until_ms)).collect();
        assert_eq!(times, [(5, 20), (20, 25)]);
        let value = Some(&Value::Number(4.0));
        ring.add(
            Noted { at_ms: 40, value, quality: Quality::Good, told: Told::Value, anew: true },
            1,
        );
        let past = ring.copied();
        let stood: Vec<_> = past.between(ring.whole_from(), 50, 45).collect();
        assert_eq!(stood.len(), 1, "nothing holds up to what begins anew");
    }

    #[test]
    fn a_point_with_ever_new_texts_takes_no_more_room() {
        let mut ring = Ring::default();
        let row = |number| {
            let text = Value::Text(format!("{number:0100}"));
            (number, Some(text), Quality::Good, Told::Value)
        };
        for number in 0..1000 {
            add(&mut ring, &row(number), 100);
            assert_eq!(between(&ring, number, number + 1), [row(number)]);
            if 1 < number && ring.whole_from() < number {
                let before = between(&ring, number - 1, number);
                assert_eq!(before, [row(number - 1)], "also of what has given way");
            }
        }
        assert!(ring.texts.len() <= TEXTS && ring.entries.len() <= 100);
        assert!(900 < ring.whole_from());
    }
}
