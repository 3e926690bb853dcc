//! Our client against a server that others wrote, and their client against our pretend devices.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use headstock_config::load;
use headstock_config::machine::{Machine, Port};
use headstock_drivers::bus::{Carrier, Errand, Fault};
use headstock_drivers::link::modbus::Wire;
use headstock_drivers::link::os;
use headstock_drivers::modbus::pdu::Ask;
use headstock_drivers::modbus::sim::{self, Options};
use headstock_drivers::modbus::{Answer, Modbus, Request};

use super::peers::{Script, mbpoll, poll, python};

fn machines(driver: &str, port: &Port) -> Vec<Machine> {
    let machine = |unit: u8| {
        let mut machine =
            Machine { driver: driver.into(), port: port.clone(), ..Machine::default() };
        (machine.id, machine.bus.unit) = (format!("unit{unit}"), unit);
        (machine.baud, machine.bus.timeout_ms) = (38_400, 3_000);
        machine
    };
    vec![machine(1), machine(2)]
}

async fn ask(wire: &mut Wire, unit: u8, pdu: Ask) -> Result<Answer, Fault> {
    let request = Request { unit, pdu };
    Carrier::<Modbus>::perform(wire, usize::from(unit) - 1, &request, Errand::default()).await
}

/// Everything that the server of `tests/peers/server.py` can be asked.
async fn talk(wire: &mut Wire) {
    for unit in [1, 2, 1] {
        let words = |from: u16, count: u16| {
            Ok(Answer::Words((from..from + count).map(|it| u16::from(unit) << 8 | it).collect()))
        };
        let bits = (3..13).map(|it| it % 2 == 1).collect();
        let read = Ask::ReadHolding { address: 10, count: 100 };
        assert_eq!(ask(wire, unit, read).await, words(10, 100));
        let read = Ask::ReadInput { address: 7, count: 2 };
        assert_eq!(ask(wire, unit, read).await, words(7, 2));
        let read = Ask::ReadCoils { address: 3, count: 10 };
        assert_eq!(ask(wire, unit, read).await, Ok(Answer::Bits(bits)));
        let read = Ask::ReadDiscrete { address: 1, count: 1 };
        assert_eq!(ask(wire, unit, read).await, Ok(Answer::Bits(vec![true])));
    }
    let writes = [
        Ask::WriteCoil { address: 20, on: true },
        Ask::WriteCoils { address: 21, values: vec![true, true, false] },
        Ask::WriteRegister { address: 30, value: 0x1234 },
        Ask::WriteRegisters { address: 31, values: vec![5, 6] },
        Ask::MaskWrite { address: 30, and: 0xFF00, or: 0x00AB },
    ];
    for write in writes {
        assert_eq!(ask(wire, 2, write.clone()).await, Ok(Answer::Done), "{write:?}");
    }
    let both = Ask::ReadWrite { read: 30, count: 3, write: 32, values: vec![7] };
    assert_eq!(ask(wire, 2, both).await, Ok(Answer::Words(vec![0x12AB, 5, 7])));
    let coils = ask(wire, 2, Ask::ReadCoils { address: 20, count: 4 }).await;
    assert_eq!(coils, Ok(Answer::Bits(vec![true, true, true, false])));
    let outside = ask(wire, 1, Ask::ReadHolding { address: 5_000, count: 1 }).await;
    assert!(matches!(outside, Err(Fault::Refused { number: 2, .. })), "{outside:?}");
}

#[tokio::test]
async fn our_client_understands_a_pymodbus_server_over_tcp() {
    let Some(python) = python() else { return };
    let mut server = Script::start(&python, "server.py", &["tcp"]);
    let port = Port::Tcp("127.0.0.1".into(), server.line().parse().unwrap());
    talk(&mut Wire::new(&machines("modbus-tcp", &port))).await;
}

#[tokio::test]
async fn our_client_understands_a_pymodbus_server_on_a_serial_line() {
    let Some(python) = python() else { return };
    let cable = Cable::new();
    let there = cable.ends[1].display().to_string();
    let mut server = Script::start(&python, "server.py", &["rtu", &there, "38400"]);
    assert_eq!(server.line(), "ready");
    let port = Port::Path(cable.ends[0].clone());
    talk(&mut Wire::new(&machines("modbus-rtu", &port))).await;
}

/// Two terminals, joined by a thread that carries bytes from each to the other.
struct Cable {
    ends: [PathBuf; 2],
    over: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Cable {
    fn new() -> Self {
        let (near, far) = (os::open_pty().unwrap(), os::open_pty().unwrap());
        let ends = [near.1, far.1];
        // Kept open, so that a cable with nobody at its end is no error.
        let held = ends.each_ref().map(|path| os::open_terminal(path).unwrap());
        let mut masters = [File::from(near.0), File::from(far.0)];
        let over = Arc::new(AtomicBool::new(false));
        let end = over.clone();
        let thread = std::thread::spawn(move || {
            let _held = held;
            while !end.load(Ordering::SeqCst) {
                let on = [(masters[0].as_fd(), false), (masters[1].as_fd(), false)];
                os::wait(&on, Duration::from_millis(20)).unwrap();
                for (from, to) in [(0, 1), (1, 0)] {
                    let mut buffer = [0; 512];
                    let read = masters[from].read(&mut buffer).unwrap_or(0);
                    masters[to].write_all(&buffer[..read]).unwrap();
                }
            }
        });
        Self { ends, over, thread: Some(thread) }
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        self.thread.take().map(std::thread::JoinHandle::join);
    }
}

fn shop(driver: &str) -> Vec<Machine> {
    let machine = |id: &str, unit: u8, profile: &str| {
        let port = format!("sim:{driver}#shop");
        format!(
            "[[machine]]\nid = {id:?}\ndriver = {driver:?}\nport = {port:?}\nunit = {unit}\n\
             profile = {profile:?}\n"
        )
    };
    let text = machine("meter", 1, "eastron-sdm120") + &machine("relays", 2, "relays-8");
    load::parse(&text, "shop", &[driver]).unwrap().machines
}

#[test]
fn mbpoll_understands_our_pretend_devices_on_a_line_and_over_tcp() {
    let Some(mbpoll) = mbpoll() else { return };
    let line = sim::serial(&shop("modbus-rtu"), Options::default()).unwrap();
    let tcp = sim::network(&shop("modbus-tcp"), Options::default()).unwrap();
    let port = tcp.address().unwrap().port().to_string();
    let ways: [(&str, Vec<&str>); 2] = [
        (&line.port().to_string(), vec!["-m", "rtu", "-b", "9600", "-P", "none"]),
        ("127.0.0.1", vec!["-m", "tcp", "-p", &port]),
    ];
    for (host, way) in ways {
        let read = ["-0", "-1", "-a", "1", "-r", "0", "-t", "3:float", "-B", host];
        let volts = poll(&mbpoll, &[&way[..], &read].concat());
        assert!(volts.contains("[0]: \t2"), "{volts}");
        let write = ["-0", "-a", "2", "-r", "3", "-t", "0", host, "1"];
        let written = poll(&mbpoll, &[&way[..], &write].concat());
        assert!(written.contains("Written 1"), "{written}");
        let read = ["-0", "-1", "-a", "2", "-r", "0", "-c", "8", "-t", "0", host];
        let coils = poll(&mbpoll, &[&way[..], &read].concat());
        assert!(coils.contains("[3]: \t1") && coils.contains("[4]: \t0"), "{coils}");
    }
}
