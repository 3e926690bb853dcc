//! The lines that bring a machine to where a program broke off.

use headstock_config::machine::Units;

use super::Options;
use crate::gcode::Known;
use crate::gcode::interpreter::Interpreter;
use crate::gcode::modal::{Modal, Motion, Plane, Spindle};

/// A line and what it does, for people.
pub(super) type Explained = (String, &'static str);

/// The lines for a machine in any modes, at any place, that carry on where `run` has come to.
///
/// Offsets that the program has not said anything about are left alone: a person may have set
/// them. Lengths are millimetres until the last line, whatever the program uses.
pub(super) fn preamble(run: &Interpreter, position: &Known, options: &Options) -> Vec<Explained> {
    let modal = run.modal();
    let mut lines = vec![modes(modal)];
    if run.tool_length().is_some() {
        lines.push(("G49".to_owned(), "no tool length offset, as the program said"));
    }
    if !options.laser {
        lines.push((format!("G53G0Z{}", decimal(options.safe_z)), "up to the safe height"));
    }
    if modal.tool != 0 {
        lines.push((format!("T{}", modal.tool), "this tool must be in the spindle"));
    }
    let [x, y, z] = *position;
    let sideways = [("X", x), ("Y", y)].map(|(letter, at)| word(letter, at)).concat();
    lines.push((format!("G0{sideways}"), "to where the program broke off"));
    // G1 without a feed would be refused.
    let feed = if modal.feed > 0.0 { modal.feed } else { options.plunge_feed };
    if options.laser {
        lines.push((format!("G1F{}", decimal(feed)), "cutting, at feed"));
        lines.extend(back_to(modal));
        lines.extend(coolant(modal));
        lines.push((spindle(modal), "power"));
        return lines;
    }
    lines.push((spindle(modal), "spindle"));
    if modal.spindle != Spindle::Off && options.spinup_s > 0.0 {
        lines.push((format!("G4P{}", decimal(options.spinup_s)), "until it is up to speed"));
    }
    lines.extend(coolant(modal));
    let plunge = options.plunge_feed.min(feed);
    lines.push((format!("G1{}F{}", word("Z", z), decimal(plunge)), "down, at feed"));
    lines.extend(back_to(modal));
    lines
}

fn modes(modal: &Modal) -> Explained {
    let plane = match modal.plane {
        Plane::Xy => "G17",
        Plane::Zx => "G18",
        Plane::Yz => "G19",
    };
    let system = u32::from(modal.system) + 53;
    (format!("{plane}G21G90G94G{system}M5M9"), "plane, millimetres, absolute, work offset")
}

/// The program's own feed, units and motion mode.
fn back_to(modal: &Modal) -> [Explained; 2] {
    let units = if modal.units == Units::Inch { "G20" } else { "" };
    let motion = match modal.motion {
        Motion::Rapid => "G0",
        Motion::Off => "G80",
        // An arc or a probe cannot be put back; the line to go on with says its own motion.
        Motion::Line | Motion::ArcCw | Motion::ArcCcw | Motion::Probe(_) => "",
    };
    let feed = format!("F{}", decimal(modal.feed));
    let modes = format!("G94{units}{motion}");
    [(feed, "the program's feed"), (modes, "the program's units and motion mode")]
}

fn spindle(modal: &Modal) -> String {
    let code = match modal.spindle {
        Spindle::Off => "M5",
        Spindle::Clockwise => "M3",
        Spindle::CounterClockwise => "M4",
    };
    format!("{code}S{}", decimal(modal.speed))
}

fn coolant(modal: &Modal) -> impl Iterator<Item = Explained> {
    let mist = modal.mist.then(|| ("M7".to_owned(), "mist"));
    let flood = modal.flood.then(|| ("M8".to_owned(), "coolant"));
    mist.into_iter().chain(flood)
}

fn word(letter: &str, at: Option<f64>) -> String {
    at.map(|it| format!("{letter}{}", decimal(it))).unwrap_or_default()
}

/// At most four decimals, without needless ones.
fn decimal(value: f64) -> String {
    let text = format!("{value:.4}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}
