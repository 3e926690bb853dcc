//! What a machine can be told.

use serde::{Deserialize, Serialize};

use crate::point::Value;

/// One request to one machine, as REST and CLI spell it: `{"command":"hold"}`.
///
/// `Hold`, `Stop` and `Abort` are stops: they travel in a lane of their own (see [`Stop`]).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Slow down and rest; keep the job.
    Hold,
    /// Rest, then forget what is queued in the controller; position is kept.
    Stop,
    /// Forget everything at once; position may be lost.
    Abort,
    /// Go on after a hold, a door, an M0 or a tool change.
    Resume,
    /// Soft reset of the controller.
    Reset,
    /// Lift the alarm lock.
    Unlock,
    /// Look for the limit switches.
    Home {
        /// Only these axes, where the controller can: `"XY"`. All of them if absent.
        #[serde(default)]
        axes: Option<String>,
    },
    /// Move by hand.
    Jog {
        /// Distance (or target, if `absolute`) per axis; `null` leaves an axis alone.
        by: [Option<f64>; 3],
        /// mm/min.
        feed: f64,
        /// Targets are work coordinates instead of distances.
        #[serde(default)]
        absolute: bool,
    },
    /// Stop a jog.
    JogCancel,
    /// Move by hand as long as this is said again within the lease: a key is held down.
    JogHold {
        /// -1, 0 or 1 for each axis.
        toward: [i8; 3],
        /// mm/min along the way; less where the machine could not stop soon enough.
        feed: f64,
        /// How long it counts, milliseconds, 50 to 500; say it again every third of that.
        #[serde(default = "usual_lease_ms")]
        lease_ms: u64,
    },
    /// The key was let go.
    JogEnd,
    /// Move until the probe touches.
    Probe {
        /// Distance per axis. A printer probes straight down where it is: none.
        #[serde(default)]
        by: [Option<f64>; 3],
        /// mm/min. A printer has its own.
        #[serde(default)]
        feed: f64,
        /// Missing contact is no alarm (G38.3 instead of G38.2).
        #[serde(default)]
        lenient: bool,
    },
    /// Say where the tool is now in a work coordinate system (`G10 L20`).
    Zero {
        /// 1 to 6 for G54 to G59; the selected one if absent.
        #[serde(default)]
        system: Option<u8>,
        /// The value that the present position shall have, per axis.
        at: [Option<f64>; 3],
    },
    /// Select a work coordinate system: 1 to 6 for G54 to G59.
    WorkOffset {
        /// 1 to 6.
        system: u8,
    },
    /// Bring an override to this percentage.
    Override {
        /// Which.
        which: Override,
        /// 10 to 200 (rapid: 25, 50 or 100).
        percent: u16,
    },
    /// Check mode on or off.
    Check {
        /// On or off.
        on: bool,
    },
    /// Motors and spindle off until a reset.
    Sleep,
    /// One line of G-code.
    Run {
        /// The line.
        line: String,
    },
    /// Set a tag of a device on a bus: a register, a pin. The value is written, then read back.
    Write {
        /// The tag's name, without its machine.
        tag: String,
        /// The value that it shall have, in the tag's unit.
        value: Value,
    },
    /// Set a heater; does not wait until it is hot.
    Preheat {
        /// `hotend`, `hotend1`, `bed` or `chamber`.
        heater: String,
        /// °C; 0 turns it off.
        celsius: f64,
    },
    /// Push filament out, or draw it back.
    Extrude {
        /// mm; negative draws back.
        mm: f64,
        /// mm/min.
        feed: f64,
    },
    /// Turn the part's fan.
    Fan {
        /// 0 to 100.
        percent: f64,
    },
    /// Let the motors hold their place, or let go of it: position is lost then.
    Motors {
        /// On or off.
        on: bool,
    },
    /// Answer what the controller asks the operator.
    Answer {
        /// The choice, from 0, in the order in which it offered them.
        choice: u32,
    },
    /// Write a controller setting.
    Setting {
        /// `$` number.
        number: u16,
        /// New value as text.
        value: String,
    },
}

/// What an override acts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Override {
    /// Programmed feeds.
    Feed,
    /// Rapids.
    Rapid,
    /// Spindle speed.
    Spindle,
    /// Filament that a printer pushes out.
    Flow,
}

/// The three stops. None of them is an emergency stop: that is a switch that cuts power.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// Slow down and rest; the job can go on.
    Hold,
    /// Rest, then reset: the job is over, position is kept.
    Stop,
    /// Reset at once: the job is over, position may be lost.
    Abort,
}

impl Command {
    /// The stop that this command is, if it is one.
    pub fn as_stop(&self) -> Option<Stop> {
        match self {
            Self::Hold => Some(Stop::Hold),
            Self::Stop => Some(Stop::Stop),
            Self::Abort => Some(Stop::Abort),
            _ => None,
        }
    }

    /// Whether this may move an axis or turn something on.
    pub fn acts(&self) -> bool {
        matches!(
            self,
            Self::Resume
                | Self::Home { .. }
                | Self::Jog { .. }
                | Self::JogHold { .. }
                | Self::Probe { .. }
                | Self::Run { .. }
                | Self::Write { .. }
                | Self::Preheat { .. }
                | Self::Extrude { .. }
                | Self::Fan { .. }
                | Self::Motors { on: true }
                | Self::Answer { .. }
        )
    }
}

/// What somebody who holds a key down wants.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HoldWish {
    /// -1, 0 or 1 for each axis.
    pub toward: [i8; 3],
    /// mm/min.
    pub feed: f64,
    /// Milliseconds.
    pub lease_ms: u64,
}

/// Three signs of a client that gives one every 50 ms.
fn usual_lease_ms() -> u64 {
    150
}

/// No axis named: the start of every jog and probe.
pub const NO_AXIS: [Option<f64>; 3] = [None; 3];
