//! Will the controller take the program, and does it fit what it drives?

use std::fmt::Write;

use headstock_config::file::Warning;
use headstock_config::machine::Units;
use headstock_config::preflight::Finding;

use super::{Case, blocking, note};
use crate::gcode::analysis::RELATIVES_LINE_MAX;

/// Line numbers that a finding lists.
const LISTED: usize = 5;

pub(super) fn check(case: &Case, findings: &mut Vec<Finding>) {
    if case.analysis.program_lines == 0 {
        let text = "the file has no line for a controller";
        findings.push(blocking("empty", text, "nothing would happen", "check the file"));
    }
    refused_lines(case, findings);
    findings.extend(mist(case));
    findings.extend(units(case));
    findings.extend(spindle(case));
    laser(case, findings);
    findings.extend(tools(case));
}

/// One finding for each kind of line that the controller would refuse.
fn refused_lines(case: &Case, findings: &mut Vec<Finding>) {
    let refused = || case.analysis.warnings.iter().filter(|it| it.refused);
    let mut codes: Vec<&str> = Vec::new();
    for warning in refused() {
        if codes.contains(&warning.code.as_str()) || tolerated(case, warning) {
            continue;
        }
        codes.push(&warning.code);
        let same: Vec<_> = refused().filter(|it| it.code == warning.code).collect();
        findings.push(refusal(case, warning, &same));
    }
}

fn refusal(case: &Case, first: &Warning, same: &[&Warning]) -> Finding {
    let mut text = first.text.clone();
    if same.len() > 1 {
        let listed: Vec<_> = same.iter().take(LISTED).map(|it| it.line.to_string()).collect();
        let more = if same.len() > LISTED { " …" } else { "" };
        write!(text, "; {} lines: {}{more}", same.len(), listed.join(", "))
            .expect("writing to a String cannot fail");
    }
    let kind = first.code.strip_prefix("gcode.").unwrap_or(&first.code);
    let certain = !knows_more(case) || is_never_sent(kind);
    let means = if certain { "the line would be refused" } else { "the line may be refused" };
    let remedy = match kind {
        "canned_cycle" => "let the post processor write drilling as G0 and G1",
        "no_feed" => "give a feed (`F`) before the first G1",
        "arc_radius" | "arc" => "export again with more decimals, or arcs as lines",
        "line_too_long" => "let the post processor write fewer decimals or no N words",
        "non_ascii" => "export the program as plain ASCII; umlauts may stay in comments",
        "controller_command" => "take the line out and give the command by hand",
        _ => "choose a post processor for GRBL, or change the line",
    };
    Finding { line: Some(first.line), blocks: certain, ..blocking(kind, text, means, remedy) }
}

/// grblHAL and FluidNC have codes that GRBL has not.
fn knows_more(case: &Case) -> bool {
    case.controller.is_some_and(|it| matches!(it.dialect.as_str(), "grblhal" | "fluidnc"))
}

/// Whatever the controller, we do not send such lines.
fn is_never_sent(kind: &str) -> bool {
    matches!(
        kind,
        "non_ascii" | "realtime_character" | "control_byte" | "controller_command" | "line_endless"
    )
}

fn tolerated(case: &Case, warning: &Warning) -> bool {
    // What the analysis calls too long is too long for GRBL only.
    let long_lines = case.controller.is_some_and(|it| RELATIVES_LINE_MAX <= it.line_max);
    warning.code == "gcode.line_too_long" && long_lines
}

fn mist(case: &Case) -> Option<Finding> {
    let line = case.warned("gcode.mist")?;
    let controller = case.controller?;
    if controller.dialect != "grbl" || controller.options.contains('M') {
        return None;
    }
    let remedy = "use `M8`, or a build of GRBL with M7";
    let text = "this GRBL was built without M7";
    let finding = blocking("mist", text, "the line would be refused", remedy);
    Some(Finding { line: Some(line), ..finding })
}

fn units(case: &Case) -> Option<Finding> {
    let line = case.warned("gcode.units_missing")?;
    let units = match case.machine.units {
        Units::Mm => "millimetres",
        Units::Inch => "inches",
    };
    let text = format!("the program gives lengths before it says G20 or G21; taken as {units}");
    let means = "a part of the wrong size if that is not meant";
    let finding = note("units_missing", text, means, "add G21 or G20 at the top of the program");
    Some(Finding { line: Some(line), ..finding })
}

fn spindle(case: &Case) -> Option<Finding> {
    let most = case.controller?.spindle_max.filter(|it| *it > 0.0)?;
    let asked = case.analysis.max_s;
    (asked > most).then(|| {
        let text = format!("the program asks for S{asked}; the controller gives at most {most}");
        note("spindle_max", text, "it runs slower than the program means", "check S, or `$30`")
    })
}

fn laser(case: &Case, findings: &mut Vec<Finding>) {
    let mode = case.controller.and_then(|it| it.laser);
    if !case.analysis.spindle {
        return;
    }
    if case.machine.laser && mode == Some(false) {
        findings.push(blocking(
            "laser_mode_off",
            "the machine is a laser, but laser mode is off (`$32=0`)",
            "the beam stays on in a hold and in rapid moves: it burns where it stands",
            "set `$32=1`, or `laser = false` in the configuration",
        ));
    }
    if !case.machine.laser && mode == Some(true) {
        findings.push(note(
            "laser_mode_on",
            "laser mode is on (`$32=1`), but the machine is not declared as a laser",
            "the spindle stops in rapid moves",
            "set `$32=0`, or `laser = true` in the configuration",
        ));
    }
    if let Some(line) = case.warned("gcode.power_in_motion").filter(|_| !case.machine.laser) {
        let text = "the program changes S in motion, as a laser program does";
        let means = "motion stops at each change; it may be meant for another machine";
        let finding = note("laser_program", text, means, "check that it is the right file");
        findings.push(Finding { line: Some(line), ..finding });
    }
}

fn tools(case: &Case) -> Option<Finding> {
    let tools = &case.analysis.tools;
    (tools.len() > 1).then(|| {
        let listed: Vec<_> = tools.iter().map(|it| format!("T{it}")).collect();
        let text = format!("the program uses {} tools: {}", tools.len(), listed.join(", "));
        note("tools", text, "it stops for a person at each change", "have the tools at hand")
    })
}
