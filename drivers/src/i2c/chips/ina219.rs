//! INA219: voltage, current and power of a supply.
//!
//! Source: Texas Instruments SBOS448G. The current is worked out from the voltage across the
//! shunt, 0.1 Ω as on common boards; for another, give the tag a `scale` of 0.1 divided by yours.
//! The chip's own calculation is not used: it needs a calibration that is gone after a loss of
//! power, and tells zero then.

use std::time::Duration;

use super::super::{Chip, Setup, Step, Trouble, Wire};
use super::{read_word, write_word};

const CONFIG: u8 = 0x00;
const SHUNT: u8 = 0x01;
const BUS: u8 = 0x02;
const RESET: u16 = 0x8000;
/// In the bus register: both have been measured since the reset.
const MEASURED: u16 = 0b10;
/// How long that takes, nearly.
const CONVERSION: Duration = Duration::from_millis(1);
/// After power-on: 32 V, ±320 mV, 12 bit, both measured all the time. What we use.
const POWER_ON: u16 = 0x399f;
/// Volts per step of the shunt register.
const SHUNT_STEP: f64 = 10e-6;
/// Volts per step of the bus register, whose lowest three bits say other things.
const BUS_STEP: f64 = 4e-3;
/// Ohms.
const RESISTOR: f64 = 0.1;
/// Largest that ±320 mV can be.
const SHUNT_MOST: u16 = 32_000;

/// See the head of this file.
#[derive(Debug)]
pub struct Ina219 {
    address: u8,
}

impl Ina219 {
    /// One at this address.
    pub fn new(setup: Setup) -> Self {
        Self { address: setup.address }
    }
}

/// Volts of the supply, from the bus register.
pub fn voltage(register: u16) -> f64 {
    f64::from(register >> 3) * BUS_STEP
}

/// Volts across the shunt, from its register.
pub fn shunt(register: u16) -> f64 {
    f64::from(register.cast_signed()) * SHUNT_STEP
}

impl Chip for Ina219 {
    fn set_up(&mut self, wire: &mut Wire<'_>) -> Result<(), Trouble> {
        write_word(wire, self.address, CONFIG, RESET)?;
        match read_word(wire, self.address, CONFIG)? {
            POWER_ON => Ok(()),
            other => Err(Trouble::Stranger(format!(
                "an INA219 begins with settings {POWER_ON:#06x}, this with {other:#06x}"
            ))),
        }
    }

    fn begin(&mut self, _: &mut Wire<'_>, _: &[u8]) -> Result<Duration, Trouble> {
        Ok(Duration::ZERO)
    }

    fn finish(&mut self, wire: &mut Wire<'_>, channels: &[u8]) -> Result<Step, Trouble> {
        if read_word(wire, self.address, CONFIG)? != POWER_ON {
            return Err(Trouble::Reset);
        }
        let bus = read_word(wire, self.address, BUS)?;
        if bus & MEASURED == 0 {
            return Ok(Step::Later(CONVERSION));
        }
        let across = read_word(wire, self.address, SHUNT)?;
        if SHUNT_MOST < across.cast_signed().unsigned_abs() {
            return Err(Trouble::Nonsense("the shunt register holds more than it can"));
        }
        let (volts, amperes) = (voltage(bus), shunt(across) / RESISTOR);
        let said = |channel: u8| match channel {
            0 => volts,
            1 => amperes,
            _ => volts * amperes,
        };
        Ok(Step::Done(channels.iter().map(|it| (*it, Ok(said(*it)))).collect()))
    }
}
