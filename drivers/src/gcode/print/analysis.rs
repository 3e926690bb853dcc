//! What a print would do, worked out without a printer.
//!
//! The counterpart of [`crate::gcode::analysis`] for the language of printers. Time spent heating
//! is not in the estimate, nor is homing: nobody knows either beforehand.

use headstock_config::file::{Analysis, Print, SystemBounds, Warning};
use headstock_config::machine::Units;

use super::clean::{Layer, clean};
use super::state::{State, Step};
use crate::gcode::clean::Fault;
use crate::gcode::extent::Extent;
use crate::gcode::path::{Feed, Path};
use crate::gcode::planner::{Limits, Planner};
use crate::marlin::line::TEXT_MAX;

/// Warnings that are kept; the others are counted.
const WARNINGS_MAX: usize = 100;

/// Adds up what a print does.
#[derive(Clone, Debug)]
pub(in crate::gcode) struct Ledger {
    state: State,
    planner: Planner,
    found: Analysis,
    print: Print,
    bounds: Extent,
    printing: Extent,
    text: String,
    /// Layers begun, and how many a comment promises.
    layers: u32,
    promised: u32,
    moved: bool,
}

impl Ledger {
    pub(in crate::gcode) fn new(limits: Limits) -> Self {
        Self {
            state: State::default(),
            planner: Planner::new(limits),
            found: Analysis {
                assumed: limits.to_string(),
                units: Some(Units::Mm),
                ..Analysis::default()
            },
            print: Print::default(),
            bounds: Extent::default(),
            printing: Extent::default(),
            text: String::with_capacity(TEXT_MAX),
            layers: 0,
            promised: 0,
            moved: false,
        }
    }

    /// The next raw line.
    pub(in crate::gcode) fn take(&mut self, number: u64, raw: &[u8]) {
        let mut text = std::mem::take(&mut self.text);
        match clean(raw, number == 1, TEXT_MAX, &mut text) {
            Ok(layer) => {
                match layer {
                    Some(Layer::Next) => self.layers += 1,
                    Some(Layer::This(layer)) => self.layers = self.layers.max(layer),
                    Some(Layer::All(all)) => self.promised = all,
                    None => (),
                }
                if !text.is_empty() {
                    self.found.program_lines += 1;
                    let step = self.state.step(&text);
                    self.account(number, &text, &step);
                }
            }
            Err(fault) => {
                let code = match fault {
                    Fault::Endless(_) => "gcode.line_endless",
                    _ => fault.code(),
                };
                self.warn(number, code, fault.to_string(), true);
            }
        }
        self.text = text;
    }

    fn account(&mut self, number: u64, text: &str, step: &Step) {
        if step.unknown {
            let words = format!("`{text}` is not a command that printers have in common");
            self.warn(number, "gcode.unknown_command", words, false);
        }
        if step.forbidden {
            let words = format!("`{text}` must not stand in a program");
            self.warn(number, "gcode.forbidden", words, true);
        }
        self.print.homes_first |= step.homes && !self.moved;
        self.moved |= step.path.is_some();
        self.found.machine_moves |= step.machine_move;
        if step.traits.drains {
            self.planner.rest(step.dwell_s.unwrap_or(0.0));
        }
        match step.heats {
            Some((false, celsius)) => self.print.hotend = self.print.hotend.max(celsius),
            Some((true, celsius)) => self.print.bed = self.print.bed.max(celsius),
            None => (),
        }
        self.print.filament_mm += step.filament_mm;
        if let Some(tool) = step.tool.filter(|tool| !self.found.tools.contains(tool))
            && self.found.tools.len() < 32
        {
            self.found.tools.push(tool);
        }
        if let Some(feed) = step.feed {
            let [low, high] = self.found.feeds.unwrap_or([feed; 2]);
            self.found.feeds = Some([low.min(feed), high.max(feed)]);
        }
        if let Some(path) = &step.path {
            self.move_along(number, path, 0.0 < step.filament_mm);
        } else if let Some(feed) = step.feed.filter(|_| step.filament_mm != 0.0) {
            self.planner.rest(step.filament_mm.abs() / feed * 60.0);
        }
    }

    fn move_along(&mut self, number: u64, path: &Path, prints: bool) {
        let path = match path.feed {
            Feed::PerMinute(feed) if feed <= 0.0 => Path { feed: Feed::Rapid, ..*path },
            _ => *path,
        };
        let length = path.length();
        self.planner.add(&path);
        self.found.path_mm += length;
        self.bounds.add(number, &path);
        if prints {
            self.found.cutting_mm += length;
            self.printing.add_point(number, &path.from);
            self.printing.add(number, &path);
        }
    }

    /// It is a print: filament moves, or something is heated.
    pub(in crate::gcode) fn is_print(&self) -> bool {
        0.0 < self.print.hotend + self.print.bed || self.print.filament_mm != 0.0
    }

    /// The program has ended.
    pub(in crate::gcode) fn finish(mut self) -> Analysis {
        self.planner.rest(0.0);
        self.print.layers = self.promised.max(self.layers);
        let bounds = self.bounds.bounds();
        Analysis {
            time_s: self.planner.time_s(),
            bounds,
            systems: bounds
                .map(|bounds| SystemBounds { system: None, bounds })
                .into_iter()
                .collect(),
            cutting_bounds: self.printing.bounds(),
            print: Some(self.print),
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
