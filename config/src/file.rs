//! A program file, and what its analysis found.

use serde::{Deserialize, Serialize};

use crate::machine::{Units, Xyz};

/// A stored file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct File {
    /// The first 16 hexadecimal digits of `blake3`.
    pub id: String,
    /// As it was uploaded.
    pub name: String,
    /// Size.
    pub bytes: u64,
    /// Lines, with blank ones and comments.
    pub lines: u64,
    /// Hash of the content, hexadecimal.
    pub blake3: String,
    /// Milliseconds since 1970.
    pub uploaded_ms: u64,
    /// Who brought it.
    pub by: String,
    /// What was found in it.
    pub analysis: Analysis,
}

/// What a program would do, worked out without a machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Analysis {
    /// Lines that go to the controller.
    pub program_lines: u64,
    /// Box around all motion in work coordinates; absent if there is none.
    pub bounds: Option<Bounds>,
    /// The same for each work coordinate system by itself, in order of first use.
    #[serde(default)]
    pub systems: Vec<SystemBounds>,
    /// Box around cutting motion (G1, G2, G3) only.
    pub cutting_bounds: Option<Bounds>,
    /// Length of all motion, mm.
    pub path_mm: f64,
    /// Length of cutting motion, mm.
    pub cutting_mm: f64,
    /// Estimated time, seconds, for the limits in `assumed`.
    pub time_s: f64,
    /// The machine limits that `time_s` was worked out for.
    pub assumed: String,
    /// Tool numbers in order of first use.
    pub tools: Vec<u32>,
    /// Lowest and highest programmed feed, mm/min.
    pub feeds: Option<[f64; 2]>,
    /// Highest spindle speed or laser power.
    pub max_s: f64,
    /// Units that the program sets first; `None` if it never says.
    pub units: Option<Units>,
    /// Work coordinate systems it uses: 1 for G54.
    pub work_offsets: Vec<u8>,
    /// It turns the spindle or laser on.
    pub spindle: bool,
    /// It turns coolant on.
    pub coolant: bool,
    /// Positions that depend on the machine (G28, G53, G38, G92, G10) and so are not in the box.
    pub machine_moves: bool,
    /// What a person should know; at most 100.
    pub warnings: Vec<Warning>,
    /// How many warnings there are in all.
    pub warning_count: u64,
    /// What only a print has; absent for a program of a mill or a laser.
    #[serde(default)]
    pub print: Option<Print>,
}

/// What is found in a print only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Print {
    /// Layers, as the slicer's comments tell; 0 if they do not.
    pub layers: u32,
    /// Filament pushed out less what is drawn back, mm.
    pub filament_mm: f64,
    /// The hottest that a nozzle is set to, °C; 0 if it is not.
    pub hotend: f64,
    /// The hottest that the bed or the chamber is set to, °C; 0 if it is not.
    pub bed: f64,
    /// All axes are homed before anything moves.
    pub homes_first: bool,
}

/// A box in work coordinates and the lines where it is touched first. Where the program never
/// says where an axis is, its coordinates and lines are 0.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bounds {
    /// Smallest coordinates.
    pub min: Xyz,
    /// Largest coordinates.
    pub max: Xyz,
    /// File line number where each smallest coordinate is reached first.
    pub min_line: [u64; 3],
    /// File line number where each largest coordinate is reached first.
    pub max_line: [u64; 3],
}

/// A box in one work coordinate system.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SystemBounds {
    /// 1 for G54; absent: the one that is selected when the program begins.
    pub system: Option<u8>,
    /// The box.
    pub bounds: Bounds,
}

/// Something odd in a program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Warning {
    /// File line number.
    pub line: u64,
    /// A name that never changes: `gcode.unsupported`.
    pub code: String,
    /// What is odd.
    pub text: String,
    /// The controller would refuse the line.
    pub refused: bool,
}
