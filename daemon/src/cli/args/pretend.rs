//! Words for pretend devices on a bus.

use std::path::PathBuf;

use headstock_config::profile::{self, Profile};
use headstock_drivers::modbus::sim::Fault;

/// How pretend Modbus devices are made.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("where").required(true))]
pub struct ModbusWords {
    /// A serial bus: where to put the link to its terminal
    #[arg(long, value_name = "PATH", group = "where")]
    pub pty: Option<PathBuf>,
    /// Modbus TCP on a free port of this box, which is told
    #[arg(long, group = "where")]
    pub tcp: bool,
    /// A device: its profile, and its number on the bus; may be given several times
    #[arg(long, value_name = "PROFILE:UNIT", required = true, value_parser = device)]
    pub device: Vec<Device>,
    /// Bits per second of the serial bus
    #[arg(long, value_name = "BAUD", default_value_t = 9_600)]
    pub baud: u32,
    /// Wire and devices are this many times faster; 0: nothing takes any time
    #[arg(long, value_name = "X", default_value_t = 1.0, value_parser = super::local::time_scale)]
    pub time_scale: f64,
    /// What goes wrong: late@0.01 (a share of the answers), dead:7@2s+5s (silence, late, wrong-unit,
    /// corrupt, short, busy, failing, old, dead, cut); may be given several times
    #[arg(long, value_name = "FAULT")]
    pub fault: Vec<Fault>,
    /// Seed of what is random
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
}

/// A device on a pretend bus.
#[derive(Clone, Copy, Debug)]
pub struct Device {
    /// What it is.
    pub profile: &'static Profile,
    /// Its number.
    pub unit: u8,
}

fn device(text: &str) -> Result<Device, String> {
    let (name, unit) = text.split_once(':').unwrap_or((text, "1"));
    let profile = profile::find(name).ok_or_else(|| {
        format!("there is no profile `{name}`; `headstock config profiles` lists them")
    })?;
    let unit = unit.parse().ok().filter(|it| (1..=247).contains(it));
    let unit = unit.ok_or("a device's number is 1 to 247")?;
    Ok(Device { profile, unit })
}
