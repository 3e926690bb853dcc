//! Records conversations with peers for `drivers/tests/modbus_traces.rs`, which leads them again
//! without a wire. Nothing is recorded, and nothing is talked to, unless somebody asks for it:
//!
//! ```sh
//! HEADSTOCK_RECORD=1 HEADSTOCK_PEERS=required cargo test -p headstock-tests --test interop record
//! ```
//!
//! A trace has a head (`#`), and for each request what was wanted (`@ poll 3`, `@ write kiln.fan on 0`,
//! `@ verify kiln.fan on`), what went over the wire as the bus's own evidence has it (`>`, `<`, `=`),
//! and what was read from the answer (`: kiln.fan on good`).

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use headstock_config::load;
use headstock_config::machine::{Machine, Port};
use headstock_config::point::Value;
use headstock_drivers::bus::{Carrier, Dialect, Errand, Place, Reading};
use headstock_drivers::link::modbus::Wire;
use headstock_drivers::modbus::Request;
use headstock_drivers::modbus::huanyang::Mixed;
use headstock_drivers::modbus::sim::{self, Options};
use headstock_drivers::registry;

use super::client::Cable;
use super::peers::{Script, python};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../drivers/tests/traces")
}

fn machines(name: &str, driver: &str, port: &Port) -> Vec<Machine> {
    let text = std::fs::read_to_string(folder().join(name)).unwrap();
    let text = text.replace("DRIVER", driver).replace("PORT", &port.to_string());
    load::parse(&text, name, &registry::names()).unwrap().machines
}

fn wanted() -> bool {
    std::env::var_os("HEADSTOCK_RECORD").is_some()
}

struct Recording {
    machines: Vec<Machine>,
    language: Mixed,
    wire: Wire,
    /// Lines of the evidence that have been taken.
    taken: usize,
    text: String,
}

impl Recording {
    fn new(machines: Vec<Machine>, head: &str) -> Self {
        let (language, wire) = (Mixed::new(&machines), Wire::new(&machines));
        let mut text = String::new();
        for line in head.lines() {
            writeln!(text, "# {line}").unwrap();
        }
        Self { machines, language, wire, taken: 0, text }
    }

    fn name(&self, place: Place) -> String {
        let machine = &self.machines[place.machine];
        format!("{}.{}", machine.id, machine.tags[place.tag].name)
    }

    async fn ask(&mut self, what: &str, machine: usize, request: &Request) {
        writeln!(self.text, "@ {what}").unwrap();
        let answer =
            Carrier::<Mixed>::perform(&mut self.wire, machine, request, Errand::default()).await;
        let evidence = self.wire.evidence().text();
        for line in evidence.lines().skip(self.taken) {
            writeln!(self.text, "{}", line[14..].trim_end()).unwrap();
        }
        self.taken = evidence.lines().count();
        let mut readings = Vec::new();
        if let Ok(answer) = &answer {
            self.language.read(Instant::now(), request, answer, &mut readings);
        }
        for Reading { place, value, quality, .. } in readings {
            let value = value.map_or("nothing".into(), |it| it.to_string());
            writeln!(self.text, ": {} {value} {}", self.name(place), quality.word()).unwrap();
        }
    }

    async fn polls(&mut self) {
        for (index, poll) in self.language.polls().into_iter().enumerate() {
            self.ask(&format!("poll {index}"), poll.machine, &poll.request).await;
        }
    }

    async fn write(&mut self, name: &str, value: Value) {
        let mut places = (0..self.machines.len()).flat_map(|machine| {
            (0..self.machines[machine].tags.len()).map(move |tag| Place { machine, tag })
        });
        let place = places.find(|place| self.name(*place) == name).unwrap();
        let write = self.language.write(place, &value).unwrap();
        for (index, request) in write.requests.iter().enumerate() {
            self.ask(&format!("write {name} {value} {index}"), place.machine, request).await;
        }
        if let Some(verify) = &write.verify {
            self.ask(&format!("verify {name} {value}"), place.machine, verify).await;
        }
    }

    fn keep(self, name: &str) {
        std::fs::write(folder().join(name), self.text).unwrap();
    }
}

async fn talk(recording: &mut Recording) {
    recording.polls().await;
    recording.write("kiln.setpoint", Value::Number(327.5)).await;
    recording.write("kiln.program", Value::Number(7.0)).await;
    recording.write("kiln.ramp", Value::Flag(true)).await;
    recording.write("kiln.fan", Value::Flag(true)).await;
    recording.write("press.force", Value::Number(-12.34)).await;
    recording.polls().await;
    // By the rule that the server's registers are filled by, in numbers of its own.
    for value in ["kiln.temperature 26.3", "kiln.energy 17367306", "kiln.setpoint 327.5 good"] {
        assert!(recording.text.contains(value), "{value}: {}", recording.text);
    }
}

const HOW: &str = "Recorded again by
HEADSTOCK_RECORD=1 HEADSTOCK_PEERS=required cargo test -p headstock-tests --test interop record";

#[tokio::test]
async fn record_a_conversation_with_pymodbus_over_tcp() {
    if !wanted() {
        return;
    }
    let Some(python) = python() else { return };
    let mut server = Script::start(&python, "server.py", &["tcp", "mute"]);
    let port = Port::Tcp("127.0.0.1".into(), server.line().parse().unwrap());
    let head = format!(
        "Our client with tests/peers/server.py, a server made of pymodbus 3.16.1, over Modbus TCP. \
         2026-11-29.\n{HOW}"
    );
    let mut recording = Recording::new(machines("modbus_peers.toml", "modbus-tcp", &port), &head);
    talk(&mut recording).await;
    recording.keep("modbus_tcp.trace");
}

#[tokio::test]
async fn record_a_conversation_with_pymodbus_on_a_line() {
    if !wanted() {
        return;
    }
    let Some(python) = python() else { return };
    let cable = Cable::new();
    let there = cable.ends[1].display().to_string();
    let mut server = Script::start(&python, "server.py", &["rtu", &there, "9600", "mute"]);
    assert_eq!(server.line(), "ready");
    let port = Port::Path(cable.ends[0].clone());
    let head = format!(
        "Our client with tests/peers/server.py, a server made of pymodbus 3.16.1, over two terminals \
         that are joined. 2026-11-29.\n{HOW}"
    );
    let mut recording = Recording::new(machines("modbus_peers.toml", "modbus-rtu", &port), &head);
    talk(&mut recording).await;
    recording.keep("modbus_rtu.trace");
}

#[tokio::test]
async fn record_a_conversation_with_a_huanyang_drive() {
    if !wanted() {
        return;
    }
    let pretend = Port::Sim("modbus-rtu#spindle".into());
    let mut declared = machines("modbus_huanyang.toml", "modbus-rtu", &pretend);
    let options = Options { time_scale: 20.0, ..Options::default() };
    let sim = sim::serial(&declared, options).unwrap();
    declared[0].port = sim.port().clone();
    let head = format!(
        "Our client with our own pretend Huanyang drive: nobody else's was at hand. It shows what we \
         take such a drive to say, not what one says. 2026-11-29.\n{HOW}"
    );
    let mut recording = Recording::new(declared, &head);
    recording.polls().await;
    recording.write("spindle.set_frequency", Value::Number(300.0)).await;
    recording.write("spindle.control", Value::Number(1.0)).await;
    recording.polls().await;
    recording.write("spindle.control", Value::Number(8.0)).await;
    recording.polls().await;
    recording.keep("modbus_huanyang.trace");
}
