//! PCF8591: four voltages and one output, 8 bit.
//!
//! Source: NXP PCF8591, Rev. 7. No identity. A reading begins the conversion that the next one
//! fetches, so the first byte is old and thrown away. What its output drives cannot be read back.

use std::time::Duration;

use super::super::{Chip, Setup, Step, Trouble, Wire};

/// The output is on: it keeps its value while inputs are read.
const OUTPUT: u8 = 0x40;
/// The channel of the output, behind the four inputs.
const DAC: u8 = 4;

/// See the head of this file.
#[derive(Debug)]
pub struct Pcf8591 {
    address: u8,
    safe: Option<u8>,
    driven: u8,
}

impl Pcf8591 {
    /// One that is used like this.
    pub fn new(setup: Setup) -> Self {
        let safe = setup.outputs.iter().find(|(channel, _)| *channel == DAC);
        let safe = safe.map(|(_, raw)| raw.clamp(0.0, 255.0) as u8);
        Self { address: setup.address, safe, driven: safe.unwrap_or_default() }
    }

    fn control(&self, channel: u8) -> u8 {
        channel & 3 | if self.safe.is_some() { OUTPUT } else { 0 }
    }
}

impl Chip for Pcf8591 {
    fn set_up(&mut self, wire: &mut Wire<'_>) -> Result<(), Trouble> {
        match self.safe {
            Some(safe) => {
                wire.write(self.address, &[OUTPUT, safe])?;
                self.driven = safe;
            }
            None => wire.write(self.address, &[0])?,
        }
        Ok(())
    }

    fn begin(&mut self, _: &mut Wire<'_>, _: &[u8]) -> Result<Duration, Trouble> {
        Ok(Duration::ZERO)
    }

    fn finish(&mut self, wire: &mut Wire<'_>, channels: &[u8]) -> Result<Step, Trouble> {
        let mut told = Vec::with_capacity(1);
        for channel in channels {
            if *channel == DAC {
                told.push((*channel, Ok(f64::from(self.driven))));
                continue;
            }
            let mut bytes = [0; 2];
            wire.write_read(self.address, &[self.control(*channel)], &mut bytes)?;
            told.push((*channel, Ok(f64::from(bytes[1]))));
        }
        Ok(Step::Done(told))
    }

    fn set(&mut self, wire: &mut Wire<'_>, channel: u8, raw: f64) -> Result<(), Trouble> {
        if channel != DAC {
            return Err(Trouble::Nonsense("an input cannot be driven"));
        }
        let driven = raw.clamp(0.0, 255.0) as u8;
        wire.write(self.address, &[OUTPUT, driven])?;
        self.driven = driven;
        Ok(())
    }
}
