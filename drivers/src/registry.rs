//! The one visible list of drivers.

use std::io;

use headstock_config::machine::Machine;

use crate::Driver;
use crate::grbl::Grbl;
use crate::grbl::sim::{self, Sim};

/// One kind of device.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// Its name in the configuration.
    pub name: &'static str,
    /// Makes a driver for a machine of this kind.
    pub build: fn(&Machine) -> Box<dyn Driver>,
    /// Switches on a device that pretends to be one of this kind (`port = "sim:grbl"`).
    pub pretend: fn(sim::Options) -> io::Result<Sim>,
}

/// Every kind of device there is a driver for.
pub const DRIVERS: &[Kind] =
    &[Kind { name: "grbl", build: |machine| Box::new(Grbl::new(machine)), pretend: sim::start }];

/// The driver of this name.
pub fn find(name: &str) -> Option<&'static Kind> {
    DRIVERS.iter().find(|kind| kind.name == name)
}

/// The names, for people who mistyped one.
pub fn names() -> Vec<&'static str> {
    DRIVERS.iter().map(|kind| kind.name).collect()
}
