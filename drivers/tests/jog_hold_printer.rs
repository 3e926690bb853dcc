//! Hold-to-run against the pretend printer, which cannot break a move off: it moves while a key is
//! held, and no farther.

mod bench;

use headstock_config::command::{Command, Stop};
use headstock_config::machine::{Envelope, JogNow, Machine, Mode};
use headstock_drivers::Refusal;
use headstock_drivers::marlin::sim::{Firmware, Options};
use proptest::prelude::*;

use bench::{Bench, Fault, Hit, machine};

/// Seconds between two signs of a client.
const SIGN: f64 = 0.05;
/// What the rounding of a target may add, mm.
const SLACK: f64 = 0.01;
const MIDDLE: [f64; 3] = [100.0, 100.0, 100.0];

fn printer() -> Machine {
    let envelope = Some(Envelope { min: [0.0; 3], max: [220.0, 220.0, 250.0] });
    Machine { driver: "marlin".into(), envelope, ..machine() }
}

fn hold(toward: [i8; 3], feed: f64, lease_ms: u64) -> Command {
    Command::JogHold { toward, feed, lease_ms }
}

/// Homed, in the middle of its travel.
fn homed(machine: &Machine, options: Options) -> Bench<Firmware> {
    let mut bench = Bench::printer(machine, options).connect();
    bench.obey(Command::Home { axes: None }).expect("it may be homed");
    bench.until(60.0, "rest", |it| it.driver.live().mode == Mode::Idle);
    let to = MIDDLE.map(Some);
    bench.obey(Command::Jog { by: to, feed: 9000.0, absolute: true }).expect("it is inside");
    bench.until(60.0, "the middle", |it| it.driver.live().mode == Mode::Idle);
    assert_eq!(bench.position(), MIDDLE);
    bench.wait(0.6);
    bench
}

fn usual() -> Bench<Firmware> {
    homed(&printer(), Options::default())
}

/// Holds the key for so long, and says what is shown meanwhile.
fn held_for(bench: &mut Bench<Firmware>, command: &Command, seconds: f64) -> JogNow {
    let mut shown = None;
    for _ in 0..(seconds / SIGN) as usize {
        bench.obey(command.clone()).expect("it is held");
        shown = bench.driver.live().jog.or(shown);
        bench.wait(SIGN);
    }
    shown.expect("a jog is shown")
}

fn distance(one: [f64; 3], other: [f64; 3]) -> f64 {
    (0..3).map(|axis| (one[axis] - other[axis]).powi(2)).sum::<f64>().sqrt()
}

#[test]
fn a_printer_moves_at_its_feed_while_the_key_is_held_and_rests_when_it_is_let_go() {
    let mut bench = usual();
    let shown = held_for(&mut bench, &hold([1, 0, 0], 600.0, 150), 2.0);
    assert_eq!((shown.feed, shown.at_limit), (600.0, false));
    assert_eq!(bench.driver.live().mode, Mode::Jogging);
    let at = bench.position();
    assert!((19.0..20.0).contains(&(at[0] - 100.0)), "10 mm/s but for its beginning: {at:?}");
    let told = bench.driver.live().work_position.expect("it is shown where it is");
    assert!(distance(at, told) < 1.0, "{told:?}, {at:?}");
    assert_eq!(bench.device.counters.starved, 0, "it goes smoothly");
    bench.obey(Command::JogEnd).unwrap();
    bench.until_mode(Mode::Idle);
    let rest = bench.position();
    assert!(rest[0] - at[0] < 1.0, "{} mm", rest[0] - at[0]);
    bench.wait(3.0);
    assert_eq!((bench.position(), bench.driver.live().jog), (rest, None));
    assert_eq!(
        bench.driver.live().work_position,
        Some(rest.map(|it| (it * 100.0).round() / 100.0))
    );
    // It is free for the next one, and for a step.
    held_for(&mut bench, &hold([-1, 1, 0], 600.0, 150), 0.5);
    bench.obey(Command::JogEnd).unwrap();
    bench.until_mode(Mode::Idle);
    let by = [Some(1.0), None, None];
    bench.obey(Command::Jog { by, feed: 600.0, absolute: false }).unwrap();
}

#[test]
fn a_firmware_that_tells_nothing_of_its_planner_is_moved_a_segment_at_a_time() {
    let mut bench = homed(&printer(), Options { advanced_ok: false, ..Options::default() });
    let shown = held_for(&mut bench, &hold([0, 1, 0], 600.0, 150), 2.0);
    let at = bench.position();
    assert!((15.0..20.0).contains(&(at[1] - 100.0)), "{at:?}");
    bench.obey(Command::JogEnd).unwrap();
    bench.until_mode(Mode::Idle);
    assert!(distance(at, bench.position()) <= shown.stop_mm, "{shown:?}");
}

#[test]
fn a_key_that_nobody_answers_for_any_more_is_let_go() {
    let mut bench = usual();
    let command = hold([0, -1, 0], 900.0, 150);
    let shown = held_for(&mut bench, &command, 1.0);
    let at = bench.position();
    bench.until(1.0, "rest", |it| it.driver.live().mode == Mode::Idle);
    assert!(distance(at, bench.position()) <= shown.stop_mm, "{shown:?}");
    // A burst of late signs sets nothing in motion.
    let rest = bench.position();
    for _ in 0..40 {
        let refused = bench.obey(command.clone()).unwrap_err();
        assert!(matches!(refused, Refusal::NotNow(_)));
        bench.wait(SIGN);
    }
    assert_eq!(bench.position(), rest);
    bench.obey(Command::JogEnd).unwrap();
    bench.wait(0.5);
    held_for(&mut bench, &command, 0.5);
    assert!(bench.position() != rest);
}

#[test]
fn it_ends_a_millimetre_before_the_limits() {
    let mut bench = usual();
    let shown = held_for(&mut bench, &hold([0, 0, -1], 3000.0, 150), 40.0);
    assert!(shown.feed < 300.0, "Z is capped: {shown:?}");
    let shown = bench.driver.live().jog.unwrap_or(shown);
    assert!(shown.at_limit, "{shown:?}");
    assert!((bench.position()[2] - 1.0).abs() < SLACK, "{:?}", bench.position());
}

#[test]
fn a_printer_that_does_not_know_where_it_is_or_ends_is_not_driven_by_a_key() {
    let mut bench = Bench::printer(&printer(), Options::default()).connect();
    let refused = bench.obey(hold([1, 0, 0], 600.0, 150)).unwrap_err();
    assert!(refused.to_string().contains("home it, or jog in steps"), "{refused}");
    let machine = Machine { envelope: None, ..printer() };
    let mut bench = homed(&machine, Options { area: None, ..Options::default() });
    let refused = bench.obey(hold([1, 0, 0], 600.0, 150)).unwrap_err();
    assert!(refused.to_string().contains("declare `envelope`"), "{refused}");
    bench.wait(1.0);
    assert_eq!(bench.position(), MIDDLE);
}

#[test]
fn anything_else_that_is_asked_for_ends_it() {
    for other in [
        hold([0, 1, 0], 600.0, 150),
        Command::Jog { by: [Some(5.0), None, None], feed: 600.0, absolute: false },
        Command::Home { axes: None },
        Command::Motors { on: false },
        Command::JogCancel,
    ] {
        let mut bench = usual();
        let shown = held_for(&mut bench, &hold([1, 0, 0], 600.0, 150), 0.5);
        let at = bench.position();
        let refused = bench.obey(other.clone());
        assert_eq!(refused.is_ok(), other == Command::JogCancel, "{other:?}");
        bench.until_mode(Mode::Idle);
        bench.wait(2.0);
        assert!(distance(at, bench.position()) <= shown.stop_mm, "{other:?}");
    }
}

#[test]
fn stops_end_it_and_a_hold_keeps_the_position() {
    for how in [Stop::Hold, Stop::Stop, Stop::Abort] {
        let mut bench = usual();
        let shown = held_for(&mut bench, &hold([1, 1, 0], 900.0, 150), 0.5);
        let at = bench.position();
        bench.stop(how);
        bench.wait(3.0);
        assert_eq!(bench.driver.live().jog, None);
        assert!(distance(at, bench.position()) <= shown.stop_mm, "{how:?}");
        let keeps = bench.driver.live().position_doubt.is_none();
        assert_eq!(keeps, how == Stop::Hold);
    }
}

#[test]
fn a_feed_override_makes_it_neither_faster_nor_its_way_longer() {
    let mut bench = usual();
    let which = headstock_config::command::Override::Feed;
    bench.obey(Command::Override { which, percent: 200 }).unwrap();
    bench.wait(0.2);
    held_for(&mut bench, &hold([1, 0, 0], 600.0, 150), 2.0);
    let at = bench.position();
    assert!((19.0..20.0).contains(&(at[0] - 100.0)), "{at:?}");
}

/// How the operator is lost.
#[derive(Clone, Copy, Debug)]
enum Lost {
    /// No more signs.
    Silent,
    /// No byte goes through any more, either way.
    Cut,
    /// The key is let go.
    LetGo,
    /// The house closes.
    Closing,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// The promise that is printed beside the key.
    #[test]
    fn the_printer_is_at_rest_within_the_stop_distance_whatever_fails(
        feed in 1.0..8000.0_f64,
        toward in prop::array::uniform3(-1..=1_i8).prop_filter("some way", |it| *it != [0; 3]),
        lease_ms in 60..=300_u64,
        baud in prop::sample::select(vec![57_600_u32, 115_200, 250_000]),
        // Slower than it is told to be, as at the feed limit of an axis, or faster.
        time_scale in prop::sample::select(vec![0.2, 0.7, 1.0, 1.5]),
        advanced_ok in any::<bool>(),
        line_us in 100..8000_u64,
        signs in 1..30_usize,
        after in 0.0..0.05_f64,
        hits in prop::collection::vec((any::<bool>(), 0..3000_u64, 0..10_u8), 0..4),
        lost in prop::sample::select(vec![Lost::Silent, Lost::Cut, Lost::LetGo, Lost::Closing]),
    ) {
        let machine = Machine { baud, ..printer() };
        let limits = machine.jog_overrun;
        let line_time = std::time::Duration::from_micros(line_us);
        let options = Options { time_scale, advanced_ok, line_time, ..Options::default() };
        let mut bench = homed(&machine, options);
        let hit = |how| match how { 8 => Hit::Drop, 9 => Hit::Double, bit => Hit::Flip(bit) };
        bench.passed = [0; 2];
        bench.faults = hits.into_iter().map(|(to_device, byte, how)| Fault { to_device, byte, hit: hit(how) }).collect();
        let command = hold(toward, feed, lease_ms);
        let mut shown = None;
        let mut last_sign = bench.position();
        for _ in 0..=signs {
            // What was damaged may have ended it.
            if bench.obey(command.clone()).is_err() {
                break;
            }
            last_sign = bench.position();
            shown = bench.driver.live().jog.or(shown);
            bench.wait(SIGN.min(lease_ms as f64 / 1000.0 - 0.01));
        }
        let Some(shown) = shown else { return Err(TestCaseError::reject("it never began")) };
        bench.wait(after);
        match lost {
            Lost::Silent => (),
            Lost::Cut => bench.mute = true,
            Lost::LetGo => bench.obey(Command::JogEnd).unwrap(),
            Lost::Closing => bench.farewell(),
        }
        bench.wait(20.0);
        let rest = bench.position();
        bench.wait(5.0);
        prop_assert_eq!(bench.position(), rest, "it rests");
        let overrun = distance(last_sign, rest);
        prop_assert!(overrun <= shown.stop_mm + SLACK, "{} mm, {:?}", overrun, shown);
        for axis in 0..3 {
            prop_assert!((last_sign[axis] - rest[axis]).abs() <= limits[axis] + SLACK);
        }
        prop_assert!(shown.feed <= feed + 0.001);
    }
}
