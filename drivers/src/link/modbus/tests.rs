//! The wire against pretend devices behind real terminals and sockets.

mod hurry;

use std::time::Duration;

use headstock_config::machine::Machine;
use headstock_config::point::Value;
use headstock_config::tag::{Area, Kind, Order, Register, Source, Tag};

use super::*;
use crate::bus::Place;
use crate::modbus::Modbus;
use crate::modbus::huanyang::Mixed;
use crate::modbus::pdu::Ask;
use crate::modbus::sim::{self, Fault as Mishap, Options, Sim, What};

/// Registers 100 to 139 of each table, and coils 0 to 19. Each unit's hold its number and their own.
fn machine(unit: u8, driver: &str) -> Machine {
    let tag = |area, address| {
        let kind = if matches!(area, Area::Coil | Area::Discrete) { Kind::Bit } else { Kind::U16 };
        let register = Register {
            area,
            address,
            kind,
            order: Order::Abcd,
            bit: 0,
            length: 1,
            read_back: true,
        };
        Tag { source: Source::Register(register), ..Tag::default() }
    };
    let coils = (0..20).map(|it| tag(Area::Coil, it));
    let holding = (100..140).map(|it| tag(Area::Holding, it));
    let tags = coils.chain(holding).chain([tag(Area::Input, 7), tag(Area::Discrete, 3)]).collect();
    let mut machine = Machine { driver: driver.into(), baud: 115_200, tags, ..Machine::default() };
    (machine.id, machine.bus.unit) = (format!("unit{unit}"), unit);
    machine.bus.timeout_ms = 150;
    machine
}

fn options() -> Options {
    Options { late: Duration::from_millis(200), ..Options::default() }
}

/// A bus with two units, in one of the three ways, and its far end.
fn bus(way: Way) -> (Wire, Sim) {
    let driver = if way == Way::Tcp { "modbus-tcp" } else { "modbus-rtu" };
    let mut machines = [machine(1, driver), machine(2, driver)];
    let sim = match way {
        Way::Serial => sim::serial(&machines, options()),
        _ => sim::network(&machines, options()),
    };
    let sim = sim.unwrap();
    for (unit, address) in [1, 2].into_iter().flat_map(|it| (100..140).map(move |at| (it, at))) {
        assert!(sim.poke(unit, Area::Holding, address, u16::from(unit) << 8 | address));
    }
    machines.iter_mut().for_each(|it| it.port = sim.port().clone());
    let wire = Wire::new(&machines);
    assert_eq!(wire.way, way);
    (wire, sim)
}

async fn ask(wire: &mut Wire, unit: u8, pdu: Ask) -> Result<Answer, Fault> {
    let request = Request { unit, pdu };
    let machine = usize::from(unit.max(1)) - 1;
    Carrier::<Modbus>::perform(wire, machine, &request, Errand::default()).await
}

fn holding(address: u16, count: u16) -> Ask {
    Ask::ReadHolding { address, count }
}

fn words(unit: u8, address: u16, count: u16) -> Result<Answer, Fault> {
    Ok(Answer::Words((address..address + count).map(|it| u16::from(unit) << 8 | it).collect()))
}

/// The first answer that there is: a device that is late with one thing is late with the next.
async fn at_last(wire: &mut Wire, unit: u8, pdu: Ask) -> Result<Answer, Fault> {
    loop {
        match ask(wire, unit, pdu.clone()).await {
            Err(Fault::Silence(_) | Fault::Garbled(_)) => (),
            outcome => return outcome,
        }
    }
}

const WAYS: [Way; 3] = [Way::Serial, Way::RtuOverTcp, Way::Tcp];

#[tokio::test]
async fn every_standard_function_is_carried_on_lines_and_connections() {
    for way in WAYS {
        let (mut wire, sim) = bus(way);
        assert_eq!(ask(&mut wire, 1, holding(100, 40)).await, words(1, 100, 40));
        assert_eq!(ask(&mut wire, 2, holding(110, 3)).await, words(2, 110, 3));
        let writes = [
            Ask::WriteCoil { address: 3, on: true },
            Ask::WriteCoils { address: 8, values: [true, false].repeat(5) },
            Ask::WriteRegister { address: 100, value: 0x00F0 },
            Ask::WriteRegisters { address: 101, values: vec![7, 8, 9] },
            Ask::MaskWrite { address: 100, and: 0xFFF0, or: 0x0005 },
        ];
        for write in writes {
            assert_eq!(ask(&mut wire, 1, write.clone()).await, Ok(Answer::Done), "{write:?}");
        }
        let both = Ask::ReadWrite { read: 100, count: 4, write: 102, values: vec![80, 90] };
        let said = ask(&mut wire, 1, both).await;
        assert_eq!(said, Ok(Answer::Words(vec![0x00F5, 7, 80, 90])));
        let coils = ask(&mut wire, 1, Ask::ReadCoils { address: 3, count: 7 }).await;
        let want = [true, false, false, false, false, true, false];
        assert_eq!(coils, Ok(Answer::Bits(want.into())));
        let discrete = ask(&mut wire, 1, Ask::ReadDiscrete { address: 3, count: 1 }).await;
        assert!(matches!(discrete, Ok(Answer::Bits(bits)) if bits.len() == 1));
        assert!(ask(&mut wire, 1, Ask::ReadInput { address: 7, count: 1 }).await.is_ok());
        let loops = ask(&mut wire, 1, Ask::Raw { function: 8, data: vec![0, 0, 0xA5, 0x37] }).await;
        assert_eq!(loops, Ok(Answer::Bytes(vec![0, 0, 0xA5, 0x37])), "{way:?}");
        assert_eq!(sim.peek(2, Area::Holding, 101), Some(0x0200 | 101), "the other is untouched");
    }
}

#[tokio::test]
async fn a_device_that_refuses_is_alive_and_says_why() {
    for way in WAYS {
        let (mut wire, _sim) = bus(way);
        let outside = ask(&mut wire, 1, holding(4_000, 2)).await;
        assert!(matches!(outside, Err(Fault::Refused { number: 2, .. })), "{outside:?}");
        let function = ask(&mut wire, 1, Ask::Raw { function: 0x2B, data: vec![14, 1, 0] }).await;
        assert!(matches!(function, Err(Fault::Refused { number: 1, .. })), "{function:?}");
        assert_eq!(ask(&mut wire, 1, holding(100, 1)).await, words(1, 100, 1));
    }
}

#[tokio::test]
async fn what_goes_wrong_is_told_and_never_taken_for_an_answer() {
    for way in WAYS {
        let (mut wire, sim) = bus(way);
        for what in [What::Silence, What::Late, What::WrongUnit, What::Corrupt, What::Short] {
            sim.fault(Mishap::new(what));
            let fault = ask(&mut wire, 1, holding(100, 2)).await.unwrap_err();
            let quiet = matches!(what, What::Silence | What::Late)
                // Without a checksum it is an answer to something else, or not a whole one.
                || way == Way::Tcp && what == What::Corrupt;
            match fault {
                Fault::Silence(150) => assert!(quiet, "{way:?} {what:?}"),
                Fault::Garbled(_) => assert!(!quiet, "{way:?} {what:?}"),
                other => panic!("{way:?} {what:?} {other:?}"),
            }
            sim.mend();
            let next = at_last(&mut wire, 1, holding(120, 2)).await;
            assert_eq!(next, words(1, 120, 2), "{way:?} {what:?}");
            let other = at_last(&mut wire, 2, holding(100, 2)).await;
            assert_eq!(other, words(2, 100, 2), "{way:?} {what:?}");
        }
    }
}

#[tokio::test]
async fn a_request_that_nobody_waits_for_any_more_leaves_nothing_behind() {
    for way in WAYS {
        let (mut wire, sim) = bus(way);
        for round in 0..6 {
            sim.fault(Mishap::new(What::Late));
            let given_up = ask(&mut wire, 1, holding(100, 2));
            let patience = Duration::from_millis(10 * round);
            // Whatever came of it by then.
            tokio::time::timeout(patience, given_up).await.ok();
            sim.mend();
            assert_eq!(at_last(&mut wire, 1, holding(130, 2)).await, words(1, 130, 2), "{way:?}");
        }
    }
}

#[tokio::test]
async fn a_request_that_did_not_get_its_turn_is_not_called_sent() {
    let (mut wire, sim) = bus(Way::Serial);
    let sent = |wire: &Wire| Carrier::<Modbus>::sent(wire);
    sim.fault(Mishap::new(What::Silence));
    assert!(ask(&mut wire, 1, holding(100, 2)).await.is_err() && sent(&wire));
    let write = Ask::WriteRegister { address: 105, value: 0 };
    assert!(ask(&mut wire, 1, holding(120, 2)).await.is_err());
    assert!(!sent(&wire), "the device was only asked whether it is there");
    sim.mend();
    assert!(at_last(&mut wire, 1, write).await.is_ok() && sent(&wire));
}

/// A Huanyang drive and a meter on one line, as their profiles have them.
fn shop() -> Vec<Machine> {
    let machine = |id: &str, unit: u8, profile: &str| {
        format!(
            "[[machine]]\nid = \"{id}\"\ndriver = \"modbus-rtu\"\nport = \"sim:modbus-rtu#shop\"\n\
             unit = {unit}\nprofile = \"{profile}\"\nbaud = 38400\n"
        )
    };
    let text = machine("spindle", 1, "huanyang-hy") + &machine("meter", 2, "eastron-sdm120");
    headstock_config::load::parse(&text, "shop", &["modbus-rtu"]).unwrap().machines
}

#[tokio::test]
async fn a_huanyang_drive_runs_and_stops_beside_a_standard_meter() {
    let mut machines = shop();
    let sim = sim::serial(&machines, Options { time_scale: 50.0, ..options() }).unwrap();
    machines.iter_mut().for_each(|it| it.port = sim.port().clone());
    let (mut wire, language) = (Wire::new(&machines), Mixed::new(&machines));
    let polls = language.polls();
    let tag = |name: &str| {
        let tag = machines[0].tags.iter().position(|it| it.name == name).unwrap();
        Place { machine: 0, tag }
    };
    for (name, value) in [("set_frequency", 300.0), ("control", 1.0)] {
        let write = language.write(tag(name), &Value::Number(value)).unwrap();
        Carrier::<Mixed>::perform(&mut wire, 0, &write.requests[0], Errand::default())
            .await
            .unwrap();
    }
    let mut turned = false;
    loop {
        let mut told = Vec::new();
        for poll in &polls {
            let answer = Carrier::<Mixed>::perform(
                &mut wire,
                poll.machine,
                &poll.request,
                Errand::default(),
            )
            .await;
            language.read(Instant::now(), &poll.request, &answer.unwrap(), &mut told);
        }
        assert!(told.iter().any(|it| it.place.machine == 1 && it.value.is_some()));
        let of = |name: &str| told.iter().find(|it| it.place == tag(name)).unwrap().value.clone();
        assert_eq!(of("lower_limit"), Some(Value::Number(120.0)));
        let frequency = of("output_frequency").unwrap().number().unwrap();
        if !turned && frequency == 300.0 {
            turned = true;
            assert_eq!(of("running"), Some(Value::Flag(true)));
            let write = language.write(tag("control"), &Value::Number(8.0)).unwrap();
            Carrier::<Mixed>::perform(&mut wire, 0, &write.requests[0], Errand::default())
                .await
                .unwrap();
        } else if turned && frequency == 0.0 {
            break;
        }
    }
    assert!(sim.peek(1, Area::Holding, 0x0300) == Some(8));
    let unknown = Request { unit: 1, pdu: Ask::Raw { function: 1, data: vec![3, 250, 0, 0] } };
    let refused = Carrier::<Mixed>::perform(&mut wire, 0, &unknown, Errand::default()).await;
    assert!(matches!(refused, Err(Fault::Refused { number: 0x81, .. })), "{refused:?}");
}

#[tokio::test]
async fn a_cable_that_was_pulled_is_lost_and_found_again() {
    for way in WAYS {
        let (mut wire, sim) = bus(way);
        assert_eq!(ask(&mut wire, 1, holding(100, 1)).await, words(1, 100, 1));
        sim.fault(Mishap::new(What::Cut));
        let lost = loop {
            match ask(&mut wire, 1, holding(100, 1)).await {
                Ok(_) => (),
                Err(fault) => break fault,
            }
        };
        assert!(matches!(lost, Fault::Lost(_) | Fault::Silence(_)), "{way:?} {lost:?}");
        sim.mend();
        if way == Way::Serial {
            // Without a link of its own, the terminal has another name now.
            continue;
        }
        while let Err(fault) = ask(&mut wire, 1, holding(101, 1)).await {
            assert!(matches!(fault, Fault::Lost(_) | Fault::Silence(_)), "{fault:?}");
        }
        assert_eq!(ask(&mut wire, 2, holding(101, 1)).await, words(2, 101, 1));
    }
}

#[tokio::test]
async fn what_went_over_the_wire_can_be_read_afterwards() {
    let (mut wire, sim) = bus(Way::Serial);
    ask(&mut wire, 1, holding(100, 1)).await.unwrap();
    sim.fault(Mishap::new(What::Silence));
    ask(&mut wire, 2, holding(100, 1)).await.unwrap_err();
    let text = wire.evidence().text();
    let said: Vec<&str> = text.lines().map(|line| line[14..].trim()).collect();
    assert_eq!(said[0], "> 01 03 00 64 00 01 C5 D5");
    assert!(said[1].starts_with("< 01 03 02"), "{text}");
    assert!(said.contains(&"= ok"), "{text}");
    assert_eq!(said.last(), Some(&"= no answer within 150 ms"), "{text}");
}

#[tokio::test]
async fn nobody_at_the_far_end_is_explained() {
    let mut nowhere = machine(1, "modbus-tcp");
    nowhere.port = headstock_config::machine::Port::Tcp("127.0.0.1".into(), 1);
    let mut wire = Wire::new(&[nowhere]);
    let error = Carrier::<Modbus>::open(&mut wire).await.unwrap_err();
    use headstock_config::explain::Explain;
    assert_eq!(error.code(), "link.open.unreachable");
    assert!(error.remedy().contains("127.0.0.1:1"), "{}", error.remedy());
}
