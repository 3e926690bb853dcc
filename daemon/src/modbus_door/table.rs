//! Which points are found in which registers, and what is there now.
//!
//! Invariants: a value that cannot be believed is never told as if it could: whoever asks for it
//! gets an exception, or has a register beside it that says so. Nothing is written that is not
//! offered as a whole: not the half of a float, not a register between two points.

use std::collections::BTreeMap;

use headstock_config::modbus_server::{ModbusServer, Offered};
use headstock_config::point::{Quality, Value};
use headstock_config::tag::{Area, Kind, Register};
use headstock_drivers::modbus::Answer;
use headstock_drivers::modbus::pdu::Ask;
use headstock_drivers::modbus::serve::Exception;
use headstock_drivers::modbus::value::{self, Raw};

use crate::points::{Latest, PointId, Points};

/// What stands in one coil or register.
#[derive(Clone, Copy, Debug)]
enum Cell {
    /// A word of the value of this entry.
    Word { entry: usize, word: u16 },
    /// One bit of the register is the value of this entry.
    Bit { entry: usize },
    /// The quality of this entry's point.
    Quality { entry: usize },
}

/// Everything that is offered.
pub(super) struct Table {
    points: Points,
    entries: Vec<Entry>,
    cells: BTreeMap<(Area, u16), Vec<Cell>>,
}

struct Entry {
    offered: Offered,
    register: Register,
    id: PointId,
}

/// A point that a write sets.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Set {
    /// Its name.
    pub(super) point: String,
    /// What it shall be.
    pub(super) value: Value,
}

/// What a request comes to.
#[derive(Debug, PartialEq)]
pub(super) enum Wanted {
    /// It only looks.
    Told(Answer),
    /// These are to be set, in this order.
    Sets(Vec<Set>),
}

impl Table {
    pub(super) fn new(settings: &ModbusServer, points: Points) -> Self {
        let entries = settings.tags.iter().filter_map(|offered| {
            let register = offered.register()?.clone();
            Some(Entry { id: points.id(&offered.point)?, register, offered: offered.clone() })
        });
        let entries: Vec<Entry> = entries.collect();
        let mut cells: BTreeMap<(Area, u16), Vec<Cell>> = BTreeMap::new();
        for (entry, Entry { offered, register, .. }) in entries.iter().enumerate() {
            let Register { area, address, kind, .. } = *register;
            let mut put = |at: u16, cell| cells.entry((area, at)).or_default().push(cell);
            match (kind, area) {
                (Kind::Bit, Area::Holding | Area::Input) => put(address, Cell::Bit { entry }),
                _ => {
                    let words = 0..register.width();
                    words.for_each(|word| put(address + word, Cell::Word { entry, word }));
                }
            }
            if let Some(at) = offered.quality {
                put(at, Cell::Quality { entry });
            }
        }
        Self { points, entries, cells }
    }

    /// What a request comes to.
    pub(super) fn wanted(&self, ask: &Ask) -> Result<Wanted, Exception> {
        let bits = |words: Vec<u16>| Answer::Bits(words.iter().map(|it| *it != 0).collect());
        Ok(match ask {
            Ask::ReadCoils { address, count } => {
                Wanted::Told(bits(self.read(Area::Coil, *address, *count)?))
            }
            Ask::ReadDiscrete { address, count } => {
                Wanted::Told(bits(self.read(Area::Discrete, *address, *count)?))
            }
            Ask::ReadHolding { address, count } => {
                Wanted::Told(Answer::Words(self.read(Area::Holding, *address, *count)?))
            }
            Ask::ReadInput { address, count } => {
                Wanted::Told(Answer::Words(self.read(Area::Input, *address, *count)?))
            }
            Ask::WriteCoil { address, on } => {
                Wanted::Sets(self.sets(Area::Coil, *address, &[u16::from(*on)])?)
            }
            Ask::WriteCoils { address, values } => {
                let words: Vec<u16> = values.iter().map(|on| u16::from(*on)).collect();
                Wanted::Sets(self.sets(Area::Coil, *address, &words)?)
            }
            Ask::WriteRegister { address, value } => {
                Wanted::Sets(self.sets(Area::Holding, *address, &[*value])?)
            }
            Ask::WriteRegisters { address, values } => {
                Wanted::Sets(self.sets(Area::Holding, *address, values)?)
            }
            Ask::MaskWrite { .. } | Ask::ReadWrite { .. } | Ask::Raw { .. } => {
                return Err(Exception::Function);
            }
        })
    }

    // ---- reading ------------------------------------------------------------------------------

    fn read(&self, area: Area, address: u16, count: u16) -> Result<Vec<u16>, Exception> {
        // Each point once, so that the words of one value are of one moment.
        let mut seen: BTreeMap<usize, Latest> = BTreeMap::new();
        let mut latest = |entry: usize| {
            seen.entry(entry).or_insert_with(|| self.points.now(self.entries[entry].id)).clone()
        };
        (0..count)
            .map(|more| {
                let cells = self.cells.get(&(area, address.wrapping_add(more)));
                let cells = cells.ok_or(Exception::Address)?;
                cells.iter().try_fold(0, |word, cell| Ok(word | self.cell(*cell, &mut latest)?))
            })
            .collect()
    }

    fn cell(&self, cell: Cell, latest: &mut impl FnMut(usize) -> Latest) -> Result<u16, Exception> {
        match cell {
            Cell::Word { entry, word } => {
                let words = self.entries[entry].words(&latest(entry))?;
                words.get(usize::from(word)).copied().ok_or(Exception::Failure)
            }
            Cell::Bit { entry } => {
                let words = self.entries[entry].words(&latest(entry))?;
                let on = words.first().copied().unwrap_or_default();
                Ok(on << self.entries[entry].register.bit)
            }
            Cell::Quality { entry } => Ok(quality(&self.entries[entry], &latest(entry))),
        }
    }

    // ---- writing ------------------------------------------------------------------------------

    fn sets(&self, area: Area, address: u16, words: &[u16]) -> Result<Vec<Set>, Exception> {
        let mut sets = Vec::new();
        let mut rest = words;
        while let Some(first) = rest.first() {
            let at = address.wrapping_add(u16::try_from(words.len() - rest.len()).unwrap_or(0));
            let cells = self.cells.get(&(area, at)).ok_or(Exception::Address)?;
            let mut taken = 1;
            for cell in cells {
                let (entry, value) = match *cell {
                    Cell::Word { entry, word: 0 } => {
                        let entry = &self.entries[entry];
                        let some = rest.get(..usize::from(entry.register.width()));
                        let some = some.ok_or(Exception::Value)?;
                        taken = some.len();
                        (entry, entry.value(some)?)
                    }
                    Cell::Bit { entry } => {
                        let entry = &self.entries[entry];
                        let on = first >> entry.register.bit & 1;
                        (entry, entry.value(&[on << entry.register.bit])?)
                    }
                    Cell::Word { .. } => return Err(Exception::Value),
                    Cell::Quality { .. } => return Err(Exception::Address),
                };
                if !entry.offered.tag.write {
                    return Err(Exception::Address);
                }
                sets.push(Set { point: entry.offered.point.clone(), value });
            }
            rest = &rest[taken..];
        }
        Ok(sets)
    }
}

impl Entry {
    /// The words that tell the point; an exception if it cannot be believed and nothing beside it
    /// would say so.
    fn words(&self, latest: &Latest) -> Result<Vec<u16>, Exception> {
        let told = latest.quality.believable();
        let words = latest.value.as_ref().and_then(|value| self.encoded(value));
        match (words, self.offered.quality) {
            (Some(words), _) if told => Ok(words),
            (Some(words), Some(_)) => Ok(words),
            (None, Some(_)) => Ok(vec![0; usize::from(self.register.width())]),
            _ => Err(Exception::Failure),
        }
    }

    fn encoded(&self, value: &Value) -> Option<Vec<u16>> {
        let bit = self.register.kind == Kind::Bit;
        let value = if bit { Value::Flag(value.is_on()) } else { value.clone() };
        match value::write(&self.offered.tag, &self.register, &value).ok()?.0 {
            Raw::Coil(on) | Raw::Bit(on) => Some(vec![u16::from(on)]),
            Raw::Words(words) => Some(words),
        }
    }

    fn value(&self, words: &[u16]) -> Result<Value, Exception> {
        let said = match self.register.area {
            Area::Coil | Area::Discrete => {
                value::read_bit(&self.offered.tag, words.first().is_some_and(|it| *it != 0))
            }
            _ => value::read(&self.offered.tag, &self.register, words),
        };
        said.value.ok_or(Exception::Value)
    }
}

/// 3 good, 2 uncertain, 1 stale, 0 bad, or not to be told in these registers.
fn quality(entry: &Entry, latest: &Latest) -> u16 {
    let fits = latest.value.as_ref().is_some_and(|it| entry.encoded(it).is_some());
    match latest.quality {
        _ if !fits => 0,
        Quality::Good => 3,
        Quality::Uncertain => 2,
        Quality::Stale => 1,
        Quality::Bad => 0,
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use headstock_config::load;

    use super::*;
    use crate::points::News;

    const SHOP: &str = r#"
[modbus_server]
listen = "127.0.0.1:0"

[[machine]]
id = "kiln"
driver = "modbus-tcp"
port = "10.0.0.20:502"

[[machine.tag]]
name = "temperature"
area = "input"
address = 0
type = "f32"
age_limit_ms = 60000

[[machine.tag]]
name = "setpoint"
area = "holding"
address = 0
type = "f32"
write = true
age_limit_ms = 60000

[[machine.tag]]
name = "door"
area = "discrete"
address = 0
type = "bit"
age_limit_ms = 60000

[[modbus_server.tag]]
point = "kiln.temperature"
area = "input"
address = 10
type = "i16"
scale = 0.1
quality = 11

[[modbus_server.tag]]
point = "kiln.temperature"
area = "input"
address = 20
type = "f32"
order = "CDAB"

[[modbus_server.tag]]
point = "kiln.setpoint"
area = "holding"
address = 0
type = "f32"
write = true

[[modbus_server.tag]]
point = "kiln.door"
area = "holding"
address = 5
type = "bit"
bit = 3

[[modbus_server.tag]]
point = "kiln.door"
area = "coil"
address = 7
type = "bit"
"#;

    fn table() -> (Table, Points) {
        let settings = load::parse(SHOP, "shop", &["modbus-tcp"]).unwrap();
        let points = Points::of(&settings.machines);
        (Table::new(&settings.modbus_server, points.clone()), points)
    }

    fn say(points: &Points, name: &str, value: Value, quality: Quality) {
        let id = points.id(name).unwrap();
        points.report([News { id, value: Some(value), quality, at: Instant::now(), why: None }]);
    }

    fn words(table: &Table, area: Area, address: u16, count: u16) -> Result<Vec<u16>, Exception> {
        table.read(area, address, count)
    }

    #[test]
    fn points_are_told_in_the_registers_types_and_orders_that_are_declared() {
        let (table, points) = table();
        say(&points, "kiln.temperature", Value::Number(123_456.0), Quality::Good);
        assert_eq!(words(&table, Area::Input, 20, 2), Ok(vec![0x2000, 0x47F1]));
        say(&points, "kiln.temperature", Value::Number(-21.5), Quality::Good);
        let tenths = (-215_i16).cast_unsigned();
        assert_eq!(words(&table, Area::Input, 10, 2), Ok(vec![tenths, 3]));
        say(&points, "kiln.door", Value::Flag(true), Quality::Good);
        assert_eq!(words(&table, Area::Holding, 5, 1), Ok(vec![8]));
        let coil = table.wanted(&Ask::ReadCoils { address: 7, count: 1 });
        assert_eq!(coil, Ok(Wanted::Told(Answer::Bits(vec![true]))));
        assert_eq!(words(&table, Area::Input, 10, 3), Err(Exception::Address));
        assert_eq!(words(&table, Area::Holding, 10, 1), Err(Exception::Address));
    }

    #[test]
    fn what_cannot_be_believed_is_an_exception_or_is_marked_beside_the_value() {
        let (table, points) = table();
        assert_eq!(words(&table, Area::Input, 10, 2), Ok(vec![0, 0]), "never heard");
        assert_eq!(words(&table, Area::Input, 20, 2), Err(Exception::Failure));
        let said = Value::Number(21.5);
        for (quality, told) in
            [(Quality::Good, 3), (Quality::Uncertain, 2), (Quality::Stale, 1), (Quality::Bad, 0)]
        {
            say(&points, "kiln.temperature", said.clone(), quality);
            assert_eq!(words(&table, Area::Input, 10, 2), Ok(vec![215, told]), "{quality:?}");
            let alone = words(&table, Area::Input, 20, 2);
            assert_eq!(alone.is_ok(), quality.believable(), "{quality:?}");
        }
        say(&points, "kiln.temperature", Value::Number(4_000.0), Quality::Good);
        assert_eq!(words(&table, Area::Input, 10, 2), Ok(vec![0, 0]), "it does not fit 16 bits");
        let id = points.id("kiln.temperature").unwrap();
        let Some(old) = Instant::now().checked_sub(Duration::from_secs(90)) else { return };
        let value = Some(said);
        points.report([News { id, value, quality: Quality::Good, at: old, why: None }]);
        assert_eq!(words(&table, Area::Input, 10, 2), Ok(vec![215, 1]), "it is stale by age");
    }

    #[test]
    fn only_whole_points_that_say_so_are_written() {
        let (table, _) = table();
        let write = |address, values: &[u16]| {
            table.wanted(&Ask::WriteRegisters { address, values: values.to_vec() })
        };
        let set = Set { point: "kiln.setpoint".into(), value: Value::Number(123_456.0) };
        assert_eq!(write(0, &[0x47F1, 0x2000]), Ok(Wanted::Sets(vec![set])));
        assert_eq!(write(0, &[0x47F1]), Err(Exception::Value), "half a float");
        assert_eq!(write(1, &[0x2000]), Err(Exception::Value), "the other half");
        assert_eq!(write(0, &[0x7FC0, 0]), Err(Exception::Value), "not a number");
        assert_eq!(write(0, &[0x47F1, 0x2000, 1]), Err(Exception::Address), "and one beyond");
        assert_eq!(write(5, &[8]), Err(Exception::Address), "read only");
        let coil = table.wanted(&Ask::WriteCoil { address: 7, on: true });
        assert_eq!(coil, Err(Exception::Address));
        let raw = table.wanted(&Ask::Raw { function: 99, data: vec![] });
        assert_eq!(raw, Err(Exception::Function));
    }
}
