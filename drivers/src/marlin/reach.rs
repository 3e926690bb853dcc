//! Where the nozzle can go, and how far it is known where it is.
//!
//! ```text
//!            all that a step may do                                   by how much
//!  known ··· end inside the limits, or nearer to them than it begins  declared, or told by M115
//!  not   ··· go a little way, relative                                [`BLIND`]
//! ```
//!
//! An axis is known once it has been homed and its place was told after the last line that moved
//! anything. G92 and its like shift what a firmware calls X0 (or what it believes of its motors:
//! builds differ), and with that the limits are somewhere else: only homing makes good for it.
//! Source: Marlin documentation, G28, G92, M206, M428; `M115_GEOMETRY_REPORT` in
//! `src/gcode/host/M115.cpp`.

use headstock_config::machine::{Envelope, Xyz};

use super::Marlin;
use crate::Refusal;
use crate::gcode::print::words;
use crate::hand::step_stays;

/// The longest step of an axis that is not known, mm.
const BLIND: f64 = 10.0;
/// What a position is rounded to when it is told, mm.
const ROUNDING: f64 = 0.01;

/// See the file's head.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reach {
    homed: [bool; 3],
    /// What it calls X0 is not where it was when it was homed.
    shifted: bool,
    /// What M115 has told of its size.
    told: Option<Envelope>,
}

impl Reach {
    /// The first line of M115 or one that follows it: `area:{full:{min:{x:0.0000,…`.
    pub(super) fn take_area(&mut self, text: &str) {
        self.told = area(text).or(self.told);
    }
}

/// The axes that a G28 homes; all of them if it names none.
pub(super) fn homed_by(text: &str) -> [bool; 3] {
    let named = b"XYZ".map(|letter| words(text).skip(1).any(|word| word.0 == letter));
    if named == [false; 3] { [true; 3] } else { named }
}

/// Whether it may be somewhere else after this line.
pub(super) fn unsettles(text: &str) -> bool {
    match words(text).next() {
        Some((b'G', Some(code))) => {
            ![4.0, 17.0, 18.0, 19.0, 20.0, 21.0, 90.0, 91.0].contains(&code)
        }
        Some((b'M', Some(code))) => [125.0, 206.0, 428.0, 600.0, 701.0, 702.0].contains(&code),
        Some((b'T', _)) => true,
        _ => false,
    }
}

/// Whether this line makes a firmware call another place X0.
fn shifts(text: &str) -> bool {
    let mut all = words(text);
    match all.next() {
        Some((b'G', Some(92.0))) => all.any(|word| b"XYZ".contains(&word.0)),
        Some((b'G', Some(code))) => (54.0..60.0).contains(&code),
        Some((b'M', Some(206.0 | 428.0))) => true,
        _ => false,
    }
}

impl Marlin {
    /// A line goes out.
    pub(super) fn reach_follow(&mut self, text: &str) {
        self.reach.shifted |= shifts(text);
        if unsettles(text) {
            self.place = None;
        }
    }

    /// These axes are at their switches.
    pub(super) fn homed(&mut self, axes: [bool; 3]) {
        for (homed, now) in self.reach.homed.iter_mut().zip(axes) {
            *homed |= now;
        }
        // A firmware forgets the shift of what it homes.
        self.reach.shifted &= axes != [true; 3];
        if self.reach.homed == [true; 3] {
            self.live.homed = Some(true);
            self.live.position_doubt = None;
        }
    }

    /// It may have been moved by something else than its motors.
    pub(super) fn not_homed(&mut self) {
        self.reach.homed = [false; 3];
        self.live.homed = Some(false);
    }

    /// Whether these axes are known; else why they are not.
    pub(super) fn knows(&self, axes: [bool; 3]) -> Result<(), &'static str> {
        if self.reach.shifted {
            return Err("the printer's coordinates have been shifted since it was homed");
        }
        let homed = (0..3).all(|axis| self.reach.homed[axis] || !axes[axis]);
        if homed { Ok(()) } else { Err("the printer has not been homed") }
    }

    /// Where it rests.
    pub(super) fn told_place(&self) -> Result<Xyz, Refusal> {
        let Some([x, y, z, _]) = self.place else {
            // It is asked, and answers in a moment.
            return Err(Refusal::NotNow("asked where it is"));
        };
        Ok([x, y, z])
    }

    /// The box that the nozzle stays in.
    pub(super) fn limits(&self) -> Option<Envelope> {
        self.setup.envelope.or(self.reach.told)
    }

    /// Whether a step may be made.
    pub(super) fn judge_step(&self, by: [Option<f64>; 3], absolute: bool) -> Result<(), Refusal> {
        if let Err(why) = self.knows(by.map(|it| it.is_some())) {
            return blind_step(by, absolute, why);
        }
        // Where nobody has told limits, the firmware's own hold: it knows where it is, too.
        let Some(limits) = self.limits() else { return Ok(()) };
        let from = self.told_place()?;
        let given = (0..3).filter_map(|axis| Some((axis, by[axis]?)));
        given.map(|(axis, by)| (axis, if absolute { by } else { from[axis] + by })).try_for_each(
            |(axis, to)| step_stays(&limits, axis, (from[axis], to), (ROUNDING, "the nozzle")),
        )
    }
}

fn blind_step(by: [Option<f64>; 3], absolute: bool, why: &str) -> Result<(), Refusal> {
    if absolute {
        return Err(Refusal::Unready(format!("{why}: home it, or jog by distances")));
    }
    let short = by.into_iter().flatten().all(|by| by.abs() <= BLIND);
    if short {
        return Ok(());
    }
    Err(Refusal::Unready(format!("{why}: home it, or jog in steps of at most {BLIND} mm")))
}

/// `area:{full:{min:{x:0.0000,y:0.0000,z:0.0000},max:{x:220.0000,…}},work:{…}}`: the work area.
fn area(text: &str) -> Option<Envelope> {
    let text = text.trim().strip_prefix("area:")?;
    let text = text.split_once("work:").map_or(text, |it| it.1);
    let corner = |name: &str| {
        let text = text.split_once(name)?.1;
        let text = text.split('}').next()?;
        let read = |letter: &str| {
            let value = text.split_once(letter)?.1;
            let value = value.split(',').next()?.trim().parse().ok();
            value.filter(|it: &f64| it.is_finite() && it.abs() < 10_000.0)
        };
        Some([read("x:")?, read("y:")?, read("z:")?])
    };
    let (min, max) = (corner("min:{")?, corner("max:{")?);
    (0..3).all(|axis| min[axis] < max[axis]).then_some(Envelope { min, max })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_work_area_is_what_m115_tells() {
        let told = "area:{full:{min:{x:-5.0000,y:0.0000,z:0.0000},max:{x:235.0000,y:235.0000,\
                    z:250.0000}},work:{min:{x:0.0000,y:0.0000,z:0.0000},max:{x:220.0000,\
                    y:220.0000,z:250.0000}}}";
        let read = area(told).unwrap();
        assert_eq!((read.min, read.max), ([0.0; 3], [220.0, 220.0, 250.0]));
        for odd in ["", "area:", "area:{full:{min:{x:0}}}", &told.replace("220", "-1")] {
            assert_eq!(area(odd), None, "{odd}");
        }
    }

    #[test]
    fn what_shifts_and_what_moves_is_told_apart() {
        for line in ["G92 X0", "G92Z.2", "G55", "M206 X1", "M428"] {
            assert!(shifts(line) && (unsettles(line)), "{line}");
        }
        for line in ["G92 E0", "G1 X5", "G28", "M600"] {
            assert!(!shifts(line) && unsettles(line), "{line}");
        }
        for line in ["G21", "G90", "M104 S200", "M117 G92 X0", "M84"] {
            assert!(!shifts(line) && !unsettles(line), "{line}");
        }
        assert_eq!(homed_by("G28"), [true; 3]);
        assert_eq!(homed_by("G28 X Y"), [true, true, false]);
        assert_eq!(homed_by("G28 R0"), [true; 3]);
    }
}
