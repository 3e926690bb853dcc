//! ADS1115: four voltages against ground, 16 bit.
//!
//! Source: Texas Instruments SBAS444E. Single shots at 128 per second, full scale ±6.144 V (187.5
//! µV per step): more than the chip's supply cannot be put on a pin in any case. After each
//! conversion its settings are read back: another channel's voltage, or that of a chip that has
//! lost its power, is never told as this one's.

use std::time::Duration;

use super::super::{Chip, Setup, Step, Trouble, Wire};
use super::{read_word, write_word};

const CONVERSION: u8 = 0x00;
const CONFIG: u8 = 0x01;
/// Written: begin. Read: not converting.
const READY: u16 = 1 << 15;
/// One channel against ground, ±6.144 V, single shot, 128 per second, no comparator.
const SETTINGS: u16 = 0x4183;
/// Volts per step.
const STEP: f64 = 6.144 / 32_768.0;
/// A conversion takes 7.8 ms; its clock is true to 10 %.
const TAKES: Duration = Duration::from_micros(8_700);

/// See the head of this file.
#[derive(Debug)]
pub struct Ads1115 {
    address: u8,
}

impl Ads1115 {
    /// One at this address.
    pub fn new(setup: Setup) -> Self {
        Self { address: setup.address }
    }
}

fn settings(channels: &[u8]) -> u16 {
    let channel = channels.first().copied().unwrap_or_default() & 3;
    SETTINGS | u16::from(channel) << 12
}

/// Volts from the conversion register.
pub fn volts(register: u16) -> f64 {
    f64::from(register.cast_signed()) * STEP
}

impl Chip for Ads1115 {
    fn set_up(&mut self, wire: &mut Wire<'_>) -> Result<(), Trouble> {
        write_word(wire, self.address, CONFIG, SETTINGS)?;
        match read_word(wire, self.address, CONFIG)? & !READY {
            SETTINGS => Ok(()),
            _ => Err(Trouble::Stranger("what answers does not keep an ADS1115's settings".into())),
        }
    }

    fn begin(&mut self, wire: &mut Wire<'_>, channels: &[u8]) -> Result<Duration, Trouble> {
        write_word(wire, self.address, CONFIG, READY | settings(channels))?;
        Ok(TAKES)
    }

    fn finish(&mut self, wire: &mut Wire<'_>, channels: &[u8]) -> Result<Step, Trouble> {
        let config = read_word(wire, self.address, CONFIG)?;
        if config & !READY != settings(channels) {
            return Err(Trouble::Reset);
        }
        if config & READY == 0 {
            return Ok(Step::Later(Duration::from_millis(1)));
        }
        let said = match read_word(wire, self.address, CONVERSION)? {
            0x7fff | 0x8000 => Err("the voltage is beyond what the chip can measure"),
            register => Ok(volts(register)),
        };
        Ok(Step::Done(channels.iter().take(1).map(|it| (*it, said)).collect()))
    }
}
