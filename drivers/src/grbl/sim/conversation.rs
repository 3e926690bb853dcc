//! The driver and the pretend controller talk over a pretend wire, with a clock of our own.
//!
//! ```text
//!  driver -> Outbox -> Pace -> [ wire, 10 bit times a byte, faults ] -> Controller
//!  driver <------------------- [ wire, 10 bit times a byte, faults ] <- Controller
//! ```
//!
//! Everything is the real code but the port and the clock; a minute of machining takes some
//! milliseconds, and a seed repeats a run exactly.

mod talk;
mod wire;

use headstock_config::command::{Command, NO_AXIS, Override, Stop};
use headstock_config::event::{Cause, Check, Event};
use headstock_config::machine::Mode;

use self::talk::{Talk, program};
use self::wire::{Fault, Kind};
use super::Options;

const BAUD: u32 = 115_200;

fn homing() -> Options {
    Options { settings: vec![(22, 1.0)], ..Options::default() }
}

#[test]
fn they_introduce_themselves() {
    let mut talk = Talk::new(Options::default(), BAUD);
    talk.introduced();
    let controller = talk.events.iter().find_map(|event| match event {
        Event::Connected { controller } => Some(controller.clone()),
        _ => None,
    });
    let controller = controller.unwrap();
    assert_eq!((controller.rx_bytes, controller.planner_blocks), (128, 15));
    assert_eq!(controller.travel, Some([500.0, 500.0, 150.0]));
}

#[test]
fn a_program_arrives_as_it_is_and_never_starves_or_overflows() {
    let mut talk = Talk::connected(Options { keep_lines: true, ..Options::default() });
    let text = program::surface(2_000);
    talk.run_program(&text, 600.0);
    assert!(talk.done(), "{:?}", talk.events);
    let counters = &talk.controller.counters;
    assert_eq!((counters.overflowed, counters.starved, counters.errors), (0, 0, 0));
    let want: Vec<&str> = text.lines().collect();
    let from = counters.text.len() - talk.after_program(want.len());
    assert_eq!(counters.text[from..from + want.len()], want);
}

#[test]
fn a_wire_at_its_limit_is_kept_busy() {
    let mut talk = Talk::connected(Options { time_scale: 0.0, ..Options::default() });
    let text = program::surface(3_000);
    let begun = talk.now;
    talk.run_program(&text, 600.0);
    assert!(talk.done());
    let wire_s = text.len() as f64 * 10.0 / f64::from(BAUD);
    let share = wire_s / (talk.answered_at - begun);
    assert!(share > 0.97, "{share:.3} of the wire");
}

#[test]
fn a_hold_is_seen_at_once_in_the_middle_of_a_program() {
    let mut talk = Talk::connected(Options::default());
    talk.begin(&program::surface(5_000));
    let mut worst: f64 = 0.0;
    for _ in 0..20 {
        talk.wait(0.537);
        let asked = talk.now;
        talk.stop(Stop::Hold);
        talk.until("holding", 1.0, |it| matches!(it.mode(), Mode::Holding | Mode::Held));
        worst = worst.max(talk.now - asked);
        talk.until("held", 2.0, |it| it.mode() == Mode::Held);
        talk.obey(Command::Resume).unwrap();
        talk.until("running", 2.0, |it| it.mode() == Mode::Running);
    }
    // 64 bytes ahead of it, itself, and a report of 60 bytes.
    assert!(worst < 0.015, "{:.1} ms", worst * 1e3);
    talk.until("done", 600.0, Talk::done);
    assert_eq!(talk.controller.counters.holds, 20);
}

#[test]
fn a_stop_keeps_position_and_an_abort_does_not() {
    for (how, kept) in [(Stop::Stop, true), (Stop::Abort, false)] {
        let mut talk = Talk::connected(Options::default());
        talk.begin("G1X200F3000\nG1X0\n");
        talk.wait(1.0);
        talk.stop(how);
        talk.until("rest", 5.0, |it| {
            it.events.iter().any(|event| matches!(event, Event::AtRest { .. }))
        });
        let at_rest = talk.events.iter().find_map(|event| match event {
            Event::AtRest { position_kept, .. } => Some(*position_kept),
            _ => None,
        });
        assert_eq!(at_rest, Some(kept), "{how:?}");
        assert_eq!(talk.lost(), Some(Cause::Asked), "{how:?}");
    }
}

#[test]
fn a_locked_machine_is_homed_and_then_works() {
    let mut talk = Talk::new(homing(), BAUD);
    talk.introduced();
    assert_eq!(talk.mode(), Mode::Alarm);
    talk.obey(Command::Home { axes: None }).unwrap();
    talk.until("homed", 120.0, |it| it.mode() == Mode::Idle);
    assert!(talk.events.contains(&Event::Homed));
    talk.run_program("G91G1X-5F600\nG90\n", 20.0);
    assert!(talk.done(), "{:?}", talk.events);
}

#[test]
fn a_refused_line_stops_the_program_and_is_named() {
    let mut talk = Talk::connected(Options::default());
    talk.begin("G1X1F100\nG5\nG1X2\n");
    talk.until("lost", 30.0, |it| it.lost().is_some());
    assert_eq!(talk.lost(), Some(Cause::Refused));
    let refused = talk.events.iter().find_map(|event| match event {
        Event::LineRefused { line, number, .. } => Some((*line, *number)),
        _ => None,
    });
    assert_eq!(refused, Some((2, 20)));
}

#[test]
fn a_controller_that_restarts_by_itself_ends_the_program() {
    let mut talk = Talk::connected(Options::default());
    talk.begin(&program::surface(2_000));
    talk.wait(1.0);
    talk.controller.restart();
    talk.until("lost", 5.0, |it| it.lost().is_some());
    assert_eq!(talk.lost(), Some(Cause::Restarted));
    assert!(talk.events.contains(&Event::Restarted { asked: false }));
}

#[test]
fn alarms_end_a_program_with_their_number() {
    let soft = vec![(22, 1.0), (20, 1.0)];
    let mut talk = Talk::new(Options { settings: soft, ..Options::default() }, BAUD);
    talk.introduced();
    assert_eq!(talk.mode(), Mode::Alarm);
    talk.obey(Command::Home { axes: None }).unwrap();
    talk.until("homed", 120.0, |it| it.mode() == Mode::Idle);
    talk.begin("G1X-20F600\nG1X-9999\nG1X-30\n");
    talk.until("lost", 30.0, |it| it.lost().is_some());
    assert_eq!((talk.lost(), talk.alarm()), (Some(Cause::Alarm), Some(2)));

    let mut talk = Talk::connected(Options::default());
    talk.begin(&program::surface(2_000));
    talk.wait(1.0);
    talk.controller.hard_limit();
    talk.until("lost", 5.0, |it| it.lost().is_some());
    assert_eq!((talk.lost(), talk.alarm()), (Some(Cause::Alarm), Some(1)));
}

#[test]
fn jogs_are_cancelled_for_good() {
    let mut talk = Talk::connected(Options::default());
    for _ in 0..5 {
        let by = [Some(20.0), None, None];
        talk.obey(Command::Jog { by, feed: 1_000.0, absolute: false }).ok();
        talk.wait(0.05);
    }
    talk.wait(0.3);
    talk.obey(Command::JogCancel).unwrap();
    talk.until("idle", 3.0, |it| it.mode() == Mode::Idle);
    let at = talk.controller.counters.position;
    talk.wait(5.0);
    assert_eq!(talk.controller.counters.position, at);
    assert!(at[0] < 20.0, "{at:?}");
}

#[test]
fn overrides_probes_and_offsets_arrive() {
    let mut talk = Talk::connected(Options { probe_plane: Some(-5.0), ..Options::default() });
    talk.obey(Command::Override { which: Override::Feed, percent: 137 }).unwrap();
    talk.until("override", 10.0, |it| it.live().overrides == [137, 100, 100]);
    assert_eq!(talk.controller.overrides, [137, 100, 100]);
    let by = [None, None, Some(-10.0)];
    talk.obey(Command::Probe { by, feed: 300.0, lenient: false }).unwrap();
    talk.until("probed", 20.0, |it| {
        it.events.iter().any(|event| matches!(event, Event::Probed { touched: true, .. }))
    });
    talk.until("idle", 5.0, |it| it.mode() == Mode::Idle);
    let mut at = NO_AXIS;
    at[2] = Some(0.0);
    talk.obey(Command::Zero { system: Some(1), at }).unwrap();
    talk.until("zero", 10.0, |it| it.live().work_offset == Some([0.0, 0.0, -5.0]));
    assert_eq!(talk.controller.program.offsets.systems[0], [0.0, 0.0, -5.0]);
}

#[test]
fn a_dry_run_finds_what_would_be_refused_and_moves_nothing() {
    let mut talk = Talk::connected(Options::default());
    talk.begin_dry("G1X100F600\nG1Y100\n");
    talk.until("done", 30.0, Talk::done);
    assert_eq!(talk.controller.counters.position, [0.0; 3]);
    talk.until("idle", 10.0, |it| it.mode() == Mode::Idle);
}

#[test]
fn a_program_that_pauses_asks_a_person() {
    let mut talk = Talk::connected(Options::default());
    talk.begin("G1X5F600\nM0\nG1X10\n");
    let asks = |it: &Talk| it.events.iter().any(|event| matches!(event, Event::Asks { .. }));
    talk.until("asks", 10.0, asks);
    talk.wait(1.0);
    assert_eq!(talk.controller.counters.position[0], 5.0);
    talk.obey(Command::Resume).unwrap();
    talk.until("done", 10.0, Talk::done);
    assert_eq!(talk.controller.counters.position[0], 10.0);
}

/// What came of a short program that one fault of the wire was put into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// The program was carried out as it is.
    Harmless,
    /// It was lost with a reason, or waits for a person.
    Named,
    /// Words of a line were changed; every line was carried out and the tool ended where it
    /// should, or is still on its way.
    Unseen,
    /// Lines were lost, merged or doubled, or the tool is elsewhere, and nothing was said.
    Missed,
}

fn with_fault(kind: Kind, to_device: bool, at: usize) -> (Outcome, Vec<String>) {
    let mut talk = Talk::connected(Options { keep_lines: true, ..Options::default() });
    let before = talk.controller.counters.text.len();
    talk.wire(to_device).add(Fault { kind, at });
    let text = program::square();
    let want: Vec<&str> = text.lines().collect();
    talk.begin(&text);
    let waits = |it: &Talk| matches!(it.mode(), Mode::Held | Mode::Alarm);
    let over = talk.reaches(20.0, |it| it.done() || it.lost().is_some() || waits(it));
    let mut got = talk.controller.counters.text.split_off(before);
    // The house's own come first: a question, as it was or damaged (no line of the square is so
    // short), and, if its answer was damaged, lines that set the modes before it is asked again.
    while got.first().is_some_and(|line| line.len() <= 3) || got.get(1).is_some_and(|it| it == "$G")
    {
        got.remove(0);
    }
    let told = talk.lost().is_some() || waits(&talk);
    let home = talk.controller.counters.position == [0.0; 3];
    let outcome = match () {
        () if told => Outcome::Named,
        () if !over => Outcome::Unseen,
        () if home
            && got.starts_with(&want.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>()) =>
        {
            Outcome::Harmless
        }
        () if home && (want.len()..=want.len() + 1).contains(&got.len()) => Outcome::Unseen,
        () => Outcome::Missed,
    };
    (outcome, got)
}

#[test]
fn no_line_is_lost_merged_or_doubled_and_no_target_changed_without_a_word() {
    let mut tally = std::collections::BTreeMap::new();
    for to_device in [true, false] {
        for kind in [Kind::Drop, Kind::Double, Kind::Flip(0), Kind::Flip(2), Kind::Flip(4)] {
            for at in (0..78).step_by(3) {
                let (outcome, got) = with_fault(kind, to_device, at);
                *tally.entry((to_device, outcome)).or_insert(0) += 1;
                assert_ne!(outcome, Outcome::Missed, "{kind:?} {to_device} {at}: {got:?}");
            }
        }
    }
    println!("{tally:?}");
    // What the device says is checked by what it does; a changed word of ours is not always.
    assert_eq!(tally.get(&(false, Outcome::Unseen)), None);
}

#[test]
fn an_answer_out_of_nowhere_is_named() {
    let mut talk = Talk::connected(Options::default());
    talk.begin("G1X50F600\nG1X0\n");
    talk.wait(1.0);
    talk.controller.say("ok");
    talk.controller.say("ok");
    talk.controller.say("ok");
    talk.until("lost", 30.0, |it| it.lost().is_some());
    let check = talk.events.iter().find_map(|event| match event {
        Event::Mismatch(mismatch) => Some(mismatch.check),
        _ => None,
    });
    assert_eq!(check, Some(Check::ExtraAnswer));
}
