//! Pretend pins: MCP23017 and PCF8574.

use std::time::Instant;

use super::Pretend;
use super::fault::{Fault, Faults};

/// `a0` to `a7` and `b0` to `b7`, or `p0` to `p7`.
fn pin(name: &str) -> Option<usize> {
    let (port, number) = name.split_at_checked(1)?;
    let number = number.parse::<usize>().ok().filter(|it| *it < 8)?;
    match port {
        "a" | "p" => Some(number),
        "b" => Some(8 + number),
        _ => None,
    }
}

/// Registers with IOCON.BANK = 0; the pointer moves on by itself and wraps at the end.
#[derive(Debug)]
pub(super) struct Mcp23017 {
    registers: [u8; 22],
    pointer: usize,
    /// What the world puts on each pin; `None`: nothing, and the resistor decides.
    outside: [Option<bool>; 16],
}

impl Default for Mcp23017 {
    fn default() -> Self {
        let mut it = Self { registers: [0; 22], pointer: 0, outside: [None; 16] };
        it.reset();
        it
    }
}

impl Mcp23017 {
    fn bit(&self, register: usize, pin: usize) -> bool {
        self.registers[register + pin / 8] >> (pin % 8) & 1 == 1
    }

    fn level(&self, pin: usize) -> bool {
        let input = self.bit(0x00, pin);
        if input { self.outside[pin].unwrap_or(self.bit(0x0c, pin)) } else { self.bit(0x14, pin) }
    }

    fn register(&self, at: usize) -> u8 {
        if !(0x12..=0x13).contains(&at) {
            return self.registers[at];
        }
        let first = (at - 0x12) * 8;
        (0..8).fold(0, |byte, pin| byte | u8::from(self.level(first + pin)) << pin)
    }
}

impl Pretend for Mcp23017 {
    fn write(&mut self, _: Instant, _: &Faults, bytes: &[u8]) -> Option<()> {
        let (first, rest) = bytes.split_first()?;
        self.pointer = usize::from(*first) % 22;
        for byte in rest {
            // A write to a port goes to its latch.
            let at = if self.pointer == 0x12 || self.pointer == 0x13 {
                self.pointer + 2
            } else {
                self.pointer
            };
            self.registers[at] = *byte;
            self.pointer = (self.pointer + 1) % 22;
        }
        Some(())
    }

    fn read(&mut self, _: Instant, faults: &Faults, into: &mut [u8]) -> Option<()> {
        for byte in into {
            *byte = self.register(self.pointer);
            if faults.has(Fault::WrongId) {
                *byte = 0;
            }
            self.pointer = (self.pointer + 1) % 22;
        }
        Some(())
    }

    fn set(&mut self, what: &str, value: f64) -> bool {
        let Some(pin) = pin(what) else { return false };
        self.outside[pin] = Some(value != 0.0);
        true
    }

    fn get(&self, what: &str) -> Option<f64> {
        Some(f64::from(u8::from(self.level(pin(what)?))))
    }

    fn reset(&mut self) {
        self.registers = [0; 22];
        self.registers[..2].fill(0xff);
        self.pointer = 0;
    }
}

/// One latch; what is written 1 is let go.
#[derive(Debug)]
pub(super) struct Pcf8574 {
    latch: u8,
    outside: u8,
}

impl Default for Pcf8574 {
    fn default() -> Self {
        Self { latch: 0xff, outside: 0xff }
    }
}

impl Pretend for Pcf8574 {
    fn write(&mut self, _: Instant, _: &Faults, bytes: &[u8]) -> Option<()> {
        self.latch = bytes.last().copied().unwrap_or(self.latch);
        Some(())
    }

    fn read(&mut self, _: Instant, faults: &Faults, into: &mut [u8]) -> Option<()> {
        into.fill(if faults.has(Fault::WrongId) { 0xff } else { self.latch & self.outside });
        Some(())
    }

    fn set(&mut self, what: &str, value: f64) -> bool {
        let Some(pin) = pin(what).filter(|it| *it < 8) else { return false };
        let bit = 1 << pin;
        self.outside = if value != 0.0 { self.outside | bit } else { self.outside & !bit };
        true
    }

    fn get(&self, what: &str) -> Option<f64> {
        let pin = pin(what).filter(|it| *it < 8)?;
        Some(f64::from((self.latch & self.outside) >> pin & 1))
    }

    fn reset(&mut self) {
        self.latch = 0xff;
    }
}
