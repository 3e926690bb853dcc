//! What can be made to go wrong with the pretend controller, by name.

use crate::link::fault::{Cable, Named};

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The cable comes out and is plugged in again; the machine has power of its own and goes on.
    Unplug,
    /// As unplug, and the controller loses its power with the cable.
    Power,
    /// Random bytes among what the controller says.
    Garbage,
    /// The controller restarts by itself.
    Reset,
    /// The controller hears and obeys, and nothing that it says arrives.
    Mute,
    /// A limit switch closes.
    Limit,
    /// The safety door is open.
    Door,
}

impl Named for What {
    const NAMES: &'static [(&'static str, Self)] = &[
        ("unplug", Self::Unplug),
        ("power", Self::Power),
        ("garbage", Self::Garbage),
        ("reset", Self::Reset),
        ("mute", Self::Mute),
        ("limit", Self::Limit),
        ("door", Self::Door),
    ];

    fn cable(self) -> Cable {
        match self {
            Self::Unplug | Self::Power => Cable::Out,
            Self::Mute => Cable::Mute,
            Self::Garbage => Cable::Garbage,
            Self::Reset | Self::Limit | Self::Door => Cable::Whole,
        }
    }
}
