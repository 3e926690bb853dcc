//! The words of the command line.
//!
//! Flags in [`Common`] may stand before or after the verb. Values are judged here only as far as
//! the daemon could not name the mistake better.

mod alarm;
mod kept;
mod local;
mod order;
mod points;
mod pretend;

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Parser, Subcommand};
use clap_complete::Shell;
use serde::de::DeserializeOwned;

pub use self::alarm::AlarmVerb;
pub use self::kept::{EventsWanted, FilesVerb, JobVerb, TokenVerb};
pub use self::local::{
    ChipsWords, ConfigVerb, DaemonWords, DemoWords, DiscoverWords, GrblWords, JournalVerb,
    MarlinWords, PinsWords, SimVerb, TraceVerb,
};
pub use self::order::Order;
pub use self::points::PointWords;
pub use self::pretend::ModbusWords;
use super::exit;

/// Runs a workshop: one daemon on a small box, and these commands to talk to it.
#[derive(Debug, Parser)]
#[command(name = "headstock", version, after_help = exit::HELP, disable_help_subcommand = true)]
pub struct Args {
    /// Flags that every verb takes.
    #[command(flatten)]
    pub common: Common,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// Flags that every verb takes.
#[derive(Clone, Debug, clap::Args)]
pub struct Common {
    /// The daemon's Unix socket [default: where --config says, else the first there is:
    /// /run/headstock/headstock.sock, the one below ~/.local/state, where /etc/headstock says]
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "HEADSTOCK_SOCKET",
        hide_env_values = true
    )]
    pub socket: Option<PathBuf>,
    /// The configuration [default: /etc/headstock/headstock.toml]
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "HEADSTOCK_CONFIG",
        hide_env_values = true
    )]
    pub config: Option<PathBuf>,
    /// Answer in JSON, one document a line
    #[arg(long, global = true)]
    pub json: bool,
}

/// What can be asked for.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run the daemon in the foreground; its log goes to stderr (see HEADSTOCK_LOG)
    Daemon(DaemonWords),
    /// Show the daemon, its machines and the jobs that are not over
    Status,
    /// List the machines, or show one in detail
    Machines {
        /// A machine's id
        machine: Option<String>,
    },
    /// List everything that devices report, with how far it can be believed
    Points {
        /// Only those whose name begins so: a machine's id, say
        #[arg(default_value = "", hide_default_value = true)]
        prefix: String,
        /// Show changes as they come, until it is ended
        #[arg(long)]
        watch: bool,
    },
    /// Show a point, set it, or show what it has been
    Point(PointWords),
    /// List the buses: how busy they are, and what has come of requests to each device
    Buses {
        /// Instead: what went over the bus of this machine lately, one frame a line
        #[arg(long, value_name = "MACHINE")]
        frames: Option<String>,
    },
    /// Bring a program file to the box and show what is in it
    Upload {
        /// The file
        file: PathBuf,
        /// What it shall be called [default: its own name]
        #[arg(long)]
        name: Option<String>,
    },
    /// List, show, delete or download the program files on the box
    Files {
        /// What to do [default: list]
        #[command(subcommand)]
        what: Option<FilesVerb>,
    },
    /// Start, watch and decide jobs
    Job {
        /// What to do
        #[command(subcommand)]
        what: JobVerb,
    },
    /// What one machine can be told
    #[command(flatten)]
    Machine(Order),
    /// Stop a machine, or all: come to rest, then forget the program; a mill keeps its position, a
    /// printer loses it and goes cold
    Stop {
        /// The machine's id
        #[arg(required_unless_present = "all")]
        machine: Option<String>,
        /// All machines
        #[arg(long, conflicts_with = "machine")]
        all: bool,
        /// Abort: at once, whatever that costs in position, and power cut where a relay can
        #[arg(long)]
        abort: bool,
    },
    /// Show what happened; with --json one entry a line
    Events(EventsWanted),
    /// Show what calls for a person, and what to do about it
    Alarms {
        /// Those that are normal as well
        #[arg(long)]
        all: bool,
    },
    /// Acknowledge, shelve or reset an alarm, or show one in detail
    Alarm {
        /// What to do
        #[command(subcommand)]
        what: AlarmVerb,
    },
    /// Show how each permissive, interlock and follow rule stands, and why
    Rules,
    /// Say that machines are clear, after the hardware stop chain was open; look at them first
    Clear {
        /// The machine's id [default: all that wait for it]
        machine: Option<String>,
    },
    /// Make, list and revoke tokens for REST over TCP
    Token {
        /// What to do
        #[command(subcommand)]
        what: TokenVerb,
    },
    /// Check the configuration, or show an example of one
    Config {
        /// What to do
        #[command(subcommand)]
        what: ConfigVerb,
    },
    /// Look what is plugged in, and write what could go into the configuration. Nothing is moved;
    /// opening a port that no machine has resets many boards
    Discover(DiscoverWords),
    /// Look the box over: configuration, folders, daemon, ports (exit code 1 if something is bad)
    Doctor,
    /// Verify or export the journal on the disk, with or without a daemon that runs
    Journal {
        /// What to do
        #[command(subcommand)]
        what: JournalVerb,
    },
    /// Read what `headstock daemon --trace` has recorded
    Trace {
        /// What to do
        #[command(subcommand)]
        what: TraceVerb,
    },
    /// See all of it at work in a workshop of pretend machines, within a minute
    Demo(DemoWords),
    /// Run a pretend device alone, at the far end of a terminal of its own
    Sim {
        /// Which
        #[command(subcommand)]
        what: SimVerb,
    },
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

impl Verb {
    /// Whether it runs long and says what it does in a log.
    pub fn keeps_a_log(&self) -> bool {
        matches!(self, Self::Daemon(_))
    }

    /// Whether it brings a machine to rest.
    pub fn stops(&self) -> bool {
        match self {
            Self::Stop { .. } => true,
            Self::Machine(order) => order.stops(),
            Self::Job { what } => matches!(what, JobVerb::Hold { .. } | JobVerb::Cancel { .. }),
            _ => false,
        }
    }
}

/// Words of the house that the words of the command line are spelt like.
fn words<T>(words: &'static [&'static str]) -> impl TypedValueParser<Value = T>
where
    T: DeserializeOwned + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(words).map(|word| {
        serde_json::from_value(word.into()).expect("each word given here is one of the house's")
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(words: &str) -> Args {
        let words = std::iter::once("headstock").chain(words.split(' '));
        Args::try_parse_from(words).expect("words that are understood")
    }

    #[test]
    fn the_definitions_are_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn flags_for_all_verbs_stand_anywhere() {
        for words in ["--json machines", "machines --json", "machines mill --json"] {
            assert!(parse(words).common.json, "{words}");
        }
        for words in ["--socket /s job list", "job --socket /s list", "job list --socket /s"] {
            assert_eq!(parse(words).common.socket, Some("/s".into()), "{words}");
        }
    }

    #[test]
    fn every_word_of_the_house_is_understood() {
        for word in ["done", "scrap", "restart", "release", "resume"] {
            parse(&format!("job decide j1 {word} --reason x"));
        }
        for word in ["viewer", "operator", "maintainer", "admin"] {
            parse(&format!("token create --name n --role {word}"));
        }
    }

    #[test]
    fn a_point_is_looked_at_or_set() {
        for words in
            ["points mill. --json", "points --watch", "point mill.x --history 1h --every 1m"]
        {
            parse(words);
        }
        let Verb::Point(words) = parse("point vfd.frequency --set -5").verb else { panic!() };
        assert_eq!(words.set.as_deref(), Some("-5"));
        let both = ["headstock", "point", "a.b", "--set", "1", "--history", "1h"];
        assert!(Args::try_parse_from(both).is_err());
    }

    #[test]
    fn a_stop_names_what_it_stops() {
        assert!(Args::try_parse_from(["headstock", "stop"]).is_err());
        assert!(Args::try_parse_from(["headstock", "stop", "mill", "--all"]).is_err());
        parse("stop --all --json");
        parse("stop mill");
    }
}
