//! The interpreter against tables, and against what real firmware answered.

use super::*;
use crate::gcode::arc::Arc;

const HOME: Known = [Some(0.0); 3];

fn at_home() -> Interpreter {
    Interpreter::new(Modal::default(), HOME)
}

/// Runs cleaned lines, separated by spaces; all must be accepted.
fn run(program: &str) -> (Interpreter, Step) {
    let mut interpreter = at_home();
    let mut last = Step::default();
    for line in program.split_whitespace() {
        last = interpreter.step(line).unwrap_or_else(|error| panic!("{line}: {error:?}"));
    }
    (interpreter, last)
}

fn refusal(program: &str) -> u8 {
    let mut interpreter = at_home();
    let results: Vec<_> = program.split_whitespace().map(|it| interpreter.step(it)).collect();
    results.last().unwrap().map_or_else(|error| error.0, |_| 0)
}

#[test]
fn it_answers_as_grbl_did() {
    let mut interpreter = at_home();
    let mut axes_compared = 0;
    for row in include_str!("answers_of_grbl_1.1h.txt").lines() {
        let columns: Vec<_> = row.split('|').collect();
        let [line, error, modes, position] = columns[..] else {
            interpreter = Interpreter::new(Modal::default(), [-1.0, -4.0, -7.0].map(Some));
            continue;
        };
        let answer = interpreter.step(line).map_or_else(|it| it.0, |_| 0);
        assert_eq!(answer.to_string(), error, "{row}");
        let reported = Modal::from_report(modes, false).unwrap();
        assert_eq!(interpreter.modal().differences(&reported), [""; 0], "{row}");
        let position = position.split_whitespace().map(|it| it.parse::<f64>().unwrap());
        for (ours, theirs) in interpreter.position().iter().zip(position) {
            let Some(ours) = ours else { continue };
            // GRBL counts in single precision.
            assert!((ours - theirs).abs() < 2e-3 + ours.abs() * 1e-5, "{row}: {ours}");
            axes_compared += 1;
        }
    }
    assert!(axes_compared > 300, "{axes_compared}");
}

#[test]
fn refusals_have_grbls_numbers() {
    for (program, number) in [
        ("G64", 20),
        ("G81X1Z-1R1F100", 20),
        ("G43H2", 20),
        ("G90.1", 20),
        ("G41D1", 20),
        ("M48", 20),
        ("A1", 20),
        ("G0G1X1", 24),
        ("G17G18", 21),
        ("M3M4", 21),
        ("G1X1", 22),
        ("G93G1X1", 22),
        ("G54.1", 23),
        ("M3.1", 23),
        ("G0X1G92Y1", 24),
        ("X1X2", 25),
        ("F-1", 4),
        ("G10L2P1", 26),
        ("F100 G2I1", 26),
        ("N10000001", 27),
        ("G4", 28),
        ("G10X1", 28),
        ("G10L2P7X1", 29),
        ("F100 G2G53X1I1", 30),
        ("G80 X1", 31),
        ("F100 G2Z1I1", 32),
        ("F100 G2X1I5", 33),
        ("F100 G2X0Y0R5", 33),
        ("F100 G2X0Y0Z5R5", 33),
        ("F100 G2X10R2", 34),
        ("F100 G2X10", 35),
        ("F100 G1X1I1", 36),
        ("F100 G2X10I5R5", 36),
        ("G43.1X1", 37),
        ("T256", 38),
    ] {
        assert_eq!(refusal(program), number, "{program}");
    }
}

#[test]
fn a_refused_line_changes_nothing() {
    let (mut interpreter, _) = run("G1X1F100");
    let before = interpreter;
    assert_eq!(interpreter.step("G91G20M3S5G2X1"), Err(Error(35)));
    assert_eq!(interpreter, before);
}

#[test]
fn absolute_words_determine_an_axis_and_relative_ones_do_not() {
    let mut interpreter = Interpreter::default();
    interpreter.step("G91").unwrap();
    let step = interpreter.step("G0X1Y2").unwrap();
    assert_eq!(interpreter.position(), [None; 3]);
    assert_eq!(step.path.map(|it| it.delta), Some([Some(1.0), Some(2.0), Some(0.0)]));
    interpreter.step("G90G0X5").unwrap();
    interpreter.step("G91X1Y1").unwrap();
    assert_eq!(interpreter.position(), [Some(6.0), None, None]);
}

#[test]
fn what_depends_on_the_machine_makes_axes_unknown() {
    for (program, position) in [
        ("G28", [None; 3]),
        ("G28Z5", [Some(0.0), Some(0.0), None]),
        ("G53G0X5", [None, Some(0.0), Some(0.0)]),
        ("G38.2Z-5F50", [Some(0.0), Some(0.0), None]),
        ("G55", [None; 3]),
        ("G55X5", [Some(5.0), None, None]),
        ("G54", HOME),
        ("G10L2P1X1", [None, Some(0.0), Some(0.0)]),
        ("G10L2P2X1", HOME),
        ("G10L20P1X1", [Some(1.0), Some(0.0), Some(0.0)]),
        ("G10L20P0X1", [Some(1.0), Some(0.0), Some(0.0)]),
        ("G10L20P3X1", HOME),
        ("G92X3", [Some(3.0), Some(0.0), Some(0.0)]),
        ("G92X3 G92.1", [None; 3]),
        ("G43.1Z5", [Some(0.0), Some(0.0), None]),
        ("G49 G0Z1 G43.1Z5", [Some(0.0), Some(0.0), Some(-4.0)]),
        ("T1M6", [None; 3]),
        ("M0", HOME),
        ("M1", [None; 3]),
        ("M30", HOME),
        ("G55 X1 M30", [None; 3]),
    ] {
        assert_eq!(run(program).0.position(), position, "{program}");
    }
}

#[test]
fn only_moves_that_the_program_determines_have_a_path() {
    for (program, path, machine_move) in [
        ("G0X1", true, false),
        ("G0", false, false),
        ("G28", false, true),
        ("G28Z5", true, true),
        ("G53G0X1", false, true),
        ("G38.2Z-1F50", false, true),
        ("G92X1", false, false),
        ("G4P1X1", true, false),
    ] {
        let step = run(program).1;
        assert_eq!((step.path.is_some(), step.machine_move), (path, machine_move), "{program}");
    }
}

#[test]
fn inches_are_turned_into_millimetres() {
    let (interpreter, step) = run("G20 G1X1F10");
    assert_eq!(interpreter.position()[0], Some(25.4));
    assert_eq!(step.path.map(|it| it.feed), Some(Feed::PerMinute(254.0)));
    let arc = run("G20 G2X1I.5F10").1.path.unwrap().arc.unwrap();
    assert!((arc.radius - 12.7).abs() < 1e-9);
}

#[test]
fn arcs_know_their_circle_in_every_plane() {
    for (program, axes) in [
        ("F100 G3X10I5", [0, 1, 2]),
        ("F100 G18 G3Z10K5", [2, 0, 1]),
        ("F100 G19 G3Y10J5", [1, 2, 0]),
    ] {
        let path = run(program).1.path.unwrap();
        assert_eq!(path.axes, axes, "{program}");
        let half = Arc { centre: [5.0, 0.0], radius: 5.0, sweep: std::f64::consts::PI };
        assert_eq!(path.arc, Some(half), "{program}");
    }
    let helix = run("F100 G2X0Y0Z-3I2").1.path.unwrap();
    assert!((helix.length() - (4.0 * std::f64::consts::PI).hypot(3.0)).abs() < 1e-9);
}

#[test]
fn an_arc_from_an_unknown_place_has_no_circle_unless_it_is_relative() {
    let mut interpreter = Interpreter::default();
    interpreter.step("F100").unwrap();
    let step = interpreter.step("G2X10Y0I5").unwrap();
    assert!(step.path.is_some_and(|it| it.is_arc && it.arc.is_none()));
    interpreter.forget_position();
    let step = interpreter.step("G91G2X10Y0I5").unwrap();
    assert!(step.path.is_some_and(|it| it.arc.is_some()));
}

#[test]
fn inverse_time_feed_counts_for_one_line() {
    let (mut interpreter, step) = run("G93 G1X10F2");
    assert_eq!(step.path.map(|it| it.feed), Some(Feed::Inverse(2.0)));
    assert_eq!(interpreter.step("X20"), Err(Error(22)));
    assert!(interpreter.step("G0X20").is_ok());
    assert_eq!(interpreter.step("G94G1X1"), Err(Error(22)));
}

#[test]
fn the_end_of_a_program_puts_some_modes_back() {
    let modal = *run("G18G20G91G93G55 G0 M3S500 M8 T2 M30").0.modal();
    let words = modal.to_string();
    assert_eq!(words, "G1 G54 G17 G20 G90 G94 M5 M9 T2 F0 S500");
}

#[test]
fn a_tool_change_comes_before_the_other_words_of_its_line() {
    assert_eq!(run("N5T2M6").1.traits.pause, Some(Pause::ToolChange(2)));
    assert_eq!(run("T3 M6").1.traits.pause, Some(Pause::ToolChange(3)));
    let (interpreter, step) = run("T2M6M3S100G0Z5");
    assert_eq!(step.traits.pause, Some(Pause::ToolChange(2)));
    assert_eq!(interpreter.position(), [None, None, Some(5.0)]);
    assert_eq!(refusal("M6M0"), 21);
}

#[test]
fn words_of_a_line_can_be_asked_for() {
    let step = run("G21G1X1F100S5").1;
    assert!(step.has(b'F') && step.has(b'X') && !step.has(b'Y') && !step.has(b'?'));
    assert!(step.sets_units && step.sets_motion && !step.ends);
}
