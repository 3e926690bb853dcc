//! Which units answer on a Modbus bus: one harmless reading each.
//!
//! Function 4, input register 0: a unit that has no such register refuses, which is an answer as
//! well. Not function 3: to drives of Huanyang's it is a command. Functions that write are not known
//! here.

use std::path::Path;
use std::time::{Duration, Instant};

use headstock_config::discover::{LookOnBus, Sure};
use headstock_config::machine::{Machine, Port};
use headstock_config::tag::Bus;
use tokio::sync::mpsc::Sender;

use super::super::identity::Sysfs;
use super::super::modbus::Wire;
use super::serial::{holder, is_console};
use super::{Found, News, Owned, Proposal, say};
use crate::bus::{Carrier, Errand, Fault};
use crate::modbus::pdu::Ask;
use crate::modbus::{Modbus, Request};

/// How long a unit may take. Devices answer within 100 ms; gateways add theirs.
const ANSWERS: Duration = Duration::from_millis(200);
/// The units that a device can be set to.
const UNITS: std::ops::RangeInclusive<u8> = 1..=247;

/// The same on this thread, which waits for it.
pub(super) fn look_alone(bus: &LookOnBus, owned: &Owned, news: &Sender<News>) {
    // Without a runtime the box has other troubles than what is on its bus.
    if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() {
        runtime.block_on(look(bus, owned, news));
    }
}

/// Reads once from each unit.
async fn look(bus: &LookOnBus, owned: &Owned, news: &Sender<News>) {
    let place = &bus.port;
    let Some(port) = port(place) else {
        let what = format!("`{place}` is no bus: a path such as /dev/ttyUSB0, or host:502");
        return say(news, News::Remark(what)).await;
    };
    if let Some(machine) = owned.owner_of(&port) {
        let what = format!("{place}: machine `{machine}` is on it; a bus has one voice");
        return say(news, News::Remark(what)).await;
    }
    if let Some(why) = taken(&port) {
        return say(news, News::Remark(format!("{place}: {why}; it was left alone"))).await;
    }
    let units: Vec<u8> = (bus.units[0]..=bus.units[1]).filter(|it| UNITS.contains(it)).collect();
    let machines: Vec<Machine> = units.iter().map(|unit| machine(&port, bus.baud, *unit)).collect();
    let mut wire = Wire::new(&machines);
    let until = Instant::now() + super::LONGEST;
    for (index, unit) in units.into_iter().enumerate() {
        let doing = format!("reading from unit {unit} on {place}");
        say(news, News::Doing(doing.clone())).await;
        let request = Request { unit, pdu: Ask::ReadInput { address: 0, count: 1 } };
        let answer =
            Carrier::<Modbus>::perform(&mut wire, index, &request, Errand::default()).await;
        let lost = matches!(answer, Err(Fault::Lost(_)));
        if let Some(what) = judged(bus, &port, unit, answer.map(|_| ())) {
            say(news, what).await;
        }
        say(news, News::Done(doing)).await;
        if lost || news.is_closed() || until < Instant::now() {
            break;
        }
    }
    Carrier::<Modbus>::close(&mut wire).await;
}

/// Whose a serial port is, if it is not there for a bus.
fn taken(port: &Port) -> Option<String> {
    let Port::Path(node) = port else { return None };
    if is_console(&Sysfs::default(), node) {
        return Some("it is a console of this box".into());
    }
    holder(Path::new("/proc"), node).map(|program| format!("`{program}` has it open"))
}

fn port(said: &str) -> Option<Port> {
    if said.starts_with('/') {
        return Some(Port::Path(said.into()));
    }
    let (host, port) = said.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port = port.parse().ok().filter(|port| *port != 0)?;
    (!host.is_empty()).then(|| Port::Tcp(host.to_owned(), port))
}

fn driver(port: &Port) -> &'static str {
    if matches!(port, Port::Tcp(..)) { "modbus-tcp" } else { "modbus-rtu" }
}

fn machine(port: &Port, baud: u32, unit: u8) -> Machine {
    let timeout_ms = ANSWERS.as_millis() as u64;
    Machine {
        id: format!("unit-{unit}"),
        driver: driver(port).into(),
        port: port.clone(),
        baud,
        bus: Bus { unit, timeout_ms, ..Bus::default() },
        ..Machine::default()
    }
}

/// What an answer says, or that there is none.
fn judged(bus: &LookOnBus, port: &Port, unit: u8, answer: Result<(), Fault>) -> Option<News> {
    let (sure, note) = match answer {
        Ok(()) => (Sure::Certain, None),
        Err(Fault::Refused { means, .. }) => {
            (Sure::Certain, Some(format!("it has no input register 0 ({means})")))
        }
        Err(Fault::Garbled(_)) => {
            let why = "something answers that cannot be read: two units of one number, or another \
                       speed or parity";
            (Sure::Guess, Some(why.to_owned()))
        }
        Err(Fault::Lost(why)) => return Some(News::Remark(format!("{}: {why}", bus.port))),
        Err(_) => return None,
    };
    let serial = matches!(port, Port::Path(_));
    let proposal = (sure == Sure::Certain).then(|| Proposal::Unit {
        driver: driver(port),
        port: bus.port.clone(),
        baud: serial.then_some(bus.baud),
        unit,
    });
    let what = format!("Modbus unit {unit}");
    Some(News::Found(Found { what, place: bus.port.clone(), sure, note, proposal }))
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::channel;

    use super::*;
    use crate::discover::proposal::Ids;
    use crate::modbus::sim::{self, Options};

    async fn found_on(port: &Port, owned: &Owned) -> (Vec<String>, Vec<String>) {
        let bus = LookOnBus { port: port.to_string(), baud: 115_200, units: [0, 4] };
        let (news, mut told) = channel(64);
        look(&bus, owned, &news).await;
        drop(news);
        let (mut found, mut remarks) = (Vec::new(), Vec::new());
        while let Some(it) = told.recv().await {
            match it {
                News::Found(it) => found.extend(it.named(&mut Ids::default()).config),
                News::Remark(it) => remarks.push(it),
                News::Doing(_) | News::Done(_) => (),
            }
        }
        (found, remarks)
    }

    #[tokio::test]
    async fn units_that_answer_or_refuse_are_found_and_silent_ones_are_not() {
        let there = |driver: &str| {
            let machine = |unit| Machine {
                driver: driver.into(),
                ..machine(&Port::Sim(String::new()), 115_200, unit)
            };
            [machine(2), machine(3)]
        };
        let line = sim::serial(&there("modbus-rtu"), Options::default()).unwrap();
        let net = sim::network(&there("modbus-tcp"), Options::default()).unwrap();
        for sim in [&line, &net] {
            let (found, remarks) = found_on(sim.port(), &Owned::default()).await;
            assert_eq!((found.len(), remarks.len()), (2, 0), "{found:?} {remarks:?}");
            assert!(found[0].contains("unit = 2") && found[1].contains("unit = 3"), "{found:?}");
            let text = found.join("\n").replacen("\"unit-3\"", "\"other\"", 1);
            let drivers = ["modbus-rtu", "modbus-tcp"];
            headstock_config::load::parse(&text, "pasted.toml", &drivers).expect(&text);
        }
        let owner = Machine { id: "meter".into(), ..machine(line.port(), 115_200, 2) };
        let owned = Owned::by(&[owner], &super::super::Sysfs::default());
        let (found, remarks) = found_on(line.port(), &owned).await;
        assert!(found.is_empty() && remarks[0].contains("`meter`"), "{remarks:?}");
    }

    #[tokio::test]
    async fn a_bus_that_is_not_there_is_told_once() {
        for port in ["/dev/ttyNone", "nobody", "127.0.0.1:1"] {
            let bus = LookOnBus { port: port.into(), baud: 9_600, units: [1, 9] };
            let (news, mut told) = channel(64);
            look(&bus, &Owned::default(), &news).await;
            drop(news);
            let mut remarks = 0;
            while let Some(it) = told.recv().await {
                remarks += usize::from(matches!(it, News::Remark(_)));
            }
            assert_eq!(remarks, 1, "{port}");
        }
    }
}
