//! Is the machine ready?

use headstock_config::machine::Mode;
use headstock_config::preflight::Finding;

use super::{Case, blocking, note};

pub(super) fn check(case: &Case, findings: &mut Vec<Finding>) {
    findings.extend(mode(case));
    findings.extend(homing(case));
    findings.extend(doubt(case));
    findings.extend(pins(case));
}

pub(super) fn mode(case: &Case) -> Option<Finding> {
    let id = &case.machine.id;
    let state = format!("`{id}` is {}", case.live.mode.word());
    let waits = "the program cannot be sent";
    Some(match case.live.mode {
        Mode::Idle => return None,
        Mode::Offline | Mode::Connecting => {
            blocking("offline", state, waits, "check power and cable; it connects by itself")
        }
        Mode::Alarm => {
            let remedy = "look at the machine, then home or unlock it";
            blocking("alarm", state, "the controller refuses every line", remedy)
        }
        Mode::Door => blocking("door", state, waits, "close the door, then resume"),
        Mode::Sleeping => blocking("sleeping", state, waits, "reset the machine, then home it"),
        _ => blocking("not_idle", state, waits, "wait until it is idle, or stop what it does"),
    })
}

fn homing(case: &Case) -> Option<Finding> {
    let homing = case.controller.and_then(|it| it.homing);
    match (homing, case.live.homed) {
        (Some(true), Some(false)) => Some(blocking(
            "not_homed",
            format!("`{}` has not been homed", case.machine.id),
            "machine coordinates, and with them work offsets and limits, mean nothing yet",
            "home the machine",
        )),
        (Some(true), None) => Some(note(
            "homing_unknown",
            format!(
                "nobody knows whether `{}` has been homed since it was switched on",
                case.machine.id
            ),
            "if it has not, machine coordinates mean nothing",
            "home the machine",
        )),
        _ => None,
    }
}

pub(super) fn doubt(case: &Case) -> Option<Finding> {
    let why = case.live.position_doubt.as_ref()?;
    Some(blocking(
        "position_doubt",
        format!("the position of `{}` is in doubt: {why}", case.machine.id),
        "the tool may not be where the controller says",
        "home the machine and check the work offset",
    ))
}

fn pins(case: &Case) -> Option<Finding> {
    let limits: String = case.live.pins.chars().filter(|it| "XYZ".contains(*it)).collect();
    let text = format!("limit switches are pressed: {limits}");
    (!limits.is_empty()).then(|| {
        note(
            "limit_pressed",
            text,
            "with hard limits the first move raises an alarm",
            "jog away from the switches",
        )
    })
}
