//! The words of the command line.
//!
//! Flags in [`Common`] may stand before or after the verb. Values are judged here only as far as
//! the daemon could not name the mistake better.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Parser, Subcommand};
use clap_complete::Shell;
use headstock_config::job::Decision;
use headstock_config::people::Role;
use headstock_drivers::grbl::sim::Fault;
use serde::de::DeserializeOwned;

use super::exit;
pub use super::order::Order;

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
    /// Stop a machine, or all: slow down, rest, then forget the program; position is kept
    Stop {
        /// The machine's id
        #[arg(required_unless_present = "all")]
        machine: Option<String>,
        /// All machines
        #[arg(long, conflicts_with = "machine")]
        all: bool,
    },
    /// Show what happened; with --json one entry a line
    Events(EventsWanted),
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
    /// Look the box over: configuration, folders, daemon, ports (exit code 1 if something is bad)
    Doctor,
    /// Verify or export the journal on the disk, with or without a daemon that runs
    Journal {
        /// What to do
        #[command(subcommand)]
        what: JournalVerb,
    },
    /// See all of it at work on two pretend machines, within a minute
    Demo {
        /// Keep it up to look at, until Ctrl-C
        #[arg(long)]
        stay: bool,
    },
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
}

/// How the daemon is run.
#[derive(Debug, clap::Args)]
pub struct DaemonWords {
    /// Where it keeps files, jobs and its journal, whatever the configuration says
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
}

/// What can be done with program files.
#[derive(Debug, Default, Subcommand)]
pub enum FilesVerb {
    /// List them
    #[default]
    List,
    /// Show what was found in one
    Show {
        /// The file's id
        file: String,
    },
    /// Remove one; jobs that ran it stay in the history
    Delete {
        /// The file's id
        file: String,
    },
    /// Fetch one; an existing file is never written over
    Download {
        /// The file's id
        file: String,
        /// Where to write it [default: its name, in this folder]
        #[arg(short, long, value_name = "PATH")]
        output: Option<PathBuf>,
    },
}

/// What can be done with jobs.
#[derive(Debug, Subcommand)]
pub enum JobVerb {
    /// Check a file against a machine, then run it there, or queue it behind the present job
    Start {
        /// The machine's id
        machine: String,
        /// A file's id, or the path of a file, which is uploaded first
        #[arg(value_name = "FILE_ID|PATH")]
        file: String,
        /// The controller checks every line; nothing moves
        #[arg(long)]
        dry_run: bool,
        /// Then watch it
        #[arg(long)]
        watch: bool,
    },
    /// Check a file against a machine without making a job (exit code 5 if something blocks)
    Check {
        /// The machine's id
        machine: String,
        /// A file's id, or the path of a file, which is uploaded first
        #[arg(value_name = "FILE_ID|PATH")]
        file: String,
    },
    /// List jobs, newest first
    List {
        /// Only of this machine
        #[arg(long)]
        machine: Option<String>,
        /// Only in this state
        #[arg(long, value_parser = states())]
        state: Option<String>,
        /// At most so many
        #[arg(long, default_value_t = 100)]
        limit: u32,
    },
    /// Show everything about a job
    Show {
        /// The job's id
        job: String,
    },
    /// Show a job's progress until it is over (exit code 0 if completed, 3 if not)
    Watch {
        /// The job's id
        job: String,
    },
    /// Start a job that waits in the queue
    Go {
        /// The job's id
        job: String,
    },
    /// Slow down and rest; the job can go on
    Hold {
        /// The job's id
        job: String,
    },
    /// Go on after a hold or a question
    Resume {
        /// The job's id
        job: String,
    },
    /// Give a job up: rest, then reset, spindle and coolant off
    Cancel {
        /// The job's id
        job: String,
    },
    /// Decide an interrupted job, so that its machine is free again
    Decide {
        /// The job's id
        job: String,
        /// What is to become of it
        #[arg(value_parser = decisions())]
        decision: Decision,
        /// Why, for the history
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// With `resume`: the file line to go on with
        #[arg(long, value_name = "N")]
        from_line: Option<u64>,
        /// With `resume`: the preview has been read and the work offset verified
        #[arg(long)]
        accept: bool,
    },
    /// Write a remark into a job's history
    Note {
        /// The job's id
        job: String,
        /// The remark
        #[arg(required = true)]
        text: Vec<String>,
    },
}

/// Which entries of the book are wanted.
#[derive(Debug, clap::Args)]
pub struct EventsWanted {
    /// All entries after this number; 0 for the whole book
    #[arg(long, value_name = "N")]
    pub after: Option<u64>,
    /// Without --after: the latest N entries
    #[arg(long, value_name = "N", default_value_t = 20, conflicts_with = "after")]
    pub last: u64,
    /// Go on with new ones as they happen
    #[arg(long, short)]
    pub follow: bool,
}

/// What can be done with tokens.
#[derive(Debug, Subcommand)]
pub enum TokenVerb {
    /// Make one and print it; it is shown this once
    Create {
        /// Its name, as history will show it
        #[arg(long)]
        name: String,
        /// What its bearer may do
        #[arg(long, value_parser = roles())]
        role: Role,
    },
    /// List them, without their secrets
    List,
    /// Take one back
    Revoke {
        /// Its name
        name: String,
    },
}

/// What can be done with the configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigVerb {
    /// Report all that is wrong, each with file, line and column (exit code 2 if anything is)
    Check,
    /// Print a configuration with every key explained
    ShowExample,
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

fn time_scale(text: &str) -> Result<f64, String> {
    let scale = text.parse().ok().filter(|it| (0.0..=1e6).contains(it));
    scale.ok_or_else(|| "a number from 0 to 1000000 is accepted".into())
}

fn rx_bytes(text: &str) -> Result<usize, String> {
    let bytes = text.parse().ok().filter(|it| (80..=65_536).contains(it));
    bytes.ok_or_else(|| "a number from 80 to 65536 is accepted".into())
}

fn states() -> PossibleValuesParser {
    ["queued", "running", "held", "interrupted", "completed", "failed", "cancelled"].into()
}

fn decisions() -> impl TypedValueParser<Value = Decision> {
    words(&["done", "scrap", "restart", "release", "resume"])
}

fn roles() -> impl TypedValueParser<Value = Role> {
    words(&["viewer", "operator", "maintainer", "admin"])
}

/// Words of the house that the words of the command line are spelt like.
pub(super) fn words<T>(words: &'static [&'static str]) -> impl TypedValueParser<Value = T>
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
    fn a_stop_names_what_it_stops() {
        assert!(Args::try_parse_from(["headstock", "stop"]).is_err());
        assert!(Args::try_parse_from(["headstock", "stop", "mill", "--all"]).is_err());
        parse("stop --all --json");
        parse("stop mill");
    }
}
