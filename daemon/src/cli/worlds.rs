//! Pretend boards and buses: to make one alone, and to change the world of one that runs.

use std::io;
use std::path::Path;

use headstock_drivers::gpio;
use headstock_drivers::i2c;
use headstock_drivers::sim::Visit;

use super::args::{ChipsWords, PinsWords};
use super::exit::Exit;
use super::trouble::Trouble;
use super::{say, signals};

/// A board of pins: made and kept, or told something.
pub(super) fn pins(words: &PinsWords, json: bool) -> Result<Exit, Trouble> {
    if !words.words.is_empty() {
        return tell(&words.socket, &words.words, json);
    }
    let board = gpio::sim::Board::open(&words.socket).map_err(|error| no_device(&error))?;
    keep(board.path(), "board", json)
}

/// A bus of chips, likewise.
pub(super) fn chips(words: &ChipsWords, json: bool) -> Result<Exit, Trouble> {
    if words.chip.is_empty() {
        return tell(&words.socket, &words.words, json);
    }
    let chips: Vec<(&str, u8)> = words.chip.iter().map(|it| (it.0.as_str(), it.1)).collect();
    let bus = i2c::sim::Bus::open(&words.socket, words.time_scale, &chips);
    let bus = bus.map_err(|error| no_device(&error))?;
    keep(bus.path(), "bus", json)
}

/// Until somebody ends it.
fn keep(path: &Path, what: &str, json: bool) -> Result<Exit, Trouble> {
    let at = path.display();
    signals::until_ended(|| {
        if json {
            say::json(&serde_json::json!({ "socket": path }));
        } else {
            say::text(&format!("a pretend {what} listens at {at}; end it with Ctrl-C"));
        }
    })
    .map_err(|error| no_device(&error))?;
    Ok(Exit::Done)
}

/// One line there and one line back; after `watch` every line that comes, until the device goes.
fn tell(socket: &Path, words: &[String], json: bool) -> Result<Exit, Trouble> {
    let said = words.join(" ");
    let away = |error: &io::Error| nobody(socket, error);
    let mut visit = Visit::begin(socket).map_err(|error| away(&error))?;
    let answer = visit.say(&said).map_err(|error| away(&error))?;
    if words.first().is_some_and(|it| it == "watch") {
        visit.be_patient().map_err(|error| away(&error))?;
        while let Ok(line) = visit.hear() {
            show(&line, json);
        }
        return Ok(Exit::Done);
    }
    if json || !answer.is_empty() {
        show(&answer, json);
    }
    Ok(Exit::Done)
}

fn show(line: &str, json: bool) {
    if json {
        say::json(&serde_json::json!({ "answer": line }));
    } else {
        say::text(line);
    }
}

fn nobody(socket: &Path, error: &io::Error) -> Trouble {
    Trouble::new(
        Exit::Failed,
        "sim.refused",
        format!("the pretend device at {} does not do this: {error}", socket.display()),
        "nothing was changed",
        "name the socket of a pretend board or bus: `sim/NAME.pins` or `sim/NAME.i2c` in the \
         daemon's state folder while it runs",
    )
}

fn no_device(error: &io::Error) -> Trouble {
    Trouble::new(
        Exit::Failed,
        "sim.start",
        format!("cannot start the pretend device: {error}"),
        "nothing runs",
        "name a path in a folder that exists and is yours",
    )
}
