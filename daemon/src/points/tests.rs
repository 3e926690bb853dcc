//! Points as their users see them.

use headstock_config::point::Value::{Flag, Number, Text};
use proptest::prelude::*;

use super::*;

const LIMIT: Duration = Duration::from_secs(2);

fn points() -> (Points, PointId) {
    let declared = Declared {
        name: "meter.power".into(),
        unit: "W".into(),
        age_limit: LIMIT,
        deadband: 0.5,
        ..Declared::default()
    };
    let points = Points::new(vec![declared]);
    let id = points.id("meter.power").unwrap();
    (points, id)
}

fn good(id: PointId, value: Value, at: Instant) -> News {
    News { id, value: Some(value), quality: Quality::Good, at, why: None }
}

fn moment(now: Instant) -> Moment {
    Moment { now, now_ms: 1_000_000 }
}

fn values(change: &Change) -> Vec<f64> {
    change.steps.iter().filter_map(|it| it.value.as_ref()?.number()).collect()
}

#[test]
fn a_follower_is_told_at_first_how_things_are() {
    let (points, id) = points();
    let mut follower = points.follow([id, id, PointId(7)]);
    let changes = follower.recv_timeout(Duration::ZERO);
    assert_eq!(changes.len(), 1);
    assert_eq!((changes[0].count, changes[0].last().quality), (0, Quality::Bad));
    assert!(follower.recv_timeout(Duration::ZERO).is_empty());
}

#[test]
fn small_changes_are_held_back_and_add_up() {
    let (points, id) = points();
    let (mut follower, now) = (points.follow([id]), Instant::now());
    follower.take();
    for value in [10.0, 10.4, 10.5, 10.6, 10.2] {
        points.report([good(id, Number(value), now)]);
    }
    let changes = follower.take();
    assert_eq!((values(&changes[0]), changes[0].count), (vec![10.0, 10.6], 2));
    assert_eq!(points.now(id).value, Some(Number(10.2)), "whoever asks is told the latest");
}

#[test]
fn a_value_that_does_not_change_is_told_once_a_minute() {
    let (points, id) = points();
    let (mut follower, start) = (points.follow([id]), Instant::now());
    follower.take();
    for second in 0..=120 {
        let now = start + Duration::from_secs(second);
        points.report_at(moment(now), [good(id, Number(1.0), now)]);
    }
    assert_eq!(follower.take()[0].count, 3);
}

#[test]
fn a_change_of_quality_is_always_told() {
    let (points, id) = points();
    let (mut follower, now) = (points.follow([id]), Instant::now());
    follower.take();
    points.report([good(id, Number(1.0), now)]);
    let why = Some("no answer".to_owned());
    points.report([News { id, value: None, quality: Quality::Bad, at: now, why }]);
    let changes = follower.take();
    let qualities: Vec<_> = changes[0].steps.iter().map(|it| it.quality).collect();
    assert_eq!(qualities, [Quality::Good, Quality::Bad]);
    let latest = points.now(id);
    assert_eq!((latest.value, latest.why.as_deref()), (Some(Number(1.0)), Some("no answer")));
}

#[test]
fn a_pulse_is_seen_by_a_follower_that_is_far_behind() {
    let (points, id) = points();
    let (mut follower, now) = (points.follow([id]), Instant::now());
    follower.take();
    points.report([good(id, Flag(true), now), good(id, Flag(false), now)]);
    points.report((0..1000).map(|_| good(id, Flag(true), now)));
    points.report([good(id, Text("a".into()), now), good(id, Text("b".into()), now)]);
    points.report((0..1000).map(|n| good(id, Text(format!("t{n}")), now)));
    points.report([good(id, Number(-9.0), now), good(id, Number(99.0), now)]);
    points.report((0..1000).map(|n| good(id, Number(f64::from(n % 7)), now)));
    let changes = follower.take();
    assert!(values(&changes[0]).contains(&-9.0) && values(&changes[0]).contains(&99.0));
    assert_eq!(changes[0].steps.len(), STEPS);
    assert_eq!(changes[0].last().value, Some(Number(f64::from(999 % 7))));
}

#[test]
fn what_is_not_heard_becomes_stale_without_anybody_asking() {
    let (points, id) = points();
    let (mut follower, now) = (points.follow([id]), Instant::now());
    follower.take();
    points.report_at(moment(now), [good(id, Number(1.0), now)]);
    assert_eq!(points.age_at(moment(now)), Some(now + LIMIT));
    let later = now + LIMIT / 2;
    points.report_at(moment(later), [good(id, Number(1.0), later)]);
    assert_eq!(points.age_at(moment(now + LIMIT)), Some(later + LIMIT), "it was heard meanwhile");
    assert_eq!(follower.take()[0].last().quality, Quality::Good);
    assert_eq!(points.age_at(moment(later + LIMIT)), None);
    let changes = follower.take();
    assert_eq!(changes[0].last().quality, Quality::Stale);
    assert_eq!(changes[0].last().value, Some(Number(1.0)));
}

#[tokio::test]
async fn the_ager_tells_followers_by_itself() {
    let limit = Duration::from_millis(1);
    let declared = Declared { name: "door".into(), age_limit: limit, ..Declared::default() };
    let points = Points::new(vec![declared]);
    let (door, ager) = (PointId(0), tokio::spawn(points.clone().grow_old()));
    let mut follower = points.follow([door]);
    assert_eq!(follower.recv().await[0].last().quality, Quality::Bad);
    points.report([good(door, Flag(true), Instant::now())]);
    while follower.recv().await[0].last().quality != Quality::Stale {}
    assert_eq!(points.now(door).quality, Quality::Stale);
    ager.abort();
}

#[test]
fn a_thread_that_waits_is_woken() {
    let (points, id) = points();
    let mut follower = points.follow([id]);
    follower.take();
    let waits = std::thread::spawn(move || follower.recv_timeout(Duration::from_secs(60)));
    points.report([good(id, Number(3.0), Instant::now())]);
    assert_eq!(values(&waits.join().unwrap()[0]), [3.0]);
}

#[test]
fn a_follower_that_is_gone_is_told_no_more() {
    let (points, id) = points();
    let follower = points.follow([id]);
    let ear = Arc::downgrade(&follower.ear);
    drop(follower);
    points.report([good(id, Number(1.0), Instant::now())]);
    assert!(ear.upgrade().is_none());
}

#[test]
fn nonsense_is_bad_and_never_a_value() {
    let (points, id) = points();
    points.report([good(id, Number(f64::NAN), Instant::now())]);
    let latest = points.now(id);
    assert_eq!((latest.value, latest.quality), (None, Quality::Bad));
    let none = News { value: None, ..good(id, Flag(true), Instant::now()) };
    points.report([none, good(PointId(99), Flag(true), Instant::now())]);
    assert_eq!(points.now(id).quality, Quality::Bad, "there is no value that could be good");
    points.report([good(id, Text("ä".repeat(999)), Instant::now())]);
    assert!(points.now(id).value.is_some_and(|it| it.to_string().len() <= 256));
}

/// What was said at a time, in milliseconds: a value or none, and a quality.
type Said = (u64, Option<f64>, Quality);

/// How a point stands at a time, worked out anew from everything that was said until then.
fn stands(said: &[Said], at: u64) -> (Option<f64>, Quality) {
    let said: Vec<&Said> = said.iter().filter(|it| it.0 <= at).collect();
    let Some((_, _, quality)) = said.last() else { return (None, Quality::Bad) };
    let Some((seen, value, _)) = said.iter().rfind(|it| it.1.is_some()) else {
        return (None, Quality::Bad);
    };
    let old = LIMIT.as_millis() as u64 <= at - seen;
    (*value, if old && quality.believable() { Quality::Stale } else { *quality })
}

/// Everything that must be told, by looking at every single millisecond in which it might.
fn to_tell(said: &[Said], until: u64) -> Vec<(Option<f64>, Quality)> {
    let mut told: Vec<(u64, Option<f64>, Quality)> = Vec::new();
    let ages = said.iter().map(|it| it.0 + LIMIT.as_millis() as u64);
    let mut moments: Vec<u64> = said.iter().map(|it| it.0).chain(ages).collect();
    moments.sort_unstable();
    moments.dedup();
    for at in moments.into_iter().filter(|at| *at <= until) {
        let (value, quality) = stands(said, at);
        let spoke = said.iter().any(|it| it.0 == at && it.1.is_some());
        let any = said.iter().any(|it| it.0 <= at);
        let news = match told.last() {
            None => any,
            Some((when, was, how)) => {
                let moved = match (was, value) {
                    (Some(was), Some(is)) => 0.5 < (is - was).abs(),
                    (was, is) => *was != is,
                };
                *how != quality || moved || spoke && 60_000 <= at - when
            }
        };
        if news {
            told.push((at, value, quality));
        }
    }
    told.into_iter().map(|(_, value, quality)| (value, quality)).collect()
}

proptest! {
    /// Quality, age limit, deadband and the longest silence together, against the plainest
    /// statement of them.
    #[test]
    fn what_is_told_is_what_must_be(
        says in proptest::collection::vec((1u64..70_000, any::<bool>(), proptest::option::weighted(0.8, -3i8..3), 0u8..6), 1..40),
    ) {
        let (points, id) = points();
        let (mut follower, start) = (points.follow([id]), Instant::now());
        follower.take();
        let moment = |at: u64| Moment { now: start + Duration::from_millis(at), now_ms: at };
        let (mut at, mut said, mut told) = (0, Vec::new(), Vec::new());
        let mut hear = |follower: &mut Follower| {
            for change in follower.take() {
                assert_eq!(change.count as usize, change.steps.len());
                let number = |it: Step| (it.value.and_then(|it| it.number()), it.quality);
                told.extend(change.steps.into_iter().map(number));
            }
        };
        for (pause, short, value, quality) in says {
            let pause = if short { pause % 3_000 + 1 } else { pause };
            // The ager comes by at its deadlines, as it does in the house.
            while let Some(due) = points.age_at(moment(at)) {
                if moment(at + pause).now <= due {
                    break;
                }
                points.age_at(Moment { now: due, now_ms: 0 });
                hear(&mut follower);
            }
            at += pause;
            let value = value.map(|it| f64::from(it) * 0.25);
            let quality = match quality {
                0 => Quality::Bad,
                1 => Quality::Uncertain,
                _ => Quality::Good,
            };
            said.push((at, value, quality));
            let now = moment(at);
            let value = value.map(Number);
            points.report_at(now, [News { id, value, quality, at: now.now, why: None }]);
            hear(&mut follower);
            for later in [0, 1_999, 2_000, 9_999] {
                let latest = points.now_at(id, moment(at + later).now);
                let number = latest.value.and_then(|it| it.number());
                prop_assert_eq!((number, latest.quality), stands(&said, at + later));
            }
        }
        prop_assert_eq!(told, to_tell(&said, at));
    }
}
