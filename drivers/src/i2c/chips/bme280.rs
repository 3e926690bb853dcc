//! BME280: temperature, humidity and pressure; and BMP280, which is sold as one and has no
//! humidity.
//!
//! Source: Bosch BST-BME280-DS002-15 and BST-BMP280-DS001-26. Forced mode, one sample of each. The
//! factory's calibration stands in the chip and is read when it is set up; the formulas are those
//! of the datasheets, in floating point.

use std::time::Duration;

use super::super::{Chip, Setup, Step, Trouble, Wire};
use super::read;

const ID: u8 = 0xd0;
const BME280: u8 = 0x60;
/// The last is the part that is sold; the others are samples of it.
const BMP280: [u8; 3] = [0x56, 0x57, 0x58];
const CALIBRATION: u8 = 0x88;
const CALIBRATION_WET: u8 = 0xe1;
const CONTROL_WET: u8 = 0xf2;
const STATUS: u8 = 0xf3;
const CONTROL: u8 = 0xf4;
const DATA: u8 = 0xf7;
/// Bits of the status: converting, or copying the calibration after power-on.
const BUSY: u8 = 0b1001;
/// One sample of temperature and pressure, once.
const FORCED: u8 = 0b0010_0101;
/// What stands in a register that was not measured.
const SKIPPED: u32 = 0x80000;
/// One sample of each takes at most 9.3 ms.
const TAKES: Duration = Duration::from_micros(9_300);

/// The factory's calibration, named as in the datasheet.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Calibration {
    /// Temperature: T1, T2, T3.
    pub t: [f64; 3],
    /// Pressure: P1 to P9.
    pub p: [f64; 9],
    /// Humidity: H1 to H6.
    pub h: [f64; 6],
}

/// See the head of this file.
#[derive(Debug)]
pub struct Bme280 {
    address: u8,
    wet: bool,
    calibration: Calibration,
}

impl Bme280 {
    /// One at this address.
    pub fn new(setup: Setup) -> Self {
        Self { address: setup.address, wet: true, calibration: Calibration::default() }
    }
}

fn unsigned(bytes: &[u8], at: usize) -> f64 {
    f64::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]))
}

fn signed(bytes: &[u8], at: usize) -> f64 {
    f64::from(i16::from_le_bytes([bytes[at], bytes[at + 1]]))
}

impl Calibration {
    /// From the registers 0x88 to 0xa1 and 0xe1 to 0xe7.
    pub fn from_registers(dry: &[u8; 26], wet: &[u8; 7]) -> Self {
        let mut p = std::array::from_fn(|it| signed(dry, 6 + 2 * it));
        p[0] = unsigned(dry, 6);
        // Two values of twelve bits share a byte.
        let twelve =
            |high: u8, low: u8| f64::from(i16::from(high.cast_signed()) << 4 | i16::from(low));
        let h4 = twelve(wet[3], wet[4] & 0x0f);
        let h5 = twelve(wet[5], wet[4] >> 4);
        let h = [
            f64::from(dry[25]),
            signed(wet, 0),
            f64::from(wet[2]),
            h4,
            h5,
            f64::from(wet[6].cast_signed()),
        ];
        Self { t: [unsigned(dry, 0), signed(dry, 2), signed(dry, 4)], p, h }
    }

    /// The fine temperature that the other formulas build on; divided by 5120 it is in °C.
    pub fn fine(&self, raw: u32) -> f64 {
        let raw = f64::from(raw);
        let one = (raw / 16_384.0 - self.t[0] / 1_024.0) * self.t[1];
        let two = raw / 131_072.0 - self.t[0] / 8_192.0;
        one + two * two * self.t[2]
    }

    /// Pa; `None` if the calibration would divide by nothing.
    pub fn pressure(&self, raw: u32, fine: f64) -> Option<f64> {
        let p = &self.p;
        let one = fine / 2.0 - 64_000.0;
        let two = one * one * p[5] / 32_768.0 + one * p[4] * 2.0;
        let two = two / 4.0 + p[3] * 65_536.0;
        let one = (p[2] * one * one / 524_288.0 + p[1] * one) / 524_288.0;
        let one = (1.0 + one / 32_768.0) * p[0];
        if one == 0.0 {
            return None;
        }
        let it = (1_048_576.0 - f64::from(raw) - two / 4_096.0) * 6_250.0 / one;
        let one = p[8] * it * it / 2_147_483_648.0;
        let two = it * p[7] / 32_768.0;
        Some(it + (one + two + p[6]) / 16.0)
    }

    /// Relative, per cent.
    pub fn humidity(&self, raw: u32, fine: f64) -> f64 {
        let h = &self.h;
        let warm = fine - 76_800.0;
        let wet = f64::from(raw) - (h[3] * 64.0 + h[4] / 16_384.0 * warm);
        let part = 1.0 + h[5] / 67_108_864.0 * warm * (1.0 + h[2] / 67_108_864.0 * warm);
        let wet = wet * (h[1] / 65_536.0 * part);
        let wet = wet * (1.0 - h[0] * wet / 524_288.0);
        wet.clamp(0.0, 100.0)
    }
}

const NO_HUMIDITY: &str = "this is a BMP280: it has no humidity";
const NOT_MEASURED: &str = "the chip has not measured this";
const BEYOND: &str = "beyond what the chip can measure";

/// A number within what the datasheet says that the chip measures.
fn within(value: Option<f64>, range: std::ops::RangeInclusive<f64>) -> Result<f64, &'static str> {
    value.filter(|it| range.contains(it)).ok_or(BEYOND)
}

impl Bme280 {
    fn said(&self, channel: u8, bytes: [u8; 8]) -> Result<f64, &'static str> {
        let twenty = |at: usize| {
            u32::from(bytes[at]) << 12
                | u32::from(bytes[at + 1]) << 4
                | u32::from(bytes[at + 2]) >> 4
        };
        let (press, temp) = (twenty(0), twenty(3));
        let wet = u32::from(bytes[6]) << 8 | u32::from(bytes[7]);
        if temp == SKIPPED {
            return Err(NOT_MEASURED);
        }
        let fine = self.calibration.fine(temp);
        let warm = within(Some(fine / 5_120.0), -40.0..=85.0)?;
        match channel {
            0 => Ok(warm),
            1 if !self.wet => Err(NO_HUMIDITY),
            1 if wet == 0x8000 => Err(NOT_MEASURED),
            1 => within(Some(self.calibration.humidity(wet, fine)), 0.0..=100.0),
            _ if press == SKIPPED => Err(NOT_MEASURED),
            _ => {
                let pascal = self.calibration.pressure(press, fine);
                within(pascal.map(|it| it / 100.0), 300.0..=1_100.0)
            }
        }
    }
}

impl Chip for Bme280 {
    fn set_up(&mut self, wire: &mut Wire<'_>) -> Result<(), Trouble> {
        let [id] = read(wire, self.address, ID)?;
        self.wet = match id {
            BME280 => true,
            id if BMP280.contains(&id) => false,
            0x61 => return Err(Trouble::Stranger("this is a BME680, another chip".into())),
            id => return Err(Trouble::Stranger(format!("its number is {id:#04x}, not 0x60"))),
        };
        let dry: [u8; 26] = read(wire, self.address, CALIBRATION)?;
        let wet = if self.wet { read(wire, self.address, CALIBRATION_WET)? } else { [0; 7] };
        let calibration = Calibration::from_registers(&dry, &wet);
        // No chip leaves the factory like this.
        if [0.0, 65_535.0].contains(&calibration.t[0])
            || [0.0, 65_535.0].contains(&calibration.p[0])
        {
            return Err(Trouble::Nonsense("the chip's calibration is empty"));
        }
        self.calibration = calibration;
        Ok(())
    }

    fn begin(&mut self, wire: &mut Wire<'_>, _: &[u8]) -> Result<Duration, Trouble> {
        if self.wet {
            // Takes effect with the next write to the other control register.
            wire.write(self.address, &[CONTROL_WET, 1])?;
        }
        wire.write(self.address, &[CONTROL, FORCED])?;
        Ok(TAKES)
    }

    fn finish(&mut self, wire: &mut Wire<'_>, channels: &[u8]) -> Result<Step, Trouble> {
        let [status, control]: [u8; 2] = read(wire, self.address, STATUS)?;
        if status & BUSY != 0 {
            return Ok(Step::Later(Duration::from_millis(1)));
        }
        // It goes back to sleep by itself and keeps the rest.
        if control & !0b11 != FORCED & !0b11 {
            return Err(Trouble::Reset);
        }
        let bytes = read(wire, self.address, DATA)?;
        Ok(Step::Done(channels.iter().map(|it| (*it, self.said(*it, bytes))).collect()))
    }
}
