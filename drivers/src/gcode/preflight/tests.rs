//! Preflight against a machine that is ready, with one thing wrong at a time.

use std::path::PathBuf;

use headstock_config::machine::{
    Envelope, HoldMeans, Mode, OnError, Port, Printer, SoftLimits, StopMeans, Units, WorkOffsets,
};

use super::*;
use crate::gcode::Analyzer;

pub(crate) fn machine() -> Machine {
    Machine {
        id: "mill".into(),
        name: "Mill".into(),
        driver: "grbl".into(),
        port: Port::Path(PathBuf::from("/dev/ttyUSB0")),
        baud: 115_200,
        dtr: true,
        envelope: None,
        units: Units::Mm,
        soft_limits: SoftLimits::Refuse,
        laser: false,
        hold: HoldMeans::FeedHold,
        stop: StopMeans::HoldThenReset,
        on_error: OnError::Stop,
        spinup_s: 3.0,
        safe_z: -1.0,
        printer: Printer::default(),
    }
}

fn controller() -> Controller {
    let mut offsets = WorkOffsets::default();
    offsets.systems[0] = [-250.0, -150.0, -40.0];
    offsets.systems[1] = [-100.0, -150.0, -40.0];
    Controller {
        work_offsets: Some(Box::new(offsets)),
        dialect: "grbl".into(),
        line_max: 79,
        homing: Some(true),
        laser: Some(false),
        travel: Some([300.0, 200.0, 80.0]),
        spindle_max: Some(24_000.0),
        options: "V".into(),
        ..Controller::default()
    }
}

fn live() -> Live {
    Live {
        mode: Mode::Idle,
        homed: Some(true),
        work_offset: Some([-250.0, -150.0, -40.0]),
        ..Live::default()
    }
}

fn analysed(program: &str, machine: &Machine) -> Analysis {
    let mut analyzer = Analyzer::on(machine, Some(&controller()));
    analyzer.push(program.as_bytes());
    analyzer.finish().0
}

const PROGRAM: &str = "G21G90G54\nG0X0Y0Z5\nM3S1000\nG1X100Y50Z-2F500\nG0Z5\nM5\nM30\n";

/// Codes of the findings; a `!` marks those that block.
fn codes(program: &str, machine: &Machine, controller: &Controller, live: &Live) -> Vec<String> {
    let findings = preflight(&analysed(program, machine), machine, Some(controller), live);
    let mark = |it: &Finding| if it.blocks { "!" } else { "" };
    findings.iter().map(|it| format!("{}{}", it.code.replace("preflight.", ""), mark(it))).collect()
}

fn codes_of(program: &str) -> Vec<String> {
    codes(program, &machine(), &controller(), &live())
}

#[test]
fn nothing_stands_against_a_fitting_program_on_a_ready_machine() {
    assert_eq!(codes_of(PROGRAM), [""; 0]);
}

#[test]
fn the_machine_must_be_ready() {
    for (mode, code) in [
        (Mode::Offline, "offline!"),
        (Mode::Connecting, "offline!"),
        (Mode::Alarm, "alarm!"),
        (Mode::Door, "door!"),
        (Mode::Running, "not_idle!"),
        (Mode::Held, "not_idle!"),
        (Mode::Checking, "not_idle!"),
        (Mode::Sleeping, "sleeping!"),
    ] {
        let live = Live { mode, ..live() };
        assert_eq!(codes(PROGRAM, &machine(), &controller(), &live), [code], "{mode:?}");
    }
    for (live, code) in [
        (Live { homed: Some(false), ..live() }, "not_homed!"),
        (Live { homed: None, ..live() }, "homing_unknown"),
        (Live { position_doubt: Some("reset in motion".into()), ..live() }, "position_doubt!"),
        (Live { pins: "XP".into(), ..live() }, "limit_pressed"),
        (Live { work_offset: None, ..live() }, "offset_unknown!"),
    ] {
        assert_eq!(codes(PROGRAM, &machine(), &controller(), &live), [code], "{live:?}");
    }
}

#[test]
fn leaving_the_envelope_names_axis_line_and_distance() {
    let far = "G21\nG0X0Y0Z5\nG1X250.5Y0F500\nG1Y-51\nG0X0\n";
    let findings = preflight(&analysed(far, &machine()), &machine(), Some(&controller()), &live());
    let told: Vec<_> = findings.iter().map(|it| (it.line, it.text.as_str())).collect();
    assert_eq!(
        told,
        [
            (Some(3), "X reaches 0.500 mm in machine coordinates, 0.500 mm beyond 0.000"),
            (Some(4), "Y reaches -201.000 mm in machine coordinates, 1.000 mm beyond -200.000"),
        ]
    );
    assert!(findings.iter().all(|it| it.blocks && it.code == "preflight.outside_envelope"));
}

#[test]
fn a_program_is_judged_with_the_offset_that_it_selects() {
    let reach = |x: u32, system: &str| format!("G21\n{system}\nG0X{x}Y0Z0\n");
    let second = Live { work_offset: Some([-100.0, -150.0, -40.0]), ..live() };
    let on = |program: &str, live: &Live| codes(program, &machine(), &controller(), live);
    // G54 lies at -250, G55 at -100.
    assert_eq!(on(&reach(200, "G54"), &second), [""; 0], "whatever is selected");
    assert_eq!(on(&reach(200, "G55"), &live()), ["outside_envelope!"]);
    assert_eq!(on(&reach(200, "G90"), &second), ["outside_envelope!"], "it goes on with G55");
    assert_eq!(on(&reach(200, "G90"), &live()), [""; 0]);
    let both = reach(200, "G54") + &reach(110, "G55");
    let findings =
        preflight(&analysed(&both, &machine()), &machine(), Some(&controller()), &live());
    let told: Vec<_> = findings.iter().map(|it| (it.line, it.text.as_str())).collect();
    let text = "X reaches 10.000 mm in machine coordinates with G55, 10.000 mm beyond 0.000";
    assert_eq!(told, [(Some(6), text)]);
    // A person has just set the offset, and `$#` is from before.
    let moved = Live { work_offset: Some([-30.0, -150.0, -40.0]), ..live() };
    assert_eq!(on(&reach(200, "G54"), &moved), ["offset_unknown!"]);
}

#[test]
fn soft_limits_refuse_warn_or_are_off() {
    let far = "G21\nG0X900\n";
    let with =
        |soft_limits| codes(far, &Machine { soft_limits, ..machine() }, &controller(), &live());
    assert_eq!(with(SoftLimits::Refuse), ["outside_envelope!"]);
    assert_eq!(with(SoftLimits::Warn), ["outside_envelope"]);
    assert_eq!(with(SoftLimits::Off), [""; 0]);
}

#[test]
fn a_declared_envelope_counts_more_than_the_controllers() {
    let envelope = Some(Envelope { min: [-1000.0; 3], max: [1000.0; 3] });
    let declared = Machine { envelope, ..machine() };
    assert_eq!(codes("G21\nG0X900\n", &declared, &controller(), &live()), [""; 0]);
    let lost = Controller { homing: Some(false), ..controller() };
    assert_eq!(codes(PROGRAM, &machine(), &lost, &live()), ["no_envelope"]);
}

#[test]
fn units_that_nobody_says_are_the_machines() {
    let silent = "G0X0Y0Z0\nX9\n";
    assert_eq!(codes_of(silent), ["units_missing"]);
    let inch = Machine { units: Units::Inch, ..machine() };
    assert_eq!(codes(silent, &inch, &controller(), &live()), ["units_missing"]);
    let wide = "G0X0Y0Z0\nX10\n";
    assert_eq!(codes(wide, &inch, &controller(), &live()), ["outside_envelope!", "units_missing"]);
}

#[test]
fn refused_lines_block_with_the_first_lines() {
    let program = format!("G21\n{}", "G81X1Z-1R1F100\n".repeat(7));
    let findings =
        preflight(&analysed(&program, &machine()), &machine(), Some(&controller()), &live());
    assert_eq!((findings.len(), findings[0].line), (1, Some(2)));
    assert_eq!(findings[0].code, "preflight.canned_cycle");
    assert!(findings[0].text.ends_with("7 lines: 2, 3, 4, 5, 6 …"), "{}", findings[0].text);
    let hal = Controller { dialect: "grblhal".into(), line_max: 256, ..controller() };
    assert_eq!(codes(&program, &machine(), &hal, &live()), ["canned_cycle"]);
    let never = "G21\nG0X1!\n";
    assert_eq!(codes(never, &machine(), &hal, &live()), ["realtime_character!"]);
}

#[test]
fn a_long_line_is_a_matter_of_the_controller() {
    let long = format!("G21\nG0X{}1\n", "0".repeat(90));
    assert_eq!(codes_of(&long), ["line_too_long!"]);
    for (dialect, line_max) in [("grblhal", 255), ("fluidnc", 254)] {
        let other = Controller { dialect: dialect.into(), line_max, ..controller() };
        assert_eq!(codes(&long, &machine(), &other, &live()), [""; 0], "{dialect}");
    }
}

#[test]
fn what_the_program_asks_for_must_be_there() {
    for (program, code) in [
        ("%\n(nothing)\n", "empty!"),
        ("G21\nM3S30000\nM5\n", "spindle_max"),
        ("G21\nM7\n", "mist!"),
        ("G21\nT1\nM6\nT2\nM6\n", "tools"),
        ("G21\nG28\n", "machine_moves"),
        ("G21G91\nG0X1\nG90X0\n", "relative_start"),
        ("G21\nM3S1\nG1X0F9\nX1S2\nM5\n", "laser_program"),
    ] {
        assert_eq!(codes_of(program), [code], "{program}");
    }
}

#[test]
fn laser_mode_must_fit_the_machine() {
    let laser = Machine { laser: true, ..machine() };
    assert_eq!(codes(PROGRAM, &laser, &controller(), &live()), ["laser_mode_off!"]);
    let on = Controller { laser: Some(true), ..controller() };
    assert_eq!(codes(PROGRAM, &laser, &on, &live()), [""; 0]);
    assert_eq!(codes(PROGRAM, &machine(), &on, &live()), ["laser_mode_on"]);
}

#[test]
fn findings_that_block_come_first() {
    let live = Live { mode: Mode::Alarm, ..live() };
    let codes = codes("G0X900\n", &machine(), &controller(), &live);
    assert_eq!(codes, ["alarm!", "outside_envelope!", "units_missing"]);
}
