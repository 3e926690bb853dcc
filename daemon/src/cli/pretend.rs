//! Pretend Modbus devices alone, for other programs and for training.

use std::fmt::Write as _;
use std::io;

use headstock_config::load;
use headstock_config::machine::{Machine, Port};
use headstock_drivers::modbus::sim::{self, Counted, Options};
use headstock_tui::words::{count, plain};
use serde::Serialize;

use super::args::ModbusWords;
use super::exit::Exit;
use super::trouble::Trouble;
use super::{say, signals};

/// Runs them until somebody ends it (Ctrl-C, SIGTERM, SIGHUP), then tells what they have seen.
pub(super) fn modbus(words: ModbusWords, json: bool) -> Result<Exit, Trouble> {
    let machines = machines(&words).map_err(|error| no_device(&error))?;
    let options = Options {
        time_scale: words.time_scale,
        faults: words.fault,
        seed: words.seed,
        link: words.pty,
        ..Options::default()
    };
    let begin = if words.tcp { sim::network } else { sim::serial };
    let bus = begin(&machines, options).map_err(|error| no_device(&error.to_string()))?;
    signals::until_ended(|| opened(bus.port(), machines.len(), json))
        .map_err(|error: io::Error| no_device(&error.to_string()))?;
    let seen = Seen::from(bus.counted());
    if json {
        say::json(&seen);
    } else {
        say::text(&seen.told());
    }
    Ok(Exit::Done)
}

/// The machines that would speak to these devices.
fn machines(words: &ModbusWords) -> Result<Vec<Machine>, String> {
    let driver = if words.tcp { "modbus-tcp" } else { "modbus-rtu" };
    let mut text = String::new();
    for device in &words.device {
        let (unit, profile) = (device.unit, device.profile.name);
        // Writing to a string cannot fail.
        write!(text, "[[machine]]\nid = \"unit{unit}\"\ndriver = \"{driver}\"\n").ok();
        write!(text, "port = \"sim:{driver}#pretend\"\nunit = {unit}\n").ok();
        writeln!(text, "profile = \"{profile}\"").ok();
        if !words.tcp {
            writeln!(text, "baud = {}", words.baud).ok();
        }
    }
    let read = load::parse(&text, "the command line", &[driver]);
    read.map(|settings| settings.machines).map_err(|problems| {
        let first = problems.into_iter().next();
        first.map_or_else(String::new, |problem| problem.message)
    })
}

fn opened(port: &Port, devices: usize, json: bool) {
    if json {
        return say::json(&Opened { port: port.to_string() });
    }
    let what = if devices == 1 { "a pretend device listens" } else { "pretend devices listen" };
    say::text(&format!("{what} at {port}; end it with Ctrl-C"));
}

/// First line of `sim modbus --json`.
#[derive(Serialize)]
struct Opened {
    port: String,
}

/// Last line of `sim modbus --json`.
#[derive(Serialize)]
struct Seen {
    requests: u64,
    answers: u64,
    faults: u64,
}

impl From<Counted> for Seen {
    fn from(counted: Counted) -> Self {
        let Counted { requests, answers, faults } = counted;
        Self { requests, answers, faults }
    }
}

impl Seen {
    fn told(&self) -> String {
        plain(&format!(
            "{} requests, {} answered rightly, {} with a fault",
            count(self.requests),
            count(self.answers),
            count(self.faults),
        ))
    }
}

fn no_device(why: &str) -> Trouble {
    Trouble::new(
        Exit::Failed,
        "sim.start",
        format!("cannot start the pretend devices: {why}"),
        "nothing runs",
        "give every device a number of its own, and with --pty a path in a folder that exists and \
         is yours, where nothing is yet",
    )
}
