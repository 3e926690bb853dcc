//! The I2C chips that there are drivers for, and the channels of each.
//!
//! A table, so that a wrong channel is found when the configuration is read. How a chip is talked
//! to stands in its driver.

/// One kind of chip.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Chip {
    /// Its name in the configuration.
    pub name: &'static str,
    /// Addresses that it can be set to, as shipped first.
    pub addresses: &'static [u8],
    /// What it can tell, or be told.
    pub channels: &'static [Channel],
}

/// One channel of a chip.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Channel {
    /// Its name: `temperature`, `a0`.
    pub name: &'static str,
    /// Its unit; empty for pins and raw numbers.
    pub unit: &'static str,
    /// Whether it can be an output.
    pub output: bool,
}

const fn reads(name: &'static str, unit: &'static str) -> Channel {
    Channel { name, unit, output: false }
}

const fn pin(name: &'static str) -> Channel {
    Channel { name, unit: "", output: true }
}

/// Every chip there is a driver for.
pub const CHIPS: &[Chip] = &[
    Chip {
        name: "mcp23017",
        addresses: &[0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27],
        channels: &[
            pin("a0"),
            pin("a1"),
            pin("a2"),
            pin("a3"),
            pin("a4"),
            pin("a5"),
            pin("a6"),
            pin("a7"),
            pin("b0"),
            pin("b1"),
            pin("b2"),
            pin("b3"),
            pin("b4"),
            pin("b5"),
            pin("b6"),
            pin("b7"),
        ],
    },
    Chip {
        name: "pcf8574",
        addresses: &[
            0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d,
            0x3e, 0x3f,
        ],
        channels: &[
            pin("p0"),
            pin("p1"),
            pin("p2"),
            pin("p3"),
            pin("p4"),
            pin("p5"),
            pin("p6"),
            pin("p7"),
        ],
    },
    Chip {
        name: "ads1115",
        addresses: &[0x48, 0x49, 0x4a, 0x4b],
        channels: &[reads("a0", "V"), reads("a1", "V"), reads("a2", "V"), reads("a3", "V")],
    },
    Chip {
        name: "pcf8591",
        addresses: &[0x48, 0x49, 0x4a, 0x4b, 0x4c, 0x4d, 0x4e, 0x4f],
        channels: &[reads("a0", ""), reads("a1", ""), reads("a2", ""), reads("a3", ""), pin("dac")],
    },
    Chip {
        name: "bme280",
        addresses: &[0x76, 0x77],
        channels: &[reads("temperature", "°C"), reads("humidity", "%"), reads("pressure", "hPa")],
    },
    Chip {
        name: "sht31",
        addresses: &[0x44, 0x45],
        channels: &[reads("temperature", "°C"), reads("humidity", "%")],
    },
    Chip {
        name: "ina219",
        addresses: &[
            0x40, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4a, 0x4b, 0x4c, 0x4d,
            0x4e, 0x4f,
        ],
        channels: &[reads("voltage", "V"), reads("current", "A"), reads("power", "W")],
    },
    Chip { name: "vl53l0x", addresses: &[0x29], channels: &[reads("distance", "mm")] },
];

/// The chip of this name.
pub fn find(name: &str) -> Option<&'static Chip> {
    CHIPS.iter().find(|chip| chip.name == name)
}

impl Chip {
    /// The channel of this name.
    pub fn channel(&self, name: &str) -> Option<&'static Channel> {
        self.channels.iter().find(|channel| channel.name == name)
    }
}
