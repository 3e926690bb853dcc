//! VL53L0X: distance by the time that light takes.
//!
//! Source: STMicroelectronics DocID029104 (datasheet) and UM2039 (the sequence of its own API).
//! The chip keeps tables of its own; what is done here is what a single ranging needs: pads for
//! 2.8 V, the two reference calibrations, and one shot at a time. The maker's further tuning is
//! not loaded, so a distance is as true as the datasheet's standard profile, about ±5 %, after a
//! warm-up. Ranges that the chip itself calls invalid are told as such, never as numbers.

use std::time::Duration;

use super::super::{Chip, Setup, Step, Trouble, Wire};
use super::{read, read_word};

const MODEL: u8 = 0xc0;
/// 0xc0 to 0xc2 of every VL53L0X: model, module, and the revision of all that were made.
const IDENTITY: [u8; 2] = [0xee, 0xaa];
const START: u8 = 0x00;
const SEQUENCE: u8 = 0x01;
const INTERRUPT: u8 = 0x0a;
const CLEAR: u8 = 0x0b;
const READY: u8 = 0x13;
const RESULT: u8 = 0x14;
const CHECKS: u8 = 0x60;
const PADS: u8 = 0x89;
/// The status of a range that is valid, in bits 3 to 6.
const VALID: u8 = 11;
/// What it says when nothing has come back.
const FAR: u16 = 8_190;
/// A ranging of the standard profile.
const TAKES: Duration = Duration::from_millis(33);
/// A calibration takes some milliseconds; this many looks take ten times as long at 400 kHz.
const LOOKS: u32 = 400;

/// Steps and ranges that are used: everything but the search for the target's centre.
const STEPS: u8 = 0xe8;

/// See the head of this file.
#[derive(Debug)]
pub struct Vl53l0x {
    address: u8,
    /// What the chip wants to be given back before each shot.
    stop_variable: u8,
}

impl Vl53l0x {
    /// One at this address.
    pub fn new(setup: Setup) -> Self {
        Self { address: setup.address, stop_variable: 0 }
    }

    fn write(&self, wire: &mut Wire<'_>, pairs: &[(u8, u8)]) -> Result<(), Trouble> {
        for (register, byte) in pairs {
            wire.write(self.address, &[*register, *byte])?;
        }
        Ok(())
    }

    fn read(&self, wire: &mut Wire<'_>, register: u8) -> Result<u8, Trouble> {
        read(wire, self.address, register).map(|[byte]| byte)
    }

    /// One of the two reference calibrations; `how` is given to the start register.
    fn calibrate(&self, wire: &mut Wire<'_>, step: u8, how: u8) -> Result<(), Trouble> {
        self.write(wire, &[(SEQUENCE, step), (START, how)])?;
        for _ in 0..LOOKS {
            if self.read(wire, READY)? & 0b111 != 0 {
                return self.write(wire, &[(CLEAR, 1), (START, 0)]);
            }
        }
        Err(Trouble::Nonsense("its reference calibration does not end"))
    }
}

impl Chip for Vl53l0x {
    fn set_up(&mut self, wire: &mut Wire<'_>) -> Result<(), Trouble> {
        let identity: [u8; 2] = read(wire, self.address, MODEL)?;
        if identity != IDENTITY {
            let [model, module] = identity;
            return Err(Trouble::Stranger(format!(
                "its number is {model:#04x} {module:#04x}, not 0xee 0xaa"
            )));
        }
        let pads = self.read(wire, PADS)?;
        self.write(wire, &[(PADS, pads | 1), (0x88, 0)])?;
        self.write(wire, &[(0x80, 1), (0xff, 1), (0x00, 0)])?;
        self.stop_variable = self.read(wire, 0x91)?;
        self.write(wire, &[(0x00, 1), (0xff, 0), (0x80, 0)])?;
        // No limit on the signal before the last step, and 0.25 million counts a second there.
        let checks = self.read(wire, CHECKS)?;
        self.write(wire, &[(CHECKS, checks | 0x12)])?;
        wire.write(self.address, &[0x44, 0x00, 0x20])?;
        // Ready means: a new sample.
        self.write(wire, &[(INTERRUPT, 4), (CLEAR, 1)])?;
        self.calibrate(wire, 0x01, 0x41)?;
        self.calibrate(wire, 0x02, 0x01)?;
        self.write(wire, &[(SEQUENCE, STEPS)])
    }

    fn begin(&mut self, wire: &mut Wire<'_>, _: &[u8]) -> Result<Duration, Trouble> {
        if self.read(wire, SEQUENCE)? != STEPS {
            return Err(Trouble::Reset);
        }
        self.write(wire, &[(CLEAR, 1), (0x80, 1), (0xff, 1), (0x00, 0)])?;
        self.write(wire, &[(0x91, self.stop_variable), (0x00, 1), (0xff, 0), (0x80, 0)])?;
        self.write(wire, &[(START, 1)])?;
        Ok(TAKES)
    }

    fn finish(&mut self, wire: &mut Wire<'_>, channels: &[u8]) -> Result<Step, Trouble> {
        if self.read(wire, READY)? & 0b111 == 0 {
            return Ok(Step::Later(Duration::from_millis(2)));
        }
        let status = self.read(wire, RESULT)? >> 3 & 0x0f;
        let millimetres = read_word(wire, self.address, RESULT + 10)?;
        self.write(wire, &[(CLEAR, 1)])?;
        let said = match (status, millimetres) {
            (VALID, 0..FAR) => Ok(f64::from(millimetres)),
            (VALID, _) | (4 | 6 | 9, _) => Err("nothing in reach"),
            (1..=3, _) => Err("the sensor's laser does not work"),
            _ => Err("the sensor says that the range is not valid"),
        };
        Ok(Step::Done(channels.iter().map(|it| (*it, said)).collect()))
    }
}
