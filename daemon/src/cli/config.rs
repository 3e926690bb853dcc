//! The configuration: checking it, showing an example of one, and the profiles that it may name.

use std::path::{Path, PathBuf};

use headstock_config::explain::Explain;
use headstock_config::load::{self, Problem};
use headstock_config::machine::{Machine, Port};
use headstock_config::places::{NoPlace, Places, Surroundings};
use headstock_config::profile::{self, Card, PROFILES, Profile};
use headstock_config::settings::Settings;
use headstock_drivers::registry;
use headstock_tui::table::table;
use serde::Serialize;

use super::args::ConfigVerb;
use super::exit::Exit;
use super::say;
use super::trouble::Trouble;
use crate::house::fit;

/// Every key, with what it is for.
const EXAMPLE: &str = include_str!("../../../config/examples/headstock.toml");

pub(super) fn config(what: &ConfigVerb, file: Option<&Path>, json: bool) -> Result<Exit, Trouble> {
    match what {
        ConfigVerb::Check => check(file, json),
        ConfigVerb::ShowExample => {
            if json {
                say::json(&Example { example: EXAMPLE });
            } else {
                say::text(EXAMPLE);
            }
            Ok(Exit::Done)
        }
        ConfigVerb::Profiles { name: None } => {
            let cards: Vec<Card> = PROFILES.iter().map(Profile::card).collect();
            if json {
                say::json(&cards);
            } else {
                say::text(&shelf(&cards));
            }
            Ok(Exit::Done)
        }
        ConfigVerb::Profiles { name: Some(name) } => {
            let profile = profile::find(name).ok_or_else(|| no_profile(name))?;
            if json {
                say::json(&Shown { card: profile.card(), text: profile.text });
            } else {
                say::text(profile.text);
            }
            Ok(Exit::Done)
        }
    }
}

/// `config profiles NAME --json`.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    card: Card,
    text: &'static str,
}

fn shelf(cards: &[Card]) -> String {
    let row = |it: &Card| {
        [it.name.to_owned(), it.about.clone(), it.confidence.clone(), it.source.clone()]
    };
    let rows: Vec<_> = cards.iter().map(row).collect();
    table(["PROFILE", "DEVICE", "CONFIDENCE", "SOURCE"], &rows)
}

fn no_profile(name: &str) -> Trouble {
    Trouble::new(
        Exit::WrongWords,
        "config.profile.unknown",
        format!("there is no profile `{name}`"),
        "nothing is shown",
        "`headstock config profiles` lists those that ship with this program",
    )
}

/// `config show-example --json`.
#[derive(Serialize)]
struct Example {
    example: &'static str,
}

/// `config check --json`. The problems are its answer, so they go to stdout.
#[derive(Serialize)]
struct Checked {
    ok: bool,
    file: PathBuf,
    problems: Vec<Problem>,
    /// What is not wrong and may be regretted.
    warnings: Vec<String>,
    /// Absent while there are problems.
    places: Option<Places>,
    settings: Option<Settings>,
}

fn check(asked: Option<&Path>, json: bool) -> Result<Exit, Trouble> {
    let around = Surroundings::of_this_process();
    let file = around.config_file(asked);
    let loaded = load::load(&file, &registry::names());
    let loaded = loaded.and_then(|settings| {
        let demands = fit::buses(&file, &settings.machines)?;
        Ok((settings, fit::warnings(&demands)))
    });
    let checked = match loaded {
        Ok((settings, warnings)) => {
            let places = Places::find(&settings.daemon, None, &around);
            let places = Some(places.map_err(|problem| no_place(&problem))?);
            Checked { ok: true, file, problems: vec![], warnings, places, settings: Some(settings) }
        }
        Err(problems) => {
            Checked { ok: false, file, problems, warnings: vec![], places: None, settings: None }
        }
    };
    if json {
        say::json(&checked);
    } else {
        say::text(&told(&checked));
    }
    Ok(if checked.ok { Exit::Done } else { Exit::WrongWords })
}

fn told(checked: &Checked) -> String {
    let (Some(settings), Some(places)) = (&checked.settings, &checked.places) else {
        let count = checked.problems.len();
        let word = if count == 1 { "problem" } else { "problems" };
        return format!("{}\n\n{count} {word}", load::render(&checked.problems));
    };
    let rows: Vec<_> = settings.machines.iter().map(row).collect();
    let warnings: String = checked.warnings.iter().map(|it| format!("\nmind: {it}\n")).collect();
    format!(
        "{}: nothing wrong\n{warnings}\nstate   {}\nsocket  {}\nweb     {}\n\n{}",
        checked.file.display(),
        places.state_dir.display(),
        places.socket.display(),
        settings.web.listen,
        table(["MACHINE", "NAME", "DRIVER", "PORT", "BAUD"], &rows),
    )
}

/// Whether it is reached over a serial line, which has a speed.
fn on_a_line(machine: &Machine) -> bool {
    !matches!(machine.driver.as_str(), "modbus-tcp" | "gpio" | "i2c")
        && !matches!(machine.port, Port::Tcp(..))
}

fn row(machine: &Machine) -> [String; 5] {
    [
        machine.id.clone(),
        machine.name.clone(),
        machine.driver.clone(),
        machine.port.to_string(),
        if on_a_line(machine) { machine.baud.to_string() } else { String::new() },
    ]
}

/// Reads a configuration of which all must be right.
pub(super) fn read(file: &Path) -> Result<Settings, Trouble> {
    load::load(file, &registry::names()).map_err(|problems| wrong(file, &problems))
}

fn wrong(file: &Path, problems: &[Problem]) -> Trouble {
    let mut trouble = Trouble::new(
        Exit::WrongWords,
        "config.problems",
        format!("the configuration {} is not in order", file.display()),
        "none of it is used",
        "put right what is listed here; `headstock config check` shows more about each",
    );
    trouble.error.details = problems.iter().map(in_one_line).collect();
    trouble
}

fn in_one_line(problem: &Problem) -> String {
    let accepted = problem.accepted.iter().map(|it| format!("; accepted: {it}"));
    let hint = problem.hint.iter().map(|it| format!("; try: {it}"));
    let more: String = accepted.chain(hint).collect();
    format!("{problem} [{}]{more}", problem.code)
}

/// The configuration leaves no place for the house's things.
pub(super) fn no_place(problem: &NoPlace) -> Trouble {
    let (means, remedy) = (problem.means(), problem.remedy());
    Trouble::new(Exit::WrongWords, problem.code(), problem, &means, &remedy)
}
