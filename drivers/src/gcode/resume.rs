//! Going on with a program from one of its lines, in a machine that has lost its modes.
//!
//! The lines before are interpreted as they were carried out; a preamble brings the machine to
//! where they ended, from above and with the same modes; then the program goes on. Only what can
//! be put back with certainty is offered: a line is refused when anything before it, or it
//! itself, depends on more than modes and a position that the program says in so many words. The
//! nearest line before it that can be offered is named.
//!
//! Invariants (held by property tests): the modes after the preamble are those of the whole run;
//! no rapid move goes down, or sideways below the safe height; the line begins where the line
//! before it ended.
//!
//! The preamble trusts machine coordinates (G53) and the stored work offset: whoever starts it
//! must know that the machine has been homed and the offset is still right.

mod preamble;

use headstock_config::explain::Explain;

use super::clean::clean;
use super::interpreter::{Interpreter, Step};
use super::modal::{FeedMode, Modal, Motion};
use super::words::Error;
use super::{Known, Pause};

/// Program lines that a preview shows after the preamble.
const SHOWN: usize = 5;

/// What the preamble must know of the machine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// Height to move sideways at, machine coordinates, mm.
    pub safe_z: f64,
    /// Seconds the spindle needs to reach its speed.
    pub spinup_s: f64,
    /// mm/min at most, for going down to the height where the program broke off.
    pub plunge_feed: f64,
    /// The tool is a laser: no height, and the beam goes on last.
    pub laser: bool,
    /// Longest line the controller takes.
    pub line_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { safe_z: -1.0, spinup_s: 3.0, plunge_feed: 300.0, laser: false, line_max: 79 }
    }
}

/// How to go on.
#[derive(Clone, Debug, PartialEq)]
pub struct Resume {
    /// Lines to send first; none is longer than a controller takes.
    pub preamble: Vec<String>,
    /// File line number to go on with: the wanted one, or the next one that is not blank.
    pub start_line: u64,
    /// What a person reads before saying yes: the preamble with words to it, then program lines.
    pub preview: Vec<String>,
    /// The tool that must be in the spindle; 0: the program has not said.
    pub tool: u32,
    /// Work coordinates where the line begins; Z is absent for a laser.
    pub position: Known,
    /// The modes in which the line begins.
    pub modal: Modal,
}

/// Why a line cannot be gone on from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// There is no such line.
    #[error("the program has no line there")]
    NoSuchLine,
    /// An earlier line is not one that we understand.
    #[error("line {0} before it is not understood, so nobody knows what it left behind")]
    NotUnderstood(u64),
    /// The line itself would be refused.
    #[error("the line itself is not understood")]
    Refused,
    /// An axis has not been told by an absolute move.
    #[error("where the tool is before it does not follow from the program")]
    UnknownPosition,
    /// G91.
    #[error("it moves relative to the line before (G91)")]
    Relative,
    /// G93.
    #[error("its feed is given as time (G93)")]
    InverseTime,
    /// G2 or G3.
    #[error("it is an arc")]
    Arc,
    /// Axis words would go on with an arc, a probe …
    #[error("the move before it is an arc or a probe, and it does not say what it is itself")]
    MotionMode,
    /// G38.
    #[error("it is a probe move")]
    Probe,
    /// G28, G30, G53.
    #[error("it goes to a place that depends on the machine")]
    MachineMove,
    /// G10, G92, G43.1.
    #[error("it changes offsets")]
    Offsets,
    /// G92 is in force.
    #[error("the coordinates before it are shifted by G92, which a reset forgets")]
    Shifted,
    /// G43.1 is in force.
    #[error("a tool length (G43.1) is in force before it, which a reset forgets")]
    ToolLength,
    /// M6.
    #[error("it is a tool change")]
    ToolChange,
    /// After M2 or M30.
    #[error("the program has ended before it, at line {0}")]
    Ended(u64),
}

/// The line cannot be gone on from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the program cannot go on from line {line}: {reason}")]
pub struct CannotResume {
    /// The wanted line.
    pub line: u64,
    /// Why.
    pub reason: Reason,
    /// The nearest line before it that can be gone on from.
    pub nearest_earlier: Option<u64>,
}

impl Explain for CannotResume {
    fn code(&self) -> &'static str {
        match self.reason {
            Reason::NoSuchLine => "resume.no_such_line",
            Reason::NotUnderstood(_) | Reason::Refused => "resume.not_understood",
            Reason::UnknownPosition => "resume.unknown_position",
            Reason::Relative => "resume.relative",
            Reason::InverseTime => "resume.inverse_time",
            Reason::Arc | Reason::MotionMode => "resume.arc",
            Reason::Probe => "resume.probe",
            Reason::MachineMove => "resume.machine_move",
            Reason::Offsets | Reason::Shifted | Reason::ToolLength => "resume.offsets",
            Reason::ToolChange => "resume.tool_change",
            Reason::Ended(_) => "resume.ended",
        }
    }

    fn means(&self) -> String {
        "nothing has been sent; the job stays as it is".to_owned()
    }

    fn remedy(&self) -> String {
        match self.nearest_earlier {
            Some(line) => format!("go on from line {line}, the nearest one before that can be"),
            None => "begin again from the first line".to_owned(),
        }
    }
}

/// Reads a program up to the line to go on from.
#[derive(Clone, Debug)]
pub struct Search {
    wanted: u64,
    options: Options,
    run: Run,
    nearest: Option<u64>,
    /// The line that was found, and whether it can be gone on from.
    found: Option<(u64, Result<(), Reason>)>,
    following: Vec<String>,
    text: String,
}

/// A program carried out up to some line.
#[derive(Clone, Copy, Debug, Default)]
struct Run {
    interpreter: Interpreter,
    /// Axes whose place was said by an absolute move, with nothing since that a person or the
    /// machine decided.
    told: [bool; 3],
    not_understood: Option<u64>,
    ended: Option<u64>,
}

impl Search {
    /// Looks for file line `wanted`.
    pub fn new(wanted: u64, options: Options) -> Self {
        Self {
            wanted,
            options,
            run: Run::default(),
            nearest: None,
            found: None,
            following: Vec::new(),
            text: String::new(),
        }
    }

    /// The next raw line. Returns whether more lines are of use.
    pub fn take(&mut self, number: u64, raw: &[u8]) -> bool {
        let cleaned = clean(raw, number == 1, self.options.line_max, &mut self.text);
        if cleaned.is_ok() && self.text.is_empty() {
            return true;
        }
        if self.found.is_none() {
            let mut next = self.run;
            let stepped = cleaned.map_err(|_| Error(1));
            let stepped = stepped.and_then(|_| next.interpreter.step(&self.text));
            let verdict = self.run.allows(&stepped, next.interpreter.modal(), &self.options);
            if number < self.wanted {
                if verdict.is_ok() {
                    self.nearest = Some(number);
                }
                next.note(number, &stepped);
                self.run = next;
                return true;
            }
            self.found = Some((number, verdict));
        }
        self.following.push(format!("line {number}: {}", self.text));
        self.following.len() < SHOWN
    }

    /// The answer.
    pub fn finish(self) -> Result<Resume, CannotResume> {
        let (start_line, verdict) = self.found.unwrap_or((self.wanted, Err(Reason::NoSuchLine)));
        verdict.map_err(|reason| CannotResume {
            line: self.wanted,
            reason,
            nearest_earlier: self.nearest,
        })?;
        let modal = *self.run.interpreter.modal();
        let mut position = self.run.interpreter.position();
        if self.options.laser {
            position[2] = None;
        }
        let steps = preamble::preamble(&self.run.interpreter, &position, &self.options);
        let shown = steps.iter().map(|(line, why)| format!("{line:<24} {why}"));
        Ok(Resume {
            preview: shown.chain(self.following).collect(),
            preamble: steps.into_iter().map(|(line, _)| line).collect(),
            start_line,
            tool: modal.tool,
            position,
            modal,
        })
    }
}

impl Run {
    /// Whether the program can go on with a line that does `stepped` and leaves the modes `after`.
    fn allows(
        &self,
        stepped: &Result<Step, Error>,
        after: &Modal,
        options: &Options,
    ) -> Result<(), Reason> {
        if let Some(line) = self.not_understood {
            return Err(Reason::NotUnderstood(line));
        }
        if let Some(line) = self.ended {
            return Err(Reason::Ended(line));
        }
        let Ok(step) = stepped else { return Err(Reason::Refused) };
        self.allows_state(step, options)?;
        self.allows_line(step, after)
    }

    fn allows_state(&self, step: &Step, options: &Options) -> Result<(), Reason> {
        let modal = self.interpreter.modal();
        let position = self.interpreter.position();
        let axes = if options.laser { 2 } else { 3 };
        let motion_stays = !step.sets_motion;
        match modal.motion {
            _ if modal.relative => Err(Reason::Relative),
            _ if modal.feed_mode == FeedMode::InverseTime => Err(Reason::InverseTime),
            _ if self.interpreter.shifted() => Err(Reason::Shifted),
            _ if self.interpreter.tool_length().is_some_and(|it| it != 0.0) => {
                Err(Reason::ToolLength)
            }
            _ if !(0..axes).all(|it| self.told[it] && position[it].is_some()) => {
                Err(Reason::UnknownPosition)
            }
            Motion::ArcCw | Motion::ArcCcw | Motion::Probe(_) if motion_stays => {
                Err(Reason::MotionMode)
            }
            _ => Ok(()),
        }
    }

    fn allows_line(&self, step: &Step, after: &Modal) -> Result<(), Reason> {
        match after.motion {
            _ if after.relative => Err(Reason::Relative),
            _ if after.feed_mode == FeedMode::InverseTime => Err(Reason::InverseTime),
            _ if matches!(step.traits.pause, Some(Pause::ToolChange(_))) => Err(Reason::ToolChange),
            _ if step.offsets => Err(Reason::Offsets),
            Motion::Probe(_) => Err(Reason::Probe),
            _ if step.machine_move => Err(Reason::MachineMove),
            Motion::ArcCw | Motion::ArcCcw => Err(Reason::Arc),
            _ => Ok(()),
        }
    }

    /// Takes note of a line that was carried out.
    fn note(&mut self, number: u64, stepped: &Result<Step, Error>) {
        let Ok(step) = stepped else {
            self.not_understood.get_or_insert(number);
            return;
        };
        if step.ends {
            self.ended.get_or_insert(number);
        }
        let asks = matches!(step.traits.pause, Some(Pause::ToolChange(_) | Pause::OptionalStop));
        let position = self.interpreter.position();
        if step.machine_move || step.offsets || asks || step.sets_system {
            self.told = [false; 3];
        }
        if step.path.is_some() && !step.machine_move && !self.interpreter.modal().relative {
            for (axis, told) in self.told.iter_mut().enumerate() {
                *told |= step.has(b"XYZ"[axis]) && position[axis].is_some();
            }
        }
    }
}

#[cfg(test)]
mod tests;
