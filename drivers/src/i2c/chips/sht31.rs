//! SHT30, SHT31, SHT35: temperature and humidity.
//!
//! Source: Sensirion SHT3x-DIS, December 2022. Single shots of high repeatability without clock
//! stretching, which the hardware of older Pis gets wrong. Every word comes with a checksum; while
//! it measures, the chip does not answer.

use std::time::Duration;

use super::super::{Chip, Setup, Step, Trouble, Wire, WireError};

const MEASURE: [u8; 2] = [0x24, 0x00];
const STATUS: [u8; 2] = [0xf3, 0x2d];
/// Typically 12.5 ms, at most 15.5.
const TAKES: Duration = Duration::from_micros(15_500);

/// See the head of this file.
#[derive(Debug)]
pub struct Sht31 {
    address: u8,
}

impl Sht31 {
    /// One at this address.
    pub fn new(setup: Setup) -> Self {
        Self { address: setup.address }
    }
}

/// CRC-8, polynomial 0x31, begun with 0xff.
pub fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0xff, |sum, byte| {
        (0..8).fold(sum ^ byte, |it, _| if it & 0x80 == 0 { it << 1 } else { it << 1 ^ 0x31 })
    })
}

/// A word with its checksum.
fn word(bytes: [u8; 3]) -> Result<u16, Trouble> {
    let [high, low, sum] = bytes;
    if checksum(&[high, low]) != sum {
        return Err(Trouble::Checksum);
    }
    Ok(u16::from_be_bytes([high, low]))
}

/// Degrees Celsius.
pub fn temperature(raw: u16) -> f64 {
    -45.0 + 175.0 * f64::from(raw) / 65_535.0
}

/// Relative, per cent.
pub fn humidity(raw: u16) -> f64 {
    100.0 * f64::from(raw) / 65_535.0
}

impl Chip for Sht31 {
    fn set_up(&mut self, wire: &mut Wire<'_>) -> Result<(), Trouble> {
        let mut status = [0; 3];
        wire.write_read(self.address, &STATUS, &mut status)?;
        word(status).map(drop)
    }

    fn begin(&mut self, wire: &mut Wire<'_>, _: &[u8]) -> Result<Duration, Trouble> {
        wire.write(self.address, &MEASURE)?;
        Ok(TAKES)
    }

    fn finish(&mut self, wire: &mut Wire<'_>, channels: &[u8]) -> Result<Step, Trouble> {
        let mut bytes = [0; 6];
        match wire.read(self.address, &mut bytes) {
            Ok(()) => (),
            // Not finished. A chip that has gone is found out by how long that lasts.
            Err(WireError::Nack) => return Ok(Step::Later(Duration::from_millis(2))),
            Err(error) => return Err(error.into()),
        }
        let [a, b, c, d, e, f] = bytes;
        let (warm, wet) = (temperature(word([a, b, c])?), humidity(word([d, e, f])?));
        let said = |channel: u8| if channel == 0 { warm } else { wet };
        Ok(Step::Done(channels.iter().map(|it| (*it, Ok(said(*it)))).collect()))
    }
}
