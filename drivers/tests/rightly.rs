//! What the controller does right is never called wrong.
//!
//! The checks of the driver stop a job, so one that cries wolf costs parts. Programs that use all
//! of the language run here without any fault, with holds, overrides and odd settings thrown in.

mod bench;

use headstock_config::command::{Command, Override, Stop};
use headstock_config::event::Event;
use headstock_config::machine::Mode;
use headstock_drivers::gcode::Analyzer;
use headstock_drivers::grbl::sim::Options;

use bench::{Bench, machine, options};

const EVERYTHING: &str = "\
N1 G21 G90 G17 G94
N2 G0 X5 Y5 Z2
N3 M3 S1200
N4 G1 X10 F1800
N5 G2 X20 Y5 I5 J0
N6 G3 X10 Y5 R-7
N7 G2 X10 Y5 I5 J0 Z-1
N8 G91
N9 G1 X0.001
N10 X0.001 Y0.002
N11 X-0.002 Y-0.002
N12 G2 X5 Y5 R5
N13 G0 X1 Y1 Z1
N14 G90 G18
N15 G3 X20 Z3 R6
N16 G17 G20
N17 G1 X1 Y1 F70
N18 G2 X1.2 Y1 R0.15
N19 G21 F1500
N20 G10 L20 P1 X0 Y0
N21 G0 X3
N22 G1 X8 Y2
N23 G92 X100 Z7
N24 G1 X103 Y4
N25 Z8
N26 G92.1
N27 G0 X2 Y2 Z3
N28 G10 L2 P2 X10 Y-10 Z1
N29 G55
N30 G0 X1 Y1
N31 G1 Z2 F900
N32 G54
N33 G53 G0 Z1
N34 G0 X5 Y5
N35 G43.1 Z2
N36 G1 Z4 X7
N37 G49
N38 G0 Z5
N39 G28.1
N40 G1 X9 Y9
N41 G28 X6
N42 G0 X6 Y6
N43 G4 P0.2
N44 S800
N45 G1 X7
N46 G93 G1 X8 F30
N47 X9 Y7 F45
N48 G94 F1200
N49 G38.3 Z4 F200
N50 G0 X1 Y1 Z5
N51 M8
N52 G1 X4 F2000
N53 M9
N54 M5
N55 G30 Z6
N56 G0 X0 Y0
N57 M30
";

fn runs_well(mut bench: Bench, text: &str, pause_s: f64) {
    bench.take_events();
    bench.start(text);
    for turn in 0_u16.. {
        bench.wait(pause_s.min(20.0));
        let over = |event: &Event| matches!(event, Event::ProgramDone | Event::ProgramLost { .. });
        if bench.events.iter().any(over) {
            break;
        }
        let percent = 60 + turn % 9 * 15;
        bench.obey(Command::Override { which: Override::Feed, percent }).expect("it runs");
        if bench.driver.live().mode == Mode::Running {
            bench.stop(Stop::Hold);
            bench.until_mode(Mode::Held);
            bench.obey(Command::Resume).expect("it is held");
        }
    }
    assert_eq!(bench.ended(1.0), Event::ProgramDone, "{:?}", bench.events);
    let odd: Vec<_> =
        bench.events.iter().filter(|event| matches!(event, Event::Mismatch(_))).collect();
    assert!(odd.is_empty(), "{odd:?}");
}

#[test]
fn a_program_with_all_of_the_language_is_done() {
    runs_well(Bench::connected(options()), EVERYTHING, 300.0);
}

#[test]
fn holds_and_overrides_at_any_moment_do_no_harm() {
    for pause_s in [0.35, 0.61, 1.13, 2.3] {
        runs_well(Bench::connected(options()), EVERYTHING, pause_s);
    }
}

#[test]
fn inches_work_positions_and_line_numbers_are_understood() {
    for settings in [
        vec![(13, 1.0)],
        vec![(10, 2.0)],
        vec![(10, 1.0)],
        vec![(100, 26.667), (101, 80.0), (102, 400.0)],
    ] {
        for line_numbers in [false, true] {
            let options = Options { settings: settings.clone(), line_numbers, ..options() };
            runs_well(Bench::connected(options), EVERYTHING, 1.7);
        }
    }
}

#[test]
fn motion_that_takes_no_time_is_no_reason_for_doubt() {
    let options = Options { time_scale: 0.0, ..options() };
    runs_well(Bench::connected(options), EVERYTHING, 300.0);
    let options = Options { time_scale: 20.0, ..bench::options() };
    runs_well(Bench::connected(options), EVERYTHING, 0.4);
}

#[test]
fn a_laser_changes_its_power_in_motion() {
    let mut text = String::from("G21G90\nG0X1Y1\nM4S0\nG1F3000\n");
    for row in 0..20 {
        for column in 0..30 {
            text += &format!("X{:.2}S{}\n", f64::from(column) * 0.2, column * 7 % 1000);
        }
        text += &format!("G0Y{}\nX0S0\nG1\n", row + 2);
    }
    text += "M5\n";
    let mut mill = machine();
    mill.laser = true;
    let options = Options { settings: vec![(32, 1.0)], ..options() };
    runs_well(Bench::of(&mill, options).connect(), &text, 0.9);
}

#[test]
fn a_machine_that_stands_anywhere_may_begin() {
    let start = [-12.345, 66.0, -3.2];
    let bench = Bench::connected(Options { start, ..options() });
    runs_well(bench, "G21\nG91\nG1X1F600\nY2\nG90\nZ-2\nG91\nG1X0.0333\nX0.0333\nX0.0333\n", 0.7);
}

/// Squares with sharp corners, arcs, a surface of short lines, drilling and a dwell.
fn part() -> String {
    let mut text = String::from("G21G90\nG0X0Y0Z5\nM3S1000\n");
    for side in 1..=6 {
        let (x, y) = (side * 7, side * 5);
        text += &format!("G1X{x}F1800\nY{y}\nX0\nY0\nG2X{x}Y0I{}J0\nG0X0Y0\n", f64::from(x) / 2.0);
    }
    for step in 0..200 {
        let at = f64::from(step) / 10.0;
        text += &format!("G1X{at:.2}Y{:.3}Z{:.3}F3000\n", at.sin() * 3.0, at.cos());
    }
    for hole in 0..5 {
        text += &format!("G0X{}Z5\nG1Z-3F200\nG4P0.1\nG0Z5\n", hole * 9);
    }
    text + "M5\n"
}

#[test]
fn an_estimate_for_a_controller_is_the_time_that_it_takes() {
    for settings in [
        vec![],
        vec![(120, 80.0), (121, 80.0), (122, 40.0)],
        vec![(110, 900.0), (112, 300.0), (11, 0.002)],
    ] {
        let mut bench = Bench::connected(Options { settings: settings.clone(), ..options() });
        let told = bench.events.iter().find_map(|event| match event {
            Event::Connected { controller } => Some(controller.clone()),
            _ => None,
        });
        let mut analyzer = Analyzer::on(&machine(), told.as_ref());
        analyzer.push(part().as_bytes());
        let estimate = analyzer.finish().0.time_s;
        let began = bench.seconds;
        assert_eq!(bench.run(&part()), Event::ProgramDone);
        let taken = bench.seconds - began;
        assert!((estimate / taken - 1.0).abs() < 0.1, "{estimate} s, took {taken} s: {settings:?}");
    }
}
