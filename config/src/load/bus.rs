//! `[[machine]]` of a device on a bus: its keys beside those that every machine has.

use toml::de::DeValue;

use super::findings::Findings;
use super::nearest::nearest;
use super::section::Section;
use super::sheet::Sheet;
use super::tag::{self, Reads};
use super::value::{self, Read, Wanted, Wrong};
use crate::chip::{self, CHIPS, Chip};
use crate::machine::{PinsBy, Port};
use crate::profile::{self, PROFILES};
use crate::tag::{Area, Bus, Framing, Kind, Parity, Source, Tag, Watchdog, WriteFunction};

const RTU_KEYS: &[&str] = &[
    "id",
    "name",
    "driver",
    "port",
    "baud",
    "parity",
    "stop_bits",
    "unit",
    "profile",
    "timeout_ms",
    "pause_ms",
    "max_gap",
    "max_registers",
    "write_function",
    "watchdog",
    "power",
    "tag",
];
const TCP_KEYS: &[&str] = &[
    "id",
    "name",
    "driver",
    "port",
    "unit",
    "profile",
    "timeout_ms",
    "pause_ms",
    "max_gap",
    "max_registers",
    "write_function",
    "watchdog",
    "power",
    "tag",
];
const GPIO_KEYS: &[&str] = &["id", "name", "driver", "port", "tag"];
const I2C_KEYS: &[&str] =
    &["id", "name", "driver", "port", "chip", "address", "timeout_ms", "power", "tag"];

/// Every key that a machine with this driver may have; `None`: it is on no bus.
pub(super) fn keys(driver: &str) -> Option<&'static [&'static str]> {
    Some(match driver {
        "modbus-rtu" => RTU_KEYS,
        "modbus-tcp" => TCP_KEYS,
        "gpio" => GPIO_KEYS,
        "i2c" => I2C_KEYS,
        _ => return None,
    })
}

/// Reads what a device on a bus declares: how it is reached there, and its tags.
pub(super) fn bus(
    table: &Section<'_>,
    driver: &str,
    port: Option<&Port>,
    findings: &mut Findings,
) -> (Bus, Vec<Tag>) {
    match driver {
        "gpio" => {
            table.missing("tag", "one `[[machine.tag]]` for each pin", findings);
            let tags = tag::tags(table, Reads::Pins, findings);
            if port == Some(&Port::Pins(PinsBy::Rppal)) {
                on_the_header(table, &tags, findings);
            }
            (Bus::default(), tags)
        }
        "i2c" => i2c(table, findings),
        _ => modbus(table, driver, port, findings),
    }
}

/// A Pi's registers know the lines of its header only, whatever the chip is called.
fn on_the_header(table: &Section<'_>, tags: &[Tag], findings: &mut Findings) {
    let elsewhere = tags.iter().filter_map(|tag| match &tag.source {
        Source::Pin(pin) if pin.line.chip != HEADER => Some((tag, &pin.line)),
        _ => None,
    });
    for (tag, line) in elsewhere {
        let (whose, name, chip) = (&table.whose, &tag.name, &line.chip);
        let message = format!("{whose}tag `{name}`: rppal cannot reach a line of `{chip}`");
        let at = table.entry("port").map(|it| it.value_at).or(table.at);
        let Some(at) = at else { return };
        findings.at(at, "config.pin.rppal", &table.path_of("port"), message).accepted =
            Some(format!("lines of `{HEADER}`, or \"cdev\" for those of other chips"));
    }
}

/// The chip whose lines are on a Raspberry Pi's header.
const HEADER: &str = "gpiochip0";

fn modbus(
    table: &Section<'_>,
    driver: &str,
    port: Option<&Port>,
    findings: &mut Findings,
) -> (Bus, Vec<Tag>) {
    let profiles: Vec<&str> = PROFILES.iter().map(|it| it.name).collect();
    let known = format!("one of the profiles: {}", profiles.join(", "));
    let named = |it: &DeValue<'_>| {
        let said = value::text(it, 64)?;
        profile::find(&said).ok_or_else(|| {
            let near = nearest(&said, profiles.iter().copied());
            Wrong::Value(
                "is not a profile that ships with this daemon",
                near.map(value::did_you_mean),
            )
        })
    };
    let profile =
        if table.has("profile") { table.read("profile", &known, findings, named) } else { None };
    let (mut bus, mut tags) = match profile {
        Some(profile) => shipped(profile.name, profile.text),
        None => (Bus::default(), Vec::new()),
    };
    bus.profile = profile.map(|it| it.name);
    tuned(table, &mut bus, findings);
    if table.has("parity") {
        bus.parity = table.word("parity", &PARITY, findings).unwrap_or_default();
        let bits = table.whole("stop_bits", 1..=2, "stop bits", findings);
        bus.stop_bits = bits.and_then(|it| u8::try_from(it).ok()).unwrap_or(1);
    }
    // On a line 0 is all devices, who answer nothing, and those above 247 are reserved.
    let units = if driver == "modbus-rtu" { 1..=247 } else { 0..=255 };
    if let Some(unit) = table.whole("unit", units, "the device's number on its bus", findings) {
        bus.unit = u8::try_from(unit).unwrap_or(1);
    }
    let network = matches!(port, Some(Port::Tcp(..))) && table.has("baud");
    if network && table.entry("baud").is_none() && bus.framing == Framing::Standard {
        bus.framing = Framing::RtuOverTcp;
    }
    bus.watchdog = watchdog(table, findings).or(bus.watchdog);
    if let (Some(entry), Framing::Huanyang) = (table.entry("watchdog"), bus.framing) {
        let message = format!("{}drives of this kind have no register for a watchdog", table.whose);
        let key = table.path_of("watchdog");
        findings.at(entry.value_at, "config.watchdog.huanyang", &key, message).accepted =
            Some("the drive's own reaction to a lost line, set at the drive".into());
    }
    for tag in tag::tags(table, Reads::Registers, findings) {
        tags.retain(|it| it.name != tag.name);
        tags.push(tag);
    }
    if tags.is_empty() && table.entry("profile").is_none() {
        table.missing("tag", "one `[[machine.tag]]` for each value, or a `profile`", findings);
    }
    fits(table, &bus, &tags, findings);
    (bus, tags)
}

/// Whether its values can be written by the function that is declared.
fn fits(table: &Section<'_>, bus: &Bus, tags: &[Tag], findings: &mut Findings) {
    if bus.write_function != WriteFunction::ReadWrite {
        return;
    }
    if bus.framing == Framing::Huanyang {
        let wrong = Wrong::Value("is not a function of this drive", None);
        table.refuse("write_function", wrong, "\"write\", or no such line", findings);
    }
    let too_long = tags.iter().filter(|tag| tag.write).any(|tag| match &tag.source {
        Source::Register(it) => {
            it.area == Area::Holding && it.kind == Kind::String && READ_WRITE_MAX < it.length
        }
        _ => false,
    });
    if too_long {
        let wrong = Wrong::Value("cannot carry a text of this length", None);
        let accepted = format!("texts of at most {READ_WRITE_MAX} registers, or \"write\"");
        table.refuse("write_function", wrong, &accepted, findings);
    }
}

const PARITY: [(&str, Parity); 3] =
    [("none", Parity::None), ("even", Parity::Even), ("odd", Parity::Odd)];
const FRAMING: [(&str, Framing); 2] =
    [("standard", Framing::Standard), ("huanyang", Framing::Huanyang)];

const WRITE_FUNCTION: [(&str, WriteFunction); 2] =
    [("write", WriteFunction::Write), ("read-write", WriteFunction::ReadWrite)];
/// Most registers that function 23 writes.
const READ_WRITE_MAX: u16 = 121;

/// What machines and profiles may say alike.
fn tuned(table: &Section<'_>, bus: &mut Bus, findings: &mut Findings) {
    let timeout = "milliseconds; an answer at 9600 baud takes up to 300";
    if let Some(timeout) = table.whole("timeout_ms", 10..=60_000, timeout, findings) {
        bus.timeout_ms = timeout;
    }
    let pause = "milliseconds of silence before each request";
    if let Some(pause) = table.whole("pause_ms", 0..=10_000, pause, findings) {
        bus.pause_ms = pause;
    }
    let registers = "registers in one request";
    if let Some(most) = table.whole("max_registers", 1..=125, registers, findings) {
        bus.max_registers = u16::try_from(most).unwrap_or(125);
    }
    if let Some(function) = table.word("write_function", &WRITE_FUNCTION, findings) {
        bus.write_function = function;
    }
    if table.has("max_gap")
        && let Some(gap) = table.whole("max_gap", 0..=124, "registers read along", findings)
    {
        bus.max_gap = u16::try_from(gap).ok();
    }
}

const WATCHDOG: &str = "{ address = 100, period_ms = 500 }";

fn watchdog(table: &Section<'_>, findings: &mut Findings) -> Option<Watchdog> {
    let inside = table.table("watchdog", WATCHDOG, &["address", "period_ms"], findings)?;
    inside.missing("address", "a register, counted from 0", findings);
    let address = inside.whole("address", 0..=65_535, "a register, counted from 0", findings)?;
    let period_ms = inside.whole("period_ms", 50..=60_000, "milliseconds", findings);
    let address = u16::try_from(address).ok()?;
    Some(Watchdog { address, period_ms: period_ms.unwrap_or(1_000) })
}

/// What a profile declares. Profiles are checked by a test before they ship.
fn shipped(name: &str, text: &str) -> (Bus, Vec<Tag>) {
    let mut findings = Findings::default();
    let declared = profile(name, text, &mut findings);
    debug_assert!(findings.is_empty(), "profile `{name}` is wrong");
    declared
}

const PROFILE_KEYS: &[&str] = &["about", "source", "confidence", "bus", "tag"];
const PROFILE_BUS_KEYS: &[&str] =
    &["framing", "timeout_ms", "pause_ms", "max_registers", "write_function", "watchdog"];

/// Reads a profile.
pub(super) fn profile(name: &str, text: &str, findings: &mut Findings) -> (Bus, Vec<Tag>) {
    let sheet = Sheet::read(0, name, text, findings);
    let mut table = Section::new(format!("profile `{name}`: "), String::new(), PROFILE_KEYS);
    table.add(&sheet, 0, sheet.table(), findings);
    for key in ["about", "source", "confidence"] {
        table.missing(key, "text", findings);
        table.read(key, "text", findings, |it| value::text(it, 300));
    }
    let mut bus = Bus::default();
    if let Some(inside) = table.table("bus", "a table", PROFILE_BUS_KEYS, findings) {
        tuned(&inside, &mut bus, findings);
        bus.framing = inside.word("framing", &FRAMING, findings).unwrap_or_default();
        bus.watchdog = watchdog(&inside, findings);
    }
    let tags = tag::tags(&table, Reads::Registers, findings);
    (bus, tags)
}

fn i2c(table: &Section<'_>, findings: &mut Findings) -> (Bus, Vec<Tag>) {
    let names: Vec<&str> = CHIPS.iter().map(|it| it.name).collect();
    let known = format!("one of the chips: {}", names.join(", "));
    table.missing("chip", &known, findings);
    let chip = table.read("chip", &known, findings, |it| {
        let said = value::text(it, 32)?;
        chip::find(&said).ok_or_else(|| {
            let near = nearest(&said, names.iter().copied());
            Wrong::Value("is not a chip that this daemon knows", near.map(value::did_you_mean))
        })
    });
    let Some(chip) = chip else { return (Bus::default(), Vec::new()) };
    let address = table.read("address", &addresses(chip), findings, |it| address(it, chip));
    let timeout = table.whole("timeout_ms", 10..=60_000, "milliseconds", findings);
    let bus = Bus {
        chip: Some(chip.name.to_owned()),
        address: address.or(chip.addresses.first().copied()),
        timeout_ms: timeout.unwrap_or(Bus::default().timeout_ms),
        ..Bus::default()
    };
    let tags = tag::tags(table, Reads::Channels(chip), findings);
    (bus, if table.entry("tag").is_some() { tags } else { every_channel(chip) })
}

fn addresses(chip: &Chip) -> String {
    let all: Vec<String> = chip.addresses.iter().map(|it| format!("{it:#04x}")).collect();
    format!("an address of a {}: {}", chip.name, all.join(", "))
}

fn address(value: &DeValue<'_>, chip: &Chip) -> Read<u8> {
    let said = value::whole(value, &(0..=127)).map_err(|wrong| match wrong {
        Wrong::Kind(_) => Wrong::Kind(Wanted::Number),
        wrong => wrong,
    })?;
    let said = u8::try_from(said).unwrap_or(u8::MAX);
    if chip.addresses.contains(&said) {
        return Ok(said);
    }
    value::refuse("is not an address that this chip can have")
}

/// Where nothing is said: every channel that can be read, by its own name.
fn every_channel(chip: &'static Chip) -> Vec<Tag> {
    let named = |channel: &'static chip::Channel| Tag {
        name: channel.name.to_owned(),
        unit: channel.unit.to_owned(),
        source: Source::Channel { channel: channel.name.to_owned(), output: false },
        ..Tag::default()
    };
    chip.channels.iter().filter(|it| it.name != "dac").map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drivers_with_keys_of_their_own_are_those_of_buses() {
        for driver in ["modbus-rtu", "modbus-tcp", "gpio", "i2c", "grbl", "marlin", ""] {
            let machine = crate::machine::Machine { driver: driver.into(), ..Default::default() };
            assert_eq!(keys(driver).is_some(), machine.on_a_bus(), "{driver}");
        }
    }

    #[test]
    fn every_profile_that_ships_is_right() {
        for it in PROFILES {
            let mut findings = Findings::default();
            let (_, tags) = profile(it.name, it.text, &mut findings);
            let said = findings.judge(crate::settings::Settings::default());
            assert!(said.is_ok(), "{}", super::super::render(&said.unwrap_err()));
            assert!(!tags.is_empty(), "{}", it.name);
        }
    }
}
