//! Words about what the daemon keeps: files, jobs, its book and its tokens.

use std::path::PathBuf;

use clap::Subcommand;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use headstock_config::job::Decision;
use headstock_config::people::Role;

use super::words;

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
        /// Only those older than this job
        #[arg(long, value_name = "JOB")]
        before: Option<String>,
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
    ///
    /// `restart`, and `resume` with `--accept`, move the machine at once.
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
        /// With `resume`: the preview has been read, the work offset verified and the way is clear
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

fn states() -> PossibleValuesParser {
    ["queued", "running", "held", "interrupted", "completed", "failed", "cancelled"].into()
}

fn decisions() -> impl TypedValueParser<Value = Decision> {
    words(&["done", "scrap", "restart", "release", "resume"])
}

fn roles() -> impl TypedValueParser<Value = Role> {
    words(&["viewer", "operator", "maintainer", "admin"])
}
