//! What one machine can be told from the command line, and the command that it becomes.

use clap::Subcommand;
use headstock_config::command::{Command, NO_AXIS, Override};
use headstock_config::point::Value;

use super::words;
use crate::cli::trouble::Trouble;

/// How long a sign that a jog goes on counts: as for the clients of the API.
const LEASE_MS: u64 = 150;

/// What one machine can be told.
#[derive(Debug, Subcommand)]
pub enum Order {
    /// Slow down and rest; the job can go on
    Hold {
        /// The machine's id
        machine: String,
    },
    /// Go on after a hold, a door, an M0 or a tool change
    Resume {
        /// The machine's id
        machine: String,
    },
    /// Lift the alarm lock without homing; verify the position first
    Unlock {
        /// The machine's id
        machine: String,
    },
    /// Look for the limit switches
    Home {
        /// The machine's id
        machine: String,
        /// Only these, where the controller can: XY
        axes: Option<String>,
    },
    /// Soft reset of the controller
    Reset {
        /// The machine's id
        machine: String,
    },
    /// Reset at once, and cut its power where a relay can; position may be lost
    Abort {
        /// The machine's id
        machine: String,
    },
    /// Move by hand: jog mill X10 Y-5 F600; as long as this runs: jog mill X+ F600 --for 2
    Jog {
        /// The machine's id
        machine: String,
        /// Distances in mm, and F in mm/min; with --for directions: X+ Y-
        #[arg(required_unless_present = "cancel", value_name = "WORD")]
        words: Vec<String>,
        /// Targets in work coordinates instead of distances
        #[arg(long)]
        absolute: bool,
        /// Go on in that direction for so many seconds, 60 at most; Ctrl-C ends it at once, and so does
        /// whatever else keeps this program from saying several times a second that it still runs
        #[arg(long = "for", value_name = "SECONDS", conflicts_with_all = ["absolute", "cancel"])]
        seconds: Option<f64>,
        /// Stop jogging
        #[arg(long, conflicts_with_all = ["words", "absolute"])]
        cancel: bool,
    },
    /// Move until the probe touches: probe mill Z-20 F100, probe printer
    Probe {
        /// The machine's id
        machine: String,
        /// Distances in mm, and F in mm/min; none for a printer, which probes where it is
        #[arg(value_name = "WORD")]
        words: Vec<String>,
        /// No contact is no alarm
        #[arg(long)]
        lenient: bool,
    },
    /// Send one line of G-code
    Run {
        /// The machine's id
        machine: String,
        /// The line
        #[arg(required = true)]
        line: Vec<String>,
    },
    /// Say where the tool is now in work coordinates: zero mill X0 Y0 Z0
    Zero {
        /// The machine's id
        machine: String,
        /// What the present position shall be, in mm
        #[arg(required = true, value_name = "WORD")]
        words: Vec<String>,
        /// 1 to 6 for G54 to G59 [default: the selected one]
        #[arg(long, value_parser = clap::value_parser!(u8).range(1..=6))]
        system: Option<u8>,
    },
    /// Select a work coordinate system: 1 to 6 for G54 to G59
    Offset {
        /// The machine's id
        machine: String,
        /// 1 to 6
        #[arg(value_parser = clap::value_parser!(u8).range(1..=6))]
        system: u8,
    },
    /// Bring an override to a percentage: override mill feed 120
    Override {
        /// The machine's id
        machine: String,
        /// What it acts on; flow is a printer's filament
        #[arg(value_parser = words::<Override>(&["feed", "rapid", "spindle", "flow"]))]
        which: Override,
        /// 10 to 200; for rapid 25, 50 or 100
        percent: u16,
    },
    /// Set a tag of a device on a bus, and read it back: write fan speed 0.5, write relay light on
    Write {
        /// The machine's id
        machine: String,
        /// The tag's name
        tag: String,
        /// on, off, a number in the tag's unit, or a word
        #[arg(allow_hyphen_values = true)]
        value: String,
    },
    /// Parse programs without moving (`$C`), or move again
    Check {
        /// The machine's id
        machine: String,
        /// on or off
        #[arg(value_parser = ["on", "off"])]
        what: String,
    },
    /// Motors and spindle off until a reset
    Sleep {
        /// The machine's id
        machine: String,
    },
    /// Set a heater and do not wait: preheat printer hotend 210
    Preheat {
        /// The machine's id
        machine: String,
        /// hotend, hotend1, bed or chamber
        heater: String,
        /// °C; 0 turns it off
        celsius: f64,
    },
    /// Push filament out, or draw it back: extrude printer -5
    Extrude {
        /// The machine's id
        machine: String,
        /// mm of filament
        #[arg(allow_negative_numbers = true)]
        mm: f64,
        /// mm/min
        #[arg(default_value_t = 200.0)]
        feed: f64,
    },
    /// Turn the part's fan
    Fan {
        /// The machine's id
        machine: String,
        /// 0 to 100
        percent: f64,
    },
    /// Let motors hold, or let go: position is lost then
    Motors {
        /// The machine's id
        machine: String,
        /// on or off
        #[arg(value_parser = clap::builder::PossibleValuesParser::new(["on", "off"]))]
        state: String,
    },
    /// Answer what a machine asks: answer printer 0
    Answer {
        /// The machine's id
        machine: String,
        /// Which of the choices that it offers, from 0
        choice: u32,
    },
    /// List the controller's settings, or write one: setting mill 110 5000
    Setting {
        /// The machine's id
        machine: String,
        /// The number after the `$`
        #[arg(requires = "value")]
        number: Option<u16>,
        /// Its new value
        value: Option<String>,
    },
}

impl Order {
    /// Whether it brings the machine to rest.
    pub(super) fn stops(&self) -> bool {
        matches!(self, Self::Hold { .. } | Self::Abort { .. } | Self::Jog { cancel: true, .. })
    }

    /// The machine, and what it is told.
    pub(in crate::cli) fn into_command(self) -> Result<(String, Command), Trouble> {
        Ok(match self {
            Self::Hold { machine } => (machine, Command::Hold),
            Self::Resume { machine } => (machine, Command::Resume),
            Self::Unlock { machine } => (machine, Command::Unlock),
            Self::Home { machine, axes } => (machine, Command::Home { axes }),
            Self::Reset { machine } => (machine, Command::Reset),
            Self::Abort { machine } => (machine, Command::Abort),
            Self::Jog { machine, cancel: true, .. } => (machine, Command::JogCancel),
            Self::Jog { machine, words, seconds: Some(_), .. } => {
                let (toward, feed) = direction(&words)?;
                (machine, Command::JogHold { toward, feed, lease_ms: LEASE_MS })
            }
            Self::Jog { machine, words, absolute, .. } => {
                let Moves { by, feed } = Moves::with_feed(&words)?;
                (machine, Command::Jog { by, feed, absolute })
            }
            Self::Probe { machine, words, lenient } if words.is_empty() => {
                (machine, Command::Probe { by: NO_AXIS, feed: 0.0, lenient })
            }
            Self::Probe { machine, words, lenient } => {
                let Moves { by, feed } = Moves::with_feed(&words)?;
                (machine, Command::Probe { by, feed, lenient })
            }
            Self::Run { machine, line } => (machine, Command::Run { line: line.join(" ") }),
            Self::Zero { machine, words, system } => {
                let (at, feed) = axes_and_feed(&words)?;
                if feed.is_some() {
                    return Err(misread("F"));
                }
                (machine, Command::Zero { system, at })
            }
            Self::Offset { machine, system } => (machine, Command::WorkOffset { system }),
            Self::Override { machine, which, percent } => {
                (machine, Command::Override { which, percent })
            }
            Self::Write { machine, tag, value } => {
                (machine, Command::Write { tag, value: Value::typed(&value) })
            }
            Self::Check { machine, what } => (machine, Command::Check { on: what == "on" }),
            Self::Sleep { machine } => (machine, Command::Sleep),
            Self::Preheat { machine, heater, celsius } => {
                (machine, Command::Preheat { heater, celsius: finite(celsius)? })
            }
            Self::Extrude { machine, mm, feed } => {
                (machine, Command::Extrude { mm: finite(mm)?, feed: finite(feed)? })
            }
            Self::Fan { machine, percent } => (machine, Command::Fan { percent: finite(percent)? }),
            Self::Motors { machine, state } => (machine, Command::Motors { on: state == "on" }),
            Self::Answer { machine, choice } => (machine, Command::Answer { choice }),
            Self::Setting { machine, number: Some(number), value: Some(value) } => {
                (machine, Command::Setting { number, value })
            }
            Self::Setting { .. } => {
                return Err(Trouble::words(
                    "a setting is not named",
                    "write `setting mill 110 5000`",
                ));
            }
        })
    }
}

/// Where to, and how fast.
struct Moves {
    by: [Option<f64>; 3],
    feed: f64,
}

impl Moves {
    fn with_feed(words: &[String]) -> Result<Self, Trouble> {
        let (by, feed) = axes_and_feed(words)?;
        let feed = feed
            .ok_or_else(|| Trouble::words("no feed is given", "add how fast, in mm/min: F600"))?;
        Ok(Self { by, feed })
    }
}

/// `X10 Y-5 F600`: each letter at most once, at least one axis.
fn axes_and_feed(words: &[String]) -> Result<([Option<f64>; 3], Option<f64>), Trouble> {
    let (mut axes, mut feed) = (NO_AXIS, None);
    for word in words {
        let place = match word.chars().next().map(|it| it.to_ascii_uppercase()) {
            Some('X') => &mut axes[0],
            Some('Y') => &mut axes[1],
            Some('Z') => &mut axes[2],
            Some('F') => &mut feed,
            _ => return Err(misread(word)),
        };
        // All four letters are one byte long.
        let value = word[1..].parse().ok().filter(|it: &f64| it.is_finite());
        let value = value.ok_or_else(|| misread(word))?;
        if place.replace(value).is_some() {
            return Err(misread(word));
        }
    }
    if axes == NO_AXIS {
        return Err(Trouble::words("no axis is given", "name one with a value in mm: X10"));
    }
    Ok((axes, feed))
}

/// `X+ Y- F600`: each letter at most once, at least one axis.
fn direction(words: &[String]) -> Result<([i8; 3], f64), Trouble> {
    let (mut toward, mut feed) = ([0; 3], None);
    for word in words {
        let (letter, rest) = word.split_at_checked(1).ok_or_else(|| misread(word))?;
        let axis = ["X", "Y", "Z"].iter().position(|it| it.eq_ignore_ascii_case(letter));
        let sign = match (axis, rest) {
            (Some(_), "+") => 1,
            (Some(_), "-") => -1,
            (None, _) if letter.eq_ignore_ascii_case("F") && feed.is_none() => {
                feed = Some(rest.parse().map_err(|_| misread(word)).and_then(finite)?);
                continue;
            }
            _ => return Err(which_way(word)),
        };
        let place = axis.map(|axis| &mut toward[axis]).filter(|it| **it == 0);
        *place.ok_or_else(|| which_way(word))? = sign;
    }
    let feed = feed.ok_or_else(|| Trouble::words("no feed is given", "add how fast: F600"))?;
    if toward == [0; 3] { Err(which_way("")) } else { Ok((toward, feed)) }
}

fn which_way(word: &str) -> Trouble {
    Trouble::words(
        format!("`{word}` is no direction"),
        "with `--for` give each axis once, with + or -, and F in mm/min: X+ Y- F600",
    )
}

/// JSON has no word for the others.
fn finite(value: f64) -> Result<f64, Trouble> {
    if value.is_finite() { Ok(value) } else { Err(misread(&value.to_string())) }
}

fn misread(word: &str) -> Trouble {
    Trouble::words(
        format!("`{word}` is not understood here"),
        "give each axis once, with a value in mm, and F in mm/min where something moves: X10 F600",
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::args::{Args, Verb};

    fn command(words: &str) -> Result<Command, String> {
        let words = std::iter::once("headstock").chain(words.split(' '));
        let args = Args::try_parse_from(words).map_err(|error| error.to_string())?;
        let Verb::Machine(order) = args.verb else { panic!("not an order: {:?}", args.verb) };
        let (machine, command) = order.into_command().map_err(|trouble| trouble.render())?;
        assert_eq!(machine, "mill");
        Ok(command)
    }

    #[test]
    fn orders_become_commands() {
        let by = [Some(10.0), Some(-5.5), None];
        let spelt = [
            ("hold mill", Command::Hold),
            ("home mill", Command::Home { axes: None }),
            ("jog mill X10 y-5.5 F600", Command::Jog { by, feed: 600.0, absolute: false }),
            ("jog mill --cancel", Command::JogCancel),
            (
                "jog mill x+ Z- F600 --for 2",
                Command::JogHold { toward: [1, 0, -1], feed: 600.0, lease_ms: LEASE_MS },
            ),
            ("zero mill X10 Y-5.5 --system 2", Command::Zero { system: Some(2), at: by }),
            ("run mill G0 X0 --json", Command::Run { line: "G0 X0".into() }),
            ("setting mill 110 5000", Command::Setting { number: 110, value: "5000".into() }),
            ("preheat mill bed 60", Command::Preheat { heater: "bed".into(), celsius: 60.0 }),
            ("extrude mill -5", Command::Extrude { mm: -5.0, feed: 200.0 }),
            ("fan mill 50", Command::Fan { percent: 50.0 }),
            ("motors mill off", Command::Motors { on: false }),
            ("answer mill 1", Command::Answer { choice: 1 }),
            (
                "jog mill X1 Y-5.5 Z-0.25 F600 --absolute",
                Command::Jog {
                    by: [Some(1.0), Some(-5.5), Some(-0.25)],
                    feed: 600.0,
                    absolute: true,
                },
            ),
            ("probe mill", Command::Probe { by: NO_AXIS, feed: 0.0, lenient: false }),
            (
                "probe mill Z-2 F60",
                Command::Probe { by: [None, None, Some(-2.0)], feed: 60.0, lenient: false },
            ),
            ("check mill off", Command::Check { on: false }),
            (
                "write mill setpoint -2.5",
                Command::Write { tag: "setpoint".into(), value: Value::Number(-2.5) },
            ),
            (
                "write mill light on",
                Command::Write { tag: "light".into(), value: Value::Flag(true) },
            ),
            ("override mill feed 120", Command::Override { which: Override::Feed, percent: 120 }),
            ("override mill flow 95", Command::Override { which: Override::Flow, percent: 95 }),
        ];
        for (words, expected) in spelt {
            assert_eq!(command(words), Ok(expected), "{words}");
        }
    }

    #[test]
    fn a_motion_that_is_not_clear_is_not_sent() {
        let unclear = [
            "jog mill X10",
            "jog mill F600",
            "jog mill X10 X5 F600",
            "jog mill Xnan F600",
            "jog mill X1e999 F600",
            "jog mill ü10 F600",
            "jog mill A10 F600",
            "jog mill",
            "jog mill X1 F6 --cancel",
            "zero mill X0 F100",
            "setting mill 110",
            "zero mill X0 --system 7",
            "preheat mill bed nan",
            "motors mill maybe",
            "answer mill -1",
        ];
        for words in unclear {
            assert!(command(words).is_err(), "{words}");
        }
    }
}
