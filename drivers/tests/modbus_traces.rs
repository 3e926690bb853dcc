//! Conversations over Modbus that have been recorded, led again without a wire.
//!
//! `traces/modbus_*.trace` say at their top who is at the far end and how to record them again
//! (`tests/interop/record.rs`). What the language asks is compared with what was asked then, byte for
//! byte; from the bytes that came the same values are read, the same refusals, or nothing.

#![allow(clippy::unwrap_used, reason = "a test may say what it expects with unwrap")]

use std::fs;
use std::path::Path;
use std::time::Instant;

use headstock_config::load;
use headstock_config::machine::Machine;
use headstock_config::point::Value;
use headstock_drivers::bus::{Dialect, Fault, Place};
use headstock_drivers::modbus::frame::{self, End, Mbap};
use headstock_drivers::modbus::huanyang::Mixed;
use headstock_drivers::modbus::{Answer, Request, pdu};
use headstock_drivers::registry;

/// One request of a conversation, and everything that came of it.
#[derive(Debug, Default)]
struct Turn {
    wanted: String,
    sent: Vec<Vec<u8>>,
    received: Vec<u8>,
    verdict: String,
    read: Vec<String>,
}

fn text(name: &str) -> String {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/traces"));
    fs::read_to_string(folder.join(name)).unwrap()
}

fn bytes(hex: &str) -> Vec<u8> {
    hex.split(' ').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

fn turns(name: &str) -> Vec<Turn> {
    let mut turns: Vec<Turn> = Vec::new();
    for line in text(name).lines().filter(|line| !line.starts_with('#')) {
        let (sign, rest) = line.split_once(' ').unwrap();
        if sign == "@" {
            turns.push(Turn { wanted: rest.into(), ..Turn::default() });
            continue;
        }
        let turn = turns.last_mut().unwrap();
        match sign {
            ">" => turn.sent.push(bytes(rest)),
            "<" => turn.received.extend(bytes(rest)),
            "=" => turn.verdict = rest.into(),
            ":" => turn.read.push(rest.into()),
            _ => panic!("{line}"),
        }
    }
    turns
}

struct Replay {
    machines: Vec<Machine>,
    language: Mixed,
    tcp: bool,
}

impl Replay {
    fn new(devices: &str, driver: &str) -> Self {
        let tcp = driver == "modbus-tcp";
        let port = if tcp { "127.0.0.1:502" } else { "/dev/ttyUSB0" };
        let declared = text(devices).replace("DRIVER", driver).replace("PORT", port);
        let machines = load::parse(&declared, devices, &registry::names()).unwrap().machines;
        Self { language: Mixed::new(&machines), machines, tcp }
    }

    fn name(&self, place: Place) -> String {
        let machine = &self.machines[place.machine];
        format!("{}.{}", machine.id, machine.tags[place.tag].name)
    }

    fn place(&self, name: &str) -> Place {
        let tags = |machine: usize| 0..self.machines[machine].tags.len();
        let places = (0..self.machines.len())
            .flat_map(|machine| tags(machine).map(move |tag| Place { machine, tag }));
        places.into_iter().find(|place| self.name(*place) == name).unwrap()
    }

    /// The request that the language makes for this.
    fn request(&self, wanted: &str) -> Request {
        let words: Vec<&str> = wanted.split(' ').collect();
        let value = |word: &str| match word {
            "on" => Value::Flag(true),
            "off" => Value::Flag(false),
            number => Value::Number(number.parse().unwrap()),
        };
        match words[..] {
            ["poll", index] => {
                self.language.polls()[index.parse::<usize>().unwrap()].request.clone()
            }
            ["write", name, it, index] => {
                let write = self.language.write(self.place(name), &value(it)).unwrap();
                write.requests[index.parse::<usize>().unwrap()].clone()
            }
            ["verify", name, it] => {
                self.language.write(self.place(name), &value(it)).unwrap().verify.unwrap()
            }
            _ => panic!("{wanted}"),
        }
    }

    fn frame(&self, request: &Request, sent: &[u8]) -> Vec<u8> {
        let pdu = request.pdu.encode();
        match self.tcp {
            false => frame::rtu(request.unit, &pdu),
            // The number is whatever the connection was at.
            true => {
                let transaction = u16::from_be_bytes([sent[0], sent[1]]);
                Mbap { transaction, unit: request.unit, pdu }.bytes()
            }
        }
    }

    /// The answer in these bytes, whatever pieces they come in; `None`: there is none.
    fn answer(&self, request: &Request, received: &[u8]) -> Option<Result<Answer, Fault>> {
        if self.tcp {
            let mut came = Vec::new();
            for byte in received {
                came.push(*byte);
                if let Some(frame) = Mbap::take(&mut came).unwrap() {
                    assert_eq!(frame.unit, request.unit);
                    return Some(pdu::decode(&request.pdu, &frame.pdu));
                }
            }
            return None;
        }
        let raw = matches!(request.pdu, pdu::Ask::Raw { .. });
        let end = if raw { frame::huanyang_end } else { frame::answer_end };
        let whole = |length: &usize| end(&received[..*length]) == End::At(*length);
        let length = (1..=received.len()).find(whole)?;
        assert_eq!(length, received.len(), "nothing is left over");
        let (unit, answer) = frame::opened(&received[..length]).unwrap();
        assert_eq!(unit, request.unit);
        Some(pdu::decode(&request.pdu, answer))
    }

    fn lead(&self, turn: &Turn) {
        let request = self.request(&turn.wanted);
        let sent: Vec<u8> = turn.sent.concat();
        assert_eq!(self.frame(&request, &sent), sent, "{turn:?}");
        let answer = self.answer(&request, &turn.received);
        let mut readings = Vec::new();
        match answer {
            None => assert!(turn.verdict.starts_with("no answer within"), "{turn:?}"),
            Some(Err(fault)) => assert_eq!(fault.to_string(), turn.verdict, "{turn:?}"),
            Some(Ok(answer)) => {
                assert_eq!(turn.verdict, "ok", "{turn:?}");
                self.language.read(Instant::now(), &request, &answer, &mut readings);
            }
        }
        let read = readings.iter().map(|it| {
            let value = it.value.as_ref().map_or("nothing".into(), ToString::to_string);
            format!("{} {value} {}", self.name(it.place), it.quality.word())
        });
        assert_eq!(read.collect::<Vec<_>>(), turn.read, "{turn:?}");
    }
}

fn lead(trace: &str, devices: &str, driver: &str) -> Vec<Turn> {
    let replay = Replay::new(devices, driver);
    let turns = turns(trace);
    turns.iter().for_each(|turn| replay.lead(turn));
    turns
}

/// What a conversation must have had in it to be worth leading again.
fn has(turns: &[Turn], verdict: &str) -> bool {
    turns.iter().any(|turn| turn.verdict.contains(verdict))
}

#[test]
fn a_conversation_on_a_line_is_led_again_byte_for_byte() {
    let turns = lead("modbus_rtu.trace", "modbus_peers.toml", "modbus-rtu");
    assert!(has(&turns, "ok") && has(&turns, "illegal address") && has(&turns, "no answer"));
    let back = turns.iter().find(|turn| turn.wanted == "verify kiln.setpoint 327.5").unwrap();
    assert_eq!(back.read, ["kiln.setpoint 327.5 good"]);
}

#[test]
fn a_conversation_over_tcp_is_led_again_byte_for_byte() {
    let turns = lead("modbus_tcp.trace", "modbus_peers.toml", "modbus-tcp");
    assert!(has(&turns, "ok") && has(&turns, "illegal address") && has(&turns, "no answer"));
    // Written and read back in one transaction.
    let both = turns.iter().find(|turn| turn.wanted == "write press.force -12.34 0").unwrap();
    assert_eq!(both.read, ["press.force -12.34 good"]);
}

#[test]
fn a_conversation_with_a_huanyang_drive_is_led_again_byte_for_byte() {
    let turns = lead("modbus_huanyang.trace", "modbus_huanyang.toml", "modbus-rtu");
    let wanted = |it: &str| turns.iter().any(|turn| turn.wanted == it);
    assert!(wanted("write spindle.control 1 0") && wanted("write spindle.control 8 0"));
}
