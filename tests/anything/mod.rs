//! Any bytes at all, given to the parts that read what others have written.
//!
//! Each function takes what a fuzzer made up, or a file of `tests/corpora`, does with it what the
//! house would do, and panics where the house would break a promise. How its bytes are understood
//! and which promises are looked after stands in the function's file. `tests/fuzz` searches for
//! new bytes; `tests/corpora.rs` keeps those that led somewhere.

mod chips;
mod config;
mod gcode;
mod grbl;
mod journal;
mod minutes;
mod modbus;

pub use chips::chips;
pub use config::config;
pub use gcode::gcode;
pub use grbl::{grbl, marlin};
pub use journal::journal;
pub use minutes::minutes;
pub use modbus::modbus;
