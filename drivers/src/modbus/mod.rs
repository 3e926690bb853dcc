//! Modbus: registers and coils of devices on a serial line or behind a TCP port.
//!
//! Pure: [`Modbus`] knows which requests read the tags of its machines at the least cost
//! ([`cost`]), what registers mean ([`value`]), and how a value gets into them. How requests travel
//! is none of its business.
//!
//! Source of protocol facts: Modbus Application Protocol Specification V1.1b3 and Modbus over
//! Serial Line V1.02, both of modbus.org.
//!
//! Where a device has `write_function = "read-write"`, a register is written and read back in one
//! transaction (function 23). One that does not know the function says so once, and is written by 16
//! and read by 3 from then on.
//!
//! Invariant: a tag is told only from an answer whose request covers it wholly.

pub mod cost;
pub mod frame;
pub mod huanyang;
pub mod pdu;
mod plan;
pub mod serve;
pub mod sim;
#[cfg(test)]
mod tests;
pub mod value;

use std::cell::Cell;
use std::time::{Duration, Instant};

use headstock_config::machine::Machine;
use headstock_config::point::{Quality, Value};
use headstock_config::tag::{Area, Register, Source, Tag, WriteFunction};

use self::cost::Wire;
use self::pdu::Ask;
use self::plan::{Item, Limits};
use self::value::{Raw, Said};
use crate::Refusal;
use crate::bus::{Detour, Dialect, Place, Poll, Reading, Write};

/// One thing asked of one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The device's number on its bus.
    pub unit: u8,
    /// What is asked.
    pub pdu: Ask,
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Coils or discrete inputs: as many as were asked for, no more.
    Bits(Vec<bool>),
    /// Registers: as many as were asked for.
    Words(Vec<u16>),
    /// It was done.
    Done,
    /// What followed the function code, for [`pdu::Ask::Raw`].
    Bytes(Vec<u8>),
}

const AREAS: [Area; 4] = [Area::Coil, Area::Discrete, Area::Holding, Area::Input];

/// The language of a Modbus.
pub struct Modbus {
    devices: Vec<Device>,
}

/// One machine on it.
struct Device {
    machine: Machine,
    wire: Wire,
    /// Written and read back in one transaction; not any more once it has refused that.
    read_writes: Cell<bool>,
    /// Its tags by table, sorted by where they start.
    items: [Vec<Item>; 4],
}

impl Modbus {
    /// The language of these machines, which share a bus.
    pub fn new(machines: &[Machine]) -> Self {
        Self { devices: machines.iter().map(Device::new).collect() }
    }

    /// The machine with this number, and its index.
    fn device(&self, unit: u8) -> Option<(usize, &Device)> {
        self.devices.iter().enumerate().find(|(_, device)| device.machine.bus.unit == unit)
    }

    /// What a tag holds that cannot be read: what the device has just taken.
    fn taken(&self, at: Instant, request: &Request) -> Option<Reading> {
        let (start, words) = match &request.pdu {
            Ask::WriteRegister { address, value } => (*address, std::slice::from_ref(value)),
            Ask::WriteRegisters { address, values } => (*address, &values[..]),
            _ => return None,
        };
        let (machine, device) = self.device(request.unit)?;
        let mut tags = device.machine.tags.iter().enumerate();
        let (tag, declared, register) = tags.find_map(|(index, tag)| {
            let unread = |it: &&Register| !it.read_back && it.address == start;
            Some((index, tag, register(tag).filter(unread)?))
        })?;
        let Said { value, .. } = value::read(declared, register, words);
        let why = Some("it was sent; the device does not tell what it holds".into());
        let place = Place { machine, tag };
        Some(Reading { place, value, quality: Quality::Uncertain, at, why })
    }

    /// What a reading request asks for: the machine, and its tags that are wholly covered.
    fn covered(&self, request: &Request) -> Option<(usize, &Device, Area, u32, &[Item])> {
        let (area, start, count) = reads(&request.pdu)?;
        let (index, device) = self.device(request.unit)?;
        let items = device.within(area, start, start + count);
        Some((index, device, area, start, items))
    }
}

impl Device {
    fn new(machine: &Machine) -> Self {
        let table = |area: Area| {
            let mut items: Vec<Item> = machine
                .tags
                .iter()
                .enumerate()
                .filter_map(|(tag, declared)| {
                    let register = register(declared).filter(|it| it.area == area)?;
                    if !register.read_back {
                        return None;
                    }
                    let start = u32::from(register.address);
                    let end = start + u32::from(register.width());
                    Some(Item { tag, start, end, period_ms: declared.period_ms })
                })
                .collect();
            items.sort_by_key(|item| (item.start, item.end));
            items
        };
        let read_writes = Cell::new(machine.bus.write_function == WriteFunction::ReadWrite);
        let (wire, items) = (Wire::of(machine), AREAS.map(table));
        Self { machine: machine.clone(), wire, read_writes, items }
    }

    fn table(&self, area: Area) -> &[Item] {
        &self.items[area as usize]
    }

    /// The stretch of the table in which all items lie that are between these two; some in it may
    /// reach beyond.
    fn within(&self, area: Area, start: u32, end: u32) -> &[Item] {
        let items = self.table(area);
        let from = items.partition_point(|item| item.start < start);
        let until = items.partition_point(|item| item.start < end);
        &items[from..until.max(from)]
    }

    fn plan(&self, area: Area) -> Vec<plan::Span> {
        let wire = self.wire;
        let bits = matches!(area, Area::Coil | Area::Discrete);
        let cost = move |count: u32| {
            let count = u16::try_from(count).unwrap_or(u16::MAX);
            if bits { wire.bits(count) } else { wire.words(count) }
        };
        let longest = match bits {
            true => wire.bits_max(),
            false => wire.words_max().min(self.machine.bus.max_registers),
        };
        let gap = self.machine.bus.max_gap.map_or(u32::MAX, u32::from);
        let limits = Limits { longest: u32::from(longest), gap, cost: &cost };
        plan::plan(self.table(area), &limits)
    }

    fn request(&self, area: Area, start: u32, end: u32) -> Request {
        // Declared places and widths fit.
        let address = u16::try_from(start).unwrap_or(u16::MAX);
        let count = u16::try_from(end - start).unwrap_or(u16::MAX);
        Request { unit: self.machine.bus.unit, pdu: reading(area, address, count) }
    }
}

impl Dialect for Modbus {
    type Request = Request;
    type Answer = Answer;

    fn polls(&self) -> Vec<Poll<Request>> {
        let mut polls = Vec::new();
        for (machine, device) in self.devices.iter().enumerate() {
            for area in AREAS {
                polls.extend(device.plan(area).into_iter().map(|span| Poll {
                    machine,
                    period: Duration::from_millis(span.period_ms),
                    request: device.request(area, span.start, span.end),
                }));
            }
        }
        polls
    }

    fn read(&self, at: Instant, request: &Request, answer: &Answer, out: &mut Vec<Reading>) {
        let Some((machine, device, area, start, items)) = self.covered(request) else {
            out.extend(self.taken(at, request));
            return;
        };
        let end = start + reads(&request.pdu).map_or(0, |(_, _, count)| count);
        for item in items.iter().filter(|item| item.end <= end) {
            let tag = &device.machine.tags[item.tag];
            let place = Place { machine, tag: item.tag };
            let from = (item.start - start) as usize;
            let said = told(tag, area, answer, from..from + (item.end - item.start) as usize);
            let Said { value, quality, why } = said;
            out.push(Reading { place, value, quality, at, why });
        }
    }

    fn write(&self, place: Place, value: &Value) -> Result<Write<Request>, Refusal> {
        let device = &self.devices[place.machine];
        let tag = &device.machine.tags[place.tag];
        let register = register(tag).ok_or(Refusal::Unsupported("write this"))?;
        if !matches!(register.area, Area::Coil | Area::Holding) {
            return Err(Refusal::Unsupported("write this: it can only be read"));
        }
        value::meant(tag, register, value)?;
        let (raw, expected) = value::write(tag, register, value)?;
        let unit = device.machine.bus.unit;
        let start = u32::from(register.address);
        let end = start + u32::from(register.width());
        let verify = register.read_back.then(|| device.request(register.area, start, end));
        let pdu = writing(register, raw, register.read_back && device.read_writes.get());
        let requests = vec![Request { unit, pdu }];
        Ok(Write { requests, verify, expected, repeatable: true })
    }

    fn places(&self, request: &Request) -> Vec<Place> {
        let Some((machine, _, _, start, items)) = self.covered(request) else {
            return Vec::new();
        };
        let end = start + reads(&request.pdu).map_or(0, |(_, _, count)| count);
        let whole = items.iter().filter(|item| item.end <= end);
        whole.map(|item| Place { machine, tag: item.tag }).collect()
    }

    fn cost(&self, request: &Request) -> Duration {
        let device = self.device(request.unit);
        device.map_or(Duration::ZERO, |(_, device)| device.wire.cost(&request.pdu))
    }

    fn halves(&self, request: &Request) -> Option<[Request; 2]> {
        let (_, device, area, start, items) = self.covered(request)?;
        let end = start + reads(&request.pdu)?.2;
        let whole: Vec<Item> = items.iter().filter(|item| item.end <= end).copied().collect();
        let halves = plan::halves(&whole)?;
        Some(halves.map(|(start, end)| device.request(area, start, end)))
    }

    fn instead(
        &self,
        refused: &Request,
        number: u8,
        read: Option<&Answer>,
    ) -> Option<Detour<Request>> {
        if number != pdu::ILLEGAL_FUNCTION {
            return None;
        }
        let unit = refused.unit;
        let to = |pdu| Request { unit, pdu };
        match (&refused.pdu, read) {
            (Ask::MaskWrite { address, .. }, None) => {
                Some(Detour::Read(to(Ask::ReadHolding { address: *address, count: 1 })))
            }
            (Ask::MaskWrite { address, and, or }, Some(Answer::Words(words))) => {
                let value = words.first()? & and | or & !and;
                Some(Detour::Send(to(Ask::WriteRegister { address: *address, value })))
            }
            (Ask::ReadWrite { write, values, .. }, None) => {
                if let Some((_, device)) = self.device(unit) {
                    device.read_writes.set(false);
                }
                let (address, values) = (*write, values.clone());
                Some(Detour::Send(to(Ask::WriteRegisters { address, values })))
            }
            (Ask::WriteRegister { address, value }, None) => {
                let (address, values) = (*address, vec![*value]);
                Some(Detour::Send(to(Ask::WriteRegisters { address, values })))
            }
            (Ask::WriteCoil { address, on }, None) => {
                let (address, values) = (*address, vec![*on]);
                Some(Detour::Send(to(Ask::WriteCoils { address, values })))
            }
            _ => None,
        }
    }

    fn heartbeat(&self, machine: usize, count: u64) -> Option<(Duration, Request)> {
        let device = self.devices.get(machine)?;
        let watchdog = device.machine.bus.watchdog.as_ref()?;
        let value = (count % (u64::from(u16::MAX) + 1)) as u16;
        let pdu = Ask::WriteRegister { address: watchdog.address, value };
        let period = Duration::from_millis(watchdog.period_ms);
        Some((period, Request { unit: device.machine.bus.unit, pdu }))
    }
}

fn register(tag: &Tag) -> Option<&Register> {
    match &tag.source {
        Source::Register(register) => Some(register),
        _ => None,
    }
}

fn reading(area: Area, address: u16, count: u16) -> Ask {
    match area {
        Area::Coil => Ask::ReadCoils { address, count },
        Area::Discrete => Ask::ReadDiscrete { address, count },
        Area::Holding => Ask::ReadHolding { address, count },
        Area::Input => Ask::ReadInput { address, count },
    }
}

/// The table that a request reads, from where, and how many.
fn reads(pdu: &Ask) -> Option<(Area, u32, u32)> {
    let (area, address, count) = match pdu {
        Ask::ReadCoils { address, count } => (Area::Coil, address, count),
        Ask::ReadDiscrete { address, count } => (Area::Discrete, address, count),
        Ask::ReadHolding { address, count } => (Area::Holding, address, count),
        Ask::ReadInput { address, count } => (Area::Input, address, count),
        // What it reads was written before.
        Ask::ReadWrite { read, count, .. } => (Area::Holding, read, count),
        _ => return None,
    };
    Some((area, u32::from(*address), u32::from(*count)))
}

fn writing(register: &Register, raw: Raw, read_write: bool) -> Ask {
    let address = register.address;
    match raw {
        Raw::Coil(on) => Ask::WriteCoil { address, on },
        Raw::Bit(on) => {
            let mask = 1 << register.bit;
            Ask::MaskWrite { address, and: !mask, or: if on { mask } else { 0 } }
        }
        Raw::Words(values) if read_write => {
            Ask::ReadWrite { read: address, count: register.width(), write: address, values }
        }
        Raw::Words(values) => match values[..] {
            [value] => Ask::WriteRegister { address, value },
            _ => Ask::WriteRegisters { address, values },
        },
    }
}

/// What an answer says about the tag that stands at this stretch of it.
fn told(tag: &Tag, area: Area, answer: &Answer, at: std::ops::Range<usize>) -> Said {
    let said = match (area, answer) {
        (Area::Coil | Area::Discrete, Answer::Bits(bits)) => {
            bits.get(at.start).map(|on| value::read_bit(tag, *on))
        }
        (Area::Holding | Area::Input, Answer::Words(words)) => words
            .get(at)
            .zip(register(tag))
            .map(|(words, register)| value::read(tag, register, words)),
        _ => None,
    };
    let why = || Some("the answer is too short".into());
    said.unwrap_or_else(|| Said { value: None, quality: Quality::Bad, why: why() })
}
