//! I2C buses: what answers on each, found out by reading only. The pins of the board.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use headstock_config::machine::{Machine, PinsBy, Port};
use headstock_drivers::link::failure::Why;
use headstock_drivers::link::i2c_scan::{Found, buses, scan, usually};

use super::Check;

/// Every bus that is declared or present, with what answers on it and what should.
pub(super) fn i2c(machines: &[Machine]) -> Vec<Check> {
    let mut wanted: BTreeMap<PathBuf, Vec<&Machine>> = BTreeMap::new();
    for path in buses() {
        wanted.entry(path).or_default();
    }
    for machine in machines.iter().filter(|it| it.driver == "i2c") {
        if let Port::Path(path) = &machine.port {
            wanted.entry(path.clone()).or_default().push(machine);
        }
    }
    wanted.iter().flat_map(|(path, machines)| bus(path, machines)).collect()
}

fn bus(path: &Path, machines: &[&Machine]) -> Vec<Check> {
    let name = path.display().to_string();
    let found = match scan(path) {
        Ok(found) => found,
        Err(why) => return vec![unscanned(name, &why, machines)],
    };
    let listed: Vec<String> = found.iter().map(shown).collect();
    let told = if listed.is_empty() { "nothing answers".into() } else { listed.join("; ") };
    let mut checks = vec![Check::ok(name, told)];
    checks.extend(machines.iter().filter_map(|it| missing(it, &found)));
    checks
}

fn shown(found: &Found) -> String {
    let Found { address, claimed } = found;
    let busy = if *claimed { " UU: a driver of the kernel has it;" } else { "" };
    format!("{address:#04x}{busy} usually {}", usually(*address))
}

fn unscanned(name: String, why: &Why, machines: &[&Machine]) -> Check {
    let remedy = match why {
        Why::Denied => "add the user to group `i2c`: sudo usermod -aG i2c USER",
        Why::Absent => "switch the bus on: `dtparam=i2c_arm=on` on a Pi, and load i2c-dev",
        _ => "look at the wires: something may hold them down",
    };
    if machines.is_empty() {
        return Check::warn(name, why.to_string(), remedy);
    }
    Check::bad(name, why.to_string(), remedy)
}

/// A chip that is declared and does not answer, or that is not ours to speak to.
fn missing(machine: &Machine, found: &[Found]) -> Option<Check> {
    let address = machine.bus.address?;
    let chip = machine.bus.chip.as_deref().unwrap_or_default();
    let name = format!("machine `{}`", machine.id);
    match found.iter().find(|it| it.address == address) {
        Some(Found { claimed: false, .. }) => None,
        Some(Found { claimed: true, .. }) => Some(Check::bad(
            name,
            format!("a driver of the kernel has {address:#04x}"),
            "unload it, or remove its overlay",
        )),
        None => Some(Check::bad(
            name,
            format!("no {chip} answers at {address:#04x}"),
            "check power and wires, and compare the address with those that answer",
        )),
    }
}

/// Whether the pins that are declared can be reached at all.
pub(super) fn pins(machines: &[Machine]) -> Vec<Check> {
    let cdev = |it: &&Machine| it.port == Port::Pins(PinsBy::Cdev);
    let machines = machines.iter().filter(cdev);
    let mut chips: Vec<&str> = machines
        .flat_map(|it| &it.tags)
        .filter_map(|tag| match &tag.source {
            headstock_config::tag::Source::Pin(pin) => Some(pin.line.chip.as_str()),
            _ => None,
        })
        .collect();
    chips.sort_unstable();
    chips.dedup();
    chips.into_iter().map(chip).collect()
}

fn chip(name: &str) -> Check {
    let path = Path::new("/dev").join(name);
    if !path.exists() {
        // It may be a label; that is looked up when the lines are reserved.
        let remedy = "compare it with what `gpiodetect` lists";
        return Check::warn(name, "there is no such node; a label is looked up later", remedy);
    }
    super::ports::opened_by(name.to_owned(), &path, String::new())
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn what_answers_is_listed_and_what_is_missing_is_bad() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bus");
        let chips = [("bme280", 0x76)];
        let _bus = headstock_drivers::i2c::sim::Bus::open(&path, 0.0, &chips).unwrap();
        let text = format!(
            "[[machine]]\nid = \"climate\"\ndriver = \"i2c\"\nport = {path:?}\nchip = \"bme280\"\n\
             [[machine]]\nid = \"relays\"\ndriver = \"i2c\"\nport = {path:?}\nchip = \"pcf8574\"\n\
             [[machine]]\nid = \"gone\"\ndriver = \"i2c\"\nport = \"/dev/i2c-none\"\nchip = \"sht31\"\n"
        );
        let settings = headstock_config::load::parse(&text, "t", &["i2c"]).unwrap();
        let checks = i2c(&settings.machines);
        let about = |name: &str| checks.iter().find(|it| it.name.contains(name));
        let bus = about("/bus").unwrap();
        assert!(bus.found.starts_with("0x76 usually bme280"), "{bus:?}");
        assert_eq!(about("relays").unwrap().verdict, Verdict::Bad);
        assert_eq!(about("/dev/i2c-none").unwrap().verdict, Verdict::Bad);
        assert!(about("climate").is_none());
    }
}
