//! The command line: what a person types, sent to the daemon over its Unix socket.
//!
//! ```text
//!  words -> args -> verb -> client -> socket      answer -> headstock-tui -> say -> stdout
//!                                                 trouble ----------------> say -> stderr
//! ```
//!
//! Invariants: stdout holds answers only, so that `--json` can be piped; errors and remarks go to
//! stderr; every exit code stands in [`exit`]; before a stop is sent nothing is read that is not
//! needed to send it. The daemon judges every request: nothing here decides who may do what.

pub mod args;
pub mod exit;

mod alarms;
mod client;
mod config;
mod demo;
mod discover;
mod doctor;
mod events;
mod files;
mod jobs;
mod journal;
mod machines;
mod points;
mod pretend;
mod say;
mod service;
mod signals;
mod sim;
mod socket;
mod tokens;
mod traces;
mod trouble;
mod watch;
mod worlds;

use std::process::ExitCode;

use clap::CommandFactory;
use headstock_config::api::{Equipment, JobView, System};
use headstock_config::command::Stop;
use headstock_drivers::link::os;
use serde::Serialize;

pub use args::Args;
use args::Verb;
use client::Client;
use exit::Exit;
use trouble::Trouble;

/// SCHED_FIFO priority of a stop that is typed: below everything in the daemon.
const HURRY: i32 = 1;

/// Carries out what was typed.
pub fn run(args: Args) -> ExitCode {
    let json = args.common.json;
    if args.verb.stops() {
        // On a busy box a stop must not wait its turn behind everything else that runs. Where this
        // user may not ask for that, it goes its ordinary way.
        os::realtime(HURRY).ok();
    }
    let exit = carry_out(args).unwrap_or_else(|trouble| {
        say::trouble(&trouble, json);
        trouble.exit
    });
    exit.into()
}

fn carry_out(args: Args) -> Result<Exit, Trouble> {
    let Args { common, verb } = args;
    let call = || Call::open(&common);
    match verb {
        Verb::Daemon(words) => service::daemon(words, &common),
        Verb::Status => status(&call()?),
        Verb::Machines { machine } => machines::list(&call()?, machine.as_deref()),
        Verb::Points { prefix, watch } => points::list(&call()?, &prefix, watch),
        Verb::Point(words) => points::point(&call()?, words),
        Verb::Buses { frames } => machines::buses(&call()?, frames.as_deref()),
        Verb::Upload { file, name } => files::upload(&call()?, &file, name.as_deref()),
        Verb::Files { what } => files::files(&call()?, what.unwrap_or_default()),
        Verb::Job { what } => jobs::job(&call()?, what),
        Verb::Stop { machine, all: _, abort } => {
            let how = abort.then_some(Stop::Abort);
            machines::stop(&call()?, machine.as_deref(), how)
        }
        Verb::Events(wanted) => events::events(&call()?, &wanted),
        Verb::Alarms { all } => alarms::list(&call()?, all),
        Verb::Alarm { what } => alarms::alarm(&call()?, what),
        Verb::Rules => alarms::rules(&call()?),
        Verb::Clear { machine } => alarms::clear(&call()?, machine),
        Verb::Token { what } => tokens::token(&call()?, what),
        Verb::Config { what } => config::config(&what, common.config.as_deref(), common.json),
        Verb::Discover(words) => discover::discover(words, &common),
        Verb::Doctor => doctor::doctor(&common),
        Verb::Journal { what } => journal::journal(what, &common),
        Verb::Trace { what } => traces::trace(&what, common.json),
        Verb::Demo(words) => demo::demo(&words, common.json),
        Verb::Sim { what } => sim::sim(what, common.json),
        Verb::Completions { shell } => {
            say::bytes(&completions(shell));
            Ok(Exit::Done)
        }
        Verb::Machine(args::Order::Setting { machine, number: None, .. }) => {
            machines::settings(&call()?, &machine)
        }
        Verb::Machine(args::Order::Abort { machine }) => {
            machines::stop(&call()?, Some(&machine), Some(Stop::Abort))
        }
        Verb::Machine(order @ args::Order::Jog { seconds: Some(seconds), .. }) => {
            let (machine, command) = order.into_command()?;
            machines::hold_jog(&call()?, &machine, &command, seconds)
        }
        Verb::Machine(order) => {
            let (machine, command) = order.into_command()?;
            machines::tell(&call()?, &machine, &command)
        }
    }
}

/// A client, and how its answers are wanted.
struct Call {
    client: Client,
    json: bool,
}

impl Call {
    fn open(common: &args::Common) -> Result<Self, Trouble> {
        let client = Client::new(socket::find(common)?)?;
        Ok(Self { client, json: common.json })
    }

    /// Prints an answer: one line of JSON, or what `plain` makes of it.
    fn show<T: Serialize + ?Sized>(&self, answer: &T, plain: impl FnOnce(&T) -> String) {
        if self.json { say::json(answer) } else { say::text(&plain(answer)) }
    }
}

/// All that `status` tells; the shape of `status --json`.
#[derive(Serialize)]
struct Status {
    system: System,
    equipment: Vec<Equipment>,
    jobs: Vec<JobView>,
}

fn status(call: &Call) -> Result<Exit, Trouble> {
    let status = Status {
        system: call.client.get("system")?,
        equipment: call.client.get("equipment")?,
        jobs: call.client.get("jobs?limit=100")?,
    };
    call.show(&status, |it| {
        headstock_tui::view::house::status(&it.system, &it.equipment, &it.jobs, say::width())
    });
    Ok(Exit::Done)
}

fn completions(shell: clap_complete::Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "headstock", &mut script);
    script
}
