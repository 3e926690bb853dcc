//! Plugging in: which machines share a bus, and pretend devices in the places of real ones.
//!
//! A pretend device is started for a `sim:` port, and its address put in its place. The address
//! is a link of ours, which stays the same when the pretend cable comes out and goes in again.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use headstock_config::machine::{Machine, Port};
use headstock_config::settings::Settings;
use headstock_drivers::registry::{self, BusKind, How, Pretender};

/// Machines that share a wire; one of them may have it for itself.
#[derive(Debug, PartialEq)]
pub(super) struct Bus {
    /// What kind of wire.
    pub(super) kind: BusKind,
    /// As declared, in that order.
    pub(super) machines: Vec<Machine>,
}

impl Bus {
    /// Its machines, for people.
    pub(super) fn name(&self) -> String {
        let names: Vec<&str> = self.machines.iter().map(|it| it.id.as_str()).collect();
        names.join(", ")
    }
}

/// The buses of a house, in the order in which their first machines are declared.
pub(super) fn buses(machines: &[Machine]) -> Vec<Bus> {
    let mut buses: Vec<(Port, Bus)> = Vec::new();
    for machine in machines {
        let Some(kind) = registry::find(&machine.driver).and_then(registry::Kind::bus) else {
            continue;
        };
        let port = one_name(&machine.port);
        let shared = port.pretends().is_none_or(|(_, label)| label.is_some());
        let same = |(other, bus): &&mut (Port, Bus)| {
            shared && *other == port && bus.machines[0].driver == machine.driver
        };
        match buses.iter_mut().find(same) {
            Some((_, bus)) => bus.machines.push(machine.clone()),
            None => buses.push((port, Bus { kind, machines: vec![machine.clone()] })),
        }
    }
    buses.into_iter().map(|(_, bus)| bus).collect()
}

/// Two spellings of one place become one.
fn one_name(port: &Port) -> Port {
    match port {
        Port::Path(path) => Port::Path(std::fs::canonicalize(path).unwrap_or(path.clone())),
        Port::Tcp(host, port) => Port::Tcp(host.to_ascii_lowercase(), *port),
        port => port.clone(),
    }
}

/// Where pretend devices are, and those that have been switched on.
pub(super) struct Plugs<'a> {
    pub(super) settings: &'a Settings,
    pub(super) folder: PathBuf,
    pub(super) pretenders: Vec<Pretender>,
}

impl Plugs<'_> {
    /// A machine with a link of its own, plugged in.
    pub(super) fn machine(&mut self, declared: &Machine) -> Result<Machine> {
        let mut plugged = declared.clone();
        let kind = registry::find(&declared.driver);
        if let (Port::Sim(_), Some(How::Bytes { pretend, .. })) =
            (&declared.port, kind.map(|kind| kind.how))
        {
            let link = self.link(&declared.id)?;
            let pretender = pretend(&link, self.settings.sim.time_scale)
                .with_context(|| format!("cannot start the pretend device of `{}`", declared.id))?;
            plugged.port = Port::Path(link);
            self.pretenders.push(pretender);
        }
        Ok(plugged)
    }

    /// The machines of a bus, plugged in.
    pub(super) fn bus(&mut self, bus: &Bus) -> Result<Vec<Machine>> {
        let mut machines = bus.machines.clone();
        let Some(first) = machines.first() else { return Ok(machines) };
        let kind = registry::find(&first.driver);
        if let (Port::Sim(_), Some(How::Bus { pretend, .. })) =
            (&first.port, kind.map(|kind| kind.how))
        {
            let link = self.link(&first.id)?;
            let (port, pretender) = pretend(&link, self.settings.sim.time_scale, &machines)
                .with_context(|| format!("cannot start the pretend bus of `{}`", first.id))?;
            machines.iter_mut().for_each(|machine| machine.port = port.clone());
            self.pretenders.push(pretender);
        }
        Ok(machines)
    }

    fn link(&self, id: &str) -> Result<PathBuf> {
        std::fs::create_dir_all(&self.folder)?;
        Ok(Path::new(&self.folder).join(format!("{id}.tty")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(id: &str, driver: &str, port: Port) -> Machine {
        Machine { id: id.into(), driver: driver.into(), port, ..Machine::default() }
    }

    #[test]
    fn machines_of_one_driver_on_one_port_share_a_bus() {
        let tcp = |host: &str| Port::Tcp(host.into(), 502);
        let sim = |what: &str| Port::Sim(what.into());
        let machines = [
            machine("mill", "grbl", sim("grbl")),
            machine("a", "modbus-tcp", tcp("plc.lan")),
            machine("b", "modbus-tcp", tcp("PLC.lan")),
            machine("c", "modbus-tcp", tcp("other.lan")),
            machine("d", "modbus-rtu", sim("modbus-rtu")),
            machine("e", "modbus-rtu", sim("modbus-rtu")),
            machine("f", "modbus-rtu", sim("modbus-rtu#shop")),
            machine("g", "modbus-rtu", sim("modbus-rtu#shop")),
        ];
        let found: Vec<Vec<String>> = buses(&machines)
            .into_iter()
            .map(|bus| bus.machines.into_iter().map(|it| it.id).collect())
            .collect();
        let ids = |ids: &[&str]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(
            found,
            [ids(&["a", "b"]), ids(&["c"]), ids(&["d"]), ids(&["e"]), ids(&["f", "g"])]
        );
    }
}
