//! Which requests read a device's tags at the least cost.
//!
//! ```text
//!  tags     ##  ###         ##
//!  plan A   [------------------]   one request, and registers nobody asked for
//!  plan B   [-----]         [--]   two requests, each with its frames and silences
//! ```
//!
//! Exact: of all ways to cut the sorted tags into requests the cheapest is found, by dynamic
//! programming over the place of the last cut. Tags that are read at different periods are
//! planned apart, but a slow tag between fast ones comes along.
//!
//! Invariants: every tag is in exactly one span, and wholly; no span is longer than its limit,
//! but for a tag that is so itself.

use std::time::Duration;

/// Where a tag stands in its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Item {
    /// Index into the machine's tags.
    pub(super) tag: usize,
    /// First register or coil.
    pub(super) start: u32,
    /// The one behind the last.
    pub(super) end: u32,
    /// How often it is read, milliseconds.
    pub(super) period_ms: u64,
}

/// What is read at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// First register or coil.
    pub(super) start: u32,
    /// The one behind the last.
    pub(super) end: u32,
    /// How often, milliseconds.
    pub(super) period_ms: u64,
}

impl Span {
    pub(super) fn holds(&self, item: &Item) -> bool {
        self.start <= item.start && item.end <= self.end
    }
}

/// What a plan must keep to.
pub(super) struct Limits<'a> {
    /// Most registers or coils in one request.
    pub(super) longest: u32,
    /// Most of them in a row that nobody asked for.
    pub(super) gap: u32,
    /// What a request for so many costs.
    pub(super) cost: &'a dyn Fn(u32) -> Duration,
}

/// The requests for one table of one device. `items` are sorted by where they start.
pub(super) fn plan(items: &[Item], limits: &Limits<'_>) -> Vec<Span> {
    let mut periods: Vec<u64> = items.iter().map(|item| item.period_ms).collect();
    periods.sort_unstable();
    periods.dedup();
    let mut spans: Vec<Span> = Vec::new();
    for period_ms in periods {
        let left: Vec<Item> = items
            .iter()
            .filter(|item| item.period_ms == period_ms)
            .filter(|item| !spans.iter().any(|faster| faster.holds(item)))
            .copied()
            .collect();
        let cuts = cheapest(&left, limits);
        spans.extend(cuts.into_iter().map(|(start, end)| Span { start, end, period_ms }));
    }
    spans
}

/// The cheapest way to cut the items into requests.
fn cheapest(items: &[Item], limits: &Limits<'_>) -> Vec<(u32, u32)> {
    // For the first `n` items: what they cost at the least, and where their last request begins.
    let mut best: Vec<(Duration, usize)> = vec![(Duration::ZERO, 0)];
    for last in 0..items.len() {
        let mut end = 0;
        let mut found: Option<(Duration, usize)> = None;
        for first in (0..=last).rev() {
            let item = &items[first];
            if first < last && limits.gap < gap(items, first) {
                break;
            }
            end = end.max(item.end);
            let length = end - item.start;
            if first < last && limits.longest < length {
                break;
            }
            let cost = best[first].0 + (limits.cost)(length);
            if found.is_none_or(|(least, _)| cost < least) {
                found = Some((cost, first));
            }
        }
        // The item alone is always a way.
        best.push(found.unwrap_or((best[last].0, last)));
    }
    let mut spans = Vec::new();
    let mut until = items.len();
    while 0 < until {
        let from = best[until].1;
        let end = items[from..until].iter().map(|item| item.end).max();
        spans.push((items[from].start, end.unwrap_or(items[from].end)));
        until = from;
    }
    spans.reverse();
    spans
}

/// What lies between an item and the next one.
fn gap(items: &[Item], first: usize) -> u32 {
    items[first + 1].start.saturating_sub(items[first].end)
}

/// Two spans for one, cut where most lies between its items; in the middle of them if nothing
/// does. `None` if all that is in it overlaps. `items` as above, those of the span alone.
pub(super) fn halves(items: &[Item]) -> Option<[(u32, u32); 2]> {
    let cuts = (1..items.len()).filter_map(|at| {
        let end = items[..at].iter().map(|item| item.end).max()?;
        (end <= items[at].start).then(|| (items[at].start - end, at))
    });
    let middle = items.len() / 2;
    let widest = cuts.max_by_key(|&(gap, at)| (gap, usize::MAX - at.abs_diff(middle)));
    let (_, at) = widest?;
    let whole =
        |items: &[Item]| Some((items.first()?.start, items.iter().map(|item| item.end).max()?));
    Some([whole(&items[..at])?, whole(&items[at..])?])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 2 ms for every register and 30 for every request.
    fn slow(count: u32) -> Duration {
        Duration::from_millis(30 + 2 * u64::from(count))
    }

    fn items(places: &[(u32, u32)]) -> Vec<Item> {
        let mut items: Vec<Item> = places
            .iter()
            .map(|&(start, width)| Item { tag: 0, start, end: start + width, period_ms: 1000 })
            .collect();
        items.sort_by_key(|item| (item.start, item.end));
        items
    }

    fn spans(items: &[Item], longest: u32, gap: u32) -> Vec<(u32, u32)> {
        let limits = Limits { longest, gap, cost: &slow };
        plan(items, &limits).iter().map(|span| (span.start, span.end)).collect()
    }

    #[test]
    fn registers_nobody_asked_for_are_read_where_that_is_cheaper_than_to_ask_again() {
        let near = items(&[(0, 2), (10, 1), (25, 2)]);
        assert_eq!(spans(&near, 125, 124), [(0, 27)]);
        let far = items(&[(0, 2), (10, 1), (27, 2)]);
        assert_eq!(spans(&far, 125, 124), [(0, 11), (27, 29)]);
        assert_eq!(spans(&near, 125, 4), [(0, 2), (10, 11), (25, 27)]);
        assert_eq!(spans(&near, 12, 124), [(0, 11), (25, 27)]);
    }

    #[test]
    fn a_slow_tag_between_fast_ones_comes_along() {
        let mut items = items(&[(0, 1), (1, 1), (2, 1), (90, 1)]);
        items[1].period_ms = 60_000;
        items[3].period_ms = 60_000;
        let limits = Limits { longest: 125, gap: 124, cost: &slow };
        let planned = plan(&items, &limits);
        assert_eq!(
            planned,
            [
                Span { start: 0, end: 3, period_ms: 1000 },
                Span { start: 90, end: 91, period_ms: 60_000 }
            ]
        );
    }

    #[test]
    fn a_span_is_halved_where_it_is_emptiest() {
        assert_eq!(halves(&items(&[(0, 2), (4, 1), (20, 2)])), Some([(0, 5), (20, 22)]));
        assert_eq!(halves(&items(&[(0, 1), (1, 1), (2, 1), (3, 1)])), Some([(0, 2), (2, 4)]));
        assert_eq!(halves(&items(&[(5, 2)])), None);
        assert_eq!(halves(&items(&[(5, 2), (6, 2)])), None);
    }

    proptest! {
        #[test]
        fn every_tag_is_in_a_span_and_no_cut_is_cheaper(
            places in prop::collection::vec((0_u32..40, 1_u32..4), 1..9),
            longest in 4_u32..30,
        ) {
            let items = items(&places);
            let found = spans(&items, longest, 124);
            for item in &items {
                let holding = found.iter().filter(|it| it.0 <= item.start && item.end <= it.1);
                prop_assert!(holding.count() >= 1);
            }
            for (start, end) in &found {
                prop_assert!(end - start <= longest);
            }
            let cost: Duration = found.iter().map(|it| slow(it.1 - it.0)).sum();
            prop_assert_eq!(cost, cheapest_by_trying_all(&items, longest));
        }
    }

    /// Every way to cut: slow, and plainly right.
    fn cheapest_by_trying_all(items: &[Item], longest: u32) -> Duration {
        let ways = 1_u32 << (items.len() - 1);
        let cost = |way: u32| {
            let mut total = Duration::ZERO;
            let mut from = 0;
            for at in 1..=items.len() {
                if at < items.len() && way >> (at - 1) & 1 == 0 {
                    continue;
                }
                let end = items[from..at].iter().map(|item| item.end).max()?;
                let length = end - items[from].start;
                if longest < length {
                    return None;
                }
                total += slow(length);
                from = at;
            }
            Some(total)
        };
        (0..ways).filter_map(cost).min().unwrap()
    }
}
