//! The language against tables of a few devices.

use std::time::Instant;

use headstock_config::tag::{Bus, Kind, Order, Watchdog};
use proptest::prelude::*;

use super::*;

fn tag(name: &str, area: Area, address: u16, kind: Kind) -> Tag {
    let register =
        Register { area, address, kind, order: Order::Abcd, bit: 2, length: 2, read_back: true };
    Tag { name: name.into(), source: Source::Register(register), ..Tag::default() }
}

fn machine(unit: u8, tags: Vec<Tag>) -> Machine {
    let bus = Bus { unit, ..Bus::default() };
    Machine { driver: "modbus-rtu".into(), baud: 9_600, bus, tags, ..Machine::default() }
}

/// A meter with three values near each other and one far off; a board with two coils.
fn shop() -> Modbus {
    let meter = vec![
        tag("volts", Area::Input, 0, Kind::F32),
        tag("amps", Area::Input, 6, Kind::F32),
        tag("watts", Area::Input, 12, Kind::F32),
        tag("energy", Area::Input, 342, Kind::F32),
        tag("speed", Area::Holding, 1, Kind::U16),
    ];
    let board = vec![tag("fan", Area::Coil, 0, Kind::Bit), tag("pump", Area::Coil, 7, Kind::Bit)];
    Modbus::new(&[machine(1, meter), machine(7, board)])
}

fn asks(modbus: &Modbus) -> Vec<Ask> {
    modbus.polls().into_iter().map(|poll| poll.request.pdu).collect()
}

#[test]
fn what_lies_near_is_read_at_once() {
    let expected = [
        Ask::ReadHolding { address: 1, count: 1 },
        Ask::ReadInput { address: 0, count: 14 },
        Ask::ReadInput { address: 342, count: 2 },
        Ask::ReadCoils { address: 0, count: 8 },
    ];
    assert_eq!(asks(&shop()), expected);
}

#[test]
fn an_answer_tells_the_tags_that_were_asked_for_and_no_others() {
    let modbus = shop();
    let request = Request { unit: 1, pdu: Ask::ReadInput { address: 0, count: 14 } };
    let mut words = vec![0; 14];
    (words[0], words[1]) = (0x4366, 0x3333);
    (words[12], words[13]) = (0x47f1, 0x2000);
    let mut out = Vec::new();
    modbus.read(Instant::now(), &request, &Answer::Words(words), &mut out);
    let said: Vec<(Place, f64)> =
        out.iter().map(|it| (it.place, it.value.as_ref().unwrap().number().unwrap())).collect();
    let place = |tag| Place { machine: 0, tag };
    assert_eq!(said, [(place(0), 230.2), (place(1), 0.0), (place(2), 123_456.0)]);
    assert_eq!(modbus.places(&request), [place(0), place(1), place(2)]);
    // Half a value is no value.
    let half = Request { unit: 1, pdu: Ask::ReadInput { address: 0, count: 7 } };
    assert_eq!(modbus.places(&half), [place(0)]);
    let stranger = Request { unit: 9, pdu: Ask::ReadInput { address: 0, count: 14 } };
    assert!(modbus.places(&stranger).is_empty());
}

#[test]
fn an_answer_that_is_too_short_or_of_another_kind_tells_nothing() {
    let modbus = shop();
    let request = Request { unit: 1, pdu: Ask::ReadInput { address: 0, count: 14 } };
    for answer in [Answer::Words(vec![0; 13]), Answer::Bits(vec![true; 14]), Answer::Done] {
        let mut out = Vec::new();
        modbus.read(Instant::now(), &request, &answer, &mut out);
        assert_eq!((out[2].value.clone(), out[2].quality), (None, Quality::Bad), "{answer:?}");
    }
}

#[test]
fn values_are_written_by_the_function_that_fits_and_read_back() {
    let modbus = shop();
    let speed = Place { machine: 0, tag: 4 };
    let write = modbus.write(speed, &Value::Number(300.0)).unwrap();
    let to = |pdu| Request { unit: 1, pdu };
    assert_eq!(write.requests, [to(Ask::WriteRegister { address: 1, value: 300 })]);
    assert_eq!(write.verify, Some(to(Ask::ReadHolding { address: 1, count: 1 })));
    let fan = modbus.write(Place { machine: 1, tag: 0 }, &Value::Flag(true)).unwrap();
    assert_eq!(fan.requests[0].pdu, Ask::WriteCoil { address: 0, on: true });
    assert!(modbus.write(Place { machine: 0, tag: 0 }, &Value::Number(1.0)).is_err());
}

#[test]
fn a_register_is_written_and_read_back_in_one_transaction_where_that_is_declared() {
    let kiln = vec![
        tag("setpoint", Area::Holding, 100, Kind::F32),
        tag("on", Area::Holding, 9, Kind::Bit),
    ];
    let mut declared = machine(3, kiln);
    declared.bus.write_function = WriteFunction::ReadWrite;
    let modbus = Modbus::new(&[declared]);
    let place = Place { machine: 0, tag: 0 };
    let write = modbus.write(place, &Value::Number(230.2)).unwrap();
    let values = vec![0x4366, 0x3333];
    let both = Ask::ReadWrite { read: 100, count: 2, write: 100, values: values.clone() };
    assert_eq!(write.requests, [Request { unit: 3, pdu: both }]);
    let mut out = Vec::new();
    modbus.read(Instant::now(), &write.requests[0], &Answer::Words(values.clone()), &mut out);
    assert_eq!(out.len(), 1);
    assert_eq!((out[0].place, out[0].value.as_ref()), (place, Some(&write.expected)));
    let bit = modbus.write(Place { machine: 0, tag: 1 }, &Value::Flag(true)).unwrap();
    assert!(matches!(bit.requests[0].pdu, Ask::MaskWrite { .. }), "other bits are left alone");
    // One that does not know the function is not asked for it again.
    let plain = Ask::WriteRegisters { address: 100, values };
    let to = |pdu| Request { unit: 3, pdu };
    let detour = modbus.instead(&write.requests[0], pdu::ILLEGAL_FUNCTION, None);
    assert_eq!(detour, Some(Detour::Send(to(plain.clone()))));
    let again = modbus.write(place, &Value::Number(230.2)).unwrap();
    assert_eq!(again.requests, [to(plain)]);
    assert_eq!(again.verify, Some(to(Ask::ReadHolding { address: 100, count: 2 })));
}

#[test]
fn a_register_that_only_takes_commands_is_never_read_and_said_to_be_as_it_was_sent() {
    let mut control = tag("control", Area::Holding, 0x2000, Kind::U16);
    let Source::Register(register) = &mut control.source else { panic!("it is a register") };
    register.read_back = false;
    let modbus =
        Modbus::new(&[machine(4, vec![control, tag("hertz", Area::Holding, 3, Kind::U16)])]);
    let asks: Vec<Ask> = modbus.polls().into_iter().map(|it| it.request.pdu).collect();
    assert_eq!(asks, [Ask::ReadHolding { address: 3, count: 1 }]);
    let place = Place { machine: 0, tag: 0 };
    let write = modbus.write(place, &Value::Number(18.0)).unwrap();
    assert_eq!((write.verify, write.requests.len()), (None, 1));
    let mut out = Vec::new();
    modbus.read(Instant::now(), &write.requests[0], &Answer::Done, &mut out);
    let said = (out[0].place, out[0].value.clone(), out[0].quality);
    assert_eq!(said, (place, Some(Value::Number(18.0)), Quality::Uncertain));
    let other = modbus.write(Place { machine: 0, tag: 1 }, &Value::Number(5.0)).unwrap();
    modbus.read(Instant::now(), &other.requests[0], &Answer::Done, &mut out);
    assert_eq!(out.len(), 1, "what can be read is read");
}

#[test]
fn a_device_that_knows_no_mask_write_has_its_register_read_and_written() {
    let bit = tag("run", Area::Holding, 9, Kind::Bit);
    let modbus = Modbus::new(&[machine(1, vec![bit])]);
    let place = Place { machine: 0, tag: 0 };
    let write = modbus.write(place, &Value::Flag(true)).unwrap();
    let masked = &write.requests[0];
    assert_eq!(masked.pdu, Ask::MaskWrite { address: 9, and: 0xfffb, or: 4 });
    let to = |pdu| Request { unit: 1, pdu };
    let read = modbus.instead(masked, pdu::ILLEGAL_FUNCTION, None);
    assert_eq!(read, Some(Detour::Read(to(Ask::ReadHolding { address: 9, count: 1 }))));
    let send = modbus.instead(masked, pdu::ILLEGAL_FUNCTION, Some(&Answer::Words(vec![0x8001])));
    assert_eq!(send, Some(Detour::Send(to(Ask::WriteRegister { address: 9, value: 0x8005 }))));
}

#[test]
fn a_request_that_is_refused_is_halved_down_to_single_tags() {
    let modbus = shop();
    let request = Request { unit: 1, pdu: Ask::ReadInput { address: 0, count: 14 } };
    let [one, other] = modbus.halves(&request).unwrap();
    assert_eq!(one.pdu, Ask::ReadInput { address: 0, count: 2 });
    assert_eq!(other.pdu, Ask::ReadInput { address: 6, count: 8 });
    assert_eq!(modbus.halves(&one), None);
    let [third, fourth] = modbus.halves(&other).unwrap();
    assert_eq!(third.pdu, Ask::ReadInput { address: 6, count: 2 });
    assert_eq!(fourth.pdu, Ask::ReadInput { address: 12, count: 2 });
}

#[test]
fn the_watchdog_counts_up_and_begins_again() {
    let mut watched = machine(1, vec![tag("fan", Area::Coil, 0, Kind::Bit)]);
    watched.bus.watchdog = Some(Watchdog { address: 40, period_ms: 500 });
    let modbus = Modbus::new(&[watched]);
    let (period, request) = modbus.heartbeat(0, 65_537).unwrap();
    assert_eq!(period, Duration::from_millis(500));
    assert_eq!(request.pdu, Ask::WriteRegister { address: 40, value: 1 });
    assert_eq!(shop().heartbeat(0, 1), None);
}

proptest! {
    /// However tags lie, every one is asked for, and what is asked keeps to the standard.
    #[test]
    fn every_tag_is_in_a_request_that_the_standard_allows(
        places in prop::collection::vec((0_u16..2000, 0_usize..4, 1_u64..4), 1..60),
        baud in prop::sample::select(&[1_200_u32, 9_600, 115_200][..]),
        gap in prop::option::of(0_u16..20),
    ) {
        let tags: Vec<Tag> = places
            .iter()
            .map(|&(address, area, period)| {
                let area = AREAS[area];
                let bits = matches!(area, Area::Coil | Area::Discrete);
                let kind = if bits { Kind::Bit } else { Kind::F32 };
                Tag { period_ms: 500 * period, ..tag("t", area, address, kind) }
            })
            .collect();
        let count = tags.len();
        let mut machine = machine(3, tags);
        machine.baud = baud;
        machine.bus.max_gap = gap;
        let modbus = Modbus::new(&[machine]);
        let polls = modbus.polls();
        let mut told = vec![0; count];
        for poll in &polls {
            let (area, _, long) = reads(&poll.request.pdu).unwrap();
            let bits = matches!(area, Area::Coil | Area::Discrete);
            let most = if bits { pdu::BITS_MAX } else { pdu::WORDS_MAX };
            prop_assert!(long <= u32::from(most));
            for place in modbus.places(&poll.request) {
                told[place.tag] += 1;
            }
        }
        prop_assert!(told.iter().all(|it| 0 < *it), "{:?}", told);
    }
}
