//! Pretend voltages and currents: ADS1115, PCF8591, INA219.

use std::time::{Duration, Instant};

use super::Pretend;
use super::fault::{Fault, Faults};

/// `a0` to `a3`.
fn input(name: &str) -> Option<usize> {
    name.strip_prefix('a')?.parse().ok().filter(|it| *it < 4)
}

/// Full scales of the six settings of PGA, volts.
const FULL_SCALE: [f64; 8] = [6.144, 4.096, 2.048, 1.024, 0.512, 0.256, 0.256, 0.256];
/// Samples per second of the eight settings of DR.
const RATES: [u32; 8] = [8, 16, 32, 64, 128, 250, 475, 860];

#[derive(Debug)]
pub(super) struct Ads1115 {
    volts: [f64; 4],
    pointer: u8,
    config: u16,
    conversion: u16,
    ready_at: Option<Instant>,
}

impl Default for Ads1115 {
    fn default() -> Self {
        let volts = [0.5, 1.0, 1.5, 2.0];
        Self { volts, pointer: 0, config: 0x0583, conversion: 0, ready_at: None }
    }
}

impl Ads1115 {
    /// Single-ended channels only; the others tell nothing here.
    fn convert(&self) -> u16 {
        let (mux, gain) = (self.config >> 12 & 7, usize::from(self.config >> 9 & 7));
        let volts = if mux < 4 { 0.0 } else { self.volts[usize::from(mux & 3)] };
        let steps = (volts / FULL_SCALE[gain] * 32_768.0).round();
        (steps.clamp(-32_768.0, 32_767.0) as i16).cast_unsigned()
    }
}

impl Pretend for Ads1115 {
    fn write(&mut self, now: Instant, _: &Faults, bytes: &[u8]) -> Option<()> {
        let (pointer, rest) = bytes.split_first()?;
        self.pointer = *pointer & 3;
        if let (1, [high, low]) = (self.pointer, rest) {
            let word = u16::from_be_bytes([*high, *low]);
            self.config = word & 0x7fff;
            if word & 0x8000 != 0 {
                let rate = RATES[usize::from(word >> 5 & 7)];
                self.ready_at = Some(now + Duration::from_secs(1) / rate);
            }
        }
        Some(())
    }

    fn read(&mut self, now: Instant, faults: &Faults, into: &mut [u8]) -> Option<()> {
        if self.ready_at.is_some_and(|at| at <= now) && !faults.has(Fault::Slow) {
            self.conversion = self.convert();
            self.ready_at = None;
        }
        let idle = u16::from(self.ready_at.is_none()) << 15;
        let word = match self.pointer {
            0 => self.conversion,
            1 if faults.has(Fault::WrongId) => 0,
            1 => self.config | idle,
            _ => 0x8000,
        };
        for (byte, said) in into.iter_mut().zip(word.to_be_bytes()) {
            *byte = said;
        }
        Some(())
    }

    fn set(&mut self, what: &str, value: f64) -> bool {
        let Some(channel) = input(what) else { return false };
        self.volts[channel] = value;
        true
    }

    fn get(&self, what: &str) -> Option<f64> {
        Some(self.volts[input(what)?])
    }

    fn reset(&mut self) {
        *self = Self { volts: self.volts, ..Self::default() };
    }
}

#[derive(Debug, Default)]
pub(super) struct Pcf8591 {
    raw: [u8; 4],
    control: u8,
    output: u8,
    conversion: u8,
}

impl Pretend for Pcf8591 {
    fn write(&mut self, _: Instant, _: &Faults, bytes: &[u8]) -> Option<()> {
        let (control, rest) = bytes.split_first()?;
        self.control = *control;
        self.output = rest.last().copied().unwrap_or(self.output);
        Some(())
    }

    fn read(&mut self, _: Instant, _: &Faults, into: &mut [u8]) -> Option<()> {
        for byte in into {
            *byte = self.conversion;
            self.conversion = self.raw[usize::from(self.control & 3)];
        }
        Some(())
    }

    fn set(&mut self, what: &str, value: f64) -> bool {
        let Some(channel) = input(what) else { return false };
        self.raw[channel] = value.clamp(0.0, 255.0) as u8;
        true
    }

    fn get(&self, what: &str) -> Option<f64> {
        match what {
            "dac" if self.control & 0x40 == 0 => None,
            "dac" => Some(f64::from(self.output)),
            _ => Some(f64::from(self.raw[input(what)?])),
        }
    }

    fn reset(&mut self) {
        *self = Self { raw: self.raw, conversion: 0x80, ..Self::default() };
    }
}

#[derive(Debug)]
pub(super) struct Ina219 {
    volts: f64,
    amperes: f64,
    pointer: u8,
    config: u16,
    calibration: u16,
    /// Since when it measures.
    begun: Option<Instant>,
}

/// How long the INA219 takes for both of its voltages (SBOS448G: 532 us each).
const CONVERSIONS: Duration = Duration::from_micros(1_064);
/// Ohms.
const RESISTOR: f64 = 0.1;

impl Default for Ina219 {
    fn default() -> Self {
        Self { volts: 24.0, amperes: 0.8, pointer: 0, config: 0x399f, calibration: 0, begun: None }
    }
}

impl Pretend for Ina219 {
    fn write(&mut self, now: Instant, _: &Faults, bytes: &[u8]) -> Option<()> {
        let (pointer, rest) = bytes.split_first()?;
        self.pointer = *pointer;
        if let [high, low] = rest {
            let word = u16::from_be_bytes([*high, *low]);
            match self.pointer {
                0 if word & 0x8000 != 0 => {
                    self.reset();
                    self.begun = Some(now);
                }
                0 => self.config = word,
                5 => self.calibration = word & !1,
                _ => (),
            }
        }
        Some(())
    }

    fn read(&mut self, now: Instant, faults: &Faults, into: &mut [u8]) -> Option<()> {
        let measured = self.begun.is_none_or(|it| CONVERSIONS <= now.saturating_duration_since(it));
        let shunt = (self.amperes * RESISTOR / 10e-6).round().clamp(-32_000.0, 32_000.0) as i16;
        let bus = (self.volts / 4e-3).round().clamp(0.0, 8_000.0) as u16;
        let word = match self.pointer {
            0 if faults.has(Fault::WrongId) => 0x4127,
            0 => self.config,
            1 | 2 if !measured => 0,
            1 => shunt.cast_unsigned(),
            2 => bus << 3 | 0b10,
            5 => self.calibration,
            _ => 0,
        };
        for (byte, said) in into.iter_mut().zip(word.to_be_bytes()) {
            *byte = said;
        }
        Some(())
    }

    fn set(&mut self, what: &str, value: f64) -> bool {
        match what {
            "voltage" => self.volts = value,
            "current" => self.amperes = value,
            _ => return false,
        }
        true
    }

    fn get(&self, what: &str) -> Option<f64> {
        match what {
            "voltage" => Some(self.volts),
            "current" => Some(self.amperes),
            _ => None,
        }
    }

    fn reset(&mut self) {
        *self = Self {
            volts: self.volts,
            amperes: self.amperes,
            pointer: self.pointer,
            ..Self::default()
        };
    }
}
