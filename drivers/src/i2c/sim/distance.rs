//! A pretend VL53L0X that looks at something 420 mm away.

use std::time::{Duration, Instant};

use super::Pretend;
use super::fault::{Fault, Faults};

/// From here on nothing comes back.
const REACH: f64 = 2_000.0;

#[derive(Debug)]
pub(super) struct Vl53l0x {
    millimetres: f64,
    registers: [u8; 256],
    /// Registers of another page, which hold what the maker keeps to itself.
    page: u8,
    pointer: u8,
    ready_at: Option<Instant>,
}

impl Default for Vl53l0x {
    fn default() -> Self {
        let mut it =
            Self { millimetres: 420.0, registers: [0; 256], page: 0, pointer: 0, ready_at: None };
        it.reset();
        it
    }
}

impl Vl53l0x {
    fn finish(&mut self) {
        let far = REACH < self.millimetres;
        let told = if far { 8_190 } else { self.millimetres.clamp(0.0, 8_190.0) as u16 };
        self.registers[0x13] = 4;
        self.registers[0x14] = if far { 4 << 3 } else { 11 << 3 } | 1;
        self.registers[0x1e..0x20].copy_from_slice(&told.to_be_bytes());
        self.registers[0x00] = 0;
        self.ready_at = None;
    }

    fn set_register(&mut self, now: Instant, register: u8, byte: u8) {
        match (self.page, register) {
            (_, 0xff) => self.page = byte,
            (0, 0x00) if byte & 1 == 1 => {
                // Calibrations are quick, a ranging takes its time.
                let calibrates = self.registers[0x01] <= 2;
                let ms = if calibrates { 2 } else { 30 };
                self.ready_at = Some(now + Duration::from_millis(ms));
                self.registers[0x13] = 0;
            }
            (0, 0x0b) => self.registers[0x13] = 0,
            (0, _) => self.registers[usize::from(register)] = byte,
            _ => (),
        }
    }
}

impl Pretend for Vl53l0x {
    fn write(&mut self, now: Instant, _: &Faults, bytes: &[u8]) -> Option<()> {
        let (first, rest) = bytes.split_first()?;
        self.pointer = *first;
        for byte in rest {
            self.set_register(now, self.pointer, *byte);
            self.pointer = self.pointer.wrapping_add(1);
        }
        Some(())
    }

    fn read(&mut self, now: Instant, faults: &Faults, into: &mut [u8]) -> Option<()> {
        if self.ready_at.is_some_and(|at| at <= now) && !faults.has(Fault::Slow) {
            self.finish();
        }
        for byte in into {
            *byte = match (self.page, self.pointer) {
                (1, 0x91) => 0x3c,
                (_, 0xc0) if faults.has(Fault::WrongId) => 0xea,
                (_, pointer) => self.registers[usize::from(pointer)],
            };
            self.pointer = self.pointer.wrapping_add(1);
        }
        Some(())
    }

    fn set(&mut self, what: &str, value: f64) -> bool {
        if what == "distance" {
            self.millimetres = value;
        }
        what == "distance"
    }

    fn get(&self, what: &str) -> Option<f64> {
        (what == "distance").then_some(self.millimetres)
    }

    fn reset(&mut self) {
        self.registers = [0; 256];
        self.registers[0x01] = 0xff;
        self.registers[0xc0..0xc3].copy_from_slice(&[0xee, 0xaa, 0x10]);
        self.page = 0;
        self.ready_at = None;
    }
}
