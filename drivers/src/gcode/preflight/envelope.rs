//! Does the program stay where the tool can go?

use headstock_config::file::Bounds;
use headstock_config::machine::{Envelope, SoftLimits};
use headstock_config::preflight::Finding;

use super::{Case, blocking, note};

/// What positions may be off by for rounding, mm.
const SLACK: f64 = 0.002;

pub(super) fn check(case: &Case, findings: &mut Vec<Finding>) {
    findings.extend(machine_moves(case));
    findings.extend(relative_start(case));
    let Some(bounds) = case.analysis.bounds else { return };
    if case.machine.soft_limits == SoftLimits::Off {
        return;
    }
    let Some(envelope) = envelope(case) else {
        findings.push(note(
            "no_envelope",
            format!("nobody knows what `{}` can reach", case.machine.id),
            "whether the program stays inside is not checked",
            "declare `envelope` for the machine, or set up homing and travel (`$22`, `$130`)",
        ));
        return;
    };
    if case.analysis.work_offsets.iter().any(|it| *it != 1) {
        findings.push(other_offsets(case));
        return;
    }
    let Some(offset) = case.live.work_offset else {
        let text = "the controller has not told its work offset yet";
        let means = "whether the program stays inside the envelope cannot be checked";
        let finding = blocking("offset_unknown", text, means, "try again in a few seconds");
        findings.push(as_strict_as_asked(case, finding));
        return;
    };
    for (axis, offset) in offset.into_iter().enumerate() {
        findings.extend(sides(case, &bounds, &envelope, axis, offset));
    }
}

/// As declared, or as the controller tells: GRBL homes to 0 and reaches down to minus its travel.
fn envelope(case: &Case) -> Option<Envelope> {
    let told = || {
        let controller = case.controller.filter(|it| it.homing == Some(true))?;
        let travel = controller.travel.filter(|it| it.iter().all(|it| *it > 0.0))?;
        Some(Envelope { min: travel.map(|it| -it), max: [0.0; 3] })
    };
    case.machine.envelope.or_else(told)
}

fn sides(
    case: &Case,
    bounds: &Bounds,
    envelope: &Envelope,
    axis: usize,
    offset: f64,
) -> impl Iterator<Item = Finding> {
    let low = bounds.min[axis] + offset;
    let high = bounds.max[axis] + offset;
    let below = (envelope.min[axis] - low, low, envelope.min[axis], bounds.min_line[axis]);
    let above = (high - envelope.max[axis], high, envelope.max[axis], bounds.max_line[axis]);
    let outside = move |(by, reached, edge, line): (f64, f64, f64, u64)| {
        // Line 0: the program never says where the axis is.
        (by > SLACK && line > 0).then(|| {
            let letter = ["X", "Y", "Z"][axis];
            let text = format!(
                "{letter} reaches {reached:.3} mm in machine coordinates, {by:.3} mm beyond {edge:.3}"
            );
            let means = "the machine would run into its limits";
            let remedy = "check the work offset, or place the part elsewhere";
            let finding = blocking("outside_envelope", text, means, remedy);
            as_strict_as_asked(case, Finding { line: Some(line), ..finding })
        })
    };
    [below, above].into_iter().filter_map(outside)
}

fn as_strict_as_asked(case: &Case, finding: Finding) -> Finding {
    Finding { blocks: case.machine.soft_limits == SoftLimits::Refuse, ..finding }
}

fn other_offsets(case: &Case) -> Finding {
    let systems = case.analysis.work_offsets.iter().map(|it| format!("G{}", u32::from(*it) + 53));
    let text = format!("the program uses work offsets {}", systems.collect::<Vec<_>>().join(", "));
    let means = "only the selected one is known, so the envelope is not checked";
    note("other_offsets", text, means, "make sure that all of them are set; try a dry run")
}

fn machine_moves(case: &Case) -> Option<Finding> {
    case.analysis.machine_moves.then(|| {
        note(
            "machine_moves",
            "some moves or offsets depend on the machine (G28, G30, G38, G53, G10, G92, G43.1)",
            "the envelope is not checked for them",
            "watch the first run of this program",
        )
    })
}

fn relative_start(case: &Case) -> Option<Finding> {
    let line = case.warned("gcode.start_unknown")?;
    let text = "the program moves relative to where the tool stands at the start";
    let means = "the envelope is not checked for these moves";
    let finding = note("relative_start", text, means, "bring the tool to its place first");
    Some(Finding { line: Some(line), ..finding })
}
