//! `port`: where a machine is plugged in, in the spellings that its driver takes.

use toml::de::DeValue;

use super::findings::Findings;
use super::nearest::nearest;
use super::section::Section;
use super::value::{self, Read, Wanted, Wrong};
use crate::machine::{PinsBy, Port, UdevMatch};

const SERIAL: &str = "a path such as \"/dev/serial/by-id/...\", \
    { usb = { vid = \"1a86\", pid = \"7523\", serial = \"...\" } }";

/// What may stand there, for a driver.
pub(super) fn accepted(driver: Option<&str>) -> String {
    match driver {
        Some("modbus-rtu") => {
            format!("{SERIAL}, \"host:4001\" for RTU over TCP, or \"sim:modbus-rtu\"")
        }
        Some("modbus-tcp") => "\"host:502\", or \"sim:modbus-tcp\"".into(),
        Some("gpio") => "\"cdev\", \"rppal\" or \"sim:gpio\"".into(),
        Some("i2c") => "a path such as \"/dev/i2c-1\", or \"sim:i2c\"".into(),
        driver => format!("{SERIAL}, or \"sim:{}\"", driver.unwrap_or("grbl")),
    }
}

/// Reads it; a pretend device must speak the machine's own `driver`.
pub(super) fn port(
    table: &Section<'_>,
    driver: Option<&str>,
    drivers: &[&str],
    findings: &mut Findings,
) -> Option<Port> {
    match table.entry("port")?.value {
        DeValue::Table(_) if serial(driver) => udev(table, driver, findings),
        _ => {
            let accepted = accepted(driver);
            table.read("port", &accepted, findings, |it| spelled(it, driver, drivers))
        }
    }
}

/// Whether the driver's devices are plugged into serial ports.
fn serial(driver: Option<&str>) -> bool {
    !matches!(driver, Some("modbus-tcp" | "gpio" | "i2c"))
}

fn spelled(value: &DeValue<'_>, driver: Option<&str>, drivers: &[&str]) -> Read<Port> {
    let said = value::text(value, 4095)?;
    if let Some(pretend) = said.strip_prefix("sim:") {
        return sim(pretend, driver, drivers);
    }
    let network = || address(&said).ok_or(Wrong::Value("is not a host with a port", None));
    match driver {
        Some("gpio") => match said.as_str() {
            "cdev" => Ok(Port::Pins(PinsBy::Cdev)),
            "rppal" => Ok(Port::Pins(PinsBy::Rppal)),
            _ => Err(Wrong::Value("moves no pins", None)),
        },
        Some("modbus-tcp") => network(),
        _ if said.starts_with('/') => Ok(Port::Path(said.into())),
        Some("modbus-rtu") if said.contains(':') => network(),
        _ => Err(Wrong::Value("is not a port", meant(&said, driver))),
    }
}

/// `host:502`, `10.0.0.7:502` or `[fd00::7]:502`.
fn address(said: &str) -> Option<Port> {
    let (host, port) = said.rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port != 0)?;
    let bare = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    let plain = |it: char| it.is_ascii_alphanumeric() || matches!(it, '.' | '-' | '_');
    match bare {
        Some(six) => six.parse::<std::net::Ipv6Addr>().ok().map(|_| Port::Tcp(six.into(), port)),
        None => {
            let named = !host.is_empty() && host.len() < 254 && host.chars().all(plain);
            named.then(|| Port::Tcp(host.into(), port))
        }
    }
}

/// What somebody meant who left out the folder, or forgot what `sim` pretends to be.
fn meant(said: &str, driver: Option<&str>) -> Option<String> {
    if said == "sim" {
        return Some(value::did_you_mean(format!("sim:{}", driver.unwrap_or("grbl"))));
    }
    let node = said.starts_with("tty") && said.chars().all(|it| it.is_ascii_alphanumeric());
    Some(match node {
        true => value::did_you_mean(format!("/dev/{said}")),
        false => "`ls -l /dev/serial/by-id` shows the adapters that are plugged in".into(),
    })
}

fn sim(said: &str, driver: Option<&str>, drivers: &[&str]) -> Read<Port> {
    let (pretend, label) = said.split_once('#').unwrap_or((said, "one"));
    if label.is_empty() || !label.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'-') {
        return value::refuse("has a label that is not made of letters and digits");
    }
    if !drivers.contains(&pretend) {
        let near = nearest(pretend, drivers.iter().copied());
        let hint = near.map(|near| value::did_you_mean(format!("sim:{near}")));
        return Err(Wrong::Value("pretends to be a device that no driver knows", hint));
    }
    match driver {
        Some(driver) if driver != pretend => {
            let hint = Some(value::did_you_mean(format!("sim:{driver}")));
            Err(Wrong::Value("pretends to be a device that this driver does not speak to", hint))
        }
        _ => Ok(Port::Sim(said.into())),
    }
}

fn udev(table: &Section<'_>, driver: Option<&str>, findings: &mut Findings) -> Option<Port> {
    let port = table.table("port", &accepted(driver), &["usb"], findings)?;
    port.missing("usb", USB, findings);
    let usb = port.table("usb", USB, &["vid", "pid", "serial"], findings)?;
    let digits = "four hexadecimal digits as `lsusb` shows them: \"1a86\"";
    let said = ["vid", "pid", "serial"].iter().any(|key| usb.entry(key).is_some());
    let vid = usb.read("vid", digits, findings, hexadecimal);
    let pid = usb.read("pid", digits, findings, hexadecimal);
    let named = |it: &DeValue<'_>| value::text(it, 126);
    let serial = usb.read("serial", "text of at most 126 characters", findings, named);
    if !said {
        port.refuse("usb", Wrong::Value("would match every device", None), USB, findings);
    }
    Some(Port::Udev(UdevMatch { vid, pid, serial }))
}

const USB: &str = "at least one of { vid = \"1a86\", pid = \"7523\", serial = \"...\" }";

/// Four digits, in the lower case that udev uses.
fn hexadecimal(value: &DeValue<'_>) -> Read<String> {
    let said = value.as_str().ok_or(Wrong::Kind(Wanted::Text))?;
    let four = |it: &str| it.len() == 4 && it.bytes().all(|digit| digit.is_ascii_hexdigit());
    if four(said) {
        return Ok(said.to_ascii_lowercase());
    }
    let bare = said.strip_prefix("0x").filter(|it| four(it));
    Err(Wrong::Value("is not four hexadecimal digits", bare.map(value::did_you_mean)))
}
