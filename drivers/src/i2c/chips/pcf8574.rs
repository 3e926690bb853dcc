//! PCF8574 and PCF8574A: eight pins that pull down, and are let go.
//!
//! Source: NXP PCF8574/PCF8574A, Rev. 5. One byte, no registers and no identity: every pin that is
//! written 1 is let go and can be read. After power-on all are 1, so that boards whose relays are
//! on while the pin is low are off. A latch that has lost its power is not told from one that has
//! not, but by what its outputs read: that is looked at with every reading.

use std::time::Duration;

use super::super::{Chip, Setup, Step, Trouble, Wire};

/// See the head of this file.
#[derive(Debug)]
pub struct Pcf8574 {
    address: u8,
    outputs: u8,
    safe: u8,
    latch: u8,
}

impl Pcf8574 {
    /// One that is used like this.
    pub fn new(setup: Setup) -> Self {
        let (mut outputs, mut safe) = (0, 0xff);
        for (channel, raw) in setup.outputs {
            outputs |= 1 << (channel & 7);
            if raw == 0.0 {
                safe &= !(1 << (channel & 7));
            }
        }
        Self { address: setup.address, outputs, safe, latch: safe }
    }

    fn levels(&self, wire: &mut Wire<'_>) -> Result<u8, Trouble> {
        let mut levels = [0];
        wire.read(self.address, &mut levels)?;
        Ok(levels[0])
    }
}

impl Chip for Pcf8574 {
    fn set_up(&mut self, wire: &mut Wire<'_>) -> Result<(), Trouble> {
        self.latch = self.safe;
        wire.write(self.address, &[self.latch])?;
        // A pin that is written 0 reads 0: what does not do that is no PCF8574.
        if self.levels(wire)? & self.outputs & !self.latch != 0 {
            return Err(Trouble::Stranger(
                "what answers does not pull down as a PCF8574 does".into(),
            ));
        }
        Ok(())
    }

    fn begin(&mut self, _: &mut Wire<'_>, _: &[u8]) -> Result<Duration, Trouble> {
        Ok(Duration::ZERO)
    }

    fn finish(&mut self, wire: &mut Wire<'_>, channels: &[u8]) -> Result<Step, Trouble> {
        let levels = self.levels(wire)?;
        // It drives down hard: a pin that should be low and is high has been let go.
        if levels & self.outputs & !self.latch != 0 {
            return Err(Trouble::Reset);
        }
        let level = |channel: u8| f64::from(levels >> (channel & 7) & 1);
        Ok(Step::Done(channels.iter().map(|it| (*it, Ok(level(*it)))).collect()))
    }

    fn set(&mut self, wire: &mut Wire<'_>, channel: u8, raw: f64) -> Result<(), Trouble> {
        let bit = 1 << (channel & 7);
        let latch = if raw != 0.0 { self.latch | bit } else { self.latch & !bit };
        wire.write(self.address, &[latch])?;
        self.latch = latch;
        Ok(())
    }
}
