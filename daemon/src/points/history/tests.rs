//! Histories that must be the same as if everything had been written into one list.

use std::sync::Arc;
use std::time::{Duration, Instant};

use headstock_config::point::{Quality, Value};
use proptest::prelude::*;

use super::*;
use crate::journal::simulated::Simulated;
use crate::points::minutes::Shelf;
use crate::points::{Declared, News};

/// Points of a house whose clock these tests set.
struct House {
    points: Points,
    disk: Simulated,
    share: usize,
    began: Moment,
    /// Milliseconds since 1970.
    now_ms: u64,
}

impl House {
    /// Rings that hold this many changes, and minutes on a disk; it is the beginning of a minute.
    fn open(share: usize) -> Self {
        let disk = Simulated::default();
        let points = points(share, &disk);
        let now_ms = points.inner.opened_ms.next_multiple_of(MINUTE);
        let began = Moment { now: Instant::now(), now_ms };
        Self { points, disk, share, began, now_ms }
    }

    fn moment(&self) -> Moment {
        let passed = Duration::from_millis(self.now_ms - self.began.now_ms);
        Moment { now: self.began.now + passed, now_ms: self.now_ms }
    }

    fn wait(&mut self, ms: u64) -> &mut Self {
        self.now_ms += ms;
        self
    }

    fn news(&self, value: Option<Value>, quality: Quality) {
        let news = News { id: PointId(0), value, quality, at: self.moment().now, why: None };
        self.points.report_at(self.moment(), [news]);
    }

    fn say(&self, value: impl Into<Said>) -> &Self {
        self.news(Some(value.into().0), Quality::Good);
        self
    }

    fn write(&self) {
        let minute = self.now_ms / MINUTE;
        self.points.write_minutes(self.moment(), true, |it| it != minute).unwrap();
    }

    fn reopen(&mut self) {
        self.points.write_minutes(self.moment(), true, |_| true).unwrap();
        self.points.inner.shelf.get().unwrap().close();
        self.points = points(self.share, &self.disk);
        // The clock of these tests is ahead of the box's.
        Arc::get_mut(&mut self.points.inner).unwrap().opened_ms = self.now_ms + 1;
    }

    fn history(&self, from_ms: u64, to_ms: u64, every_ms: u64) -> Vec<Span> {
        let range = Range { from_ms, to_ms, every_ms };
        self.points.history_at(self.moment(), "meter.power", range)
    }

    /// By spans of this length, from the beginning until now.
    fn all(&self, every_ms: u64) -> Vec<Span> {
        self.history(self.began.now_ms, self.now_ms + 1, every_ms)
    }
}

struct Said(Value);

impl From<f64> for Said {
    fn from(number: f64) -> Self {
        Self(Value::Number(number))
    }
}

impl From<bool> for Said {
    fn from(flag: bool) -> Self {
        Self(Value::Flag(flag))
    }
}

impl From<&str> for Said {
    fn from(text: &str) -> Self {
        Self(Value::Text(text.into()))
    }
}

fn points(share: usize, disk: &Simulated) -> Points {
    let name = |name: &str| Declared { name: name.into(), ..Declared::default() };
    let declared = vec![name("meter.power"), name("meter.other")];
    let points = Points::within(declared, (share * 2 * ENTRY) as u64);
    let shelf = Shelf::open(Arc::new(disk.clone()), 1 << 20).unwrap();
    assert!(points.inner.shelf.set(shelf).is_ok());
    points
}

fn figures(span: &Span) -> [f64; 3] {
    [span.min, span.mean, span.max].map(|it| (it.unwrap_or(f64::NAN) * 100.0).round() / 100.0)
}

/// How a point stood from a time on: its value, its quality, and whether the device said so then.
#[derive(Clone, Debug)]
struct Step {
    at_ms: u64,
    value: Option<f64>,
    quality: Quality,
    said: bool,
}

/// What was told in one run of the house, and when that ended.
#[derive(Clone, Debug, Default)]
struct Run {
    steps: Vec<Step>,
    end_ms: u64,
}

/// One span, by integrating all steps over it; nothing if nothing is known of it.
fn integral(runs: &[Run], begin: u64, end: u64) -> Option<Span> {
    let (mut area, mut time, mut numbers) = (0.0, 0.0, Vec::new());
    let (mut last, mut count, mut worst) = (None, 0, None);
    for Run { steps, end_ms } in runs {
        for (index, step) in steps.iter().enumerate() {
            let inside = (begin..end).contains(&step.at_ms);
            let next = steps.get(index + 1).map(|it| it.at_ms);
            let until = next.unwrap_or(*end_ms);
            let ms = until.min(end).saturating_sub(step.at_ms.max(begin)) as f64;
            let believed = step.quality.believable() && step.value.is_some();
            let doubted = !believed && 0.0 < ms && next.is_some_and(|it| it < end);
            if inside || believed && 0.0 < ms || doubted {
                worst = worst.max(Some(step.quality));
            }
            if inside && step.said || believed && 0.0 < ms {
                last = step.value.or(last);
                numbers.extend(step.value.filter(|_| believed));
            }
            if believed {
                area += step.value.unwrap() * ms;
                time += ms;
            }
            count += u64::from(inside && step.said);
        }
    }
    let mean = if time == 0.0 { numbers.last().copied() } else { Some(area / time) };
    Some(Span {
        at_ms: begin,
        min: numbers.iter().copied().reduce(f64::min),
        max: numbers.iter().copied().reduce(f64::max),
        mean,
        last: last.map(Value::Number),
        count,
        quality: worst?,
    })
}

fn naive(runs: &[Run], from: u64, to: u64, every: u64) -> Vec<Span> {
    let spans = from / every..to.div_ceil(every);
    let span = |it: u64| {
        let span = integral(runs, (it * every).max(from), ((it + 1) * every).min(to))?;
        Some(Span { at_ms: it * every, ..span })
    };
    spans.filter_map(span).collect()
}

fn same(one: &[Span], other: &[Span]) {
    assert_eq!(one.len(), other.len(), "{one:#?} {other:#?}");
    for (one, other) in one.iter().zip(other) {
        // A mean is added up in another order.
        let differ = (one.mean.unwrap_or_default() - other.mean.unwrap_or_default()).abs();
        assert!(differ < 1e-6, "{one:?} {other:?}");
        assert_eq!(Span { mean: None, ..one.clone() }, Span { mean: None, ..other.clone() });
    }
}

/// What is told of what is said, with neither age limit nor deadband.
fn note(run: &mut Run, told_ms: &mut u64, now_ms: u64, value: Option<f64>, quality: Quality) {
    let (said, before) = (value.is_some(), run.steps.last());
    let value = value.or(before.and_then(|it| it.value));
    let quality = if value.is_none() { Quality::Bad } else { quality };
    let news = before.is_none_or(|it| (it.value, it.quality) != (value, quality));
    if news || said && *told_ms + 60_000 <= now_ms {
        *told_ms = now_ms;
        run.steps.push(Step { at_ms: now_ms, value, quality, said });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Values, pauses, minutes that are written at any moment, the house closed and opened again:
    /// the history is the integral over what was told, from minutes and from changes.
    #[test]
    fn rings_and_minutes_are_one_history(
        says in proptest::collection::vec(
            (0u64..40_000, proptest::option::weighted(0.9, -50i32..50), 0u8..8, 0u8..30),
            1..300,
        ),
        share in 8usize..60,
    ) {
        let mut house = House::open(share);
        let start = house.now_ms;
        let (mut runs, mut told_ms) = (vec![Run::default()], 0);
        for (pause, number, quality, act) in says {
            house.wait(match act {
                2..6 => 0,
                6 => pause * 20,
                _ => pause,
            });
            let quality = match quality {
                0 => Quality::Bad,
                1 => Quality::Uncertain,
                _ => Quality::Good,
            };
            let (now, number) = (house.now_ms, number.map(|it| f64::from(it / 10)));
            house.news(number.map(Value::Number), quality);
            note(runs.last_mut().unwrap(), &mut told_ms, now, number, quality);
            match act {
                0 => house.write(),
                1 => {
                    house.wait(pause / 3).reopen();
                    runs.last_mut().unwrap().end_ms = house.now_ms;
                    runs.push(Run::default());
                }
                _ => (),
            }
        }
        house.wait(7_777);
        let now = house.now_ms;
        runs.last_mut().unwrap().end_ms = now;
        for every in [MINUTE, 5 * MINUTE] {
            let from = start / every * every;
            same(&house.history(from, now + 1, every), &naive(&runs, from, now + 1, every));
        }
        prop_assert!(house.points.history("meter.other", 0, u64::MAX, MINUTE).is_empty());
        // What the ring still has is there to the millisecond.
        let range = Range { from_ms: 0, to_ms: 0, every_ms: 1 };
        let from = house.points.in_memory(house.moment(), PointId(0), range).0 * MINUTE;
        if from <= now {
            let every = (now + 1 - from).div_ceil(SPANS).max(1_000);
            for to in [now + 1, from + (now - from) / 3] {
                same(&house.history(from, to, every), &naive(&runs, from, to, every));
            }
        }
    }

    /// A clock that jumps: nothing panics, every change is in the answer for all of time once, and
    /// nobody looks, writes or reports for as long as the clock pretends.
    #[test]
    fn a_jumping_clock_loses_and_doubles_nothing(
        says in proptest::collection::vec((any::<u32>(), 0u64..3_000, 0u8..10), 1..200),
        share in 8usize..60,
    ) {
        let mut house = House::open(share);
        let (start, began) = (house.now_ms, house.began.now);
        let (mut now, mut wall) = (began, start);
        for (count, (jump, pause, act)) in says.iter().enumerate() {
            now += Duration::from_millis(*pause);
            wall += pause;
            if 5 <= *act {
                wall = (start + u64::from(*jump)).saturating_sub(u64::from(u32::MAX / 2));
            }
            (house.began, house.now_ms) = (Moment { now, now_ms: wall }, wall);
            house.say(count as f64);
            match act {
                0 | 9 => house.write(),
                1 | 8 => drop(house.history(0, start * 2, u64::MAX)),
                _ => (),
            }
        }
        let spans = house.history(0, start * 2, MINUTE);
        prop_assert_eq!(spans.iter().map(|it| it.count).sum::<u64>(), says.len() as u64);
        prop_assert!(spans.is_sorted_by_key(|it| it.at_ms));
        let passed = (now - began).as_millis() as u64 / MINUTE;
        prop_assert!(spans.len() as u64 <= 2 * says.len() as u64 + passed);
        prop_assert_eq!(house.points.tally().minutes_lost, 0);
    }
}

/// What an operator found: a drive at 30, set to 10 at 18:57:41 and to 50 at 18:58:56, looked at at
/// 18:58:59.
#[test]
fn a_span_has_the_value_that_was_carried_into_it_and_its_mean_is_by_time() {
    let mut house = House::open(100);
    house.say(30.0);
    house.wait(MINUTE + 41_000).say(10.0);
    house.wait(75_000).say(50.0);
    house.wait(3_000);
    let expected = [(1, [30.0; 3]), (1, [10.0, 23.67, 30.0]), (1, [10.0, 12.03, 50.0])];
    let told =
        |spans: &[Span]| -> Vec<_> { spans.iter().map(|it| (it.count, figures(it))).collect() };
    assert_eq!(told(&house.all(MINUTE)), expected);
    let seconds = house.all(1_000);
    assert_eq!((seconds.len(), figures(&seconds[101])), (179, [10.0; 3]));
    house.write();
    house.reopen();
    assert_eq!(told(&house.all(MINUTE)), expected, "the same from the disk");
}

#[test]
fn the_mean_of_an_output_is_its_duty_cycle() {
    let mut house = House::open(8);
    for _ in 0..18 {
        house.say(true);
        house.wait(5_000).say(false);
        house.wait(15_000);
        house.write();
    }
    let spans = house.history(house.began.now_ms, house.now_ms, MINUTE);
    assert_eq!(spans.iter().map(figures).collect::<Vec<_>>(), [[0.0, 0.25, 1.0]; 6]);
}

#[test]
fn spans_in_which_a_value_merely_held_are_in_the_answer() {
    for value in [Said::from(21.5), Said::from(true), Said::from("idle")] {
        let value = value.0;
        let mut house = House::open(8);
        house.news(Some(value.clone()), Quality::Uncertain);
        house.wait(7 * MINUTE + 1);
        let whole = value.number();
        for spans in [house.all(10_000), house.all(MINUTE)] {
            assert!(spans.iter().all(|it| it.quality == Quality::Uncertain));
            assert!(spans.iter().all(|it| [it.min, it.mean, it.max] == [whole; 3]));
            assert!(spans.iter().all(|it| it.last.as_ref() == Some(&value)));
            assert_eq!(spans.iter().map(|it| it.count).sum::<u64>(), 1);
        }
        assert_eq!((house.all(10_000).len(), house.all(MINUTE).len()), (43, 8));
        house.wait(MINUTE).write();
        house.wait(MINUTE).reopen();
        house.wait(30 * MINUTE);
        let spans = house.all(MINUTE);
        assert_eq!(spans.len(), 10, "on disk as well, and not over the restart");
        assert_eq!(spans[8].last, Some(value));
    }
}

#[test]
fn nothing_holds_past_a_change_that_cannot_be_believed() {
    let mut house = House::open(100);
    house.say(4.0);
    house.wait(10_000).news(None, Quality::Bad);
    house.wait(2 * MINUTE).news(Some(Value::Number(99.0)), Quality::Bad);
    house.wait(2 * MINUTE + 20_000).say(8.0);
    house.wait(10_000);
    let row = |it: &Span| (it.at_ms - house.began.now_ms, figures(it), it.count, it.quality);
    let rows: Vec<_> = house.all(10_000).iter().map(row).collect();
    let (nan, bad) = ([f64::NAN; 3], Quality::Bad);
    let expected = [
        (0, [4.0; 3], 1, Quality::Good),
        (10_000, nan, 0, bad),
        (130_000, nan, 1, bad),
        (270_000, [8.0; 3], 1, Quality::Good),
    ];
    assert_eq!(format!("{rows:?}"), format!("{expected:?}"));
    let spans = house.all(u64::MAX);
    assert_eq!((figures(&spans[0]), spans[0].count), ([4.0, 6.0, 8.0], 3));
    assert_eq!((spans[0].quality, &spans[0].last), (bad, &Some(Value::Number(8.0))));
}

#[test]
fn a_value_that_holds_for_no_time_is_the_largest_all_the_same() {
    let mut house = House::open(100);
    house.say(1.0);
    house.wait(500).say(99.0).say(1.0);
    house.wait(500);
    assert_eq!(figures(&house.all(1_000)[0]), [1.0, 1.0, 99.0]);
    house.say(7.0);
    assert_eq!(figures(&house.all(1_000)[1]), [7.0; 3], "where there is no time, the last");
}

#[test]
fn a_clock_that_is_set_makes_nobody_believe_that_anything_held_meanwhile() {
    let mut house = House::open(100);
    house.say(5.0);
    let before = house.moment().now;
    // A board without a battery learns what day it is; nothing is said for a while.
    let day = 24 * 60 * MINUTE;
    house.wait(day);
    house.began = Moment { now: before + Duration::from_secs(5), now_ms: house.now_ms };
    let from = house.now_ms - day;
    let count = |house: &House, every| house.history(from, house.now_ms + 1, every).len();
    assert_eq!(count(&house, MINUTE), 1);
    house.wait(3 * MINUTE);
    assert_eq!(count(&house, MINUTE), 1 + 3, "it holds from when that was noticed");
    house.say(6.0);
    assert_eq!(count(&house, MINUTE), 1 + 4);
}

#[test]
fn an_answer_is_bounded_however_much_is_asked_for() {
    let mut house = House::open(60_000);
    let start = house.now_ms;
    for number in 0..30_000 {
        house.say(f64::from(number)).points.tally();
        house.wait(1);
    }
    let asked = |from, to, every| house.points.history("meter.power", from, to, every);
    let spans = asked(start, start + 30_000, 1);
    assert!(spans.len() as u64 <= SPANS + 1 && SPANS / 2 < spans.len() as u64);
    assert_eq!(spans.iter().map(|it| it.count).sum::<u64>(), 30_000);
    assert!(asked(0, u64::MAX, 0).len() <= SPANS as usize);
    assert!(asked(9, 3, 0).is_empty());
    assert!(house.points.history("no.such", 0, u64::MAX, 0).is_empty());
    // A value that has held for a year.
    house.wait(365 * 24 * 60 * MINUTE);
    let every = (house.now_ms - start).div_ceil(SPANS);
    assert!(house.all(every).len() as u64 <= SPANS + 1);
}

#[test]
fn a_point_that_becomes_stale_is_stale_in_its_history() {
    let limit = Duration::from_secs(2);
    let door = Declared { name: "door".into(), age_limit: limit, ..Declared::default() };
    let points = Points::new(vec![door]);
    let now_ms = points.inner.opened_ms.next_multiple_of(MINUTE);
    let now = Instant::now();
    let moment = |ms| Moment { now: now + Duration::from_millis(ms), now_ms: now_ms + ms };
    let value = Some(Value::Flag(true));
    let news = News { id: PointId(0), value, quality: Quality::Good, at: now, why: None };
    points.report_at(moment(0), [news]);
    let range = Range { from_ms: now_ms, to_ms: now_ms + 90_000, every_ms: 1_000 };
    let spans = points.history_at(moment(70_000), "door", range);
    assert_eq!(spans.len(), 2, "whether or not the ager has come by");
    points.age_at(moment(2_000));
    let spans = points.history_at(moment(70_000), "door", range);
    assert_eq!(spans.len(), 3);
    assert_eq!((spans[0].quality, spans[0].count), (Quality::Good, 1));
    assert_eq!((spans[1].quality, spans[1].count, spans[1].mean), (Quality::Good, 0, Some(1.0)));
    assert_eq!((spans[2].quality, spans[2].count, &spans[2].last), (Quality::Stale, 0, &None));
}
