//! The one visible list of I2C chips that there are drivers for.

use std::time::Duration;

use headstock_config::chip::{self, CHIPS};

use super::chips::{ads1115, bme280, ina219, mcp23017, pcf8574, pcf8591, sht31, vl53l0x};
use super::{Chip, Setup};

/// One kind of chip.
#[derive(Debug)]
pub struct Kind {
    /// Its name, addresses and channels.
    pub chip: &'static chip::Chip,
    /// Makes a driver for one.
    pub build: fn(Setup) -> Box<dyn Chip>,
    /// Its channels are pins: on or off.
    pub pins: bool,
    /// It measures one channel at a time.
    pub apart: bool,
    /// What is set can be read back.
    pub reads_back: bool,
    /// Largest raw number that an output takes.
    pub most: f64,
    /// How long a measurement takes.
    pub takes: Duration,
    /// Bytes that go over the bus for one, addresses included.
    pub bytes: u16,
}

const fn sensor(at: usize, build: fn(Setup) -> Box<dyn Chip>, takes_ms: u64, bytes: u16) -> Kind {
    let takes = Duration::from_millis(takes_ms);
    let (pins, apart, reads_back) = (false, false, false);
    Kind { chip: &CHIPS[at], build, pins, apart, reads_back, most: 0.0, takes, bytes }
}

const fn expander(at: usize, build: fn(Setup) -> Box<dyn Chip>, bytes: u16) -> Kind {
    Kind { pins: true, reads_back: true, most: 1.0, ..sensor(at, build, 0, bytes) }
}

/// Every chip, in the order of the configuration's own table.
pub const KINDS: &[Kind] = &[
    expander(0, |setup| Box::new(mcp23017::Mcp23017::new(setup)), 10),
    expander(1, |setup| Box::new(pcf8574::Pcf8574::new(setup)), 2),
    Kind { apart: true, ..sensor(2, |setup| Box::new(ads1115::Ads1115::new(setup)), 9, 14) },
    Kind {
        apart: true,
        most: 255.0,
        ..sensor(3, |setup| Box::new(pcf8591::Pcf8591::new(setup)), 0, 6)
    },
    sensor(4, |setup| Box::new(bme280::Bme280::new(setup)), 10, 20),
    sensor(5, |setup| Box::new(sht31::Sht31::new(setup)), 16, 10),
    sensor(6, |setup| Box::new(ina219::Ina219::new(setup)), 0, 16),
    sensor(7, |setup| Box::new(vl53l0x::Vl53l0x::new(setup)), 34, 50),
];

/// The driver of the chip of this name.
pub fn find(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.chip.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chip_that_can_be_declared_has_its_driver() {
        let wanted =
            ["mcp23017", "pcf8574", "ads1115", "pcf8591", "bme280", "sht31", "ina219", "vl53l0x"];
        let names: Vec<&str> = KINDS.iter().map(|it| it.chip.name).collect();
        assert_eq!(names, wanted);
        assert_eq!(CHIPS.len(), KINDS.len());
    }
}
