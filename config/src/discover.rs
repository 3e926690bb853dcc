//! Looking around: what is asked for, and what was found.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Body of `POST /api/v1/discover`: where to look. Nothing that moves, heats or switches is ever
/// sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LookFor {
    /// Serial ports that are plugged in and nobody has: opened, which resets many boards, and
    /// listened to.
    pub serial: bool,
    /// Printers that make themselves known on the network (mDNS).
    pub network: bool,
    /// Chips on I2C buses that nobody has.
    pub i2c: bool,
    /// Ask what does not introduce itself: `?` for GRBL, M115 for printers.
    pub ask: bool,
    /// Only these serial ports, if there are any here.
    pub ports: Vec<PathBuf>,
    /// Modbus units on a bus that nobody has.
    pub modbus: Option<LookOnBus>,
}

impl Default for LookFor {
    fn default() -> Self {
        Self { serial: true, network: true, i2c: true, ask: false, ports: Vec::new(), modbus: None }
    }
}

/// A bus whose units are looked for, one harmless reading each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LookOnBus {
    /// A path, or `host:502`.
    pub port: String,
    /// Bits per second, on a serial line.
    #[serde(default = "usual_baud")]
    pub baud: u32,
    /// The first and the last unit, 1 to 247.
    #[serde(default = "usual_units")]
    pub units: [u8; 2],
}

fn usual_baud() -> u32 {
    9_600
}

fn usual_units() -> [u8; 2] {
    [1, 32]
}

/// `GET /api/v1/discover`: the latest look around, also while it goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Discovery {
    /// It goes on.
    pub running: bool,
    /// When it began, milliseconds since 1970; `null` if nobody has looked yet.
    pub began_ms: Option<u64>,
    /// What is being done at this moment, for people.
    pub doing: Vec<String>,
    /// What could not be looked at, and why.
    pub remarks: Vec<String>,
    /// What was found.
    pub findings: Vec<Discovered>,
}

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Discovered {
    /// What it is: `Grbl 1.1h`.
    pub what: String,
    /// Where it is: a port, an address.
    #[serde(rename = "where")]
    pub place: String,
    /// How sure that is.
    pub sure: Sure,
    /// More, for people.
    pub note: Option<String>,
    /// A `[[machine]]` to put into the configuration; `null` where no driver speaks to it, or too
    /// little is known.
    pub config: Option<String>,
}

/// How sure it is what something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sure {
    /// It belongs to a machine of the configuration, and was not touched.
    Configured,
    /// It has said so itself.
    Certain,
    /// It answers as such things do.
    Likely,
    /// It is there, and might be.
    Guess,
}

impl Sure {
    /// The word used in every interface.
    pub fn word(self) -> &'static str {
        match self {
            Self::Configured => "configured",
            Self::Certain => "certain",
            Self::Likely => "likely",
            Self::Guess => "guess",
        }
    }
}
