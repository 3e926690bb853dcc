//! Words for what needs no daemon, or is one.

use std::path::PathBuf;

use clap::Subcommand;
use clap::builder::PossibleValuesParser;
use headstock_drivers::grbl::sim::Fault;
use headstock_drivers::marlin::sim as printer;
use headstock_drivers::registry;

/// How the daemon is run.
#[derive(Debug, clap::Args)]
pub struct DaemonWords {
    /// Where it keeps files, jobs and its journal, whatever the configuration says
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Write every byte between machines and daemon into files in this folder, one for each time
    /// that a port is opened; about 1 MB for a minute of a program. See `headstock trace`
    #[arg(long, value_name = "DIR")]
    pub trace: Option<PathBuf>,
}

/// What can be done with the record of a link.
#[derive(Debug, Subcommand)]
pub enum TraceVerb {
    /// Show what was sent and heard, and when, in seconds
    Show {
        /// The trace
        file: PathBuf,
    },
    /// Let a new driver hear what the machine said, and show what it makes of it. It has not been given the
    /// commands and programs of then, so answers to those show as answers to nothing
    Replay {
        /// The trace
        file: PathBuf,
        /// The driver
        #[arg(long, value_parser = PossibleValuesParser::new(registry::names_of_links()))]
        driver: String,
    },
}

/// How the demo is played.
#[derive(Debug, clap::Args)]
pub struct DemoWords {
    /// Keep it up to look at, until Ctrl-C
    #[arg(long)]
    pub stay: bool,
    /// Motion, wire and controller are so many times faster than real ones, 1 to 100; below 6 it
    /// takes longer than a minute
    #[arg(long, value_name = "X", default_value_t = 12,
        value_parser = clap::value_parser!(u32).range(1..=100))]
    pub time_scale: u32,
}

/// Where to look.
#[derive(Debug, clap::Args)]
pub struct DiscoverWords {
    /// Ask what does not introduce itself: `?` for GRBL, M115 for printers; neither moves anything
    #[arg(long)]
    pub ask: bool,
    /// Only this serial port; may be given several times
    #[arg(long, value_name = "PATH")]
    pub port: Vec<PathBuf>,
    /// Instead: read once from each unit of this Modbus bus, a path or host:502
    #[arg(long, value_name = "PORT")]
    pub modbus: Option<String>,
    /// Bits per second on that bus
    #[arg(long, default_value_t = 9600, requires = "modbus")]
    pub baud: u32,
    /// The units to read from, 1 to 247
    #[arg(long, value_name = "FROM-TO", default_value = "1-32", value_parser = units,
        requires = "modbus")]
    pub units: Units,
}

/// The first and the last of some units.
#[derive(Clone, Copy, Debug)]
pub struct Units(pub [u8; 2]);

/// `1-32`, or `7`.
fn units(text: &str) -> Result<Units, String> {
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    let number = |it: &str| it.trim().parse().ok().filter(|it| (1..=247).contains(it));
    match (number(from), number(to)) {
        (Some(from), Some(to)) if from <= to => Ok(Units([from, to])),
        _ => Err("units are 1 to 247, the first one before the last: 1-32".into()),
    }
}

/// What can be done with the configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigVerb {
    /// Report all that is wrong, each with file, line and column (exit code 2 if anything is)
    Check,
    /// Print a configuration with every key explained
    ShowExample,
    /// List what is known of common devices on buses, for `profile = "..."`
    Profiles {
        /// Print this one in full instead
        name: Option<String>,
    },
}

/// What can be done with the journal.
#[derive(Debug, Subcommand)]
pub enum JournalVerb {
    /// Read all of it and report every damage (exit code 1 if there is any)
    Verify {
        /// The daemon's state folder [default: what the configuration says]
        #[arg(long, value_name = "DIR")]
        state_dir: Option<PathBuf>,
    },
    /// Write the entries as JSON, one a line
    Export {
        /// The daemon's state folder [default: what the configuration says]
        #[arg(long, value_name = "DIR")]
        state_dir: Option<PathBuf>,
        /// The first entry wanted
        #[arg(long, value_name = "N", default_value_t = 1)]
        from: u64,
        /// A new file to write to [default: stdout]
        #[arg(short, long, value_name = "PATH")]
        output: Option<PathBuf>,
    },
}

/// The pretend devices.
#[derive(Debug, Subcommand)]
pub enum SimVerb {
    /// A GRBL 1.1h with a planner, a receive buffer that overflows, and motion that takes time
    Grbl(GrblWords),
    /// A Marlin 2.1 printer with line numbers, a command queue, and heaters that take their time
    Marlin(MarlinWords),
    /// Modbus devices as their profiles have them, on a serial bus or over TCP
    Modbus(super::pretend::ModbusWords),
    /// A board of pins. With words: `set gpiochip0/17 1`, `get gpiochip0/22`, `lines`, `watch`, told
    /// to the one behind this socket; without: a board of its own
    Pins(PinsWords),
    /// A bus of I2C chips. With words: `chips`, `set 76 temperature 30`, `get 20 a0`, `fault 76 nack`,
    /// told to the one behind this socket; with `--chip`: a bus of its own
    I2c(ChipsWords),
}

/// A pretend board, or what it is told.
#[derive(Debug, clap::Args)]
pub struct PinsWords {
    /// Its socket; in a house that runs, `sim/NAME.pins` in the state folder
    pub socket: PathBuf,
    /// What it is told
    pub words: Vec<String>,
}

/// A pretend I2C bus, or what it is told.
#[derive(Debug, clap::Args)]
pub struct ChipsWords {
    /// Its socket; in a house that runs, `sim/NAME.i2c` in the state folder
    pub socket: PathBuf,
    /// What it is told
    #[arg(required_unless_present = "chip", conflicts_with = "chip")]
    pub words: Vec<String>,
    /// A chip and its address: bme280@76; may be given several times
    #[arg(long, value_name = "CHIP@ADDRESS", value_parser = chip_at)]
    pub chip: Vec<(String, u8)>,
    /// Its climate drifts this many times faster; 0: it stands still
    #[arg(long, value_name = "X", default_value_t = 1.0, value_parser = time_scale)]
    pub time_scale: f64,
}

fn chip_at(text: &str) -> Result<(String, u8), String> {
    let wrong = || "a chip and its address in hexadecimal are accepted: bme280@76".to_owned();
    let (chip, address) = text.split_once('@').ok_or_else(wrong)?;
    let address = u8::from_str_radix(address.trim_start_matches("0x"), 16).ok();
    let address = address.filter(|it| (0x03..=0x77).contains(it)).ok_or_else(wrong)?;
    Ok((chip.to_owned(), address))
}

/// How the pretend printer is made.
#[derive(Debug, clap::Args)]
pub struct MarlinWords {
    /// Where to put the link to its terminal
    #[arg(long, value_name = "PATH")]
    pub pty: PathBuf,
    /// Motion and heating run this many times faster; 0: they take no time
    #[arg(long, value_name = "X", default_value_t = 1.0, value_parser = time_scale)]
    pub time_scale: f64,
    /// What goes wrong, and when: runaway@100, mute@2s+1.5s (unplug, power, garbage, reset, mute,
    /// runaway, runout, kill); may be given several times
    #[arg(long, value_name = "FAULT")]
    pub fault: Vec<printer::Fault>,
    /// Answer with a bare `ok`, as builds without ADVANCED_OK do
    #[arg(long)]
    pub plain_ok: bool,
    /// Let M112 and M410 wait for their turn, as builds without EMERGENCY_PARSER do
    #[arg(long)]
    pub no_emergency_parser: bool,
    /// Seed of what is random
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
}

/// How the pretend GRBL is made.
#[derive(Debug, clap::Args)]
pub struct GrblWords {
    /// Where to put the link to its terminal
    #[arg(long, value_name = "PATH")]
    pub pty: PathBuf,
    /// Motion runs this many times faster; 0: it takes no time
    #[arg(long, value_name = "X", default_value_t = 1.0, value_parser = time_scale)]
    pub time_scale: f64,
    /// What goes wrong, and when: unplug@100, mute@2s+1.5s (unplug, power, garbage, reset, mute,
    /// limit, door); may be given several times
    #[arg(long, value_name = "FAULT")]
    pub fault: Vec<Fault>,
    /// Bytes of its receive buffer
    #[arg(long, value_name = "BYTES", default_value_t = 128, value_parser = rx_bytes)]
    pub rx: usize,
    /// Reports carry line numbers, as builds with USE_LINE_NUMBERS do
    #[arg(long)]
    pub line_numbers: bool,
    /// Seed of what is random
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
}

pub(super) fn time_scale(text: &str) -> Result<f64, String> {
    let scale = text.parse().ok().filter(|it| (0.0..=1e6).contains(it));
    scale.ok_or_else(|| "a number from 0 to 1000000 is accepted".into())
}

fn rx_bytes(text: &str) -> Result<usize, String> {
    let bytes = text.parse().ok().filter(|it| (80..=65_536).contains(it));
    bytes.ok_or_else(|| "a number from 80 to 65536 is accepted".into())
}
