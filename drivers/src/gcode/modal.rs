//! The modes that a controller keeps from line to line.
//!
//! What a controller itself says of them is read and compared by its driver.

use headstock_config::machine::Units;

/// What axis words do when a line has no code for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Motion {
    /// G0.
    #[default]
    Rapid,
    /// G1.
    Line,
    /// G2: clockwise.
    ArcCw,
    /// G3: counter-clockwise.
    ArcCcw,
    /// G38.n, 2 to 5.
    Probe(u8),
    /// G80.
    Off,
}

/// The plane of arcs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Plane {
    /// G17.
    #[default]
    Xy,
    /// G18.
    Zx,
    /// G19.
    Yz,
}

impl Plane {
    /// The first and second axis of the plane and the axis across it, as indices into X, Y, Z.
    pub fn axes(self) -> [usize; 3] {
        match self {
            Self::Xy => [0, 1, 2],
            Self::Zx => [2, 0, 1],
            Self::Yz => [1, 2, 0],
        }
    }
}

/// What F means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FeedMode {
    /// G94: distance per minute.
    #[default]
    PerMinute,
    /// G93: moves per minute.
    InverseTime,
}

/// What the spindle or the laser does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Spindle {
    /// M5.
    #[default]
    Off,
    /// M3.
    Clockwise,
    /// M4.
    CounterClockwise,
}

/// The modes of a controller; as it is after power-up by `Default`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Modal {
    /// G0, G1, G2, G3, G38.x, G80.
    pub motion: Motion,
    /// Work coordinate system, 1 to 6 for G54 to G59; [`Modal::UNKNOWN_SYSTEM`] where nobody knows.
    pub system: u8,
    /// G17, G18, G19.
    pub plane: Plane,
    /// G20, G21.
    pub units: Units,
    /// G91 instead of G90.
    pub relative: bool,
    /// G93, G94.
    pub feed_mode: FeedMode,
    /// M3, M4, M5.
    pub spindle: Spindle,
    /// M7.
    pub mist: bool,
    /// M8.
    pub flood: bool,
    /// The latest T; 0 before the first.
    pub tool: u32,
    /// F in mm/min (moves per minute with G93); 0: not set.
    pub feed: f64,
    /// S, rev/min.
    pub speed: f64,
}

impl Default for Modal {
    fn default() -> Self {
        Self {
            motion: Motion::default(),
            system: 1,
            plane: Plane::default(),
            units: Units::Mm,
            relative: false,
            feed_mode: FeedMode::default(),
            spindle: Spindle::default(),
            mist: false,
            flood: false,
            tool: 0,
            feed: 0.0,
            speed: 0.0,
        }
    }
}

impl Modal {
    /// Stands for any of the six: every line that says one may change it.
    pub const UNKNOWN_SYSTEM: u8 = 0;
}

#[cfg(test)]
mod report;
