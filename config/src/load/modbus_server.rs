//! `[modbus_server]` and `[[modbus_server.tag]]`: their keys, and how they are read.

use std::collections::BTreeMap;

use super::findings::Findings;
use super::machine::Draft;
use super::rule::known::Known;
use super::section::Section;
use super::sheet::Place;
use super::tables;
use super::tag;
use super::value::{Wanted, Wrong};
use crate::modbus_server::{ModbusServer, Offered};
use crate::tag::{Area, Kind, Register, Source, Tag};

pub(super) const KEYS: &[&str] = &["listen", "allow_network", "unit", "tag"];
const TAG_KEYS: &[&str] = &[
    "point", "area", "address", "type", "order", "bit", "length", "scale", "offset", "write",
    "quality",
];
/// More than this is no list that anybody keeps.
const TAGS_MAX: usize = 10_000;

const POINT: &str = "the name of a point: `machine.tag`";
const NETWORK: &str = "Modbus knows no logins: anybody who reaches the door can read every point \
    that is offered and write every one with `write = true`; set `allow_network = true` where the \
    network itself is trusted";

/// Reads it.
pub(super) fn modbus_server(
    table: &Section<'_>,
    machines: &[Draft<'_>],
    findings: &mut Findings,
) -> ModbusServer {
    let usual = ModbusServer::default();
    let allow_network = table.flag("allow_network", findings).unwrap_or(usual.allow_network);
    let accepted = "an IP address and a port: \"127.0.0.1:502\", \"[::1]:1502\"; port 0 picks one";
    let listen = table.read("listen", accepted, findings, tables::address);
    if listen.is_some_and(|it| !it.ip().is_loopback()) && !allow_network {
        let wrong = Wrong::Value("can be reached from the network", Some(NETWORK.into()));
        table.refuse("listen", wrong, "a loopback address: \"127.0.0.1:502\"", findings);
    }
    let unit = table.whole("unit", 1..=247, "the number that the door answers to", findings);
    let unit = unit.and_then(|it| u8::try_from(it).ok()).unwrap_or(usual.unit);
    let tags = tags(table, &Known::of(machines), findings);
    ModbusServer { listen, allow_network, unit, tags }
}

fn tags(table: &Section<'_>, known: &Known<'_>, findings: &mut Findings) -> Vec<Offered> {
    let many = "one `[[modbus_server.tag]]` for each, with two brackets";
    let tables = table
        .read("tag", many, findings, |it| super::tables_of(it).ok_or(Wrong::Kind(Wanted::Many)));
    let Some(entry) = table.entry("tag") else { return Vec::new() };
    let sheet = entry.at.sheet;
    let mut offered = Vec::new();
    let mut taken = Taken::default();
    for (index, (start, inside)) in tables.unwrap_or_default().into_iter().enumerate() {
        if offered.len() == TAGS_MAX {
            let at = Place { sheet, offset: start };
            let message = format!("{}there are more than {TAGS_MAX} tags", table.whose);
            findings.at(at, "config.tag.many", &table.path_of("tag"), message);
            break;
        }
        let whose = match inside.get("point").and_then(|it| it.get_ref().as_str()) {
            Some(name) => format!("{}tag of `{}`: ", table.whose, super::shortened(name)),
            None => format!("{}tag number {}: ", table.whose, index + 1),
        };
        let path = format!("{}[{index}]", table.path_of("tag"));
        let mut section = Section::new(whose, path, TAG_KEYS);
        section.add(sheet, start, inside, findings);
        if let Some(read) = tag(&section, known, findings) {
            taken.claim(&section, &read, findings);
            offered.push(read);
        }
    }
    offered
}

fn tag(table: &Section<'_>, known: &Known<'_>, findings: &mut Findings) -> Option<Offered> {
    table.missing("point", POINT, findings);
    let point = table.read("point", POINT, findings, |it| known.point(it));
    let register = tag::register(table, findings);
    let can = register.as_ref().is_some_and(|it| matches!(it.area, Area::Coil | Area::Holding));
    let why = "stands in an area that can only be read";
    let write = tag::writes(table, can || register.is_none(), why, findings);
    let any = f64::MIN..=f64::MAX;
    let scale = tag::scale(table, findings).unwrap_or(1.0);
    let offset = table.number("offset", any, "in the point's unit", findings).unwrap_or(0.0);
    let quality = table.whole("quality", 0..=65_535, "a register of the same table", findings);
    let (point, found) = point?;
    let register = register?;
    if found.says.is_text() != (register.kind == Kind::String) {
        let wrong = Wrong::Value("does not hold what the point says", None);
        let accepted = "\"string\" for points that are texts, and only for those";
        table.refuse("type", wrong, accepted, findings);
    }
    if write && found.tag.is_some_and(|it| !it.write) {
        let wrong = Wrong::Value("opens a tag that nobody may write", None);
        table.refuse("write", wrong, "`write = true` at the machine's own tag as well", findings);
    }
    if quality.is_some() && matches!(register.area, Area::Coil | Area::Discrete) {
        let wrong = Wrong::Value("is a number and has no place among bits", None);
        table.refuse("quality", wrong, "no `quality`, or an area of registers", findings);
    }
    let quality = quality.and_then(|it| u16::try_from(it).ok());
    let source = Source::Register(register);
    let tag = Tag { name: point.clone(), source, scale, offset, write, ..Tag::default() };
    Some(Offered { point, tag, quality })
}

/// Which registers are taken, and by what.
#[derive(Default)]
struct Taken {
    /// Bit 16 is the register as a whole.
    cells: BTreeMap<(Area, u16, u8), String>,
}

const WHOLE: u8 = 16;

impl Taken {
    fn claim(&mut self, table: &Section<'_>, read: &Offered, findings: &mut Findings) {
        let Some(register) = read.register() else { return };
        let one_bit =
            register.kind == Kind::Bit && matches!(register.area, Area::Holding | Area::Input);
        let bit = if one_bit { register.bit } else { WHOLE };
        let values = (0..register.width()).map(|it| (register.address.saturating_add(it), bit));
        let quality = read.quality.map(|it| (it, WHOLE));
        for (key, cells) in
            [("address", values.collect::<Vec<_>>()), ("quality", quality.into_iter().collect())]
        {
            let first = cells.iter().find_map(|cell| self.first(register, *cell));
            if let Some(first) = first {
                let what = format!("`{key}` is a place that `{first}` has taken");
                self.report(table, key, &what, findings);
            }
            for (address, bit) in cells {
                self.cells.entry((register.area, address, bit)).or_insert(read.point.clone());
            }
        }
    }

    fn first(&self, register: &Register, (address, bit): (u16, u8)) -> Option<&String> {
        let at = |bit| self.cells.get(&(register.area, address, bit));
        match bit {
            WHOLE => (0..=WHOLE).find_map(at),
            bit => at(bit).or_else(|| at(WHOLE)),
        }
    }

    fn report(&self, table: &Section<'_>, key: &str, what: &str, findings: &mut Findings) {
        let Some(at) = table.entry(key).map(|it| it.value_at).or(table.at) else { return };
        let message = format!("{}{what}", table.whose);
        let path = table.path_of(key);
        let problem = findings.at(at, "config.modbus_server.clash", &path, message);
        problem.accepted = Some("registers of its own for every tag and its quality".into());
    }
}
