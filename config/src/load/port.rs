//! `port`: where a machine is plugged in, in its three spellings.

use toml::de::DeValue;

use super::findings::Findings;
use super::nearest::nearest;
use super::section::Section;
use super::value::{self, Read, Wanted, Wrong};
use crate::machine::{Port, UdevMatch};

pub(super) const PORT: &str = "a path such as \"/dev/serial/by-id/...\", \
    { usb = { vid = \"1a86\", pid = \"7523\", serial = \"...\" } }, or \"sim:grbl\"";

/// Reads it; a pretend device must speak the machine's own `driver`.
pub(super) fn port(
    table: &Section<'_>,
    driver: Option<&str>,
    drivers: &[&str],
    findings: &mut Findings,
) -> Option<Port> {
    match table.entry("port")?.value {
        DeValue::Table(_) => udev(table, findings),
        _ => table.read("port", PORT, findings, |it| path_or_sim(it, driver, drivers)),
    }
}

fn path_or_sim(value: &DeValue<'_>, driver: Option<&str>, drivers: &[&str]) -> Read<Port> {
    let said = value::text(value, 4095)?;
    match said.strip_prefix("sim:") {
        Some(pretend) => sim(pretend, driver, drivers),
        None if said.starts_with('/') => Ok(Port::Path(said.into())),
        None => Err(Wrong::Value("is not a port", meant(&said))),
    }
}

/// What somebody meant who left out the folder, or forgot what `sim` pretends to be.
fn meant(said: &str) -> Option<String> {
    if said == "sim" {
        return Some(value::did_you_mean("sim:grbl"));
    }
    let node = said.starts_with("tty") && said.chars().all(|it| it.is_ascii_alphanumeric());
    Some(match node {
        true => value::did_you_mean(format!("/dev/{said}")),
        false => "`ls -l /dev/serial/by-id` shows the adapters that are plugged in".into(),
    })
}

fn sim(pretend: &str, driver: Option<&str>, drivers: &[&str]) -> Read<Port> {
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
        _ => Ok(Port::Sim(pretend.into())),
    }
}

fn udev(table: &Section<'_>, findings: &mut Findings) -> Option<Port> {
    let port = table.table("port", PORT, &["usb"], findings)?;
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
