//! The house: machines, desk, ledger and doors. See `ARCHITECTURE.md` for the map.

pub mod alarms;
pub mod authz;
pub mod cli;
pub mod clock;
pub mod desk;
pub mod files;
pub mod histogram;
pub mod house;
pub mod journal;
pub mod ledger;
pub mod machine;
pub mod modbus_door;
pub mod points;
pub mod rules;
#[cfg(test)]
mod small_disk;
pub mod store;
pub mod web;
#[cfg(test)]
mod workbench;
