//! A pretend device alone, for other programs and for training.

use std::io;
use std::path::PathBuf;

use headstock_drivers::grbl::sim::{self, Counters, Options};
use headstock_drivers::marlin::sim as printer;
use headstock_tui::words::{count, plain, position};
use serde::Serialize;

use super::args::{GrblWords, MarlinWords, SimVerb};
use super::exit::Exit;
use super::trouble::Trouble;
use super::{say, signals};

/// Runs it until somebody ends it (Ctrl-C, SIGTERM, SIGHUP), then tells what it has seen.
pub(super) fn sim(what: SimVerb, json: bool) -> Result<Exit, Trouble> {
    match what {
        SimVerb::Modbus(words) => return super::pretend::modbus(words, json),
        SimVerb::Pins(words) => return super::worlds::pins(&words, json),
        SimVerb::I2c(words) => return super::worlds::chips(&words, json),
        SimVerb::Grbl(words) => {
            let pretender = sim::start(options(words)).map_err(|error| no_device(&error))?;
            until_ended("GRBL", pretender.path(), json)?;
            let seen = Seen::from(pretender.stop());
            tell(json, &seen, seen.told());
        }
        SimVerb::Marlin(words) => {
            let pretender =
                printer::start(printer_options(words)).map_err(|error| no_device(&error))?;
            until_ended("Marlin", pretender.path(), json)?;
            let seen = SeenPrinting::from(pretender.stop());
            tell(json, &seen, seen.told());
        }
    }
    Ok(Exit::Done)
}

fn until_ended(what: &str, pty: PathBuf, json: bool) -> Result<(), Trouble> {
    signals::until_ended(|| {
        if json {
            say::json(&Opened { pty });
        } else {
            let at = pty.display();
            say::text(&format!("a pretend {what} listens at {at}; end it with Ctrl-C"));
        }
    })
    .map_err(|error| no_device(&error))
}

fn tell(json: bool, seen: &impl Serialize, told: String) {
    if json { say::json(seen) } else { say::text(&told) }
}

fn printer_options(words: MarlinWords) -> printer::Options {
    printer::Options {
        time_scale: words.time_scale,
        advanced_ok: !words.plain_ok,
        emergency_parser: !words.no_emergency_parser,
        faults: words.fault,
        seed: words.seed,
        link: Some(words.pty),
        ..printer::Options::default()
    }
}

fn options(words: GrblWords) -> Options {
    Options {
        time_scale: words.time_scale,
        rx: words.rx,
        line_numbers: words.line_numbers,
        faults: words.fault,
        seed: words.seed,
        link: Some(words.pty),
        ..Options::default()
    }
}

/// First line of `sim … --json`.
#[derive(Serialize)]
struct Opened {
    pty: PathBuf,
}

/// Last line of `sim grbl --json`.
#[derive(Serialize)]
struct Seen {
    lines: u64,
    errors: u64,
    overflowed_bytes: u64,
    deaf_bytes: u64,
    starved: u64,
    holds: u64,
    resets: u64,
    position: [f64; 3],
}

impl From<Counters> for Seen {
    fn from(counted: Counters) -> Self {
        Self {
            lines: counted.lines,
            errors: counted.errors,
            overflowed_bytes: counted.overflowed,
            deaf_bytes: counted.deaf,
            starved: counted.starved,
            holds: counted.holds,
            resets: counted.resets,
            position: counted.position,
        }
    }
}

impl Seen {
    fn told(&self) -> String {
        plain(&format!(
            "{} lines read, {} of them refused, {} bytes lost, planner ran dry {} times, {} holds, \
             {} resets, tool at {}",
            count(self.lines),
            count(self.errors),
            count(self.overflowed_bytes + self.deaf_bytes),
            count(self.starved),
            count(self.holds),
            count(self.resets),
            position(self.position),
        ))
    }
}

/// Last line of `sim marlin --json`.
#[derive(Serialize)]
struct SeenPrinting {
    lines: u64,
    resends: u64,
    unknown: u64,
    overflowed_bytes: u64,
    starved: u64,
    quick_stops: u64,
    kills: u64,
    starts: u64,
    cold: u64,
    celsius: [f64; 2],
    position: [f64; 4],
}

impl From<printer::Counters> for SeenPrinting {
    fn from(counted: printer::Counters) -> Self {
        Self {
            lines: counted.lines,
            resends: counted.resends,
            unknown: counted.unknown,
            overflowed_bytes: counted.overflowed,
            starved: counted.starved,
            quick_stops: counted.quick_stops,
            kills: counted.kills,
            starts: counted.starts,
            cold: counted.cold,
            celsius: counted.celsius,
            position: counted.position,
        }
    }
}

impl SeenPrinting {
    fn told(&self) -> String {
        let [x, y, z, _] = self.position;
        plain(&format!(
            "{} lines carried out, {} asked for again, {} not known, {} bytes lost, planner ran dry \
             {} times, nozzle at {:.0} °C, bed at {:.0} °C, nozzle at {}",
            count(self.lines),
            count(self.resends),
            count(self.unknown),
            count(self.overflowed_bytes),
            count(self.starved),
            self.celsius[0],
            self.celsius[1],
            position([x, y, z]),
        ))
    }
}

fn no_device(error: &io::Error) -> Trouble {
    Trouble::new(
        Exit::Failed,
        "sim.start",
        format!("cannot start the pretend device: {error}"),
        "nothing runs",
        "name a path with --pty in a folder that exists and is yours, and where nothing is yet",
    )
}
