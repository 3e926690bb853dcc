//! What a line does: the modes and the position before it go in, those after it come out.
//!
//! Follows GRBL 1.1 line by line, also in what it refuses and with which number, so that a
//! program can be judged before it is started and a running machine compared with it. A refused
//! line changes nothing, as in GRBL.
//!
//! Positions are work coordinates as the controller reports them, in millimetres, per axis either
//! known or not. Invariant: an axis is known only if the program alone (and the position it was
//! begun at) determines it; what depends on stored offsets, a probe or a person makes it unknown.
//!
//! Two codes differ from GRBL on purpose: M7 is taken (many builds have it), and M6 is a pause
//! for a person instead of error 20; the other words of its line are carried out after it.
//!
//! Not here: how long a move takes (`planner`), what to think of it (`analysis`, `preflight`).

use super::block::{AxisUse, Block, Flow, Once, bit};
use super::modal::{FeedMode, Modal, Motion, Plane, Spindle};
use super::path::{Feed, Path};
use super::words::Error;
use super::{Known, LineTraits, Pause};

/// GRBL: the largest N word.
const LINE_NUMBER_MAX: f64 = 10_000_000.0;
/// GRBL: work coordinate systems G54 to G59.
const SYSTEMS: f64 = 6.0;

/// What a line does.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Step {
    /// The move that the program determines, if there is one.
    pub path: Option<Path>,
    /// The line moves to a place that depends on the machine: G28, G30, G53, G38.
    pub machine_move: bool,
    /// The line changes what work coordinates mean: G10, G92, G43.1 (not G54… or a G49 that
    /// changes nothing).
    pub offsets: bool,
    /// G4, seconds; before the move.
    pub dwell_s: Option<f64>,
    /// What a streamer must know.
    pub traits: LineTraits,
    /// The line itself says G20 or G21.
    pub sets_units: bool,
    /// The line itself has a code of the motion group.
    pub sets_motion: bool,
    /// The line itself says G54 to G59.
    pub sets_system: bool,
    /// M2 or M30.
    pub ends: bool,
    letters: u32,
}

impl Step {
    /// Whether the line has a value word with this letter (`b'F'`; not G and M).
    pub fn has(&self, letter: u8) -> bool {
        letter.is_ascii_uppercase() && self.letters & bit(letter) != 0
    }
}

/// Reads a program line by line.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Interpreter {
    modal: Modal,
    position: Known,
    /// `None` before the program's first G43.1 or G49.
    tool_length: Option<f64>,
    shifted: bool,
    laser: bool,
}

impl Interpreter {
    /// Begins with the given modes and work position.
    pub fn new(modal: Modal, position: Known) -> Self {
        Self { modal, position, ..Self::default() }
    }

    /// In laser mode (`$32=1`) S may change in motion without waiting for rest.
    pub fn with_laser(self, laser: bool) -> Self {
        Self { laser, ..self }
    }

    /// The modes after the latest line.
    pub fn modal(&self) -> &Modal {
        &self.modal
    }

    /// The work position after the latest line.
    pub fn position(&self) -> Known {
        self.position
    }

    /// The tool length offset, mm, if the program has set one (G43.1) or cleared it (G49).
    pub fn tool_length(&self) -> Option<f64> {
        self.tool_length
    }

    /// The program has shifted the coordinates (G92) and not taken that back (G92.1).
    pub fn shifted(&self) -> bool {
        self.shifted
    }

    /// Something outside the program has moved the machine or its offsets.
    pub fn forget_position(&mut self) {
        self.position = [None; 3];
    }

    /// Carries one cleaned line out. An error is GRBL's, and the line has done nothing.
    pub fn step(&mut self, text: &str) -> Result<Step, Error> {
        let block = Block::read(text, &self.modal)?;
        let mut next = *self;
        next.modal = modes_after(&self.modal, &block)?;
        let other_system = next.modal.system != self.modal.system;
        if other_system || block.flow == Flow::ToolChange {
            next.forget_position();
        }
        let mut used = always_used(&block);
        let dwell_s = dwell(&block, &mut used)?;
        let tool_length = next.new_tool_length(&block)?;
        next.check_once(&block, &mut used)?;
        let path = next.path(&block, &mut used)?;
        if block.letters() & !used != 0 {
            return Err(Error(36));
        }
        let machine_move = next.carry_out(&block, path.as_ref(), tool_length);
        let same_length = tool_length == Some(self.tool_length.unwrap_or(0.0));
        let offsets = block.sets_offsets() || tool_length.is_some() && !same_length;
        let step = Step {
            path: path.filter(|_| !machine_move || block.once == Once::GoHome),
            machine_move,
            offsets,
            dwell_s,
            traits: LineTraits {
                writes_eeprom: matches!(block.once, Once::SetOffset | Once::StoreHome),
                drains: offsets || other_system || self.drains(&block),
                pause: pause(&block, next.modal.tool),
                moves: block.moves(),
                layer: None,
            },
            sets_units: block.sets_units(),
            sets_motion: block.sets_motion(),
            sets_system: block.sets_system(),
            ends: block.flow == Flow::End,
            letters: block.letters(),
        };
        *self = next;
        Ok(step)
    }

    /// Whether the controller waits for rest before it answers.
    fn drains(&self, block: &Block) -> bool {
        let spindle_on = self.modal.spindle != Spindle::Off;
        let new_speed = block.value(b'S').is_some_and(|it| it != self.modal.speed);
        let beam_follows = self.laser && block.moves();
        matches!(block.once, Once::Dwell | Once::StoreHome)
            || block.switches()
            || block.flow != Flow::On
            || spindle_on && new_speed && !beam_follows
            || block.moves() && matches!(block.modal.motion, Motion::Probe(_))
    }

    /// The tool length after the line if it changes it. Error 37.
    fn new_tool_length(&self, block: &Block) -> Result<Option<f64>, Error> {
        match (block.axis_use, block.tool_length_set) {
            (AxisUse::ToolLength, false) => Ok(Some(0.0)),
            (AxisUse::ToolLength, true) if block.axis_words() == bit(b'Z') => {
                Ok(block.axis(2).map(|it| it * block.unit()))
            }
            (AxisUse::ToolLength, true) => Err(Error(37)),
            _ => Ok(None),
        }
    }

    /// The words of G10, G92 and G53. Errors 20, 26, 28, 29 and 30.
    fn check_once(&self, block: &Block, used: &mut u32) -> Result<(), Error> {
        let no_axes = block.axis_words() == 0;
        match block.once {
            Once::SetOffset | Once::Shift if no_axes => Err(Error(26)),
            Once::SetOffset if !block.has(bit(b'P') | bit(b'L')) => Err(Error(28)),
            Once::SetOffset => {
                *used |= bit(b'P') | bit(b'L');
                check_set_offset(block)
            }
            Once::MachineCoordinates
                if !matches!(block.modal.motion, Motion::Rapid | Motion::Line) =>
            {
                Err(Error(30))
            }
            _ => Ok(()),
        }
    }

    /// The move of the line as if no part of it depended on the machine. Errors 22, 26 and 31 to
    /// 35.
    fn path(&self, block: &Block, used: &mut u32) -> Result<Option<Path>, Error> {
        let words = block.axis_words() != 0;
        let straight = |feed| words.then(|| Path::straight(block, &self.position, feed));
        match (block.modal.motion, block.axis_use) {
            (Motion::Off, _) if words => return Err(Error(31)),
            (Motion::Off, _) => return Ok(None),
            (_, AxisUse::Once) if block.once == Once::GoHome => return Ok(straight(Feed::Rapid)),
            (Motion::Rapid, AxisUse::Motion) => return Ok(straight(Feed::Rapid)),
            (_, AxisUse::Motion) => (),
            _ => return Ok(None),
        }
        if self.modal.feed == 0.0 {
            return Err(Error(22));
        }
        let feed = match self.modal.feed_mode {
            FeedMode::PerMinute => Feed::PerMinute(self.modal.feed),
            FeedMode::InverseTime => Feed::Inverse(self.modal.feed),
        };
        match block.modal.motion {
            Motion::ArcCw | Motion::ArcCcw => {
                Path::arc(block, &self.position, feed, used).map(Some)
            }
            Motion::Probe(_) => {
                let path = straight(feed).ok_or(Error(26))?;
                if path.delta == [Some(0.0); 3] { Err(Error(33)) } else { Ok(Some(path)) }
            }
            _ => Ok(straight(feed)),
        }
    }

    /// Takes over position, offsets and flow. Returns whether the line goes to a place that
    /// depends on the machine.
    fn carry_out(&mut self, block: &Block, path: Option<&Path>, length: Option<f64>) -> bool {
        if let Some(path) = path {
            self.position = path.to;
        }
        let mut machine_move = block.once == Once::GoHome;
        match block.once {
            Once::SetOffset => self.set_offset(block),
            Once::GoHome if path.is_none() => self.forget_position(),
            Once::GoHome => self.forget_axes(block),
            Once::Shift => {
                self.place_axes(block);
                self.shifted = true;
            }
            Once::Unshift => {
                self.forget_position();
                self.shifted = false;
            }
            Once::Nothing | Once::Dwell | Once::StoreHome | Once::MachineCoordinates => (),
        }
        let probes = matches!(block.modal.motion, Motion::Probe(_));
        if block.moves() && (probes || block.once == Once::MachineCoordinates) {
            machine_move = true;
            self.forget_axes(block);
        }
        if let Some(length) = length {
            let change = self.tool_length.map(|before| before - length);
            self.position[2] = self.position[2].zip(change).map(|(z, change)| z + change);
            self.tool_length = Some(length);
        }
        self.flow_on(block.flow);
        machine_move
    }

    /// G10: moves the origin (L2) or says where the tool is (L20).
    fn set_offset(&mut self, block: &Block) {
        let system = block.value(b'P').unwrap_or(0.0).trunc();
        if system >= 1.0 && self.modal.system == Modal::UNKNOWN_SYSTEM {
            return self.forget_axes(block);
        }
        if system >= 1.0 && system != f64::from(self.modal.system) {
            return;
        }
        if block.value(b'L').is_some_and(|it| it.trunc() == 20.0) {
            self.place_axes(block);
        } else {
            self.forget_axes(block);
        }
    }

    fn place_axes(&mut self, block: &Block) {
        for axis in 0..3 {
            if let Some(value) = block.axis(axis) {
                self.position[axis] = Some(value * block.unit());
            }
        }
    }

    fn forget_axes(&mut self, block: &Block) {
        for axis in 0..3 {
            if block.axis(axis).is_some() {
                self.position[axis] = None;
            }
        }
    }

    /// A person may do anything at an optional stop; M2 and M30 put some modes back.
    fn flow_on(&mut self, flow: Flow) {
        match flow {
            Flow::On | Flow::Stop | Flow::ToolChange => (),
            Flow::OptionalStop => self.forget_position(),
            Flow::End => {
                if self.modal.system != 1 {
                    self.forget_position();
                }
                self.modal = Modal {
                    motion: Motion::Line,
                    system: 1,
                    plane: Plane::Xy,
                    relative: false,
                    feed_mode: FeedMode::PerMinute,
                    spindle: Spindle::Off,
                    mist: false,
                    flood: false,
                    ..self.modal
                };
            }
        }
    }
}

fn always_used(block: &Block) -> u32 {
    let single = bit(b'N') | bit(b'F') | bit(b'S') | bit(b'T');
    if block.axis_use == AxisUse::Nobody { single } else { single | block.axis_words() }
}

/// The modes with F, S and T. Errors 22 and 27.
fn modes_after(before: &Modal, block: &Block) -> Result<Modal, Error> {
    if block.value(b'N').is_some_and(|it| it.trunc() > LINE_NUMBER_MAX) {
        return Err(Error(27));
    }
    Ok(Modal {
        feed: feed_after(before, block)?,
        speed: block.value(b'S').unwrap_or(before.speed),
        // In range: at most 255 and not negative, or it would have been refused.
        tool: block.value(b'T').map_or(before.tool, |it| it as u32),
        ..block.modal
    })
}

/// F after the line. With G93 it counts for its own line only; after it there is none.
fn feed_after(before: &Modal, block: &Block) -> Result<f64, Error> {
    let said = block.value(b'F');
    let needed = block.axis_use == AxisUse::Motion
        && !matches!(block.modal.motion, Motion::Rapid | Motion::Off);
    match (block.modal.feed_mode, before.feed_mode) {
        (FeedMode::InverseTime, _) if needed => said.ok_or(Error(22)),
        (FeedMode::InverseTime, _) => Ok(said.unwrap_or(0.0)),
        (FeedMode::PerMinute, FeedMode::PerMinute) => {
            Ok(said.map_or(before.feed, |it| it * block.unit()))
        }
        // GRBL takes an F beside the G94 that ends G93 as it stands, also with G20.
        (FeedMode::PerMinute, FeedMode::InverseTime) => Ok(said.unwrap_or(0.0)),
    }
}

fn dwell(block: &Block, used: &mut u32) -> Result<Option<f64>, Error> {
    if block.once != Once::Dwell {
        return Ok(None);
    }
    *used |= bit(b'P');
    block.value(b'P').ok_or(Error(28)).map(Some)
}

fn check_set_offset(block: &Block) -> Result<(), Error> {
    if block.value(b'P').is_some_and(|it| it.trunc() > SYSTEMS) {
        return Err(Error(29));
    }
    match block.value(b'L').unwrap_or(0.0).trunc() {
        20.0 => Ok(()),
        2.0 if !block.has(bit(b'R')) => Ok(()),
        _ => Err(Error(20)),
    }
}

fn pause(block: &Block, tool: u32) -> Option<Pause> {
    match block.flow {
        Flow::On | Flow::End => None,
        Flow::Stop => Some(Pause::Stop),
        Flow::OptionalStop => Some(Pause::OptionalStop),
        Flow::ToolChange => Some(Pause::ToolChange(tool)),
    }
}

#[cfg(test)]
mod tests;
