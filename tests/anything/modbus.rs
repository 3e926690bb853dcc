//! A far end that sends anything, to a house that asks and is asked by Modbus.
//!
//! The first byte says who hears the rest, the second one what it was asked:
//!
//! ```text
//!  0  bytes of a serial line, in answer to a request
//!  1  the same, with the checksum made right
//!  2  bytes of a connection, to a server
//!  3  the same, in answer to a request
//!  4  what a Huanyang drive says
//!  5  what registers hold
//! ```
//!
//! Promises: nothing panics; no frame is longer than there is; a request that is understood is
//! understood the same way when it is said again, and its answer is one to it; an answer has as many
//! bits or words as were asked for; a tag's number is finite; a drive's value is told only by an
//! answer that names it.

use std::time::Instant;

use headstock_config::load;
use headstock_config::machine::Machine;
use headstock_config::point::Value;
use headstock_config::tag::{Area, Kind, Order, Register, Tag};
use headstock_drivers::bus::Dialect;
use headstock_drivers::modbus::frame::{self, End, MBAP_BYTES, Mbap, PDU_MAX, RTU_MAX};
use headstock_drivers::modbus::huanyang::Mixed;
use headstock_drivers::modbus::pdu::{self, Ask};
use headstock_drivers::modbus::{Answer, Request, serve, value};

/// Gives the bytes to whom they say.
pub fn modbus(bytes: &[u8]) {
    let [who, choice, rest @ ..] = bytes else { return };
    match who % 6 {
        0 => line(rest, &ask(*choice)),
        1 => line(&sealed(rest), &ask(*choice)),
        2 => server(rest),
        3 => client(rest, &ask(*choice)),
        4 => drive(rest, *choice),
        _ => registers(rest, *choice),
    }
}

fn ask(choice: u8) -> Ask {
    let count = u16::from(choice >> 4) + 1;
    match choice % 10 {
        0 => Ask::ReadCoils { address: 0, count: count * 100 },
        1 => Ask::ReadDiscrete { address: 3, count },
        2 => Ask::ReadHolding { address: 0x100, count },
        3 => Ask::ReadInput { address: 0, count: count * 7 },
        4 => Ask::WriteCoil { address: 7, on: true },
        5 => Ask::WriteRegister { address: 7, value: count },
        6 => Ask::WriteRegisters { address: 7, values: vec![count; usize::from(count)] },
        7 => Ask::MaskWrite { address: 4, and: 0xF2, or: 0x25 },
        8 => Ask::ReadWrite { read: 0, count, write: 9, values: vec![1] },
        _ => Ask::Raw { function: 0x2B, data: vec![14, 1, 0] },
    }
}

fn sealed(bytes: &[u8]) -> Vec<u8> {
    let (unit, pdu) = bytes.split_first().map_or((1, &[3][..]), |(unit, pdu)| (*unit, pdu));
    frame::rtu(unit, &pdu[..pdu.len().min(PDU_MAX)])
}

fn line(bytes: &[u8], ask: &Ask) {
    for end in [frame::answer_end, frame::request_end, frame::huanyang_end] {
        let End::At(end) = end(bytes) else { continue };
        assert!(end <= RTU_MAX, "a frame of {end} bytes");
        if let Some((unit, pdu)) = bytes.get(..end).and_then(frame::opened) {
            assert_eq!(frame::rtu(unit, pdu), bytes[..end]);
            heard(ask, pdu);
            asked(pdu);
        }
    }
    if let Some((_, pdu)) = frame::opened(bytes) {
        heard(ask, pdu);
        asked(pdu);
    }
}

/// An answer, to whom it may concern.
fn heard(ask: &Ask, pdu: &[u8]) {
    match pdu::decode(ask, pdu) {
        Ok(Answer::Bits(bits)) => match ask {
            Ask::ReadCoils { count, .. } | Ask::ReadDiscrete { count, .. } => {
                assert_eq!(bits.len(), usize::from(*count));
            }
            ask => panic!("bits in answer to {ask:?}"),
        },
        Ok(Answer::Words(words)) => match ask {
            Ask::ReadHolding { count, .. }
            | Ask::ReadInput { count, .. }
            | Ask::ReadWrite { count, .. } => assert_eq!(words.len(), usize::from(*count)),
            ask => panic!("words in answer to {ask:?}"),
        },
        Ok(Answer::Done | Answer::Bytes(_)) | Err(_) => (),
    }
}

/// A request, at a server that has everything.
fn asked(pdu: &[u8]) {
    let Ok(ask) = serve::request(pdu) else { return };
    assert_eq!(serve::request(&ask.encode()), Ok(ask.clone()));
    let said = match &ask {
        Ask::ReadCoils { count, .. } | Ask::ReadDiscrete { count, .. } => {
            Answer::Bits(vec![true; usize::from(*count)])
        }
        Ask::ReadHolding { count, .. }
        | Ask::ReadInput { count, .. }
        | Ask::ReadWrite { count, .. } => Answer::Words(vec![7; usize::from(*count)]),
        Ask::Raw { data, .. } => Answer::Bytes(data.clone()),
        _ => Answer::Done,
    };
    let answer = serve::answer(&ask, &said);
    assert!(answer.len() <= PDU_MAX + usize::from(matches!(ask, Ask::Raw { .. })) * PDU_MAX);
    if ask.function() < pdu::EXCEPTION {
        assert_eq!(pdu::decode(&ask, &answer), Ok(said), "{ask:?}");
    }
}

fn server(bytes: &[u8]) {
    let mut held = Vec::new();
    for piece in bytes.chunks(61) {
        held.extend_from_slice(piece);
        loop {
            match Mbap::take(&mut held) {
                Ok(Some(frame)) => asked(&frame.pdu),
                Ok(None) => break,
                // The connection is closed.
                Err(_) => return,
            }
        }
        assert!(held.len() < MBAP_BYTES + PDU_MAX, "{} bytes are held", held.len());
    }
}

fn client(bytes: &[u8], ask: &Ask) {
    let mut held = bytes.to_vec();
    while let Ok(Some(frame)) = Mbap::take(&mut held) {
        let again = frame.bytes();
        assert_eq!(Mbap::take(&mut again.clone()), Ok(Some(frame.clone())));
        heard(ask, &frame.pdu);
    }
}

fn spindle() -> Vec<Machine> {
    let text = "[[machine]]\nid = \"spindle\"\ndriver = \"modbus-rtu\"\nport = \"sim:modbus-rtu\"\n\
                profile = \"huanyang-hy\"\n";
    let read = load::parse(text, "spindle", &["modbus-rtu"]);
    read.map(|it| it.machines).unwrap_or_default()
}

fn drive(bytes: &[u8], choice: u8) {
    let language = Mixed::new(&spindle());
    let polls = language.polls();
    let control = Request { unit: 1, pdu: Ask::Raw { function: 3, data: vec![1, 8] } };
    let request = polls.get(usize::from(choice)).map_or(&control, |poll| &poll.request);
    let mut told = Vec::new();
    language.read(Instant::now(), request, &Answer::Bytes(bytes.to_vec()), &mut told);
    let Ask::Raw { data, .. } = &request.pdu else { panic!("{request:?}") };
    for reading in told {
        let named = request == &control || bytes.get(1) == data.get(1);
        assert!(named || reading.value.is_none(), "{bytes:?} is taken for {request:?}");
    }
}

fn registers(bytes: &[u8], choice: u8) {
    const KINDS: [Kind; 8] =
        [Kind::Bit, Kind::U16, Kind::I16, Kind::U32, Kind::I32, Kind::F32, Kind::F64, Kind::String];
    const ORDERS: [Order; 4] = [Order::Abcd, Order::Cdab, Order::Badc, Order::Dcba];
    let kind = KINDS[usize::from(choice % 8)];
    let order = ORDERS[usize::from(choice >> 3 & 3)];
    let length = u16::from(choice >> 5) + 1;
    let register =
        Register { area: Area::Holding, address: 0, kind, order, bit: 3, length, read_back: true };
    let tag = Tag { scale: 0.1, offset: -40.0, ..Tag::default() };
    let words: Vec<u16> =
        bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
    let Some(value) = value::read(&tag, &register, &words).value else { return };
    assert!(!matches!(value, Value::Number(number) if !number.is_finite()), "{value:?}");
    // What was told can be written, unless it is more than the register holds.
    drop(value::write(&tag, &register, &value));
}
