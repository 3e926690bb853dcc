//! The kinds of buses: each with its language and its carrier. The one place where they meet.

use std::io;
use std::thread::JoinHandle;

use headstock_config::machine::{Machine, Port};
use headstock_drivers::bus::admission::{self, Demand, Unfit};
use headstock_drivers::gpio::Gpio;
use headstock_drivers::i2c::Chips;
use headstock_drivers::link::i2c::I2cCarrier;
use headstock_drivers::link::modbus::Wire;
use headstock_drivers::link::pins::PinCarrier;
use headstock_drivers::modbus::huanyang::Mixed;
use headstock_drivers::registry::BusKind;

use super::{PRIORITY_NETWORK, Surroundings, spawn};
use crate::machine::{Handle, PRIORITY};

pub(super) fn start(
    kind: BusKind,
    declared: &[Machine],
    plugged: Vec<Machine>,
    around: Surroundings,
) -> io::Result<(Vec<Handle>, JoinHandle<()>)> {
    match kind {
        BusKind::Modbus => {
            let network = matches!(plugged.first().map(|it| &it.port), Some(Port::Tcp(..)));
            let priority = if network { PRIORITY_NETWORK } else { PRIORITY };
            let wire = Wire::new(&plugged);
            let evidence = wire.evidence();
            let frames = Box::new(move || evidence.text());
            spawn(declared, Mixed::new(&plugged), priority, || wire, Some(frames), around)
        }
        BusKind::Pins => {
            let (dialect, heart) = (Gpio::new(&plugged), around.heart.clone());
            let carrier = move || PinCarrier::new(&plugged, heart);
            spawn(declared, dialect, PRIORITY, carrier, None, around)
        }
        BusKind::I2c => {
            let (dialect, heart) = (Chips::new(&plugged), around.heart.clone());
            let carrier = move || I2cCarrier::new(&plugged, heart);
            spawn(declared, dialect, PRIORITY, carrier, None, around)
        }
    }
}

/// Whether a bus can do what is declared.
pub(super) fn judge(kind: BusKind, machines: &[Machine]) -> Result<Demand, Vec<Unfit>> {
    match kind {
        BusKind::Modbus => admission::judge(&Mixed::new(machines), machines),
        // What happens inside this box takes no time that matters.
        BusKind::Pins => Ok(Demand { rows: Vec::new() }),
        BusKind::I2c => admission::judge(&Chips::new(machines), machines),
    }
}
