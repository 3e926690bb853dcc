//! Pretend climate: BME280, BMP280 and SHT31, in a room that drifts.

use std::f64::consts::TAU;
use std::time::{Duration, Instant};

use super::super::chips::sht31::checksum;
use super::Pretend;
use super::fault::{Fault, Faults};
use super::integer::{Whole, raw_for};

/// A workshop: it warms up and cools down again within ten minutes, so that one can see it.
#[derive(Debug)]
struct Room {
    begun: Instant,
    scale: f64,
    /// What somebody has set; it drifts no more then. Temperature, humidity, pressure.
    set: [Option<f64>; 3],
}

/// Middle, and how far it goes up and down: °C, %, hPa.
const MIDDLE: [(f64, f64); 3] = [(21.5, 1.5), (45.0, 6.0), (1_013.0, 0.8)];
const PERIOD: f64 = 600.0;

impl Room {
    fn new(scale: f64) -> Self {
        Self { begun: Instant::now(), scale, set: [None; 3] }
    }

    fn now(&self, what: usize) -> f64 {
        let (middle, swing) = MIDDLE[what];
        let turns = self.begun.elapsed().as_secs_f64() * self.scale / PERIOD;
        self.set[what].unwrap_or(middle + swing * (turns * TAU).sin())
    }

    fn what(name: &str) -> Option<usize> {
        ["temperature", "humidity", "pressure"].iter().position(|it| *it == name)
    }

    fn set(&mut self, name: &str, value: f64) -> bool {
        let Some(what) = Self::what(name) else { return false };
        self.set[what] = Some(value);
        true
    }

    fn get(&self, name: &str) -> Option<f64> {
        Self::what(name).map(|what| self.now(what))
    }
}

/// The calibration of the worked example in the BMP280's datasheet, with a plausible humidity.
const CALIBRATION: Whole = Whole {
    t: [27_504, 26_435, -1_000],
    p: [36_477, -10_685, 3_024, 2_855, 140, -7, 15_500, -14_600, 6_000],
    h: [75, 362, 0, 318, 50, 30],
};

#[derive(Debug)]
pub(super) struct Bme280 {
    room: Room,
    wet: bool,
    registers: [u8; 256],
    pointer: u8,
    ready_at: Option<Instant>,
}

impl Bme280 {
    pub(super) fn new(scale: f64, wet: bool) -> Self {
        let mut it =
            Self { room: Room::new(scale), wet, registers: [0; 256], pointer: 0, ready_at: None };
        it.reset();
        it
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.registers[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// What was measured, as the registers hold it.
    fn measure(&mut self) {
        let whole = |value: f64| value.round() as i64;
        let c = CALIBRATION;
        let (warm, wet, press) = (self.room.now(0), self.room.now(1), self.room.now(2));
        let t = raw_for(whole(warm * 100.0), 0xfffff, true, |it| c.temperature(it));
        let fine = c.fine(t);
        let p = raw_for(whole(press * 25_600.0), 0xfffff, false, |it| c.pressure(it, fine));
        let h = raw_for(whole(wet * 1_024.0), 0xffff, true, |it| c.humidity(it, fine));
        let twenty = |it: i64| [(it >> 12) as u8, (it >> 4) as u8, (it << 4) as u8];
        self.put(0xf7, &twenty(p));
        self.put(0xfa, &twenty(t));
        if self.wet && self.registers[0xf2] & 7 != 0 {
            self.put(0xfd, &[(h >> 8) as u8, h as u8]);
        }
    }

    fn set_register(&mut self, now: Instant, register: u8, byte: u8) {
        match register {
            0xe0 if byte == 0xb6 => self.reset(),
            0xf2 | 0xf5 => self.registers[usize::from(register)] = byte,
            0xf4 => {
                self.registers[0xf4] = byte;
                if byte & 3 != 0 {
                    self.ready_at = Some(now + Duration::from_millis(8));
                }
            }
            _ => (),
        }
    }
}

impl Pretend for Bme280 {
    fn write(&mut self, now: Instant, _: &Faults, bytes: &[u8]) -> Option<()> {
        let (first, rest) = bytes.split_first()?;
        self.pointer = *first;
        if let Some((byte, pairs)) = rest.split_first() {
            self.set_register(now, *first, *byte);
            // Further registers come with their numbers.
            for pair in pairs.chunks_exact(2) {
                self.set_register(now, pair[0], pair[1]);
            }
        }
        Some(())
    }

    fn read(&mut self, now: Instant, faults: &Faults, into: &mut [u8]) -> Option<()> {
        if self.ready_at.is_some_and(|at| at <= now) && !faults.has(Fault::Slow) {
            self.measure();
            self.ready_at = None;
            // Asleep again.
            self.registers[0xf4] &= !3;
        }
        self.registers[0xf3] = if self.ready_at.is_some() { 8 } else { 0 };
        for byte in into {
            *byte = match self.pointer {
                0xd0 if faults.has(Fault::WrongId) => 0x61,
                pointer => self.registers[usize::from(pointer)],
            };
            self.pointer = self.pointer.wrapping_add(1);
        }
        Some(())
    }

    fn set(&mut self, what: &str, value: f64) -> bool {
        self.room.set(what, value)
    }

    fn get(&self, what: &str) -> Option<f64> {
        self.room.get(what)
    }

    fn reset(&mut self) {
        self.registers = [0; 256];
        self.ready_at = None;
        let c = CALIBRATION;
        for (at, value) in c.t.iter().chain(&c.p).enumerate() {
            self.put(0x88 + 2 * at, &(*value as u16).to_le_bytes());
        }
        self.put(0xd0, &[if self.wet { 0x60 } else { 0x58 }]);
        self.put(0xf7, &[0x80, 0, 0, 0x80, 0, 0, 0x80, 0]);
        if self.wet {
            let h = c.h;
            self.put(0xa1, &[h[0] as u8]);
            self.put(0xe1, &(h[1] as u16).to_le_bytes());
            let shared = (h[3] & 15) as u8 | ((h[4] & 15) << 4) as u8;
            self.put(0xe3, &[h[2] as u8, (h[3] >> 4) as u8, shared, (h[4] >> 4) as u8, h[5] as u8]);
        }
    }
}

#[derive(Debug)]
pub(super) struct Sht31 {
    room: Room,
    answer: Vec<u8>,
    ready_at: Option<Instant>,
    measures: bool,
}

impl Sht31 {
    pub(super) fn new(scale: f64) -> Self {
        Self { room: Room::new(scale), answer: Vec::new(), ready_at: None, measures: false }
    }
}

/// A word and its checksum.
fn sealed(word: u16, faults: &Faults) -> [u8; 3] {
    let [high, low] = word.to_be_bytes();
    let wrong = u8::from(faults.has(Fault::BadCrc));
    [high, low, checksum(&[high, low]) ^ wrong]
}

impl Pretend for Sht31 {
    fn write(&mut self, now: Instant, faults: &Faults, bytes: &[u8]) -> Option<()> {
        self.measures = bytes.first() == Some(&0x24);
        let part = |share: f64| (share * 65_535.0).round().clamp(0.0, 65_535.0) as u16;
        match bytes {
            [0x24, 0x00] => {
                let warm = sealed(part((self.room.now(0) + 45.0) / 175.0), faults);
                let wet = sealed(part(self.room.now(1) / 100.0), faults);
                self.answer = [warm, wet].concat();
                self.ready_at = Some(now + Duration::from_millis(13));
            }
            // Alert pending, and reset detected: after power-on.
            [0xf3, 0x2d] => {
                self.answer = sealed(0x8010, faults).to_vec();
                self.ready_at = Some(now);
            }
            _ => return None,
        }
        Some(())
    }

    fn read(&mut self, now: Instant, faults: &Faults, into: &mut [u8]) -> Option<()> {
        let slow = self.measures && faults.has(Fault::Slow);
        self.ready_at.filter(|at| *at <= now && !slow)?;
        for (byte, said) in into.iter_mut().zip(&self.answer) {
            *byte = *said;
        }
        Some(())
    }

    fn set(&mut self, what: &str, value: f64) -> bool {
        self.room.set(what, value)
    }

    fn get(&self, what: &str) -> Option<f64> {
        self.room.get(what)
    }

    fn reset(&mut self) {
        self.ready_at = None;
    }
}
