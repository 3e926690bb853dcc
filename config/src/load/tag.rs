//! `[[machine.tag]]`: its keys, and how they are read.

use toml::de::DeValue;

use super::findings::Findings;
use super::nearest::nearest;
use super::pin;
use super::section::Section;
use super::sheet::Place;
use super::value::{self, Read, Wanted, Wrong};
use crate::chip::Chip;
use crate::point::Value;
use crate::tag::{Area, Kind, Order, Register, Source, Tag};

/// More tags than this on one machine are no device but a mistake.
const TAGS_MAX: usize = 10_000;
/// A tag is stale when it is older than so many periods.
const PERIODS: f64 = 2.5;

/// What the tags of a machine are found in.
#[derive(Clone, Copy)]
pub(super) enum Reads {
    /// Registers of a Modbus device.
    Registers,
    /// Pins of the board.
    Pins,
    /// Channels of a chip.
    Channels(&'static Chip),
}

const REGISTER_KEYS: &[&str] = &[
    "name",
    "area",
    "address",
    "type",
    "order",
    "bit",
    "length",
    "scale",
    "offset",
    "unit",
    "range",
    "deadband",
    "period_ms",
    "age_limit_ms",
    "write",
    "read_back",
    "hold",
    "stop",
    "safe",
    "rest_below",
];
const PIN_KEYS: &[&str] = &[
    "name",
    "pin",
    "mode",
    "role",
    "debounce_ms",
    "hertz",
    "scale",
    "offset",
    "unit",
    "range",
    "deadband",
    "period_ms",
    "age_limit_ms",
    "write",
    "hold",
    "stop",
    "safe",
];
const CHANNEL_KEYS: &[&str] = &[
    "name",
    "channel",
    "output",
    "scale",
    "offset",
    "unit",
    "range",
    "deadband",
    "period_ms",
    "age_limit_ms",
    "write",
    "hold",
    "stop",
    "safe",
];

impl Reads {
    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Registers => REGISTER_KEYS,
            Self::Pins => PIN_KEYS,
            Self::Channels(_) => CHANNEL_KEYS,
        }
    }
}

/// Reads every tag of a machine or a profile.
pub(super) fn tags(table: &Section<'_>, reads: Reads, findings: &mut Findings) -> Vec<Tag> {
    let many = "one `[[machine.tag]]` for each, with two brackets";
    let tables = table
        .read("tag", many, findings, |it| super::tables_of(it).ok_or(Wrong::Kind(Wanted::Many)));
    let Some(entry) = table.entry("tag") else { return Vec::new() };
    let sheet = entry.at.sheet;
    let mut tags: Vec<Tag> = Vec::new();
    for (index, (start, inside)) in tables.unwrap_or_default().into_iter().enumerate() {
        let at = Place { sheet, offset: start };
        if tags.len() == TAGS_MAX {
            let message = format!("{}there are more than {TAGS_MAX} tags", table.whose);
            findings.at(at, "config.tag.many", &table.path_of("tag"), message);
            break;
        }
        let name = inside.get("name").and_then(|it| it.get_ref().as_str());
        let whose = match name {
            Some(name) => format!("{}tag `{}`: ", table.whose, super::shortened(name)),
            None => format!("{}tag number {}: ", table.whose, index + 1),
        };
        let path = format!("{}[{index}]", table.path_of("tag"));
        let mut section = Section::new(whose, path, reads.keys());
        section.add(sheet, start, inside, findings);
        let read = tag(&section, reads, findings);
        if let Some(twice) = tags.iter().find(|it| !read.name.is_empty() && it.name == read.name) {
            let message = format!("{}tag `{}` is declared twice", table.whose, twice.name);
            findings.at(at, "config.tag.twice", &section.path_of("name"), message);
        }
        tags.push(read);
    }
    tags
}

fn tag(table: &Section<'_>, reads: Reads, findings: &mut Findings) -> Tag {
    table.missing("name", NAME, findings);
    let name = table.read("name", NAME, findings, name).unwrap_or_default();
    let source = match reads {
        Reads::Registers => register(table, findings).map(Source::Register),
        Reads::Pins => pin::pin(table, findings).map(Source::Pin),
        Reads::Channels(chip) => channel(table, chip, findings),
    };
    if matches!(source, Some(Source::Channel { output: true, .. })) {
        table.missing("safe", SAFE, findings);
    }
    let source = source.unwrap_or(Source::Channel { channel: String::new(), output: false });
    let written = match &source {
        Source::Register(register) => {
            let can = matches!(register.area, Area::Coil | Area::Holding);
            writes(table, can, "stands in an area that can only be read", findings)
        }
        Source::Pin(pin) => {
            writes(table, pin.mode.output(), "is an input", findings) || pin.mode.output()
        }
        Source::Channel { output, .. } => {
            writes(table, *output, "is an input", findings) || *output
        }
    };
    let usual = Tag::default();
    let period_ms = table.whole("period_ms", 1..=86_400_000, "milliseconds", findings);
    let period_ms = period_ms.unwrap_or(usual.period_ms);
    let unread = matches!(&source, Source::Register(it) if !it.read_back);
    let usual_age = (period_ms as f64 * PERIODS).ceil() as u64;
    let age = table.whole("age_limit_ms", 1..=864_000_000, "milliseconds", findings);
    let any = f64::MIN..=f64::MAX;
    let unit = match reads {
        Reads::Channels(chip) => match &source {
            Source::Channel { channel, .. } => chip.channel(channel).map_or("", |it| it.unit),
            _ => "",
        },
        _ => "",
    };
    let said =
        table.read("unit", "text of at most 16 characters", findings, |it| value::text(it, 16));
    let safe = point_value(table, "safe", findings);
    Tag {
        name,
        scale: scale(table, findings).unwrap_or(usual.scale),
        offset: table.number("offset", any, "in the unit", findings).unwrap_or(usual.offset),
        unit: said.unwrap_or_else(|| unit.to_owned()),
        range: range(table, findings),
        deadband: table
            .number("deadband", 0.0..=f64::MAX, "in the unit", findings)
            .unwrap_or(usual.deadband),
        period_ms,
        // What nobody reads does not grow old.
        age_limit_ms: if unread { 0 } else { age.unwrap_or(usual_age) },
        write: written,
        hold: point_value(table, "hold", findings),
        stop: point_value(table, "stop", findings).or_else(|| safe.clone()),
        safe,
        rest_below: if table.has("rest_below") {
            table.number("rest_below", f64::MIN_POSITIVE..=f64::MAX, "in the unit", findings)
        } else {
            None
        },
        source,
    }
}

/// What a raw value is multiplied with. Nothing could be told or written by 0.
pub(super) fn scale(table: &Section<'_>, findings: &mut Findings) -> Option<f64> {
    let accepted = "a number that is not 0";
    table.read("scale", accepted, findings, |it| match value::number(it, &(f64::MIN..=f64::MAX))? {
        0.0 => value::refuse("would make everything the same"),
        scale => Ok(scale),
    })
}

/// Whether people may write the tag; what a stop writes to it can be written too.
pub(super) fn writes(
    table: &Section<'_>,
    can: bool,
    why: &'static str,
    findings: &mut Findings,
) -> bool {
    let write = table.flag("write", findings).unwrap_or(false);
    for key in ["write", "hold", "stop", "safe"] {
        if table.entry(key).is_some() && !can && (key != "write" || write) {
            table.refuse(
                key,
                Wrong::Value(why, None),
                "an output, a coil or a holding register",
                findings,
            );
        }
    }
    write && can
}

/// What `safe` of an output must be.
pub(super) const SAFE: &str = "the state in which nothing can happen: true, false or a number";
const NAME: &str = "text of at most 32 characters a-z 0-9 - _ that begins with a letter or digit";

fn name(value: &DeValue<'_>) -> Read<String> {
    super::machine::identity(value)
}

const AREAS: [(&str, Area); 4] = [
    ("coil", Area::Coil),
    ("discrete", Area::Discrete),
    ("holding", Area::Holding),
    ("input", Area::Input),
];
const KINDS: [(&str, Kind); 8] = [
    ("bit", Kind::Bit),
    ("u16", Kind::U16),
    ("i16", Kind::I16),
    ("u32", Kind::U32),
    ("i32", Kind::I32),
    ("f32", Kind::F32),
    ("f64", Kind::F64),
    ("string", Kind::String),
];
const ORDERS: [(&str, Order); 4] =
    [("ABCD", Order::Abcd), ("CDAB", Order::Cdab), ("BADC", Order::Badc), ("DCBA", Order::Dcba)];

pub(super) fn register(table: &Section<'_>, findings: &mut Findings) -> Option<Register> {
    table.missing("area", "\"coil\", \"discrete\", \"holding\" or \"input\"", findings);
    table.missing("address", ADDRESS, findings);
    let area = table.word("area", &AREAS, findings);
    let address = table.whole("address", 0..=65_535, ADDRESS, findings);
    let bits = matches!(area, Some(Area::Coil | Area::Discrete));
    let usual = if bits { Kind::Bit } else { Kind::U16 };
    let kind = table.word("type", &KINDS, findings).unwrap_or(usual);
    if bits && kind != Kind::Bit {
        let wrong = Wrong::Value("does not fit into a coil", None);
        table.refuse("type", wrong, "\"bit\": coils and discrete inputs hold one bit", findings);
    }
    let order = table.word("order", &ORDERS, findings).unwrap_or_default();
    let bit = table.whole("bit", 0..=15, "the bit of a register, 0 is the least", findings);
    let length = table.whole("length", 1..=125, "registers that the text takes", findings);
    if kind == Kind::String {
        table.missing("length", "how many registers the text takes", findings);
    }
    let read_back = !table.has("read_back") || table.flag("read_back", findings).unwrap_or(true);
    if !read_back && (bits || kind == Kind::Bit || table.entry("write").is_none()) {
        let wrong = Wrong::Value("is for whole registers that are written", None);
        let accepted = "false only beside `write = true`, and not for bits";
        table.refuse("read_back", wrong, accepted, findings);
    }
    let register = Register {
        area: area?,
        address: u16::try_from(address?).ok()?,
        kind,
        order,
        bit: bit.and_then(|it| u8::try_from(it).ok()).unwrap_or(0),
        length: length.and_then(|it| u16::try_from(it).ok()).unwrap_or(1),
        read_back,
    };
    let last = u32::from(register.address) + u32::from(register.width()) - 1;
    if last > u32::from(u16::MAX) {
        let wrong = Wrong::Value("reaches past the last register", None);
        table.refuse("address", wrong, "an address at which the whole value fits", findings);
    }
    Some(register)
}

const ADDRESS: &str = "the first coil or register, counted from 0 (40001 of the manual is 0)";

fn channel(table: &Section<'_>, chip: &Chip, findings: &mut Findings) -> Option<Source> {
    let names: Vec<&str> = chip.channels.iter().map(|it| it.name).collect();
    let known = format!("a channel of a {}: {}", chip.name, names.join(", "));
    table.missing("channel", &known, findings);
    let channel = table.read("channel", &known, findings, |it| {
        let said = value::text(it, 32)?;
        chip.channel(&said).ok_or_else(|| {
            let near = nearest(&said, names.iter().copied());
            Wrong::Value("is not a channel of this chip", near.map(value::did_you_mean))
        })
    })?;
    let output = table.flag("output", findings).unwrap_or(channel.name == "dac");
    if output && !channel.output {
        let wrong = Wrong::Value("cannot be an output", None);
        table.refuse("output", wrong, "false: this channel is only read", findings);
    }
    Some(Source::Channel { channel: channel.name.to_owned(), output: output && channel.output })
}

fn range(table: &Section<'_>, findings: &mut Findings) -> Option<[f64; 2]> {
    table.read("range", "[smallest, largest], in the unit", findings, |it| {
        let items = it.as_array().ok_or(Wrong::Kind(Wanted::Many))?;
        let numbers = value::each(items, |it| value::number(it, &(f64::MIN..=f64::MAX)))?;
        match numbers[..] {
            [low, high] if low < high => Ok([low, high]),
            [_, _] => value::refuse("does not rise"),
            _ => value::refuse("does not have two numbers"),
        }
    })
}

fn point_value(table: &Section<'_>, key: &str, findings: &mut Findings) -> Option<Value> {
    table.read(key, "true, false, a number or a text", findings, value::point)
}
