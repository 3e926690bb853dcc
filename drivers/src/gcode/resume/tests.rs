//! Resume by hand, and on random programs.

use proptest::prelude::*;

use super::*;
use crate::gcode::path::Feed;

fn numbered(program: &str) -> impl Iterator<Item = (u64, &str)> {
    program.lines().enumerate().map(|(at, line)| (at as u64 + 1, line))
}

/// Works out how to go on from file line `line` of a program.
fn plan<Raw: AsRef<[u8]>>(
    lines: impl IntoIterator<Item = (u64, Raw)>,
    line: u64,
    options: &Options,
) -> Result<Resume, CannotResume> {
    let mut search = Search::new(line, *options);
    for (number, raw) in lines {
        if !search.take(number, raw.as_ref()) {
            break;
        }
    }
    search.finish()
}

fn plan_from(program: &str, line: u64) -> Result<Resume, CannotResume> {
    plan(numbered(program), line, &Options::default())
}

const PART: &str = "\
(a part)
G21 G90 G17
T2 M6
M3 S12000
M8
G0 Z5
G0 X0 Y0
G1 Z-1 F400
G1 X10 F1200

X20
Y10
G2 X30 Y20 I10 J0
X40 Y10 I0 J-10
G1 X0
G0 Z5
M30
";

#[test]
fn a_line_in_the_middle_is_reached_from_above() {
    let resume = plan_from(PART, 11).unwrap();
    assert_eq!(
        resume.preamble,
        [
            "G17G21G90G94G54M5M9",
            "G53G0Z-1",
            "T2",
            "G0X10Y0",
            "M3S12000",
            "G4P3",
            "M8",
            "G1Z-1F300",
            "F1200",
            "G94",
        ]
    );
    assert_eq!((resume.start_line, resume.tool), (11, 2));
    assert_eq!(resume.position, [Some(10.0), Some(0.0), Some(-1.0)]);
    assert!(resume.preview[1].starts_with("G53G0Z-1 "), "{:?}", resume.preview);
    assert_eq!(resume.preview.last().unwrap(), "line 15: G1X0");
}

#[test]
fn a_blank_line_stands_for_the_next_one() {
    assert_eq!(plan_from(PART, 10).unwrap().start_line, 11);
}

#[test]
fn the_nearest_earlier_line_is_offered() {
    for (line, reason, nearest) in [
        (2, Reason::UnknownPosition, None),
        (7, Reason::UnknownPosition, None),
        (13, Reason::Arc, Some(12)),
        (14, Reason::MotionMode, Some(12)),
        (99, Reason::NoSuchLine, Some(17)),
    ] {
        let refused = plan_from(PART, line).unwrap_err();
        assert_eq!((refused.reason, refused.nearest_earlier), (reason, nearest), "{line}");
    }
    assert!(plan_from(PART, 15).is_ok());
    let text = plan_from(PART, 13).unwrap_err();
    assert_eq!(text.to_string(), "the program cannot go on from line 13: it is an arc");
    assert_eq!(text.remedy(), "go on from line 12, the nearest one before that can be");
}

#[test]
fn what_cannot_be_put_back_is_refused() {
    for (lines, reason) in [
        ("G91\nG1X1", Reason::Relative),
        ("G91 G1 X1", Reason::Relative),
        ("G93\nG1X1F2", Reason::InverseTime),
        ("G92 X0", Reason::Offsets),
        ("G92 X0\nG0X1Y1Z1\nX2", Reason::Shifted),
        ("G10 L20 P1 X0", Reason::Offsets),
        ("G10 L20 P1 X0\nX2", Reason::UnknownPosition),
        ("G43.1 Z1\nG0X1Y1Z1\nX2", Reason::ToolLength),
        ("G38.2 Z-5 F50", Reason::Probe),
        ("G38.2 Z-5 F50\nG10L20P1Z0\nG0X5", Reason::UnknownPosition),
        ("T3 M6", Reason::ToolChange),
        ("T3 M6\nG0X1", Reason::UnknownPosition),
        ("G28", Reason::MachineMove),
        ("G53 G0 Z0", Reason::MachineMove),
        ("G53 G0 Z0\nG0X1", Reason::UnknownPosition),
        ("G55\nG0X1", Reason::UnknownPosition),
        ("G64", Reason::Refused),
        ("G64\nG0X1", Reason::NotUnderstood(4)),
        ("M30\nG0X1", Reason::Ended(4)),
    ] {
        let program = format!("G21 G90\nG0 X0 Y0 Z0\nF100\n{lines}\n");
        let last = program.lines().count() as u64;
        let refused = plan_from(&program, last).unwrap_err();
        assert_eq!(refused.reason, reason, "{lines}");
    }
}

#[test]
fn after_a_tool_change_it_goes_on_once_all_axes_are_told_again() {
    let program = "G21 G90\nT1 M6\nG0 Z5\nX0 Y0\nG1 Z-1 F100\nX5\n";
    assert_eq!(plan_from(program, 4).unwrap_err().reason, Reason::UnknownPosition);
    assert!(plan_from(program, 5).is_ok());
}

#[test]
fn inches_come_back_last() {
    let resume = plan_from("G20 G90\nG0 X1 Y1 Z1\nG1 X2 F10\nG0 X3\nX4\n", 5).unwrap();
    assert!(resume.preamble.contains(&"G0X76.2Y25.4".to_owned()), "{:?}", resume.preamble);
    assert_eq!(resume.preamble[resume.preamble.len() - 2..], ["F254", "G94G20G0"]);
}

#[test]
fn a_laser_needs_no_height_and_its_beam_goes_on_last() {
    let program = "G21 G90\nM4 S0\nG0 X0 Y0\nG1 X10 S500 F1000\nX20 S100\n";
    let options = Options { laser: true, ..Options::default() };
    let resume = plan(numbered(program), 5, &options).unwrap();
    assert_eq!(resume.preamble.last().unwrap(), "M4S500");
    assert!(resume.preamble.iter().all(|it| !it.contains('Z')), "{:?}", resume.preamble);
    assert_eq!(plan_from(program, 5).unwrap_err().reason, Reason::UnknownPosition);
}

fn length() -> impl Strategy<Value = f64> {
    (-4000i32..4000).prop_map(|it| f64::from(it) / 40.0)
}

/// Lines as they occur, and as they should not.
fn a_line() -> impl Strategy<Value = String> {
    let word = |letter: &'static str| length().prop_map(move |at| format!("{letter}{at}"));
    let target = (
        proptest::option::of(word("X")),
        proptest::option::of(word("Y")),
        proptest::option::of(word("Z")),
    );
    let target = target.prop_map(|(x, y, z)| [x, y, z].map(Option::unwrap_or_default).concat());
    let mode = prop::sample::select(vec![
        "G20",
        "G21",
        "G17",
        "G18",
        "G19",
        "G90",
        "G90",
        "G91",
        "G94",
        "G94",
        "G93",
        "G54",
        "G55",
        "G80",
        "M3S900",
        "M4S5",
        "M5",
        "M8",
        "M7",
        "M9",
        "S70",
        "T4",
        "T5M6",
        "M0",
        "M1",
        "G49",
        "G0",
        "G92X1",
        "G92.1",
        "G43.1Z2",
        "G28",
        "G53G0Z0",
        "G38.2Z-9",
        "G64",
        "G4P1",
        "G10L20P1X0",
        "G10L2P1Z2",
        "F0",
    ]);
    let move_code = prop::sample::select(vec!["G0", "G1", "G1", ""]);
    let feed = prop::sample::select(vec!["", "", "F300", "F1250.5"]);
    prop_oneof![
        8 => (move_code, target, feed).prop_map(|(code, to, feed)| format!("{code}{to}{feed}")),
        3 => mode.prop_map(str::to_owned),
        1 => (1..50).prop_map(|it| format!("G3X{}Y0I-{it}J0F500", -2 * it)),
        1 => Just("G0X0Y0Z5".to_owned()),
    ]
}

fn a_program() -> impl Strategy<Value = String> {
    prop::collection::vec(a_line(), 1..40)
        .prop_map(|lines| format!("G21G90G94G54G49\nF500\nG0X0Y0Z5\n{}\n", lines.join("\n")))
}

/// Modes in which a machine may be found.
fn any_modes() -> impl Strategy<Value = Modal> {
    prop::sample::select(vec![
        "G0 G54 G17 G21 G90 G94 M5 M9 T0 F0 S0",
        "G38.2 G55 G18 G20 G91 G93 M3 M7 M8 T1 F9 S9",
        "G2 G59 G19 G20 G91 G94 M4 M8 T0 F77 S1",
        "G80 G54 G17 G21 G91 G93 M5 M9 T0 F0 S0",
    ])
    .prop_map(|it| Modal::from_report(it, false).unwrap())
}

/// Every move of the preamble: never down in a rapid, sideways only after the way up.
fn rapids_are_safe(found: Modal, preamble: &[String], laser: bool) -> Interpreter {
    let mut interpreter = Interpreter::new(found, [None; 3]);
    let mut up = laser;
    for line in preamble {
        let step = interpreter.step(line).unwrap_or_else(|error| panic!("{line}: {error:?}"));
        up |= step.machine_move && line.starts_with("G53G0Z");
        let Some(path) = step.path else { continue };
        if path.feed == Feed::Rapid {
            assert!(up && !step.has(b'Z'), "{line}");
        } else {
            // From here on the tool is down.
            assert!(up && step.has(b'Z') && !step.has(b'X') && !step.has(b'Y'), "{line}");
            up = false;
        }
    }
    interpreter
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_resumed_program_is_the_same_program(program in a_program(), found in any_modes(), laser: bool) {
        let options = Options { laser, ..Options::default() };
        let mut whole = Interpreter::default();
        let mut best = None;
        for (number, line) in numbered(&program) {
            let before = whole;
            let step = whole.step(line);
            if line.is_empty() {
                continue;
            }
            let resume = match plan(numbered(&program), number, &options) {
                Ok(resume) => resume,
                Err(refused) => {
                    prop_assert_eq!(refused.nearest_earlier, best);
                    continue;
                }
            };
            best = Some(number);
            let mut resumed = rapids_are_safe(found, &resume.preamble, laser);
            let mut expected = *before.modal();
            let step = step.unwrap();
            if step.sets_motion {
                expected.motion = resumed.modal().motion;
            }
            if expected.tool == 0 {
                expected.tool = resumed.modal().tool;
            }
            // A preamble writes four decimals.
            prop_assert!((expected.feed - resumed.modal().feed).abs() < 1e-4);
            expected.feed = resumed.modal().feed;
            prop_assert_eq!(expected, *resumed.modal(), "line {} of\n{}", number, program);
            let axes = if laser { 2 } else { 3 };
            for axis in 0..axes {
                let (ours, true_one) = (resumed.position()[axis], before.position()[axis]);
                prop_assert!((ours.unwrap() - true_one.unwrap()).abs() < 1e-4);
            }
            let again = resumed.step(line).unwrap();
            prop_assert_eq!(again.traits, step.traits);
            for axis in 0..axes {
                let end = |it: &Interpreter| it.position()[axis].unwrap_or(0.0);
                prop_assert!((end(&resumed) - end(&whole)).abs() < 2e-4);
            }
        }
    }

    #[test]
    fn no_program_makes_it_panic(
        program in "([GMXYZFS0-9.\\-]{0,12}\\n){0,20}",
        line in 0u64..25,
    ) {
        let answer = plan_from(&program, line);
        if let Err(CannotResume { nearest_earlier: Some(earlier), .. }) = answer {
            prop_assert!(earlier < line);
            prop_assert!(plan_from(&program, earlier).is_ok());
        }
    }
}
