//! Will the printer take the program, and does it bear it?

use headstock_config::machine::SoftLimits;
use headstock_config::preflight::Finding;

use super::{Case, blocking, envelope, note, state};

pub(super) fn check(case: &Case, findings: &mut Vec<Finding>) {
    findings.extend(state::mode(case));
    let print = case.analysis.print.unwrap_or_default();
    if !print.homes_first {
        findings.extend(state::doubt(case));
        if case.live.homed != Some(true) {
            findings.push(note(
                "not_homed",
                format!(
                    "`{}` has not been homed, and the program does not home it",
                    case.machine.id
                ),
                "it begins wherever the nozzle happens to be",
                "home the printer, or let the slicer's start code say G28",
            ));
        }
    }
    if case.analysis.program_lines == 0 {
        let text = "the file has no line for a printer";
        findings.push(blocking("empty", text, "nothing would happen", "check the file"));
    }
    refused(case, findings);
    hot(case, print.hotend, case.machine.printer.max_hotend, "nozzle", findings);
    hot(case, print.bed, case.machine.printer.max_bed, "bed or chamber", findings);
    if print.hotend == 0.0 && 0.0 < print.filament_mm {
        let means = "cold filament does not move; the firmware refuses to push it";
        let text = "the program sets no nozzle temperature";
        findings.push(note("cold", text, means, "preheat the nozzle, or check the file"));
    }
    unknown(case, findings);
    if case.machine.soft_limits != SoftLimits::Off {
        findings.extend(envelope::beyond(case));
    }
}

/// One finding for each kind of line that is not sent.
fn refused(case: &Case, findings: &mut Vec<Finding>) {
    let mut codes: Vec<&str> = Vec::new();
    for warning in case.analysis.warnings.iter().filter(|it| it.refused) {
        let kind = warning.code.strip_prefix("gcode.").unwrap_or(&warning.code);
        if codes.contains(&kind) {
            continue;
        }
        codes.push(kind);
        let remedy = match kind {
            "forbidden" => "take the line out",
            "line_too_long" => "let the slicer write fewer decimals",
            "non_ascii" => "take the character out; it may stay in comments and messages",
            _ => "check that the file is a program for a printer",
        };
        let means = "the line is not sent; a program that contains it is not started";
        let finding = blocking(kind, warning.text.clone(), means, remedy);
        findings.push(Finding { line: Some(warning.line), ..finding });
    }
}

fn hot(case: &Case, asked: f64, most: f64, what: &str, findings: &mut Vec<Finding>) {
    if most < asked {
        let text = format!(
            "the program heats the {what} to {asked:.0} °C; `{}` bears {most:.0}",
            case.machine.id
        );
        let means = "liners and beds spoil, and fumes are not healthy";
        let remedy = "slice it for this printer, or correct `printer` in the configuration";
        findings.push(blocking("too_hot", text, means, remedy));
    }
}

fn unknown(case: &Case, findings: &mut Vec<Finding>) {
    let Some(line) = case.warned("gcode.unknown_command") else { return };
    let text = "the program has commands that printers do not have in common";
    let means = "firmware that does not know them leaves them out and goes on";
    let finding = note("unknown_command", text, means, "check that it was sliced for this printer");
    findings.push(Finding { line: Some(line), ..finding });
}

#[cfg(test)]
mod tests {
    use headstock_config::machine::{Envelope, Live, Machine, Mode};

    use super::super::preflight;
    use super::super::tests::machine;
    use crate::gcode::Analyzer;

    const PRINT: &str = "M140 S60\nM104 S210\nG28\nM190 S60\nM109 S210\nG21\nG90\nM82\n\
        ;LAYER_COUNT:2\n;LAYER:0\nG92 E0\nG1 Z0.2 F600\nM73 P0 R12\nM117 Hello ü\nG1 X10 Y10 F9000\n\
        G1 X50 Y10 E2 F1800\nG2 X60 Y20 I10 J0 E3\n;LAYER:1\nM486 S1\nG29\nM600\nM106 S127\n\
        G1 X20 Y90 E6\nM104 S0\nM84\n";

    fn printer() -> Machine {
        Machine { driver: "marlin".into(), ..machine() }
    }

    fn found(program: &str, machine: &Machine, live: &Live) -> Vec<String> {
        let mut analyzer = Analyzer::on(machine, None);
        analyzer.push(program.as_bytes());
        let findings = preflight(&analyzer.finish().0, machine, None, live);
        let mark = |blocks| if blocks { "!" } else { "" };
        findings
            .iter()
            .map(|it| format!("{}{}", it.code.replace("preflight.", ""), mark(it.blocks)))
            .collect()
    }

    #[test]
    fn nothing_stands_against_a_sliced_print_on_a_printer_that_is_ready() {
        let live = Live { mode: Mode::Idle, ..Live::default() };
        assert_eq!(found(PRINT, &printer(), &live), [""; 0]);
        let doubted = Live { position_doubt: Some("stopped".into()), ..live.clone() };
        assert_eq!(found(PRINT, &printer(), &doubted), [""; 0], "it homes before it moves");
        assert_eq!(
            found("M83\nG1 X1 E1\n", &printer(), &doubted),
            ["position_doubt!", "not_homed", "cold"]
        );
    }

    #[test]
    fn what_a_printer_does_not_bear_stops_the_start() {
        let live = Live { mode: Mode::Idle, ..Live::default() };
        let hot = PRINT.replace("S210", "S300");
        assert_eq!(found(&hot, &printer(), &live), ["too_hot!"]);
        let killed = format!("{PRINT}M112\n");
        assert_eq!(found(&killed, &printer(), &live), ["forbidden!"]);
        let away = Live { mode: Mode::Offline, ..live.clone() };
        assert_eq!(found(PRINT, &printer(), &away), ["offline!"]);
        let small = Envelope { min: [0.0; 3], max: [55.0, 200.0, 200.0] };
        let printer = Machine { envelope: Some(small), ..printer() };
        assert_eq!(found(PRINT, &printer, &live), ["outside_envelope!"]);
    }

    #[test]
    fn a_print_tells_layers_filament_and_heat() {
        let mut analyzer = Analyzer::new(crate::gcode::Limits::default());
        analyzer.push(PRINT.as_bytes());
        let (found, lines) = analyzer.finish();
        let print = found.print.expect("it is recognised as one");
        assert_eq!(
            (print.layers, print.hotend, print.bed, print.homes_first),
            (2, 210.0, 60.0, true)
        );
        assert_eq!((print.filament_mm, found.program_lines, lines), (6.0, 22, 25));
        assert_eq!(found.warnings, []);
        assert!(1.0 < found.time_s);
    }
}
