//! A pretend device alone, for other programs and for training.

use std::io;
use std::path::PathBuf;

use headstock_drivers::grbl::sim::{self, Counters, Options};
use headstock_tui::words::{count, plain, position};
use serde::Serialize;

use super::args::{GrblWords, SimVerb};
use super::exit::Exit;
use super::trouble::Trouble;
use super::{say, signals};

/// Runs it until somebody ends it (Ctrl-C, SIGTERM, SIGHUP), then tells what it has seen.
pub(super) fn sim(what: SimVerb, json: bool) -> Result<Exit, Trouble> {
    let words = match what {
        SimVerb::Grbl(words) => words,
        SimVerb::Modbus(words) => return super::pretend::modbus(words, json),
        SimVerb::Pins(words) => return super::worlds::pins(&words, json),
        SimVerb::I2c(words) => return super::worlds::chips(&words, json),
    };
    let pretender = sim::start(options(words)).map_err(|error| no_device(&error))?;
    let at = pretender.path();
    signals::until_ended(|| {
        if json {
            say::json(&Opened { pty: at });
        } else {
            let at = at.display();
            say::text(&format!("a pretend GRBL listens at {at}; end it with Ctrl-C"));
        }
    })
    .map_err(|error| no_device(&error))?;
    let seen = Seen::from(pretender.stop());
    if json {
        say::json(&seen);
    } else {
        say::text(&seen.told());
    }
    Ok(Exit::Done)
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

/// First line of `sim grbl --json`.
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

fn no_device(error: &io::Error) -> Trouble {
    Trouble::new(
        Exit::Failed,
        "sim.start",
        format!("cannot start the pretend device: {error}"),
        "nothing runs",
        "name a path with --pty in a folder that exists and is yours, and where nothing is yet",
    )
}
