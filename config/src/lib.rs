//! The words of the workshop: what exists here, and what may be said about it.
//!
//! Every other package imports this one; this one imports none of them and does no input or
//! output beyond reading the configuration files.
//!
//! Lengths are millimetres, feeds mm/min, spindle speeds rev/min, durations milliseconds and
//! wall-clock times milliseconds since 1970 (UTC), unless a name says otherwise.

pub mod alarm;
pub mod api;
pub mod chip;
pub mod command;
pub mod discover;
pub mod event;
pub mod explain;
pub mod file;
pub mod job;
pub mod ledger;
pub mod load;
pub mod machine;
pub mod modbus_server;
pub mod moment;
pub mod people;
pub mod places;
pub mod point;
pub mod preflight;
pub mod profile;
pub mod rule;
pub mod settings;
pub mod tag;
