//! Histories that must be the same as if everything had been written into one list.

use std::sync::Arc;
use std::time::{Duration, Instant};

use headstock_config::point::{Quality, Value};
use proptest::prelude::*;

use super::*;
use crate::journal::simulated::Simulated;
use crate::points::cell::Moment;
use crate::points::minutes::Shelf;
use crate::points::{Declared, News};

fn declared() -> Vec<Declared> {
    let name = |name: &str| Declared { name: name.into(), ..Declared::default() };
    vec![name("meter.power"), name("meter.other")]
}

/// Points whose rings hold this many changes, with their minutes on this disk.
fn points(share: usize, disk: &Simulated) -> Points {
    let memory_bytes = (share * 2 * ENTRY) as u64;
    let points = Points::within(declared(), memory_bytes);
    let shelf = Shelf::open(Arc::new(disk.clone()), 1 << 20).unwrap();
    assert!(points.inner.shelf.set(shelf).is_ok());
    points
}

fn say(points: &Points, now_ms: u64, value: Value, quality: Quality) {
    let now = Instant::now();
    let news = News { id: PointId(0), value: Some(value), quality, at: now, why: None };
    points.report_at(Moment { now, now_ms }, [news]);
}

fn naive(told: &[(u64, Value, Quality)], from: u64, to: u64, every: u64) -> Vec<Span> {
    let mut spans = Spans::default();
    for (at, value, quality) in told.iter().filter(|(at, ..)| (from..to).contains(at)) {
        let mut sum = Sum::default();
        sum.add(Some(value.clone()), *quality);
        spans.add(*at, every, sum);
    }
    spans.0.into_iter().map(|(at, sum)| sum.span(at)).collect()
}

fn same(one: &[Span], other: &[Span]) {
    assert_eq!(one.len(), other.len(), "{one:?} {other:?}");
    for (one, other) in one.iter().zip(other) {
        // A mean is added up in another order.
        let differ = (one.mean.unwrap_or_default() - other.mean.unwrap_or_default()).abs();
        assert!(differ < 1e-6, "{one:?} {other:?}");
        assert_eq!(Span { mean: None, ..one.clone() }, Span { mean: None, ..other.clone() });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Values, pauses, minutes that are written at any moment, the house closed and opened again:
    /// by the minute the history is what was told.
    #[test]
    fn rings_and_minutes_are_one_history(
        says in proptest::collection::vec((0u64..40_000, -50i32..50, 0u8..3, 0u8..20), 1..300),
        share in 8usize..60,
    ) {
        let disk = Simulated::default();
        let mut points = points(share, &disk);
        let start = points.inner.opened_ms;
        let (mut now, mut told) = (start, Vec::new());
        let mut last = None;
        for (pause, number, quality, act) in says {
            now += pause;
            let quality = [Quality::Good, Quality::Uncertain, Quality::Bad][usize::from(quality)];
            let value = Value::Number(f64::from(number));
            say(&points, now, value.clone(), quality);
            if last.replace((number, quality)) != Some((number, quality)) {
                told.push((now, value, quality));
            }
            match act {
                0 => points.write_minutes(true, |minute| minute != now / MINUTE).unwrap(),
                1 => {
                    points.write_minutes(true, |_| true).unwrap();
                    points.inner.shelf.get().unwrap().close();
                    points = Points::within(declared(), (share * 2 * ENTRY) as u64);
                    // The clock of these tests is ahead of the box's.
                    let inner = Arc::get_mut(&mut points.inner).unwrap();
                    inner.opened_ms = now + 1;
                    inner.shelf.set(Shelf::open(Arc::new(disk.clone()), 1 << 20).unwrap()).ok();
                    last = None;
                }
                _ => (),
            }
        }
        for every in [MINUTE, 5 * MINUTE] {
            let to = now + 1;
            let from = start / MINUTE * MINUTE;
            same(
                &points.history("meter.power", from, to, every),
                &naive(&told, from, to, every),
            );
        }
        prop_assert!(points.history("meter.other", 0, u64::MAX, MINUTE).is_empty());
        // What the ring still has is there to the millisecond.
        let seam = points.in_memory(PointId(0), Range { from_ms: 0, to_ms: 0, every_ms: 1 }).0;
        let from = seam * MINUTE;
        if from <= now {
            same(
                &points.history("meter.power", from, now + 1, 1_000),
                &naive(&told, from, now + 1, (now + 1 - from).div_ceil(SPANS).max(1_000)),
            );
        }
    }

    /// A clock that jumps: nothing panics, and every change is in the answer for all of time once.
    #[test]
    fn a_jumping_clock_loses_and_doubles_nothing(
        says in proptest::collection::vec((any::<u32>(), 0u8..10), 1..200),
        share in 8usize..60,
    ) {
        let points = points(share, &Simulated::default());
        let start = points.inner.opened_ms;
        for (count, (at, act)) in says.iter().enumerate() {
            let at = (start + u64::from(*at)).saturating_sub(u64::from(u32::MAX / 2));
            say(&points, at, Value::Number(count as f64), Quality::Good);
            if *act == 0 {
                points.write_minutes(true, |minute| minute != at / MINUTE).unwrap();
            }
        }
        let spans = points.history("meter.power", 0, start * 2, MINUTE);
        prop_assert_eq!(spans.iter().map(|it| it.count).sum::<u64>(), says.len() as u64);
        prop_assert!(spans.is_sorted_by_key(|it| it.at_ms));
    }
}

#[test]
fn an_answer_is_bounded_however_much_is_asked_for() {
    let points = points(60_000, &Simulated::default());
    let start = points.inner.opened_ms.next_multiple_of(MINUTE);
    for number in 0..30_000 {
        say(&points, start + number, Value::Number(number as f64), Quality::Good);
    }
    let spans = points.history("meter.power", start, start + 30_000, 1);
    assert!(spans.len() as u64 <= SPANS + 1 && SPANS / 2 < spans.len() as u64);
    assert_eq!(spans.iter().map(|it| it.count).sum::<u64>(), 30_000);
    assert!(points.history("meter.power", 0, u64::MAX, 0).len() <= SPANS as usize);
    assert!(points.history("meter.power", 9, 3, 0).is_empty());
    assert!(points.history("no.such", 0, u64::MAX, 0).is_empty());
}

#[test]
fn a_point_that_becomes_stale_is_stale_in_its_history() {
    let limit = Duration::from_secs(2);
    let door = Declared { name: "door".into(), age_limit: limit, ..Declared::default() };
    let points = Points::new(vec![door]);
    let now_ms = points.inner.opened_ms.next_multiple_of(MINUTE);
    let now = Instant::now();
    let news = News {
        id: PointId(0),
        value: Some(Value::Flag(true)),
        quality: Quality::Good,
        at: now,
        why: None,
    };
    points.report_at(Moment { now, now_ms }, [news]);
    points.age_at(Moment { now: now + limit, now_ms: now_ms + 2_000 });
    let spans = points.history("door", now_ms, now_ms + 10_000, 1_000);
    assert_eq!(spans.len(), 2);
    assert_eq!((spans[0].quality, spans[0].count), (Quality::Good, 1));
    assert_eq!((spans[1].quality, spans[1].count, &spans[1].last), (Quality::Stale, 0, &None));
}
