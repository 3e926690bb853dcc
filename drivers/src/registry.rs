//! The one visible list of drivers.

use std::any::Any;
use std::io;
use std::path::Path;

use headstock_config::machine::Machine;

use crate::Driver;
use crate::grbl::Grbl;
use crate::grbl::sim;
use crate::marlin::Marlin;
use crate::marlin::sim as printer;

/// A device that pretends, at the far end of a real link, until it is dropped.
pub type Pretender = Box<dyn Any + Send>;

/// One kind of device.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// Its name in the configuration.
    pub name: &'static str,
    /// Makes a driver for a machine of this kind.
    pub build: fn(&Machine) -> Box<dyn Driver>,
    /// Switches on a device that pretends to be one of this kind (`port = "sim:grbl"`), behind
    /// this name. Its motion is this many times faster than real; 0: it takes no time.
    pub pretend: fn(&Path, f64) -> io::Result<Pretender>,
}

/// Every kind of device there is a driver for.
pub const DRIVERS: &[Kind] = &[
    Kind {
        name: "grbl",
        build: |machine| Box::new(Grbl::new(machine)),
        pretend: |link, time_scale| {
            let link = Some(link.to_owned());
            Ok(Box::new(sim::start(sim::Options { link, time_scale, ..sim::Options::default() })?))
        },
    },
    Kind {
        name: "marlin",
        build: |machine| Box::new(Marlin::new(machine)),
        pretend: |link, time_scale| {
            let link = Some(link.to_owned());
            let options = printer::Options { link, time_scale, ..printer::Options::default() };
            Ok(Box::new(printer::start(options)?))
        },
    },
];

/// The driver of this name.
pub fn find(name: &str) -> Option<&'static Kind> {
    DRIVERS.iter().find(|kind| kind.name == name)
}

/// The names, for people who mistyped one.
pub fn names() -> Vec<&'static str> {
    DRIVERS.iter().map(|kind| kind.name).collect()
}
