//! What the lines of a print do, as far as it can be told without the printer.
//!
//! Follows Marlin: G0 and G1 are the same but for their names, G90 and G91 set the extruder as
//! well, unknown parameters are ignored, and a line with an unknown command does nothing. Positions
//! are millimetres, known only where the program says them; G28 brings its axes to a place that
//! only the printer knows. Source: Marlin documentation, G0 to G92, M82, M83, M104, M109, M140,
//! M190, M303.

use super::words;
use crate::gcode::arc::Arc;
use crate::gcode::path::{Feed, Path};
use crate::gcode::{Known, LineTraits, MM_PER_INCH};

/// What a line does.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Step {
    /// The move, if there is one.
    pub path: Option<Path>,
    /// mm of filament that it pushes out; negative: draws back.
    pub filament_mm: f64,
    /// G4, seconds.
    pub dwell_s: Option<f64>,
    /// What a streamer must know.
    pub traits: LineTraits,
    /// G28.
    pub homes: bool,
    /// It depends on the printer where it ends: G28, G29, G92 of an axis.
    pub machine_move: bool,
    /// A nozzle (`false`) or a bed or chamber (`true`), and °C.
    pub heats: Option<(bool, f64)>,
    /// Tool that is selected.
    pub tool: Option<u32>,
    /// F, mm/min, if the line has one.
    pub feed: Option<f64>,
    /// Nobody knows the command that we know of.
    pub unknown: bool,
    /// What must never stand in a program: M112, M997, M502 …
    pub forbidden: bool,
}

/// Reads a print line by line.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct State {
    at: [Option<f64>; 4],
    relative: bool,
    e_relative: bool,
    inch: bool,
    feed: Option<f64>,
}

/// Commands that wait for all motion, or for something else that takes its time, before they are
/// answered.
const WAITS: &[f64] =
    &[0.0, 1.0, 18.0, 84.0, 109.0, 116.0, 190.0, 191.0, 226.0, 303.0, 400.0, 600.0];
/// Commands that a program must not bring: kill, firmware update, forgetting all settings.
const FORBIDDEN: &[f64] = &[112.0, 997.0, 502.0];

impl State {
    /// Where it is: X, Y, Z.
    pub fn position(&self) -> Known {
        [self.at[0], self.at[1], self.at[2]]
    }

    /// Carries one cleaned line out.
    pub fn step(&mut self, text: &str) -> Step {
        let mut all = words(text);
        let mut step = Step::default();
        match all.next() {
            Some((b'G', Some(code))) => self.g_code(text, code, &mut step),
            Some((b'M', Some(code))) => self.m_code(text, code, &mut step),
            Some((b'T', Some(tool))) if (0.0..100.0).contains(&tool) => {
                step.tool = Some(tool as u32);
            }
            _ => step.unknown = true,
        }
        step
    }

    fn g_code(&mut self, text: &str, code: f64, step: &mut Step) {
        match code {
            0.0 | 1.0 | 2.0 | 3.0 | 5.0 => self.go(text, code, step),
            4.0 => {
                let ms = value(text, b'P').unwrap_or(0.0) / 1000.0;
                step.dwell_s = Some((ms + value(text, b'S').unwrap_or(0.0)).clamp(0.0, 86_400.0));
                step.traits.drains = true;
            }
            20.0 => self.inch = true,
            21.0 => self.inch = false,
            28.0 | 29.0 => {
                let axes: Vec<usize> = axes_named(text).filter(|axis| *axis < 3).collect();
                let all = axes.is_empty() || code == 29.0;
                (0..3).filter(|axis| all || axes.contains(axis)).for_each(|it| self.at[it] = None);
                step.homes = code == 28.0 && all;
                (step.machine_move, step.traits.drains, step.traits.moves) = (true, true, true);
            }
            90.0 => (self.relative, self.e_relative) = (false, false),
            91.0 => (self.relative, self.e_relative) = (true, true),
            92.0 => {
                for axis in axes_named(text) {
                    self.at[axis] = value(text, b"XYZE"[axis]).map(|it| it * self.unit());
                    step.machine_move |= axis < 3;
                }
            }
            10.0..=12.0
            | 17.0..=19.0
            | 26.0
            | 27.0
            | 30.0..=35.0
            | 38.0..39.0
            | 42.0
            | 53.0..60.0
            | 60.0
            | 61.0
            | 76.0
            | 80.0
            | 425.0 => {
                step.traits.drains = true;
            }
            _ => step.unknown = true,
        }
    }

    fn m_code(&mut self, text: &str, code: f64, step: &mut Step) {
        step.forbidden = FORBIDDEN.contains(&code);
        step.traits.drains = WAITS.contains(&code);
        let heat = value(text, b'S').or(value(text, b'R'));
        match code {
            82.0 => self.e_relative = false,
            83.0 => self.e_relative = true,
            104.0 | 109.0 => step.heats = heat.map(|it| (false, it)),
            140.0 | 141.0 | 190.0 | 191.0 => step.heats = heat.map(|it| (true, it)),
            // Bed and chamber are heaters -1 and -2.
            303.0 => {
                let bed = value(text, b'E').is_some_and(|it| it < 0.0);
                step.heats = heat.map(|it| (bed, it));
            }
            _ => (),
        }
    }

    fn unit(&self) -> f64 {
        if self.inch { MM_PER_INCH } else { 1.0 }
    }

    fn go(&mut self, text: &str, code: f64, step: &mut Step) {
        if let Some(feed) = value(text, b'F').filter(|it| 0.0 < *it) {
            self.feed = Some(feed * self.unit());
            step.feed = self.feed;
        }
        let from = self.at;
        let mut delta = [Some(0.0); 4];
        for axis in 0..4 {
            let Some(value) = value(text, b"XYZE"[axis]).map(|it| it * self.unit()) else {
                continue;
            };
            let relative = if axis == 3 { self.e_relative } else { self.relative };
            (delta[axis], self.at[axis]) = if relative {
                (Some(value), from[axis].map(|it| it + value))
            } else {
                (from[axis].map(|it| value - it), Some(value))
            };
        }
        step.filament_mm = delta[3].unwrap_or(0.0);
        let moves = axes_named(text).any(|axis| axis < 3);
        step.traits.moves = moves || step.filament_mm != 0.0;
        if !moves {
            return;
        }
        let known = |all: [Option<f64>; 4]| [all[0], all[1], all[2]];
        let is_arc = code == 2.0 || code == 3.0;
        step.path = Some(Path {
            feed: self.feed.map_or(Feed::Rapid, Feed::PerMinute),
            from: known(from),
            to: self.position(),
            delta: known(delta),
            is_arc,
            arc: is_arc.then(|| self.arc(text, delta, code == 2.0)).flatten(),
            axes: [0, 1, 2],
        });
    }

    fn arc(&self, text: &str, delta: [Option<f64>; 4], clockwise: bool) -> Option<Arc> {
        let end = [delta[0]?, delta[1]?];
        let unit = |letter| value(text, letter).map(|it| it * self.unit());
        match unit(b'R') {
            Some(_) if end == [0.0; 2] => None,
            Some(radius) => Arc::with_radius(radius, end, clockwise).ok(),
            None => {
                let centre = [unit(b'I').unwrap_or(0.0), unit(b'J').unwrap_or(0.0)];
                Arc::around(centre, end, clockwise).ok()
            }
        }
    }
}

/// The number behind the first word with this letter, the command aside.
fn value(text: &str, letter: u8) -> Option<f64> {
    words(text).skip(1).find(|word| word.0 == letter).and_then(|word| word.1)
}

fn axes_named(text: &str) -> impl Iterator<Item = usize> {
    words(text).skip(1).filter_map(|word| b"XYZE".iter().position(|it| *it == word.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moves_filament_and_heat_are_told() {
        let mut state = State::default();
        let mut run = |line: &str| state.step(line);
        assert!(run("G28").homes && run("G28").traits.drains);
        run("G1 X10 Y10 F3000");
        run("G92 E0");
        let step = run("G1 X20 Y10 E0.5");
        assert_eq!((step.filament_mm, step.path.unwrap().length()), (0.5, 10.0));
        assert_eq!(step.path.unwrap().feed, Feed::PerMinute(3000.0));
        let back = run("G1 E-1 F2400");
        assert_eq!((back.filament_mm, back.path, back.feed), (-1.5, None, Some(2400.0)));
        assert_eq!(run("M109 S210").heats, Some((false, 210.0)));
        assert_eq!(run("M190 R60").heats, Some((true, 60.0)));
        assert_eq!(run("M303 E-1 C8 S90").heats, Some((true, 90.0)));
        assert_eq!(run("M303 C8 S250").heats, Some((false, 250.0)));
        assert!(run("M109 S210").traits.drains && run("M600").traits.drains);
        run("M83");
        assert_eq!(run("G1 E2").filament_mm, 2.0);
        let arc = run("G2 X30 Y10 I5 J0 E1").path.unwrap();
        assert!((arc.length() - std::f64::consts::PI * 5.0).abs() < 1e-9);
        assert!(run("G28 X").path.is_none() && !run("G28 X").homes);
        assert!(run("G12345").unknown && run("M112").forbidden && !run("M117 G1 X5").unknown);
    }
}
