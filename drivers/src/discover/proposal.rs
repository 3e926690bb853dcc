//! What to write into the configuration for something that was found: a `[[machine]]` as it can be
//! pasted, with an id that nothing else has.

use std::collections::BTreeSet;
use std::fmt::Write;

use headstock_config::chip::CHIPS;

/// Ids that are taken.
#[derive(Clone, Debug, Default)]
pub struct Ids(BTreeSet<String>);

impl Ids {
    /// These are taken already.
    pub fn new(taken: impl IntoIterator<Item = String>) -> Self {
        Self(taken.into_iter().collect())
    }

    /// One like this that is free, and is not any more.
    pub fn fresh(&mut self, like: &str) -> String {
        let numbered = (2..).map(|number| format!("{like}-{number}"));
        let mut ids = std::iter::once(like.to_owned()).chain(numbered);
        let id = ids.find(|id| !self.0.contains(id)).expect("numbers do not end");
        self.0.insert(id.clone());
        id
    }
}

/// A machine that moves, on a serial port.
pub fn on_a_port(ids: &mut Ids, driver: &str, port: &str, baud: u32) -> String {
    let like = if driver == "marlin" { "printer" } else { "mill" };
    let mut text = head(ids, like, driver, port);
    line(&mut text, "baud", &baud.to_string());
    text
}

/// A unit on a Modbus bus. It needs a tag, and what its registers mean is in its manual.
pub fn unit(ids: &mut Ids, driver: &str, port: &str, baud: Option<u32>, unit: u8) -> String {
    let mut text = head(ids, &format!("unit-{unit}"), driver, port);
    if let Some(baud) = baud {
        line(&mut text, "baud", &baud.to_string());
    }
    line(&mut text, "unit", &unit.to_string());
    text.push_str("\n# What it measures is in its manual; a `profile` may know it as well.\n");
    text.push_str("[[machine.tag]]\n");
    line(&mut text, "name", &quoted("register-0"));
    line(&mut text, "area", &quoted("holding"));
    line(&mut text, "address", "0");
    line(&mut text, "type", &quoted("u16"));
    text
}

/// A chip on an I2C bus, if a driver here knows one that may be at this address.
pub fn chip(ids: &mut Ids, port: &str, address: u8) -> Option<String> {
    let chip = CHIPS.iter().find(|it| it.addresses.contains(&address))?;
    let mut text = head(ids, chip.name, "i2c", port);
    line(&mut text, "chip", &quoted(chip.name));
    line(&mut text, "address", &format!("{address:#04x}"));
    Some(text)
}

fn head(ids: &mut Ids, like: &str, driver: &str, port: &str) -> String {
    let mut text = String::from("[[machine]]\n");
    line(&mut text, "id", &quoted(&ids.fresh(like)));
    line(&mut text, "driver", &quoted(driver));
    line(&mut text, "port", &quoted(port));
    text
}

fn line(text: &mut String, key: &str, value: &str) {
    writeln!(text, "{key} = {value}").expect("writing to a String cannot fail");
}

/// A text as TOML writes it.
fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => out.extend(['\\', letter]),
            it if it.is_control() => {
                write!(out, "\\u{:04X}", u32::from(it)).expect("writing to a String cannot fail");
            }
            it => out.push(it),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use headstock_config::load;

    use super::*;

    const DRIVERS: [&str; 4] = ["grbl", "marlin", "modbus-rtu", "i2c"];

    #[test]
    fn what_is_proposed_can_be_pasted_as_it_is() {
        let mut ids = Ids::new(["mill".to_owned()]);
        let by_id = "/dev/serial/by-id/usb-1a86_USB \"Serial\"\\-if00-port0";
        let parts = [
            on_a_port(&mut ids, "grbl", by_id, 115_200),
            on_a_port(&mut ids, "marlin", "/dev/ttyUSB1", 250_000),
            on_a_port(&mut ids, "grbl", "/dev/ttyUSB2", 115_200),
            unit(&mut ids, "modbus-rtu", "/dev/ttyUSB3", Some(9_600), 1),
            unit(&mut ids, "modbus-rtu", "/dev/ttyUSB3", Some(9_600), 7),
            chip(&mut ids, "/dev/i2c-1", 0x76).expect("a chip is known there"),
        ];
        let text = parts.join("\n");
        let settings = load::parse(&text, "pasted.toml", &DRIVERS).expect(&text);
        let found: Vec<_> = settings.machines.iter().map(|it| it.id.as_str()).collect();
        assert_eq!(found[..5], ["mill-2", "printer", "mill-3", "unit-1", "unit-7"]);
        assert_eq!(settings.machines[0].port.to_string(), by_id);
        assert_eq!((settings.machines[1].baud, settings.machines[4].bus.unit), (250_000, 7));
    }

    #[test]
    fn every_chip_that_is_proposed_is_right_at_every_address() {
        for address in 0x03..=0x77 {
            let Some(text) = chip(&mut Ids::default(), "/dev/i2c-1", address) else { continue };
            load::parse(&text, "pasted.toml", &DRIVERS).expect(&text);
        }
    }
}
