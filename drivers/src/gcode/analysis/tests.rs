//! The analysis against programs whose results are known by hand.

use headstock_config::machine::Units;
use proptest::prelude::*;

use super::*;
use crate::gcode::preflight::tests::machine;

fn analyse(program: &str) -> Analysis {
    let mut analyzer = Analyzer::new(Limits::default());
    analyzer.push(program.as_bytes());
    analyzer.finish().0
}

fn codes(program: &str) -> Vec<(u64, String, bool)> {
    let warnings = analyse(program).warnings;
    warnings.into_iter().map(|it| (it.line, it.code, it.refused)).collect()
}

#[test]
fn a_small_program_is_understood() {
    let found = analyse(
        "%\nO1 (square)\nG21 G90 G54\nT3 M6\nM3 S12000\nM8\nG0 X0 Y0 Z5\nG1 Z-1 F300\nG1 X10 F1200\n\
         G1 Y20\nG2 X20 Y30 I10 J0\nG0 Z5\nM5\nM9\nM30\n%\n",
    );
    assert_eq!(found.program_lines, 13);
    assert_eq!(found.tools, [3]);
    assert_eq!(found.feeds, Some([300.0, 1200.0]));
    assert_eq!(found.max_s, 12000.0);
    assert_eq!(found.units, Some(Units::Mm));
    assert_eq!(found.work_offsets, [1]);
    assert!(found.spindle && found.coolant && !found.machine_moves);
    assert_eq!(found.warning_count, 0, "{:?}", found.warnings);
    let bounds = found.bounds.unwrap();
    assert_eq!((bounds.min, bounds.max), ([0.0, 0.0, -1.0], [20.0, 30.0, 5.0]));
    assert_eq!((bounds.min_line, bounds.max_line), ([7, 7, 8], [11, 11, 7]));
    assert_eq!(found.cutting_bounds.unwrap().max[2], 5.0);
    let arc = std::f64::consts::FRAC_PI_2 * 10.0;
    assert!((found.cutting_mm - (6.0 + 10.0 + 20.0 + arc)).abs() < 1e-9, "{}", found.cutting_mm);
    assert!((found.path_mm - found.cutting_mm - 6.0).abs() < 1e-9);
    assert!(found.time_s > 60.0 * (6.0 / 300.0 + (30.0 + arc) / 1200.0) && found.time_s < 5.0);
}

#[test]
fn arcs_reach_beyond_their_ends() {
    let bounds = analyse("G21\nG0X0Y0Z0\nG3X10Y0I5J0F100\n").bounds.unwrap();
    assert_eq!((bounds.min[1], bounds.min_line[1]), (-5.0, 3));
    let bounds = analyse("G21\nG0X0Y0Z0\nG18\nG2X0Z0I5F100\n").bounds.unwrap();
    assert_eq!((bounds.max[0], bounds.max[2]), (10.0, 5.0));
}

#[test]
fn an_axis_that_is_never_named_has_no_line() {
    let bounds = analyse("G21\nG0X1Y2\n").bounds.unwrap();
    assert_eq!((bounds.min_line, bounds.max_line), ([2, 2, 0], [2, 2, 0]));
    assert_eq!(analyse("G21\nM3S100\n").bounds, None);
}

#[test]
fn refused_lines_are_named_with_their_line() {
    for (line, code) in [
        ("G81X1Z-1R1F100", "gcode.canned_cycle"),
        ("G43H1", "gcode.unsupported"),
        ("G10L3P1X1", "gcode.unsupported"),
        ("G1X1", "gcode.no_feed"),
        ("G2X10R2F100", "gcode.arc_radius"),
        ("G2X10I1F100", "gcode.arc"),
        ("G1XF100", "gcode.malformed"),
        ("X1X2", "gcode.refused"),
        ("G1X1?", "gcode.realtime_character"),
        ("G1X1µ", "gcode.non_ascii"),
        ("$H", "gcode.controller_command"),
        ("\u{7}", "gcode.control_byte"),
    ] {
        let found = codes(&format!("G21\nG0X0Y0Z0\n{line}\n"));
        assert_eq!(found, [(3, code.to_owned(), true)], "{line}");
    }
    let (long, endless) = ("G1".repeat(45), "G1".repeat(200));
    assert_eq!(codes(&long)[0].1, "gcode.line_too_long");
    assert_eq!(codes(&endless)[0].1, "gcode.line_endless");
}

#[test]
fn the_word_to_blame_is_in_the_text() {
    let found = analyse("G21\nG0X1G64\n");
    assert!(found.warnings[0].text.contains("`G64`"), "{:?}", found.warnings);
}

#[test]
fn oddities_are_warned_of_once() {
    for (program, code) in [
        ("G0X1\nG0X2\n", "gcode.units_missing"),
        ("G21\nG91\nG0X1\nG0X2\n", "gcode.start_unknown"),
        ("G21\nM30\nG0X1\nG0X2\n", "gcode.after_end"),
        ("G21\nM3S1\nG1X0F9\nX1S2\nX2S3\nM5\n", "gcode.power_in_motion"),
        ("G21\n/G0X1\n", "gcode.block_delete"),
        ("G21\nG0X1(left open\n", "gcode.unclosed_comment"),
        ("G21\nM7\nM8\n", "gcode.mist"),
        ("G21\nM3S100\n", "gcode.left_on"),
    ] {
        let found = codes(program);
        assert_eq!(found.len(), 1, "{program} {found:?}");
        assert_eq!((found[0].1.as_str(), found[0].2), (code, false), "{program}");
    }
}

#[test]
fn warnings_are_bounded_but_counted() {
    let found = analyse(&"G64\n".repeat(250));
    assert_eq!((found.warnings.len(), found.warning_count), (100, 250));
}

#[test]
fn machine_moves_are_told() {
    for line in ["G28", "G53G0Z0", "G38.2Z-5F50", "G92X0", "G10L20P1X0", "G43.1Z1"] {
        assert!(analyse(&format!("G21\n{line}\n")).machine_moves, "{line}");
    }
    assert!(!analyse("G21 G90 G49 G54\nG0X1\n").machine_moves);
}

#[test]
fn units_that_a_program_does_not_say_are_the_machines() {
    let mut analyzer =
        Analyzer::on(&Machine { units: Units::Inch, ..machine() }, Some(&Controller::default()));
    analyzer.push(b"G0X1Y0Z0\nG21\nX2\n");
    let found = analyzer.finish().0;
    assert_eq!(found.bounds.unwrap().max[0], 25.4);
    assert!((found.path_mm - 23.4).abs() < 1e-9, "{}", found.path_mm);
}

#[test]
fn each_work_coordinate_system_has_a_box_of_its_own() {
    let found = analyse("G21\nG0X1Y1Z1\nG55X20Y2Z2\nX30\nG54X3Y3Z3\nM30\nG0X4Y4Z4\n");
    let boxes: Vec<_> =
        found.systems.iter().map(|it| (it.system, it.bounds.min[0], it.bounds.max[0])).collect();
    assert_eq!(boxes, [(None, 1.0, 1.0), (Some(2), 20.0, 30.0), (Some(1), 3.0, 4.0)]);
    assert_eq!(found.bounds.unwrap().max[0], 30.0);
}

#[test]
fn dwell_counts() {
    assert!((analyse("G4P1.5\nG4P2\n").time_s - 3.5).abs() < 1e-9);
}

#[test]
fn a_controller_without_laser_mode_stops_at_each_change_of_power() {
    let program: String = (0..50).map(|it| format!("G1X{it}S{it}F6000\n")).collect();
    let time = |laser| {
        let controller = Controller { laser, ..Controller::default() };
        let mut analyzer = Analyzer::on(&machine(), Some(&controller));
        analyzer.push(b"M4S1\n");
        analyzer.push(program.as_bytes());
        analyzer.finish().0.time_s
    };
    assert!(time(Some(false)) > 1.5 * time(Some(true)));
    assert_eq!(time(None), time(Some(true)));
}

proptest! {
    #[test]
    fn it_does_not_matter_how_the_bytes_arrive(cut in 0usize..60) {
        let program = "G21\r\nG0X1Y1Z1\r\nG1X5F100\r\n(end)\r\nM30";
        let mut analyzer = Analyzer::new(Limits::default());
        let (before, after) = program.as_bytes().split_at(cut.min(program.len()));
        analyzer.push(before);
        analyzer.push(after);
        let (found, lines) = analyzer.finish();
        prop_assert_eq!(found, analyse(program));
        prop_assert_eq!(lines, 5);
    }

    #[test]
    fn no_program_makes_it_panic(bytes in "[GMXYZIJKRFSTP0-9.\\-\\n]{0,300}") {
        let found = analyse(&bytes);
        prop_assert!(found.time_s >= 0.0 && found.time_s.is_finite(), "{}", found.time_s);
        prop_assert!(found.path_mm >= found.cutting_mm);
    }
}
