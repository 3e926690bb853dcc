//! `headstock`: one program for the daemon and its clients.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use headstock_daemon::cli::{self, Args};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let args = Args::parse();
    if args.verb.keeps_a_log() {
        open_log();
    }
    cli::run(args)
}

/// The log goes to stderr; `HEADSTOCK_LOG` says how much, as in `info,headstock_drivers=debug`.
/// Below systemd the journal adds the time by itself.
fn open_log() {
    let filter = EnvFilter::try_from_env("HEADSTOCK_LOG").unwrap_or_else(|_| "info".into());
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    if std::env::var_os("JOURNAL_STREAM").is_some() {
        log.without_time().init();
    } else {
        log.init();
    }
}
