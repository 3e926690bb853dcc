//! What can be made to go wrong with the pretend printer, by name.

use crate::link::fault::{Cable, Named};

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The cable comes out and is plugged in again; the printer goes on.
    Unplug,
    /// As unplug, and the firmware loses its power with the cable.
    Power,
    /// Random bytes among what the firmware says.
    Garbage,
    /// The firmware restarts by itself.
    Reset,
    /// The firmware hears and obeys, and nothing that it says arrives.
    Mute,
    /// The nozzle's heater falls off: some seconds later the firmware halts.
    Runaway,
    /// The filament sensor finds none.
    Runout,
    /// The firmware halts itself.
    Kill,
}

impl Named for What {
    const NAMES: &'static [(&'static str, Self)] = &[
        ("unplug", Self::Unplug),
        ("power", Self::Power),
        ("garbage", Self::Garbage),
        ("reset", Self::Reset),
        ("mute", Self::Mute),
        ("runaway", Self::Runaway),
        ("runout", Self::Runout),
        ("kill", Self::Kill),
    ];

    fn cable(self) -> Cable {
        match self {
            Self::Unplug | Self::Power => Cable::Out,
            Self::Mute => Cable::Mute,
            Self::Garbage => Cable::Garbage,
            Self::Reset | Self::Runaway | Self::Runout | Self::Kill => Cable::Whole,
        }
    }
}
