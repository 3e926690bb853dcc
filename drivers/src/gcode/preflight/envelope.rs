//! Does the program stay where the tool can go?

use headstock_config::file::SystemBounds;
use headstock_config::machine::{Envelope, SoftLimits, Xyz};
use headstock_config::preflight::Finding;

use super::{Case, blocking, note};

/// What positions may be off by for rounding, mm.
const SLACK: f64 = 0.002;

pub(super) fn check(case: &Case, findings: &mut Vec<Finding>) {
    findings.extend(machine_moves(case));
    findings.extend(relative_start(case));
    if case.analysis.systems.is_empty() || case.machine.soft_limits == SoftLimits::Off {
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
    for part in &case.analysis.systems {
        match offset(case, part.system) {
            Some(offset) => {
                for (axis, offset) in offset.into_iter().enumerate() {
                    findings.extend(sides(case, part, &envelope, axis, offset));
                }
            }
            None => findings.push(offset_unknown(case, part.system)),
        }
    }
}

/// Where a print, whose coordinates are the machine's own, leaves the declared envelope.
pub(super) fn beyond(case: &Case) -> Vec<Finding> {
    let (Some(envelope), Some(part)) = (case.machine.envelope, case.analysis.systems.first())
    else {
        return Vec::new();
    };
    (0..3).flat_map(|axis| sides(case, part, &envelope, axis, 0.0)).collect()
}

/// The work offset in a system, or in the one that is selected. What `$#` told counts as long as
/// the offset that is reported can come of it.
fn offset(case: &Case, system: Option<u8>) -> Option<Xyz> {
    let reported = case.live.work_offset?;
    let Some(system) = system else { return Some(reported) };
    let told = case.controller?.work_offsets.as_ref()?;
    told.selected(reported).and_then(|_| told.of(system))
}

fn offset_unknown(case: &Case, system: Option<u8>) -> Finding {
    let name = system.map(|it| format!(" of {}", spelt(it))).unwrap_or_default();
    let text = format!("the controller has not told its work offset{name} yet");
    let means = "whether the program stays inside the envelope cannot be checked";
    let finding = blocking("offset_unknown", text, means, "try again in a few seconds");
    as_strict_as_asked(case, finding)
}

/// 1 is G54.
fn spelt(system: u8) -> String {
    format!("G{}", u32::from(system) + 53)
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
    part: &SystemBounds,
    envelope: &Envelope,
    axis: usize,
    offset: f64,
) -> impl Iterator<Item = Finding> {
    let bounds = part.bounds;
    let place = part.system.map(|it| format!(" with {}", spelt(it))).unwrap_or_default();
    let low = bounds.min[axis] + offset;
    let high = bounds.max[axis] + offset;
    let below = (envelope.min[axis] - low, low, envelope.min[axis], bounds.min_line[axis]);
    let above = (high - envelope.max[axis], high, envelope.max[axis], bounds.max_line[axis]);
    let outside = move |(by, reached, edge, line): (f64, f64, f64, u64)| {
        // Line 0: the program never says where the axis is.
        (by > SLACK && line > 0).then(|| {
            let letter = ["X", "Y", "Z"][axis];
            let text = format!(
                "{letter} reaches {reached:.3} mm in machine coordinates{place}, {by:.3} mm beyond \
                 {edge:.3}"
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
