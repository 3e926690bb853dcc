//! The one visible list of drivers.

use std::any::Any;
use std::io;
use std::path::Path;

use headstock_config::machine::{Machine, Port};

use crate::Driver;
use crate::grbl::Grbl;
use crate::grbl::sim;
use crate::marlin::Marlin;
use crate::marlin::sim as printer;
use crate::modbus;

/// A device that pretends, at the far end of a real link, until it is dropped.
pub type Pretender = Box<dyn Any + Send>;

/// Switches on a pretend bus: where it may make a link, how fast time runs, and the machines that
/// it is for.
pub type PretendBus = fn(&Path, f64, &[Machine]) -> io::Result<(Port, Pretender)>;

/// One kind of device.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// Its name in the configuration.
    pub name: &'static str,
    /// How the house speaks to it.
    pub how: How,
}

/// How the house speaks to a kind of device.
#[derive(Clone, Copy, Debug)]
pub enum How {
    /// By bytes on a link that it has for itself.
    Bytes {
        /// Makes a driver for a machine of this kind.
        build: fn(&Machine) -> Box<dyn Driver>,
        /// Switches on a device that pretends to be one of this kind (`port = "sim:grbl"`), behind
        /// this name. Its motion is this many times faster than real; 0: it takes no time.
        pretend: fn(&Path, f64) -> io::Result<Pretender>,
    },
    /// On a bus, which it may share with others of its kind.
    Bus {
        /// Which kind of bus.
        bus: BusKind,
        /// Switches on the far end of a bus with all devices that these machines speak to
        /// (`port = "sim:modbus-rtu#shop"`), behind this name if that is a path on the disk, and
        /// says where it is plugged in. Time as for bytes.
        pretend: PretendBus,
    },
}

/// The kinds of buses: what a request is, and who carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BusKind {
    /// Registers and coils, on a serial line or over TCP.
    Modbus,
    /// The pins of this board.
    Pins,
    /// Chips on an I2C bus.
    I2c,
}

impl Kind {
    /// A driver for a machine of this kind, if it is one that speaks bytes.
    pub fn driver(&self, machine: &Machine) -> Option<Box<dyn Driver>> {
        match self.how {
            How::Bytes { build, .. } => Some(build(machine)),
            How::Bus { .. } => None,
        }
    }

    /// The kind of bus that it is on, if it is on one.
    pub fn bus(&self) -> Option<BusKind> {
        match self.how {
            How::Bytes { .. } => None,
            How::Bus { bus, .. } => Some(bus),
        }
    }
}

/// Every kind of device there is a driver for.
pub const DRIVERS: &[Kind] = &[
    Kind {
        name: "grbl",
        how: How::Bytes {
            build: |machine| Box::new(Grbl::new(machine)),
            pretend: |link, time_scale| {
                let link = Some(link.to_owned());
                let options = sim::Options { link, time_scale, ..sim::Options::default() };
                Ok(Box::new(sim::start(options)?))
            },
        },
    },
    Kind {
        name: "marlin",
        how: How::Bytes {
            build: |machine| Box::new(Marlin::new(machine)),
            pretend: |link, time_scale| {
                let link = Some(link.to_owned());
                let options = printer::Options { link, time_scale, ..printer::Options::default() };
                Ok(Box::new(printer::start(options)?))
            },
        },
    },
    Kind {
        name: "modbus-rtu",
        how: How::Bus { bus: BusKind::Modbus, pretend: modbus::sim::pretend_serial },
    },
    Kind {
        name: "modbus-tcp",
        how: How::Bus { bus: BusKind::Modbus, pretend: modbus::sim::pretend_network },
    },
    Kind {
        name: "gpio",
        how: How::Bus {
            bus: BusKind::Pins,
            pretend: |link, _, _| {
                let path = link.with_extension("pins");
                let board = crate::gpio::sim::Board::open(&path)?;
                Ok((Port::Path(path), Box::new(board)))
            },
        },
    },
    Kind {
        name: "i2c",
        how: How::Bus {
            bus: BusKind::I2c,
            pretend: |link, time_scale, machines| {
                let path = link.with_extension("i2c");
                let bus = crate::i2c::sim::pretend(&path, time_scale, machines)?;
                Ok((Port::Path(path), Box::new(bus)))
            },
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

/// The names of those that speak bytes, of which there are traces.
pub fn names_of_links() -> Vec<&'static str> {
    DRIVERS.iter().filter(|kind| kind.bus().is_none()).map(|kind| kind.name).collect()
}
