//! MCP23017: sixteen pins.
//!
//! Source: Microchip DS20001952C. Registers with IOCON.BANK = 0. After power-on all pins are
//! inputs, so an expander that has lost its power has let everything go: its directions are looked
//! at with every reading. Inputs are pulled up by the chip (about 100 kΩ): a switch to ground needs
//! nothing more.

use std::time::Duration;

use super::super::{Chip, Setup, Step, Trouble, Wire};
use super::read;

/// Directions of A and B; 1 is an input.
const IODIR: u8 = 0x00;
/// Whether inputs are told the other way round.
const IPOL: u8 = 0x02;
/// The register of settings; with IOCON.BANK = 1 it stands at 0x05.
const IOCON: u8 = 0x0a;
const IOCON_BANK_1: u8 = 0x05;
const GPPU: u8 = 0x0c;
const GPIO: u8 = 0x12;
const OLAT: u8 = 0x14;

/// See the head of this file. Channels 0 to 7 are A, 8 to 15 are B.
#[derive(Debug)]
pub struct Mcp23017 {
    address: u8,
    inputs: u16,
    safe: u16,
    latch: u16,
}

impl Mcp23017 {
    /// One that is used like this.
    pub fn new(setup: Setup) -> Self {
        let bits = |mut it: u16, (channel, raw): &(u8, f64)| {
            it |= u16::from(*raw != 0.0) << (channel & 15);
            it
        };
        let safe = setup.outputs.iter().fold(0, bits);
        let driven = setup.outputs.iter().map(|(channel, _)| (*channel, 1.0)).collect::<Vec<_>>();
        let inputs = !driven.iter().fold(0, bits);
        Self { address: setup.address, inputs, safe, latch: safe }
    }

    fn write(&self, wire: &mut Wire<'_>, register: u8, both: u16) -> Result<(), Trouble> {
        let [a, b] = both.to_le_bytes();
        Ok(wire.write(self.address, &[register, a, b])?)
    }

    fn read(&self, wire: &mut Wire<'_>, register: u8) -> Result<u16, Trouble> {
        Ok(u16::from_le_bytes(read(wire, self.address, register)?))
    }
}

impl Chip for Mcp23017 {
    fn set_up(&mut self, wire: &mut Wire<'_>) -> Result<(), Trouble> {
        // Whatever bank another program has left it in; in bank 0 this switches off interrupts.
        wire.write(self.address, &[IOCON_BANK_1, 0])?;
        wire.write(self.address, &[IOCON, 0])?;
        self.latch = self.safe;
        // What a pin will drive, before it drives.
        self.write(wire, OLAT, self.latch)?;
        self.write(wire, IPOL, 0)?;
        self.write(wire, GPPU, self.inputs)?;
        self.write(wire, IODIR, self.inputs)?;
        let kept = (self.read(wire, IODIR)?, self.read(wire, GPPU)?, self.read(wire, OLAT)?);
        if kept != (self.inputs, self.inputs, self.latch) {
            return Err(Trouble::Stranger(
                "what answers does not keep what an MCP23017 does".into(),
            ));
        }
        Ok(())
    }

    fn begin(&mut self, _: &mut Wire<'_>, _: &[u8]) -> Result<Duration, Trouble> {
        Ok(Duration::ZERO)
    }

    fn finish(&mut self, wire: &mut Wire<'_>, channels: &[u8]) -> Result<Step, Trouble> {
        if self.read(wire, IODIR)? != self.inputs {
            return Err(Trouble::Reset);
        }
        let levels = self.read(wire, GPIO)?;
        let level = |channel: u8| f64::from(levels >> (channel & 15) & 1);
        Ok(Step::Done(channels.iter().map(|it| (*it, Ok(level(*it)))).collect()))
    }

    fn set(&mut self, wire: &mut Wire<'_>, channel: u8, raw: f64) -> Result<(), Trouble> {
        let bit = 1 << (channel & 15);
        let latch = if raw != 0.0 { self.latch | bit } else { self.latch & !bit };
        self.write(wire, OLAT, latch)?;
        self.latch = latch;
        Ok(())
    }
}
