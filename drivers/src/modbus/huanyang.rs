//! Huanyang HY spindle drives: wire, speed and checksum of Modbus, and functions of their own.
//!
//! ```text
//!  tag                what is asked                         what is told
//!  holding 0x0300     3: run forward 1, backward 17, stop 8 flags
//!  holding 0x0500     5: set point, Hz × 100                the same; read back as status value 0
//!  input   0x00nn     4: status value nn                    nn, value
//!  input   0x01nn     1: parameter PDnn                     nn, value
//!  input   0x0300     bit 3: derived, see below
//! ```
//!
//! The drive tells whether it runs only in answer to a command to run or to stop. Asking again
//! would command again: a spindle that somebody has stopped at the drive would start by itself. So
//! a command is sent once, and bit 3 of input 0x0300, "running", is told from the output frequency.
//!
//! Invariants: nothing but 1, 17 and 8 is sent as a command; no set point below the drive's own
//! lower limit (PD011) is sent once that is known; a value is taken only from an answer that names
//! it.
//!
//! Source: LinuxCNC, `hy_vfd` and its manual page; tried against no drive yet.

use std::cell::Cell;
use std::time::{Duration, Instant};

use headstock_config::machine::Machine;
use headstock_config::point::{Quality, Value};
use headstock_config::tag::{Area, Framing, Kind, Register, Source, Tag};

use super::cost::Wire;
use super::pdu::Ask;
use super::value::{self, Raw};
use super::{Answer, Modbus, Request};
use crate::Refusal;
use crate::bus::{Detour, Dialect, Place, Poll, Reading, Write};

const READ_PARAMETER: u8 = 1;
const CONTROL: u8 = 3;
const READ_STATUS: u8 = 4;
const SET_FREQUENCY: u8 = 5;

/// Status values.
const SET_POINT: u8 = 0;
const OUTPUT: u8 = 1;
/// The parameter that holds the lower limit of the frequency, Hz × 100.
const LOWER_LIMIT: u8 = 11;

const CONTROL_AT: (Area, u16) = (Area::Holding, 0x0300);
const SET_POINT_AT: (Area, u16) = (Area::Holding, 0x0500);
const FLAGS_AT: (Area, u16) = (Area::Input, 0x0300);
/// What the drive can be told to do: run forward, run backward, stop.
const COMMANDS: [u16; 3] = [1, 17, STOP];
const STOP: u16 = 8;
/// The flag that is on while the spindle turns.
const RUNNING: u8 = 3;
/// How often the lower limit is read, in case somebody changes it at the drive.
const LIMIT_PERIOD: Duration = Duration::from_secs(60);

/// The language of a bus with standard devices and such drives on it.
pub struct Mixed {
    standard: Modbus,
    /// By index of the machine on the bus.
    drives: Vec<Option<Drive>>,
}

struct Drive {
    machine: Machine,
    wire: Wire,
    /// The drive's lower limit, Hz × 100, once it was read.
    lower: Cell<Option<u16>>,
}

impl Mixed {
    /// The language of these machines, which share a bus.
    pub fn new(machines: &[Machine]) -> Self {
        let drive = |it: &Machine| {
            let lower = Cell::new(None);
            (it.bus.framing == Framing::Huanyang).then(|| Drive {
                machine: it.clone(),
                wire: Wire::of(it),
                lower,
            })
        };
        Self { standard: Modbus::new(machines), drives: machines.iter().map(drive).collect() }
    }

    /// The drive that a request is for.
    fn drive(&self, request: &Request) -> Option<(usize, &Drive)> {
        let found = self.drives.iter().enumerate().filter_map(|(at, it)| Some((at, it.as_ref()?)));
        found.into_iter().find(|(_, drive)| drive.machine.bus.unit == request.unit)
    }
}

impl Dialect for Mixed {
    type Request = Request;
    type Answer = Answer;

    fn polls(&self) -> Vec<Poll<Request>> {
        let of_a_drive = |it: &Poll<_>| self.drives.get(it.machine).is_some_and(Option::is_some);
        let standard = self.standard.polls().into_iter().filter(|it| !of_a_drive(it));
        let drives = self.drives.iter().enumerate();
        let drives = drives.filter_map(|(at, it)| Some(it.as_ref()?.polls(at))).flatten();
        standard.chain(drives).collect()
    }

    fn read(&self, at: Instant, request: &Request, answer: &Answer, out: &mut Vec<Reading>) {
        match self.drive(request) {
            Some((machine, drive)) => drive.read(machine, at, request, answer, out),
            None => self.standard.read(at, request, answer, out),
        }
    }

    fn write(&self, place: Place, value: &Value) -> Result<Write<Request>, Refusal> {
        match self.drives.get(place.machine) {
            Some(Some(drive)) => drive.write(place.tag, value),
            _ => self.standard.write(place, value),
        }
    }

    fn places(&self, request: &Request) -> Vec<Place> {
        let Some((machine, drive)) = self.drive(request) else {
            return self.standard.places(request);
        };
        let told = drive.told_by(request);
        told.map(|(tag, _, _)| Place { machine, tag }).collect()
    }

    fn cost(&self, request: &Request) -> Duration {
        match self.drive(request) {
            Some((_, drive)) => drive.wire.cost(&request.pdu),
            None => self.standard.cost(request),
        }
    }

    fn halves(&self, request: &Request) -> Option<[Request; 2]> {
        if self.drive(request).is_some() { None } else { self.standard.halves(request) }
    }

    fn instead(
        &self,
        refused: &Request,
        number: u8,
        read: Option<&Answer>,
    ) -> Option<Detour<Request>> {
        match self.drive(refused) {
            Some(_) => None,
            None => self.standard.instead(refused, number, read),
        }
    }

    fn heartbeat(&self, machine: usize, count: u64) -> Option<(Duration, Request)> {
        match self.drives.get(machine) {
            Some(Some(_)) => None,
            _ => self.standard.heartbeat(machine, count),
        }
    }
}

impl Drive {
    fn request(&self, function: u8, data: Vec<u8>) -> Request {
        Request { unit: self.machine.bus.unit, pdu: Ask::Raw { function, data } }
    }

    /// What reads a place; `None`: nothing does.
    fn reads(&self, register: &Register) -> Option<Request> {
        let [high, low] = register.address.to_be_bytes();
        match (register.area, register.address) {
            FLAGS_AT => Some(self.request(READ_STATUS, vec![3, OUTPUT, 0, 0])),
            SET_POINT_AT => Some(self.request(READ_STATUS, vec![3, SET_POINT, 0, 0])),
            (Area::Input, _) if high == 0 => Some(self.request(READ_STATUS, vec![3, low, 0, 0])),
            (Area::Input, _) if high == 1 => Some(self.request(READ_PARAMETER, vec![3, low, 0, 0])),
            _ => None,
        }
    }

    /// Each value once, as often as the tag wants it that wants it most often.
    fn polls(&self, machine: usize) -> Vec<Poll<Request>> {
        let tags = self.machine.tags.iter().filter_map(|tag| {
            let period = Duration::from_millis(tag.period_ms);
            Some((self.reads(register(tag)?)?, period))
        });
        let limit = (self.request(READ_PARAMETER, vec![3, LOWER_LIMIT, 0, 0]), LIMIT_PERIOD);
        let mut polls: Vec<Poll<Request>> = Vec::new();
        for (request, period) in tags.chain([limit]) {
            match polls.iter_mut().find(|it| it.request == request) {
                Some(known) => known.period = known.period.min(period),
                None => polls.push(Poll { machine, period, request }),
            }
        }
        polls
    }

    /// The tags that the answer to a request tells.
    fn told_by(&self, request: &Request) -> impl Iterator<Item = (usize, &Tag, &Register)> {
        let controls = matches!(request.pdu, Ask::Raw { function: CONTROL, .. });
        self.machine.tags.iter().enumerate().filter_map(move |(index, tag)| {
            let register = register(tag)?;
            let told = match (register.area, register.address) {
                CONTROL_AT => controls,
                _ => self.reads(register).is_some_and(|it| it == *request),
            };
            told.then_some((index, tag, register))
        })
    }

    fn read(
        &self,
        machine: usize,
        at: Instant,
        request: &Request,
        answer: &Answer,
        out: &mut Vec<Reading>,
    ) {
        let word = said(request, answer);
        if let (Ask::Raw { function: READ_PARAMETER, data }, Some(word)) = (&request.pdu, word)
            && data.get(1) == Some(&LOWER_LIMIT)
        {
            self.lower.set(Some(word));
        }
        for (tag, declared, register) in self.told_by(request) {
            let place = Place { machine, tag };
            let reading = match word {
                Some(word) => told(declared, register, word),
                None => value::Said {
                    value: None,
                    quality: Quality::Bad,
                    why: Some("the drive told something else than was asked".into()),
                },
            };
            let value::Said { value, quality, why } = reading;
            out.push(Reading { place, value, quality, at, why });
        }
    }

    fn write(&self, tag: usize, value: &Value) -> Result<Write<Request>, Refusal> {
        let tag = self.machine.tags.get(tag).ok_or(Refusal::Unsupported("write this"))?;
        let register = register(tag).ok_or(Refusal::Unsupported("write this"))?;
        value::meant(tag, register, value)?;
        let (raw, expected) = value::write(tag, register, value)?;
        let Raw::Words(words) = raw else { return Err(Refusal::Unsupported("write a bit")) };
        let [word] = words[..] else { return Err(Refusal::Unsupported("write more than a word")) };
        let [high, low] = word.to_be_bytes();
        let (request, verify) = match (register.area, register.address) {
            CONTROL_AT if COMMANDS.contains(&word) => (self.request(CONTROL, vec![1, low]), None),
            CONTROL_AT => {
                let why = "the drive knows 1 (forward), 17 (backward) and 8 (stop)";
                return Err(Refusal::BadCommand(why.into()));
            }
            SET_POINT_AT => {
                self.not_below(word)?;
                (self.request(SET_FREQUENCY, vec![2, high, low]), self.reads(register))
            }
            _ => return Err(Refusal::Unsupported("write this: it can only be read")),
        };
        // To run is not said twice: somebody may have stopped it at its panel in between.
        let repeatable = (register.area, register.address) != CONTROL_AT || word == STOP;
        Ok(Write { requests: vec![request], verify, expected, repeatable })
    }

    fn not_below(&self, word: u16) -> Result<(), Refusal> {
        match self.lower.get() {
            Some(lower) if word < lower => {
                let hertz = f64::from(lower) / 100.0;
                let why = format!("the drive's lower limit (PD011) is {hertz} Hz");
                Err(Refusal::BadCommand(why))
            }
            _ => Ok(()),
        }
    }
}

fn register(tag: &Tag) -> Option<&Register> {
    match &tag.source {
        Source::Register(register) => Some(register),
        _ => None,
    }
}

/// The value that an answer tells, if it is one about what was asked.
fn said(request: &Request, answer: &Answer) -> Option<u16> {
    let (Ask::Raw { function, data: asked }, Answer::Bytes(told)) = (&request.pdu, answer) else {
        return None;
    };
    match (*function, &told[..]) {
        // What was commanded counts, not the flags that come back.
        (CONTROL, [1, _]) => asked.get(1).map(|it| u16::from(*it)),
        (READ_PARAMETER | READ_STATUS, [3, what, high, low]) if asked.get(1) == Some(what) => {
            Some(u16::from_be_bytes([*high, *low]))
        }
        (READ_PARAMETER | READ_STATUS, [2, what, low]) if asked.get(1) == Some(what) => {
            Some(u16::from(*low))
        }
        _ => None,
    }
}

fn told(tag: &Tag, register: &Register, word: u16) -> value::Said {
    if (register.area, register.address) == FLAGS_AT {
        // Only "running" can be told; see the head of this file.
        let running = u16::from(word != 0) << RUNNING;
        return match register.kind {
            Kind::Bit if register.bit == RUNNING => value::read_bit(tag, running != 0),
            _ => value::Said {
                value: None,
                quality: Quality::Bad,
                why: Some("the drive tells this flag only when it is commanded".into()),
            },
        };
    }
    value::read(tag, register, &[word])
}

#[cfg(test)]
mod tests {
    use headstock_config::load;

    use super::*;

    fn bus() -> Vec<Machine> {
        let text = r#"
[[machine]]
id = "spindle"
driver = "modbus-rtu"
port = "sim:modbus-rtu#shop"
unit = 1
profile = "huanyang-hy"

[[machine]]
id = "meter"
driver = "modbus-rtu"
port = "sim:modbus-rtu#shop"
unit = 2
profile = "eastron-sdm120"
"#;
        load::parse(text, "test", &["modbus-rtu"]).unwrap().machines
    }

    fn place(machines: &[Machine], name: &str) -> Place {
        let tag = machines[0].tags.iter().position(|it| it.name == name).unwrap();
        Place { machine: 0, tag }
    }

    fn raw(function: u8, data: &[u8]) -> Request {
        Request { unit: 1, pdu: Ask::Raw { function, data: data.to_vec() } }
    }

    fn number(number: f64) -> Value {
        Value::Number(number)
    }

    #[test]
    fn commands_and_set_points_are_the_frames_of_the_drive() {
        let machines = bus();
        let language = Mixed::new(&machines);
        let write = |name, value| language.write(place(&machines, name), &number(value));
        assert_eq!(write("control", 1.0).unwrap().requests, [raw(3, &[1, 1])]);
        assert_eq!(write("control", 8.0).unwrap().requests, [raw(3, &[1, 8])]);
        for (word, repeatable) in [(1.0, false), (17.0, false), (8.0, true)] {
            assert_eq!(write("control", word).unwrap().repeatable, repeatable, "{word}");
        }
        let set = write("set_frequency", 400.0).unwrap();
        assert!(set.repeatable);
        assert_eq!(set.requests, [raw(5, &[2, 0x9C, 0x40])]);
        assert_eq!(set.verify, Some(raw(4, &[3, 0, 0, 0])));
        for wrong in [0.0, 2.0, 9.0, 264.0] {
            assert!(write("control", wrong).is_err(), "{wrong}");
        }
        assert!(write("output_frequency", 100.0).is_err());
    }

    #[test]
    fn no_set_point_goes_below_the_drives_own_limit() {
        let machines = bus();
        let language = Mixed::new(&machines);
        let at = place(&machines, "set_frequency");
        assert!(language.write(at, &number(150.0)).is_ok());
        assert!(language.write(at, &number(80.0)).is_err(), "the profile's range holds at once");
        let limit = Answer::Bytes(vec![3, 11, 0x4E, 0x20]);
        language.read(Instant::now(), &raw(1, &[3, 11, 0, 0]), &limit, &mut Vec::new());
        let refused = language.write(at, &number(150.0)).unwrap_err();
        assert!(refused.to_string().contains("200 Hz"), "{refused}");
        assert!(language.write(at, &number(200.0)).is_ok());
    }

    #[test]
    fn a_command_is_never_repeated_and_running_is_told_by_the_output_frequency() {
        let machines = bus();
        let language = Mixed::new(&machines);
        let polls = language.polls();
        let commands = |it: &&Poll<Request>| matches!(it.request.pdu, Ask::Raw { function: 3, .. });
        assert_eq!(polls.iter().filter(commands).count(), 0);
        assert!(polls.iter().any(|it| it.machine == 1), "the meter is read as well");
        let output = raw(4, &[3, 1, 0, 0]);
        assert_eq!(polls.iter().filter(|it| it.request == output).count(), 1);
        for (bytes, turns) in [(vec![3, 1, 0x75, 0x30], true), (vec![3, 1, 0, 0], false)] {
            let mut told = Vec::new();
            language.read(Instant::now(), &output, &Answer::Bytes(bytes), &mut told);
            let of = |name| {
                let reading = told.iter().find(|it| it.place == place(&machines, name));
                reading.and_then(|it| it.value.clone())
            };
            assert_eq!(of("running"), Some(Value::Flag(turns)));
            assert_eq!(of("output_frequency"), Some(number(if turns { 300.0 } else { 0.0 })));
        }
    }

    #[test]
    fn an_answer_about_another_value_is_no_answer() {
        let machines = bus();
        let language = Mixed::new(&machines);
        let mut told = Vec::new();
        let answer = Answer::Bytes(vec![3, 2, 0x75, 0x30]);
        language.read(Instant::now(), &raw(4, &[3, 1, 0, 0]), &answer, &mut told);
        assert!(!told.is_empty());
        assert!(told.iter().all(|it| it.value.is_none() && it.quality == Quality::Bad));
    }
}
