//! The near end of a pretend bus: what the house talks over.

use std::io;
use std::path::Path;

use embedded_hal::i2c::{ErrorType, I2c, Operation};

use super::super::WireError;
use crate::link::i2c::Bus;
use crate::sim::Visit;

/// A bus behind a socket.
pub struct Far {
    visit: Visit,
}

impl Far {
    /// Knocks at the door of a pretend bus.
    pub fn visit(path: &Path) -> io::Result<Self> {
        Ok(Self { visit: Visit::begin(path)? })
    }
}

impl ErrorType for Far {
    type Error = WireError;
}

impl I2c for Far {
    fn transaction(
        &mut self,
        address: u8,
        operations: &mut [Operation<'_>],
    ) -> Result<(), WireError> {
        let mut words = format!("xfer {address:02x}");
        for operation in operations.iter() {
            match operation {
                Operation::Write(bytes) => {
                    words.push_str(" w");
                    words.extend(bytes.iter().map(|byte| format!(" {byte:02x}")));
                }
                Operation::Read(into) => words.push_str(&format!(" r {}", into.len())),
            }
        }
        let said = self.visit.say(&words).map_err(|error| meant(&error))?;
        let bytes = said.split_whitespace().map(|byte| u8::from_str_radix(byte, 16));
        let bytes: Vec<u8> = bytes.collect::<Result<_, _>>().map_err(|_| strange())?;
        let mut rest = bytes.as_slice();
        for operation in operations {
            let Operation::Read(into) = operation else { continue };
            let (here, after) = rest.split_at_checked(into.len()).ok_or_else(strange)?;
            into.copy_from_slice(here);
            rest = after;
        }
        Ok(())
    }
}

impl Bus for Far {
    fn is_claimed(&self, _: u8) -> bool {
        false
    }
}

fn strange() -> WireError {
    WireError::Other("the pretend bus says something else than bytes".into())
}

fn meant(error: &io::Error) -> WireError {
    match error.to_string().as_str() {
        "error nack" => WireError::Nack,
        "error stuck" => WireError::Stuck,
        other => WireError::Gone(other.to_owned()),
    }
}
