//! What a machine can say that a person would want to know tomorrow.

use serde::{Deserialize, Serialize};

use crate::machine::{Controller, Mode, WorkOffsets, Xyz};

/// One piece of news from a driver.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "events are few; a box would be met in every match")]
pub enum Event {
    /// The controller has introduced itself.
    Connected {
        /// What it is.
        controller: Controller,
    },
    /// The link is lost or was closed.
    Disconnected {
        /// For people.
        reason: String,
    },
    /// It does something else now.
    Mode {
        /// What it does now.
        mode: Mode,
    },
    /// The controller greeted us again: what it had not carried out is gone.
    Restarted {
        /// We asked for it.
        asked: bool,
    },
    /// It locked itself.
    Alarm(Alarm),
    /// The lock was lifted without homing.
    Unlocked,
    /// Homing ended.
    Homed,
    /// Its work offsets are others than it had told before.
    WorkOffsets {
        /// All of them.
        offsets: Box<WorkOffsets>,
    },
    /// A text for the operator.
    Message {
        /// As the controller said it.
        text: String,
    },
    /// A sentence of the driver's own, for the operator: nothing that the controller has said.
    Remark {
        /// Lower case, no final period.
        text: String,
    },
    /// A command that is not a program line was refused by the controller.
    CommandFailed {
        /// What was sent.
        sent: String,
        /// The controller's number, if it gave one.
        number: Option<u16>,
        /// What that means.
        means: String,
    },
    /// The probe reported.
    Probed {
        /// Machine coordinates of the contact.
        at: Xyz,
        /// Whether it touched.
        touched: bool,
    },
    /// A program line was refused by the controller.
    LineRefused {
        /// File line number.
        line: u64,
        /// The line as it was sent.
        text: String,
        /// The controller's number.
        number: u16,
        /// What that means.
        means: String,
    },
    /// The program waits for a person.
    Asks {
        /// Why: `M0`, `M1` or `M6 T2`.
        why: String,
        /// File line number.
        line: u64,
    },
    /// What the controller did is not what it was told: bytes were lost or changed on the way.
    Mismatch(Mismatch),
    /// Everything of the program has been carried out, or parsed in check mode.
    ProgramDone,
    /// The program will not go on; the machine is at rest, locked or out of reach. Every program
    /// that was begun ends with exactly one `ProgramDone` or `ProgramLost`.
    ProgramLost {
        /// What ended it.
        cause: Cause,
        /// For people.
        reason: String,
        /// Whether position can still be trusted.
        position_kept: bool,
    },
    /// A stop came to its end: the machine is at rest.
    AtRest {
        /// Machine coordinates.
        position: Option<Xyz>,
        /// Whether they can be trusted.
        position_kept: bool,
    },
}

/// What ended a program before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// `Stop` or `Abort`, or a reset that a person asked for.
    Asked,
    /// The controller refused a line.
    Refused,
    /// A [`Mismatch`].
    Mismatch,
    /// An [`Alarm`].
    Alarm,
    /// The controller restarted by itself.
    Restarted,
    /// The link was lost, or the controller fell silent.
    Link,
    /// The house is closing.
    Closing,
}

/// Why a controller has locked itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alarm {
    /// The controller's number; 0 if it only reports that it is locked.
    pub number: u16,
    /// What that means.
    pub means: String,
    /// What to do.
    pub remedy: String,
    /// Whether position can still be trusted.
    pub position_kept: bool,
}

/// A difference between what was sent and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mismatch {
    /// Which check found it.
    pub check: Check,
    /// What should have been.
    pub expected: String,
    /// What was.
    pub found: String,
    /// File line number up to which the program had been answered.
    pub line: u64,
}

/// The checks that stand in for the checksum a GRBL link does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// Free receive bytes against our own count.
    Buffer,
    /// Reported position against the interpreted program.
    Position,
    /// Reported line number against what was sent.
    LineNumber,
    /// An answer that nothing had asked for.
    ExtraAnswer,
    /// A line whose answer never came.
    LostAnswer,
    /// An answer or report that no controller sends.
    Garbled,
    /// Modal state against the interpreted program.
    ModalState,
}
