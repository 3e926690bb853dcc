//! What a program would do, worked out without a machine.
//!
//! Bytes of any length go in piece by piece; memory does not grow with the program. Lines that a
//! controller would refuse are counted as warnings and otherwise left out, since GRBL refuses a
//! line as a whole.
//!
//! The program is taken to begin in power-up modes (with the machine's units, where it is known)
//! at an unknown place: until a program says
//! where an axis is, moves along it count neither for the box nor, if they are absolute, for the
//! length. Not here: whether a given machine can carry the program out (`preflight`).

use headstock_config::file::{Analysis, SystemBounds, Warning};
use headstock_config::machine::{Controller, Machine, Units};

use super::clean::{Fault, Oddities, clean};
use super::extent::Extent;
use super::interpreter::{Interpreter, Step};
use super::lines::Lines;
use super::modal::{Modal, Spindle};
use super::path::{Feed, Path};
use super::planner::{Limits, Planner};
use super::words::{Error, words};
use super::{Language, Pause, print};

/// GRBL: characters of a line.
const GRBL_LINE_MAX: usize = 79;
/// A line that all of GRBL's relatives take: FluidNC has room for 254, grblHAL for one more.
pub(super) const RELATIVES_LINE_MAX: usize = 254;
/// Warnings that are kept; the others are counted.
const WARNINGS_MAX: usize = 100;

/// Adds up what a program does.
#[derive(Clone, Debug)]
pub struct Analyzer {
    lines: Lines,
    /// As a program for a mill; absent where it is known to be for a printer.
    mill: Option<Ledger>,
    /// As a print; absent where it is known to be for a mill.
    print: Option<print::analysis::Ledger>,
}

/// Everything but the cutting into lines.
#[derive(Clone, Debug)]
struct Ledger {
    interpreter: Interpreter,
    planner: Planner,
    found: Analysis,
    bounds: Extent,
    cutting: Extent,
    /// Work coordinate system in force, once the program has said it, and the box in each.
    system: Option<u8>,
    systems: Vec<(Option<u8>, Extent)>,
    text: String,
    said: Said,
}

/// What is warned of once.
#[derive(Clone, Copy, Debug, Default)]
struct Said {
    no_units: bool,
    unknown_start: bool,
    power_in_motion: bool,
    ended: bool,
    after_end: bool,
}

impl Analyzer {
    /// For a machine with these limits, whatever it is: a program that heats or moves filament is a
    /// print, any other is for a mill. Power (S) is taken to follow a beam where it changes in
    /// motion, as a laser program means it.
    pub fn new(limits: Limits) -> Self {
        Self {
            lines: Lines::default(),
            mill: Some(Ledger::new(limits, true, Units::Mm)),
            print: Some(print::analysis::Ledger::new(limits)),
        }
    }

    /// For a machine: in its language and its units, and as fast as its controller says that it is.
    pub fn on(machine: &Machine, controller: Option<&Controller>) -> Self {
        let laser = controller.is_none_or(|it| it.laser != Some(false));
        let limits = controller.map(Limits::of).unwrap_or_default();
        let (mill, print) = match Language::of_driver(&machine.driver) {
            Language::Mill => (Some(Ledger::new(limits, laser, machine.units)), None),
            Language::Print => (None, Some(print::analysis::Ledger::new(Limits::printer()))),
        };
        Self { lines: Lines::default(), mill, print }
    }

    /// The next bytes of the program.
    pub fn push(&mut self, bytes: &[u8]) {
        let (mill, print) = (&mut self.mill, &mut self.print);
        self.lines.push(bytes, |number, raw| take(mill, print, number, raw));
    }

    /// The program has ended. Returns what was found and the number of lines of the file.
    pub fn finish(mut self) -> (Analysis, u64) {
        let (mill, print) = (&mut self.mill, &mut self.print);
        self.lines.end(|number, raw| take(mill, print, number, raw));
        let lines = self.lines.count();
        let found = match (self.mill, self.print) {
            (Some(mill), print) if print.as_ref().is_none_or(|it| !it.is_print()) => {
                mill.finish(lines)
            }
            (_, Some(print)) => print.finish(),
            (_, None) => Analysis::default(),
        };
        (found, lines)
    }
}

fn take(
    mill: &mut Option<Ledger>,
    print: &mut Option<print::analysis::Ledger>,
    number: u64,
    raw: &[u8],
) {
    if let Some(mill) = mill {
        mill.take(number, raw);
    }
    if let Some(print) = print {
        print.take(number, raw);
    }
}

impl Ledger {
    fn new(limits: Limits, laser: bool, units: Units) -> Self {
        let modal = Modal { units, ..Modal::default() };
        Self {
            interpreter: Interpreter::new(modal, [None; 3]).with_laser(laser),
            planner: Planner::new(limits),
            found: Analysis { assumed: limits.to_string(), ..Analysis::default() },
            bounds: Extent::default(),
            cutting: Extent::default(),
            system: None,
            systems: Vec::new(),
            text: String::with_capacity(GRBL_LINE_MAX),
            said: Said::default(),
        }
    }

    fn take(&mut self, number: u64, raw: &[u8]) {
        let mut text = std::mem::take(&mut self.text);
        match clean(raw, number == 1, RELATIVES_LINE_MAX, &mut text) {
            Ok(odd) => self.take_text(number, &text, odd),
            Err(fault) => {
                let code = match fault {
                    Fault::TooLong { .. } | Fault::Endless(_) => "gcode.line_endless",
                    _ => fault.code(),
                };
                self.warn(number, code, fault.to_string(), true);
            }
        }
        self.text = text;
    }

    fn take_text(&mut self, number: u64, text: &str, odd: Oddities) {
        if odd.unclosed_comment {
            let words = "a comment is not closed; the rest of the line is left out";
            self.warn(number, "gcode.unclosed_comment", words.to_owned(), false);
        }
        if text.is_empty() {
            return;
        }
        if odd.block_delete {
            let words = "`/` does not skip the line; it is carried out";
            self.warn(number, "gcode.block_delete", words.to_owned(), false);
        }
        if text.len() > GRBL_LINE_MAX {
            let words = Fault::TooLong { length: text.len(), max: GRBL_LINE_MAX };
            self.warn(number, words.code(), words.to_string(), true);
        }
        self.found.program_lines += 1;
        let before = *self.interpreter.modal();
        match self.interpreter.step(text) {
            Ok(step) => self.account(number, &before, &step),
            Err(error) => self.refused(number, text, error),
        }
    }

    fn refused(&mut self, number: u64, text: &str, error: Error) {
        self.interpreter.forget_position();
        let (code, word) = judge(text, error);
        let about = word.map(|it| format!(" (`{it}`)")).unwrap_or_default();
        let sentence = format!("error {}: {}{about}", error.0, error.meaning());
        self.warn(number, code, sentence, true);
    }

    fn account(&mut self, number: u64, before: &Modal, step: &Step) {
        self.check_order(number, before, step);
        self.note_words(number, before, step);
        if step.traits.drains {
            self.planner.rest(step.dwell_s.unwrap_or(0.0));
        }
        if step.machine_move || step.offsets {
            self.found.machine_moves = true;
        }
        if step.sets_system {
            self.system = Some(self.interpreter.modal().system);
        }
        if let Some(path) = &step.path {
            self.move_along(number, path);
        }
        if step.ends {
            (self.said.ended, self.system) = (true, Some(1));
        }
    }

    /// What depends on the order of lines: units before lengths, nothing after the end.
    fn check_order(&mut self, number: u64, before: &Modal, step: &Step) {
        if step.sets_units && self.found.units.is_none() {
            self.found.units = Some(self.interpreter.modal().units);
        }
        let lengths = step.traits.moves || step.offsets;
        if lengths
            && self.found.units.is_none()
            && !std::mem::replace(&mut self.said.no_units, true)
        {
            let words = "no G20 or G21 before the first length: the machine's units count";
            self.warn(number, "gcode.units_missing", words.to_owned(), false);
        }
        if self.said.ended && !std::mem::replace(&mut self.said.after_end, true) {
            let words = "lines after M2 or M30 are carried out as well";
            self.warn(number, "gcode.after_end", words.to_owned(), false);
        }
        let beam = before.spindle != Spindle::Off && step.traits.moves && step.has(b'S');
        if beam
            && before.speed != self.interpreter.modal().speed
            && !std::mem::replace(&mut self.said.power_in_motion, true)
        {
            let words = "power (S) changes in motion, as for a laser; without laser mode the \
                         machine stops at each change";
            self.warn(number, "gcode.power_in_motion", words.to_owned(), false);
        }
    }

    fn note_words(&mut self, number: u64, before: &Modal, step: &Step) {
        let modal = *self.interpreter.modal();
        let tool = match step.traits.pause {
            Some(Pause::ToolChange(tool)) => tool,
            _ if step.has(b'T') => modal.tool,
            _ => 0,
        };
        if tool != 0 && !self.found.tools.contains(&tool) {
            self.found.tools.push(tool);
        }
        if step.has(b'S') {
            self.found.max_s = self.found.max_s.max(modal.speed);
        }
        if step.sets_system && !self.found.work_offsets.contains(&modal.system) {
            self.found.work_offsets.push(modal.system);
        }
        self.found.spindle |= modal.spindle != Spindle::Off;
        self.found.coolant |= modal.mist || modal.flood;
        if modal.mist && !before.mist {
            let words = "M7 is an option of GRBL; builds without it refuse the line";
            self.warn(number, "gcode.mist", words.to_owned(), false);
        }
    }

    fn move_along(&mut self, number: u64, path: &Path) {
        let length = path.length();
        self.planner.add(path);
        self.found.path_mm += length;
        self.bounds.add(number, path);
        self.extent_in_system().add(number, path);
        if path.feed != Feed::Rapid {
            self.found.cutting_mm += length;
            self.cutting.add_point(number, &path.from);
            self.cutting.add(number, path);
        }
        if let Feed::PerMinute(feed) = path.feed {
            let [low, high] = self.found.feeds.unwrap_or([feed; 2]);
            self.found.feeds = Some([low.min(feed), high.max(feed)]);
        }
        let lost =
            path.to.iter().zip(&path.delta).any(|(to, delta)| to.is_none() && *delta != Some(0.0));
        if lost && !std::mem::replace(&mut self.said.unknown_start, true) {
            let words = "relative moves from a place that the program does not say: they are not \
                         in the box";
            self.warn(number, "gcode.start_unknown", words.to_owned(), false);
        }
    }

    fn extent_in_system(&mut self) -> &mut Extent {
        let known = self.systems.iter().position(|(system, _)| *system == self.system);
        let at = known.unwrap_or(self.systems.len());
        if known.is_none() {
            self.systems.push((self.system, Extent::default()));
        }
        &mut self.systems[at].1
    }

    fn finish(mut self, lines: u64) -> Analysis {
        self.planner.rest(0.0);
        if self.interpreter.modal().spindle != Spindle::Off {
            let words = "the program ends with the spindle or laser on";
            self.warn(lines, "gcode.left_on", words.to_owned(), false);
        }
        Analysis {
            time_s: self.planner.time_s(),
            bounds: self.bounds.bounds(),
            systems: self
                .systems
                .iter()
                .filter_map(|&(system, extent)| {
                    Some(SystemBounds { system, bounds: extent.bounds()? })
                })
                .collect(),
            cutting_bounds: self.cutting.bounds(),
            ..self.found
        }
    }

    fn warn(&mut self, line: u64, code: &str, text: String, refused: bool) {
        self.found.warning_count += 1;
        // Harmless ones must not crowd out those that stop a start.
        let room = if refused { WARNINGS_MAX } else { WARNINGS_MAX / 2 };
        if self.found.warnings.len() < room {
            self.found.warnings.push(Warning { line, code: code.to_owned(), text, refused });
        }
    }
}

/// A name for what is wrong with a refused line, and the word that is to blame.
fn judge(text: &str, error: Error) -> (&'static str, Option<String>) {
    match error.0 {
        20 => unknown_word(text),
        22 => ("gcode.no_feed", None),
        34 => ("gcode.arc_radius", None),
        32 | 33 | 35 => ("gcode.arc", None),
        1 | 2 => ("gcode.malformed", None),
        _ => ("gcode.refused", None),
    }
}

/// The first word of the line that GRBL refuses when it stands alone.
fn unknown_word(text: &str) -> (&'static str, Option<String>) {
    let unknown = words(text).flatten().find(|word| {
        let alone = format!("{}{}", char::from(word.letter), word.value);
        Interpreter::default().step(&alone) == Err(Error(20))
    });
    let Some(word) = unknown else { return ("gcode.unsupported", None) };
    let code = match (word.letter, word.value) {
        (b'G', 73.0 | 74.0 | 76.0 | 81.0..=89.0 | 98.0 | 99.0) => "gcode.canned_cycle",
        _ => "gcode.unsupported",
    };
    (code, Some(format!("{}{}", char::from(word.letter), word.value)))
}

#[cfg(test)]
mod tests;
