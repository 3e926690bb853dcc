//! The coils and registers of one pretend device.
//!
//! There are those of the declared tags, and between two of them those that a real device would
//! have as well; elsewhere is nothing, and who asks there is told so.

use std::collections::BTreeMap;

use headstock_config::tag::{Area, Kind, Register};

use crate::modbus::Answer;
use crate::modbus::pdu::Ask;
use crate::modbus::serve::Exception;

/// Registers between two tags exist if there are no more of them than this.
const HOLE_MAX: u16 = 32;

/// Coils and registers by table and address; a coil is 0 or 1.
#[derive(Clone, Debug, Default)]
pub(super) struct Bank {
    cells: BTreeMap<(Area, u16), u16>,
}

impl Bank {
    /// Makes room for a value, if there is none yet.
    pub(super) fn declare(&mut self, register: &Register) {
        for address in register.address..=register.address.saturating_add(register.width() - 1) {
            self.cells.entry((register.area, address)).or_insert(0);
        }
    }

    /// Makes room for one register.
    pub(super) fn declare_word(&mut self, area: Area, address: u16) {
        self.cells.entry((area, address)).or_insert(0);
    }

    /// Fills the smaller holes, as devices do.
    pub(super) fn fill_holes(&mut self) {
        let all: Vec<(Area, u16)> = self.cells.keys().copied().collect();
        for pair in all.windows(2) {
            let [(area, from), (other, to)] = *pair else { continue };
            if area == other && to - from <= HOLE_MAX {
                for address in from..to {
                    self.cells.entry((area, address)).or_insert(0);
                }
            }
        }
    }

    /// What is there.
    pub(super) fn get(&self, area: Area, address: u16, count: u16) -> Result<Vec<u16>, Exception> {
        (0..count)
            .map(|more| self.cells.get(&(area, address.wrapping_add(more))).copied())
            .collect::<Option<_>>()
            .ok_or(Exception::Address)
    }

    /// Puts something there; nothing is changed if not all of it exists.
    pub(super) fn put(
        &mut self,
        area: Area,
        address: u16,
        values: &[u16],
    ) -> Result<(), Exception> {
        self.get(area, address, u16::try_from(values.len()).unwrap_or(u16::MAX))?;
        for (place, value) in (address..).zip(values) {
            self.cells.insert((area, place), *value);
        }
        Ok(())
    }

    /// Carries out a request.
    pub(super) fn carry_out(&mut self, ask: &Ask) -> Result<Answer, Exception> {
        let words = |bits: &[bool]| bits.iter().map(|it| u16::from(*it)).collect::<Vec<_>>();
        let bits = |words: Vec<u16>| Answer::Bits(words.iter().map(|it| *it != 0).collect());
        match ask {
            Ask::ReadCoils { address, count } => self.get(Area::Coil, *address, *count).map(bits),
            Ask::ReadDiscrete { address, count } => {
                self.get(Area::Discrete, *address, *count).map(bits)
            }
            Ask::ReadHolding { address, count } => {
                self.get(Area::Holding, *address, *count).map(Answer::Words)
            }
            Ask::ReadInput { address, count } => {
                self.get(Area::Input, *address, *count).map(Answer::Words)
            }
            Ask::WriteCoil { address, on } => self.write(Area::Coil, *address, &words(&[*on])),
            Ask::WriteCoils { address, values } => self.write(Area::Coil, *address, &words(values)),
            Ask::WriteRegister { address, value } => self.write(Area::Holding, *address, &[*value]),
            Ask::WriteRegisters { address, values } => self.write(Area::Holding, *address, values),
            Ask::MaskWrite { address, and, or } => {
                let old = self.get(Area::Holding, *address, 1)?;
                self.write(Area::Holding, *address, &[old[0] & and | or & !and])
            }
            Ask::ReadWrite { read, count, write, values } => {
                self.get(Area::Holding, *read, *count)?;
                self.put(Area::Holding, *write, values)?;
                self.get(Area::Holding, *read, *count).map(Answer::Words)
            }
            // The loop-back test.
            Ask::Raw { function: 8, data } if data.len() == 4 && data[..2] == [0, 0] => {
                Ok(Answer::Bytes(data.clone()))
            }
            Ask::Raw { .. } => Err(Exception::Function),
        }
    }

    fn write(&mut self, area: Area, address: u16, values: &[u16]) -> Result<Answer, Exception> {
        self.put(area, address, values).map(|()| Answer::Done)
    }

    /// Puts words where a tag is found; for one bit of a register the others stay.
    pub(super) fn set(&mut self, register: &Register, words: &[u16]) {
        if register.kind == Kind::Bit
            && let (Some(cell), Some(word)) =
                (self.cells.get_mut(&(register.area, register.address)), words.first())
        {
            let bit = match register.area {
                Area::Coil | Area::Discrete => 0,
                _ => register.bit,
            };
            *cell = *cell & !(1 << bit) | u16::from(*word != 0) << bit;
            return;
        }
        // What is set was declared; if not, nobody can ask for it either.
        self.put(register.area, register.address, words).ok();
    }
}
