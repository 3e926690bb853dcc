//! Hold-to-run against the pretend controller: it moves while a key is held, and no farther.

mod bench;

use headstock_config::command::{Command, Stop};
use headstock_config::machine::{JogNow, Machine, Mode};
use headstock_drivers::Refusal;
use headstock_drivers::grbl::sim::Options;
use proptest::prelude::*;

use bench::{Bench, machine, options};

/// Seconds between two signs of a client.
const SIGN: f64 = 0.05;
/// What a step and the rounding of a report may add, mm.
const SLACK: f64 = 0.02;

fn hold(toward: [i8; 3], feed: f64, lease_ms: u64) -> Command {
    Command::JogHold { toward, feed, lease_ms }
}

/// Homed, in the middle of its travel.
fn homed(machine: &Machine, acceleration: [f64; 3]) -> Bench {
    let [x, y, z] = acceleration;
    let settings = vec![(22, 1.0), (20, 1.0), (120, x), (121, y), (122, z), (132, 200.0)];
    let mut bench = Bench::of(machine, Options { settings, ..options() });
    bench = bench.connect();
    bench.obey(Command::Home { axes: None }).expect("it may be homed");
    bench.until_mode(Mode::Homing);
    bench.until_mode(Mode::Idle);
    bench.obey(Command::Run { line: "G53G0X-100Y-100Z-60".into() }).expect("it is idle");
    bench.until(120.0, "the middle", |it| it.position() == [-100.0, -100.0, -60.0]);
    bench.until_mode(Mode::Idle);
    bench.wait(0.5);
    bench
}

fn usual() -> Bench {
    homed(&machine(), [250.0, 250.0, 100.0])
}

/// Holds the key for so long, and says what is shown meanwhile.
fn held_for(bench: &mut Bench, command: &Command, seconds: f64) -> JogNow {
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
fn a_machine_moves_at_its_feed_while_the_key_is_held_and_rests_when_it_is_let_go() {
    let mut bench = usual();
    let shown = held_for(&mut bench, &hold([1, 0, 0], 600.0, 150), 2.0);
    assert_eq!((shown.feed, shown.at_limit), (600.0, false));
    assert_eq!(bench.driver.live().mode, Mode::Jogging);
    let at = bench.position();
    // 10 mm/s less the way to that speed and the first report.
    assert!((18.0..20.0).contains(&(at[0] + 100.0)), "{at:?}");
    bench.obey(Command::JogEnd).unwrap();
    bench.until_mode(Mode::Idle);
    let rest = bench.position();
    assert!(rest[0] - at[0] <= shown.stop_mm && rest[0] - at[0] < 1.5, "{} mm", rest[0] - at[0]);
    bench.wait(3.0);
    assert_eq!((bench.position(), bench.driver.live().jog), (rest, None));
    assert_eq!(bench.driver.unanswered_bytes(), 0);
    // It is free for the next one, and for anything else.
    held_for(&mut bench, &hold([-1, 1, 0], 600.0, 150), 0.5);
    bench.obey(Command::JogEnd).unwrap();
    bench.until_mode(Mode::Idle);
    bench.obey(Command::Run { line: "G53G0X-100".into() }).unwrap();
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
fn it_ends_a_millimetre_before_the_limits_and_trips_no_alarm() {
    let mut bench = usual();
    let shown = held_for(&mut bench, &hold([0, 0, 1], 3000.0, 150), 60.0);
    assert!(shown.feed < 3000.0, "Z is capped");
    let shown = bench.driver.live().jog.unwrap_or(shown);
    assert!(shown.at_limit, "{shown:?}");
    assert!((bench.position()[2] + 1.0).abs() < SLACK, "{:?}", bench.position());
    assert_ne!(bench.driver.live().mode, Mode::Alarm);
}

#[test]
fn a_step_that_would_end_outside_of_the_machine_is_refused_and_one_back_into_it_is_not() {
    // Nothing but the house minds where it ends.
    let mut bench = usual();
    bench.obey(Command::Setting { number: 20, value: "0".into() }).unwrap();
    bench.wait(2.0);
    let step = |x, absolute| Command::Jog { by: [Some(x), None, None], feed: 6000.0, absolute };
    for (x, absolute) in [(-401.0, false), (100.1, false), (0.5, true), (-1e4, true)] {
        let refused = bench.obey(step(x, absolute)).unwrap_err().to_string();
        assert!(refused.contains("reaches -500 to 0"), "{x} {absolute}: {refused}");
    }
    bench.obey(step(-399.0, false)).unwrap();
    bench.until(30.0, "the edge", |it| it.position()[0] == -499.0);
    bench.until_mode(Mode::Idle);
    // A typed line goes where it says.
    bench.obey(Command::Run { line: "G53G0X-501".into() }).unwrap();
    bench.until(30.0, "beyond", |it| it.position()[0] == -501.0);
    bench.until_mode(Mode::Idle);
    bench.wait(0.5);
    bench.obey(step(-0.1, false)).unwrap_err();
    bench.obey(step(0.5, false)).unwrap();
}

#[test]
fn a_machine_that_does_not_know_where_it_is_is_not_driven_by_a_key() {
    let mut bench = Bench::connected(options());
    let refused = bench.obey(hold([1, 0, 0], 600.0, 150)).unwrap_err();
    assert!(refused.to_string().contains("steps of at most 1 mm"), "{refused}");
    bench.wait(1.0);
    assert_eq!(bench.position(), [0.0; 3]);
}

#[test]
fn anything_else_that_is_asked_for_ends_it() {
    for other in [
        hold([0, 1, 0], 600.0, 150),
        Command::Jog { by: [Some(5.0), None, None], feed: 600.0, absolute: false },
        Command::Run { line: "G0X0".into() },
        Command::Home { axes: None },
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
fn stops_end_it_and_keep_the_position() {
    for how in [Stop::Hold, Stop::Stop] {
        let mut bench = usual();
        held_for(&mut bench, &hold([1, 1, 0], 900.0, 150), 0.5);
        let at = bench.position();
        bench.stop(how);
        bench.wait(3.0);
        assert_eq!(bench.driver.live().jog, None);
        assert!(distance(at, bench.position()) < 3.0, "{how:?}");
        assert_eq!(bench.driver.live().position_doubt, None, "{how:?}");
    }
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
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// The promise that is printed beside the key.
    #[test]
    fn the_machine_is_at_rest_within_the_stop_distance_however_its_operator_is_lost(
        feed in 1.0..8000.0_f64,
        acceleration in prop::array::uniform3(20.0..2000.0_f64),
        toward in prop::array::uniform3(-1..=1_i8).prop_filter("some way", |it| *it != [0; 3]),
        lease_ms in 60..=300_u64,
        baud in prop::sample::select(vec![57_600_u32, 115_200, 250_000]),
        signs in 1..30_usize,
        after in 0.0..0.05_f64,
        lost in prop::sample::select(vec![Lost::Silent, Lost::Cut, Lost::LetGo]),
    ) {
        let machine = Machine { baud, ..machine() };
        let limits = machine.jog_overrun;
        let mut bench = homed(&machine, acceleration);
        let command = hold(toward, feed, lease_ms);
        for _ in 0..signs {
            bench.obey(command.clone()).unwrap();
            bench.wait(SIGN);
        }
        bench.obey(command).unwrap();
        let shown = bench.driver.live().jog.expect("it is shown");
        let last_sign = bench.position();
        bench.wait(after);
        match lost {
            Lost::Silent => (),
            Lost::Cut => bench.mute = true,
            Lost::LetGo => bench.obey(Command::JogEnd).unwrap(),
        }
        bench.wait(2.5);
        let rest = bench.position();
        bench.wait(1.0);
        prop_assert_eq!(bench.position(), rest, "it rests");
        let overrun = distance(last_sign, rest);
        prop_assert!(overrun <= shown.stop_mm + SLACK, "{} mm, {:?}", overrun, shown);
        for axis in 0..3 {
            prop_assert!((last_sign[axis] - rest[axis]).abs() <= limits[axis] + SLACK);
        }
        prop_assert!(shown.feed <= feed + 0.001);
    }
}
