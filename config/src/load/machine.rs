//! `[[machine]]`: its keys, and how they are read.

use toml::de::{DeTable, DeValue};

use super::findings::Findings;
use super::nearest::nearest;
use super::port::{self, PORT};
use super::printer;
use super::section::Section;
use super::sheet::Sheet;
use super::value::{self, FARTHEST_MM, Read, Wrong};
use crate::machine::{Envelope, HoldMeans, Machine, OnError, Port, SoftLimits, StopMeans, Units};

/// Everything a machine may declare.
pub(super) const MACHINE_KEYS: &[&str] = &[
    "id",
    "name",
    "driver",
    "port",
    "baud",
    "dtr",
    "envelope",
    "units",
    "soft_limits",
    "laser",
    "hold",
    "stop",
    "on_error",
    "spinup_s",
    "safe_z",
    "printer",
];

/// Bits per second where nothing else is said: GRBL's own since 0.9.
const USUAL_BAUD: u32 = 115_200;
/// Seconds; small spindles need one to two, and waiting longer costs nothing but time.
const USUAL_SPINUP_S: f64 = 3.0;
/// GRBL homes to the top of Z, which is machine zero less the pull-off (1 mm as shipped).
const USUAL_SAFE_Z: f64 = -1.0;

const ID: &str = "text of at most 32 characters a-z 0-9 - _ that begins with a letter or digit";
/// A machine while the whole is still being checked.
pub(super) struct Draft<'a> {
    /// Its table.
    pub(super) table: Section<'a>,
    /// Its id, if that is right.
    pub(super) id: Option<String>,
    /// Its port, if that is right.
    pub(super) port: Option<Port>,
    /// What it is, with stand-ins for what is not right.
    pub(super) machine: Machine,
}

/// Reads one `[[machine]]`; `index` counts them within the file.
pub(super) fn machine<'a>(
    sheet: &'a Sheet<'a>,
    (index, at): (usize, usize),
    table: &'a DeTable<'a>,
    drivers: &[&str],
    findings: &mut Findings,
) -> Draft<'a> {
    let id = table.get("id").and_then(|id| identity(id.get_ref()).ok());
    let whose = match &id {
        Some(id) => format!("machine `{id}`: "),
        None => format!("machine number {}: ", index + 1),
    };
    let mut section = Section::new(whose, format!("machine[{index}]"), MACHINE_KEYS);
    section.add(sheet, at, table, findings);
    declared(section, drivers, findings)
}

fn declared<'a>(table: Section<'a>, drivers: &[&str], findings: &mut Findings) -> Draft<'a> {
    let id = required(&table, "id", ID, findings, identity);
    let known = format!("one of the drivers: {}", drivers.join(", "));
    let driver = required(&table, "driver", &known, findings, |it| driver(it, drivers));
    let port = required(&table, "port", PORT, findings, |_| Ok(()));
    let port = port.and_then(|()| port::port(&table, driver.as_deref(), drivers, findings));
    let named = |it: &DeValue<'_>| value::text(it, 64);
    let name = table.read("name", "text of at most 64 characters", findings, named);
    let envelope = envelope(&table, findings);
    let machine = Machine {
        id: id.clone().unwrap_or_default(),
        name: name.or(id.clone()).unwrap_or_default(),
        driver: driver.unwrap_or_default(),
        port: port.clone().unwrap_or(Port::Sim(String::new())),
        baud: baud(&table, findings),
        dtr: table.flag("dtr", findings).unwrap_or(true),
        envelope,
        units: table.word("units", &UNITS, findings).unwrap_or_default(),
        soft_limits: table.word("soft_limits", &SOFT_LIMITS, findings).unwrap_or_default(),
        laser: table.flag("laser", findings).unwrap_or(false),
        hold: table.word("hold", &HOLD, findings).unwrap_or_default(),
        stop: table.word("stop", &STOP, findings).unwrap_or_default(),
        on_error: table.word("on_error", &ON_ERROR, findings).unwrap_or_default(),
        spinup_s: spinup_s(&table, findings),
        safe_z: safe_z(&table, envelope, findings),
        printer: printer::printer(&table, findings),
    };
    Draft { table, id, port, machine }
}

const UNITS: [(&str, Units); 2] = [("mm", Units::Mm), ("inch", Units::Inch)];
const SOFT_LIMITS: [(&str, SoftLimits); 3] =
    [("refuse", SoftLimits::Refuse), ("warn", SoftLimits::Warn), ("off", SoftLimits::Off)];
const HOLD: [(&str, HoldMeans); 2] =
    [("feed_hold", HoldMeans::FeedHold), ("door", HoldMeans::Door)];
const STOP: [(&str, StopMeans); 2] =
    [("hold_then_reset", StopMeans::HoldThenReset), ("reset", StopMeans::Reset)];
const ON_ERROR: [(&str, OnError); 3] =
    [("stop", OnError::Stop), ("hold", OnError::Hold), ("continue", OnError::Continue)];

/// As [`Section::read`], for a key that must be there.
fn required<'a, T>(
    table: &Section<'a>,
    key: &str,
    accepted: &str,
    findings: &mut Findings,
    read: impl FnOnce(&'a DeValue<'a>) -> Read<T>,
) -> Option<T> {
    table.missing(key, accepted, findings);
    table.read(key, accepted, findings, read)
}

fn driver(value: &DeValue<'_>, drivers: &[&str]) -> Read<String> {
    let said = value::text(value, 64)?;
    if drivers.contains(&said.as_str()) {
        return Ok(said);
    }
    let near = nearest(&said, drivers.iter().copied());
    Err(Wrong::Value("is not a driver of this daemon", near.map(value::did_you_mean)))
}

fn baud(table: &Section<'_>, findings: &mut Findings) -> u32 {
    let baud = table.whole("baud", 300..=12_000_000, "bits per second", findings);
    baud.and_then(|baud| u32::try_from(baud).ok()).unwrap_or(USUAL_BAUD)
}

fn spinup_s(table: &Section<'_>, findings: &mut Findings) -> f64 {
    table.number("spinup_s", 0.0..=120.0, "seconds", findings).unwrap_or(USUAL_SPINUP_S)
}

/// Where nothing is said: just below the top, whether the machine calls that 0 or something else.
fn safe_z(table: &Section<'_>, envelope: Option<Envelope>, findings: &mut Findings) -> f64 {
    let Some(envelope) = envelope else {
        let anywhere = -FARTHEST_MM..=FARTHEST_MM;
        let said = table.number("safe_z", anywhere, "mm in machine coordinates", findings);
        return said.unwrap_or(USUAL_SAFE_Z);
    };
    let (bottom, top) = (envelope.min[2], envelope.max[2]);
    let height = "mm in machine coordinates, within the envelope";
    let said = table.number("safe_z", bottom..=top, height, findings);
    said.unwrap_or((top + USUAL_SAFE_Z).max(bottom))
}

const ENVELOPE: &str = "{ min = [x, y, z], max = [x, y, z] } in mm, each min below its max";

fn envelope(table: &Section<'_>, findings: &mut Findings) -> Option<Envelope> {
    let box_of = table.table("envelope", ENVELOPE, &["min", "max"], findings)?;
    let point = "three numbers in mm: [x, y, z]";
    box_of.missing("min", point, findings);
    box_of.missing("max", point, findings);
    let min = box_of.read("min", point, findings, value::xyz);
    let max = box_of.read("max", point, findings, value::xyz);
    let envelope = Envelope { min: min?, max: max? };
    let flat = (0..3).find(|&axis| envelope.min[axis] >= envelope.max[axis]);
    if let Some(axis) = flat {
        let why = ["is not above `min` in X", "is not above `min` in Y", "is not above `min` in Z"];
        box_of.refuse("max", Wrong::Value(why[axis], None), ENVELOPE, findings);
    }
    flat.is_none().then_some(envelope)
}

fn identity(value: &DeValue<'_>) -> Read<String> {
    let id = value::text(value, 32)?;
    let plain = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit();
    if id.starts_with(plain) && id.chars().all(|it| plain(it) || matches!(it, '-' | '_')) {
        return Ok(id);
    }
    let lower = id.to_ascii_lowercase().replace([' ', '.'], "-");
    let near =
        lower.starts_with(plain) && lower.chars().all(|it| plain(it) || matches!(it, '-' | '_'));
    Err(Wrong::Value("cannot be an id", near.then(|| value::did_you_mean(lower))))
}
