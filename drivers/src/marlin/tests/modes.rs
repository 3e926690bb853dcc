//! Conversations about the modes in which a firmware reads what follows.

use headstock_config::command::{Command, Stop};
use headstock_config::machine::Mode;

use super::{Talk, answer_all};
use crate::{Driver, Program};

fn tell(talk: &mut Talk, command: Command) {
    talk.marlin.obey(talk.now, command, &mut talk.out).unwrap();
}

fn run(talk: &mut Talk, line: &str) {
    tell(talk, Command::Run { line: line.into() });
    answer_all(talk);
}

fn step(talk: &mut Talk) {
    tell(talk, Command::Jog { by: [Some(1.0), None, None], feed: 600.0, absolute: false });
}

#[test]
fn a_print_begins_in_the_modes_that_it_is_judged_in_whatever_was_typed_before() {
    let mut talk = Talk::connected(&[]);
    for line in ["G20", "G91", "M83"] {
        run(&mut talk, line);
    }
    talk.marlin.begin(talk.now, Program::default(), &mut talk.out).unwrap();
    assert_eq!(talk.sent(), ["M110 N0"]);
    talk.hear("ok");
    talk.feed(1..=2);
    assert_eq!(answer_all(&mut talk)[..4], ["G21", "G90", "M82", "G1 X1"]);
}

#[test]
fn a_step_that_was_stopped_leaves_no_relative_mode_behind() {
    let mut talk = Talk::connected(&["EMERGENCY_PARSER"]);
    step(&mut talk);
    talk.hear("ok");
    assert_eq!(talk.sent(), ["G21", "G91"], "on its way, and what puts it back waits");
    talk.marlin.stop(talk.now, Stop::Stop, &mut talk.out);
    let sent = answer_all(&mut talk);
    assert_eq!(sent.iter().filter(|it| it.starts_with("G9")).collect::<Vec<_>>(), ["G90"]);
    assert_eq!(talk.marlin.live().mode, Mode::Idle);
    step(&mut talk);
    assert_eq!(answer_all(&mut talk)[4..6], ["G90", "M82"]);
}

#[test]
fn a_firmware_that_has_restarted_has_its_own_modes_again() {
    let mut talk = Talk::connected(&[]);
    run(&mut talk, "G91");
    talk.hear("start");
    answer_all(&mut talk);
    assert_eq!(talk.marlin.live().mode, Mode::Idle);
    step(&mut talk);
    assert_eq!(answer_all(&mut talk)[4..6], ["G90", "M82"]);
}
