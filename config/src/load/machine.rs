//! `[[machine]]`: its keys, and how they are read.

use toml::de::{DeTable, DeValue};

use super::bus;
use super::findings::Findings;
use super::nearest::nearest;
use super::port;
use super::printer;
use super::section::Section;
use super::sheet::Sheet;
use super::value::{self, FARTHEST_MM, Read, Wrong};
use crate::machine::{
    Envelope, HoldMeans, Machine, OnError, PinsBy, Port, SoftLimits, StopMeans, Units, Xyz,
};

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
    "jog_overrun",
    "power",
];

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
    let said = table.get("driver").and_then(|it| it.get_ref().as_str()).unwrap_or_default();
    let keys = bus::keys(said).unwrap_or(MACHINE_KEYS);
    let mut section = Section::new(whose, format!("machine[{index}]"), keys);
    section.add(sheet, at, table, findings);
    declared(section, drivers, findings)
}

fn declared<'a>(table: Section<'a>, drivers: &[&str], findings: &mut Findings) -> Draft<'a> {
    let id = required(&table, "id", ID, findings, machine_id);
    let known = format!("one of the drivers: {}", drivers.join(", "));
    let driver = required(&table, "driver", &known, findings, |it| driver(it, drivers));
    let port = port(&table, driver.as_deref(), drivers, findings);
    let named = |it: &DeValue<'_>| value::text(it, 64);
    let name = table.read("name", "text of at most 64 characters", findings, named);
    let machine = Machine {
        id: id.clone().unwrap_or_default(),
        name: name.or(id.clone()).unwrap_or_default(),
        driver: driver.clone().unwrap_or_default(),
        port: port.clone().unwrap_or(Port::Sim(String::new())),
        ..Machine::default()
    };
    let machine = match driver.as_deref().filter(|it| bus::keys(it).is_some()) {
        Some(driver) => on_a_bus(machine, &table, driver, findings),
        None => moves(machine, &table, findings),
    };
    Draft { table, id, port, machine }
}

/// Where it is plugged in; pins are where the board is.
fn port(
    table: &Section<'_>,
    driver: Option<&str>,
    drivers: &[&str],
    findings: &mut Findings,
) -> Option<Port> {
    if driver == Some("gpio") && table.entry("port").is_none() {
        return Some(Port::Pins(PinsBy::default()));
    }
    table.missing("port", &port::accepted(driver), findings);
    port::port(table, driver, drivers, findings)
}

/// The rest of a device on a bus.
fn on_a_bus(
    machine: Machine,
    table: &Section<'_>,
    driver: &str,
    findings: &mut Findings,
) -> Machine {
    let (bus, tags) = bus::bus(table, driver, Some(&machine.port), findings);
    let baud = if table.has("baud") { baud(table, findings) } else { None };
    // What devices on a serial bus are shipped with more often than not.
    Machine { bus, tags, baud: baud.unwrap_or(9_600), ..machine }
}

/// The rest of a machine that moves.
fn moves(machine: Machine, table: &Section<'_>, findings: &mut Findings) -> Machine {
    let envelope = envelope(table, findings);
    Machine {
        baud: baud(table, findings).unwrap_or(machine.baud),
        dtr: table.flag("dtr", findings).unwrap_or(true),
        envelope,
        units: table.word("units", &UNITS, findings).unwrap_or_default(),
        soft_limits: table.word("soft_limits", &SOFT_LIMITS, findings).unwrap_or_default(),
        laser: table.flag("laser", findings).unwrap_or(false),
        hold: table.word("hold", &HOLD, findings).unwrap_or_default(),
        stop: table.word("stop", &STOP, findings).unwrap_or_default(),
        on_error: table.word("on_error", &ON_ERROR, findings).unwrap_or_default(),
        spinup_s: spinup_s(table, findings).unwrap_or(machine.spinup_s),
        safe_z: safe_z(table, envelope, machine.safe_z, findings),
        printer: printer::printer(table, findings),
        jog_overrun: jog_overrun(table, findings).unwrap_or(machine.jog_overrun),
        ..machine
    }
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

fn baud(table: &Section<'_>, findings: &mut Findings) -> Option<u32> {
    let baud = table.whole("baud", 300..=12_000_000, "bits per second", findings);
    baud.and_then(|baud| u32::try_from(baud).ok())
}

fn spinup_s(table: &Section<'_>, findings: &mut Findings) -> Option<f64> {
    table.number("spinup_s", 0.0..=120.0, "seconds", findings)
}

/// Where nothing is said: just below the top, whether the machine calls that 0 or something else.
fn safe_z(
    table: &Section<'_>,
    envelope: Option<Envelope>,
    usual: f64,
    findings: &mut Findings,
) -> f64 {
    let Some(envelope) = envelope else {
        let anywhere = -FARTHEST_MM..=FARTHEST_MM;
        let said = table.number("safe_z", anywhere, "mm in machine coordinates", findings);
        return said.unwrap_or(usual);
    };
    let (bottom, top) = (envelope.min[2], envelope.max[2]);
    let height = "mm in machine coordinates, within the envelope";
    let said = table.number("safe_z", bottom..=top, height, findings);
    said.unwrap_or((top + usual).max(bottom))
}

/// More than a hand's breadth is no bound; less than a tenth of a millimetre is no jog.
fn jog_overrun(table: &Section<'_>, findings: &mut Findings) -> Option<Xyz> {
    let accepted = "three numbers from 0.1 to 50, mm for X, Y and Z: [5, 5, 1]";
    table.read("jog_overrun", accepted, findings, |it| {
        let each = value::xyz(it)?;
        let good = each.iter().all(|it| (0.1..=50.0).contains(it));
        if good { Ok(each) } else { value::refuse("is out of bounds") }
    })
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

fn machine_id(value: &DeValue<'_>) -> Read<String> {
    match identity(value)? {
        // Its points would have the names of the box's own.
        id if id == "house" => value::refuse("is what the points of the box itself go by"),
        id => Ok(id),
    }
}

pub(super) fn identity(value: &DeValue<'_>) -> Read<String> {
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
