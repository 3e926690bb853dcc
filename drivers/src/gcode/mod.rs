//! G-code: the language that mills, lasers and printers share.
//!
//! ```text
//!  bytes --lines--> raw lines --clean--> text --words, block--> codes --interpreter--> steps
//! ```
//!
//! `reader` does all of this for a streamer, `analysis` for a person who wants to know what a
//! program would do. Pure: nothing here opens, waits or reads a clock.

pub mod analysis;
mod arc;
mod block;
pub mod calm;
pub mod clean;
mod extent;
pub mod interpreter;
pub mod lines;
pub mod modal;
mod path;
pub mod planner;
mod preflight;
pub mod print;
pub mod reader;
pub mod resume;
pub mod words;

pub use analysis::Analyzer;
pub use arc::Arc;
pub use path::{Feed, Path};
pub use planner::Limits;
pub use preflight::preflight;
pub use reader::{BadLine, Reader};

/// Which language a machine's programs are written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// As GRBL reads it: mills, lasers.
    #[default]
    Mill,
    /// As Marlin reads it: printers.
    Print,
}

impl Language {
    /// That of the machines of this driver.
    pub fn of_driver(driver: &str) -> Self {
        if driver == "marlin" { Self::Print } else { Self::Mill }
    }
}

/// One line of a program as it goes to a controller.
#[derive(Clone, Debug, PartialEq)]
pub struct ProgramLine {
    /// Line number in the file, from 1; 0 for a line that is not the file's (a preamble).
    pub number: u64,
    /// Stripped of comments and, for a mill, of spaces and small letters; ASCII, without
    /// terminator. Never empty.
    pub text: String,
    /// What the streamer must know about it.
    pub traits: LineTraits,
    /// Work position after the line, where the program alone determines it.
    pub end: [Option<f64>; 3],
}

/// What a streamer must know about a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LineTraits {
    /// Writes EEPROM (G10 L2/L20, G28.1, G30.1): sent alone, with nothing unanswered.
    pub writes_eeprom: bool,
    /// Waits for all motion before it is answered (G4, M3 …): no starvation when it drains.
    pub drains: bool,
    /// Stops for a person.
    pub pause: Option<Pause>,
    /// Moves (any axis word with a motion mode).
    pub moves: bool,
    /// It is the first of this layer, from 1 (prints).
    pub layer: Option<u32>,
}

/// Why a program stops for a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// M0.
    Stop,
    /// M1.
    OptionalStop,
    /// M6 with the selected tool.
    ToolChange(u32),
}

/// A position of which only some axes are known.
pub type Known = [Option<f64>; 3];

/// G20: one inch.
pub(crate) const MM_PER_INCH: f64 = 25.4;
