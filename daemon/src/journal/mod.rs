//! The journal: an append-only log, and the only truth about what happened.
//!
//! ```text
//!  ledger thread -> writer -> segment -> disk          web, sync, CLI -> reader -> segment
//!                     |                                verify, export -----^
//!                  recover (once, at the start), space (when the disk is full)
//! ```
//!
//! Entries are bytes with a number; what they mean is the ledger's business.
//!
//! Invariants: numbers are dense and begin with 1. What `commit` has returned survives a power
//! cut. A failed sync is never tried again, because the system may have thrown the data away.
//! Readers see durable entries only. Damage is reported and never skipped or repaired.

#[cfg(test)]
mod crash;
pub mod disk;
mod error;
mod export;
mod fuzz;
pub mod lock;
mod reader;
mod record;
mod recover;
mod segment;
#[cfg(test)]
pub(crate) mod simulated;
mod space;
#[cfg(test)]
mod tests;
mod verify;
mod writer;

pub use crate::journal::error::{Damage, DiskError, OpenError, ReadError, WriteError};
pub use crate::journal::export::{ExportError, export};
pub use crate::journal::fuzz::{read_anything, repaired};
pub use crate::journal::reader::{Reader, Stored};
pub use crate::journal::record::{Chain, MAX_BODY, Record};
pub use crate::journal::space::Space;
pub use crate::journal::verify::{Report, verify, verify_on};
pub use crate::journal::writer::{Journal, Opened, Options};
