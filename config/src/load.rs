//! Reads and checks the configuration: one TOML file and the `conf.d/*.toml` beside it.
//!
//! All files are read as if they were one, in the order of their names: tables are joined,
//! machines are added. Everything that is wrong is found in one run, each with its file, line
//! and column, what was found and what is accepted; nothing that is only partly right is used.
//!
//! [`parse`] is pure: text in, [`Settings`] or [`Problem`]s out, whatever the text. Only [`load`]
//! touches the disk. What a machine declares is defined in [`crate::machine`], where things are
//! put in [`crate::places`].

mod bus;
mod clash;
mod disk;
mod findings;
mod machine;
mod modbus_server;
mod nearest;
mod pin;
mod port;
mod power;
mod printer;
mod problem;
mod rule;
mod section;
mod sheet;
mod tables;
mod tag;
mod value;

use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

pub use self::disk::load;
use self::findings::Findings;
use self::machine::Draft;
use self::nearest::nearest;
pub use self::problem::{Problem, render};
use self::section::Section;
use self::sheet::{Place, Sheet, shortened};
use crate::settings::Settings;

/// Files larger than this are refused unread: a configuration is pages, not megabytes.
pub const FILE_MAX_BYTES: usize = 1 << 20;
/// More machines than this are no workshop but a mistake.
pub const MACHINES_MAX: usize = 64;

/// Reads one file's text. `file` is only its name for problems, `drivers` are the drivers that
/// may be named. Two paths count as one port when they are spelled alike; [`load`] follows links.
///
/// All problems are returned, in reading order, up to a hundred.
pub fn parse(text: &str, file: &str, drivers: &[&str]) -> Result<Settings, Vec<Problem>> {
    parse_all(&[(file.into(), text.into())], drivers, &Path::to_path_buf, Findings::default())
}

/// Reads several files, given as name and text, as one; `findings` is what was wrong so far.
fn parse_all(
    files: &[(String, String)],
    drivers: &[&str],
    resolve: &dyn Fn(&Path) -> PathBuf,
    mut findings: Findings,
) -> Result<Settings, Vec<Problem>> {
    let mut sheets = Vec::new();
    for (order, (name, text)) in files.iter().enumerate() {
        if text.len() > FILE_MAX_BYTES {
            findings.about(order, disk::too_large(name));
        } else {
            sheets.push(Sheet::read(order, name, text, &mut findings));
        }
    }
    let settings = settings(&sheets, drivers, resolve, &mut findings);
    findings.judge(settings)
}

fn settings(
    sheets: &[Sheet<'_>],
    drivers: &[&str],
    resolve: &dyn Fn(&Path) -> PathBuf,
    findings: &mut Findings,
) -> Settings {
    let mut joined = tables::TABLES
        .map(|(name, keys)| Section::new(format!("`[{name}]`: "), name.to_string(), keys));
    let mut drafts = Vec::new();
    let mut waiting = rule::Waiting::default();
    for sheet in sheets {
        for (key, value) in sheet.table() {
            let at = Place { sheet, offset: key.span().start };
            let known = joined.iter_mut().find(|table| table.path == *key.get_ref());
            match known {
                Some(table) => join(table, at, value, findings),
                None if key.get_ref() == "machine" => {
                    machines(at, value, drivers, &mut drafts, findings);
                }
                None if rule::TABLES.contains(&&**key.get_ref()) => {
                    waiting.add(key.get_ref(), at, value, findings);
                }
                None => unknown(key.get_ref(), at, findings),
            }
        }
    }
    clash::ids(&drafts, findings);
    clash::ports(&drafts, resolve, findings);
    power::powers(&mut drafts, findings);
    let (alarm, rules) = waiting.read(&drafts, findings);
    let [daemon, web, journal, points, sim, people, alarms, modbus] = &joined;
    Settings {
        daemon: tables::daemon(daemon, findings),
        web: tables::web(web, findings),
        journal: tables::journal(journal, findings),
        points: tables::points(points, findings),
        sim: tables::sim(sim, findings),
        people: tables::people(people, findings),
        alarms: tables::alarms(alarms, findings),
        modbus_server: modbus_server::modbus_server(modbus, &drafts, findings),
        alarm,
        rules,
        machines: drafts.into_iter().map(|draft| draft.machine).collect(),
    }
}

/// Adds what one file has for a table.
fn join<'a>(
    table: &mut Section<'a>,
    at: Place<'a>,
    value: &'a Spanned<DeValue<'a>>,
    findings: &mut Findings,
) {
    if let DeValue::Table(inside) = value.get_ref() {
        return table.add(at.sheet, at.offset, inside, findings);
    }
    let (name, kind) = (&table.path, value::kind(value.get_ref()));
    let message = format!("`{name}` is {kind}, not a table");
    let problem = findings.at(at, "config.value.kind", name, message);
    problem.accepted = Some(format!("a table that begins with `[{name}]`"));
}

/// Reads one file's machines, and adds them to those of the files before.
fn machines<'a>(
    at: Place<'a>,
    value: &'a Spanned<DeValue<'a>>,
    drivers: &[&str],
    drafts: &mut Vec<Draft<'a>>,
    findings: &mut Findings,
) {
    let Some(tables) = tables_of(value.get_ref()) else {
        let message =
            format!("`machine` is {}, not a list of machines", value::kind(value.get_ref()));
        let problem = findings.at(at, "config.value.kind", "machine", message);
        problem.accepted = Some("one `[[machine]]` for each, with two brackets".into());
        return;
    };
    for (index, (start, table)) in tables.into_iter().enumerate() {
        if drafts.len() == MACHINES_MAX {
            let message = format!("there are more than {MACHINES_MAX} machines");
            findings.add((at.sheet, start), "config.machine.many", "machine", message);
            return;
        }
        drafts.push(machine::machine(at.sheet, (index, start), table, drivers, findings));
    }
}

/// Where each table of a list begins, and the table; nothing if it is no list of tables.
fn tables_of<'a>(value: &'a DeValue<'a>) -> Option<Vec<(usize, &'a DeTable<'a>)>> {
    let items = value.as_array()?.iter();
    items.map(|item| Some((item.span().start, item.get_ref().as_table()?))).collect()
}

/// A name at the top of a file that nothing goes by.
fn unknown(key: &str, at: Place<'_>, findings: &mut Findings) {
    let tables = tables::TABLES.map(|(name, _)| name);
    let known = tables.into_iter().chain(["machine"]).chain(rule::TABLES);
    let key = shortened(key);
    let problem =
        findings.at(at, "config.key.unknown", &key, format!("unknown table or key `{key}`"));
    problem.accepted = Some(
        "[daemon], [web], [journal], [points], [sim], [people], [alarms], [modbus_server], [[machine]], [[alarm]], \
         [[permissive]], [[interlock]], [[follow]]"
            .into(),
    );
    let near = nearest(&key, known).map(|name| match name {
        name if name == "machine" || rule::TABLES.contains(&name) => {
            value::did_you_mean(format!("[[{name}]]"))
        }
        name => value::did_you_mean(format!("[{name}]")),
    });
    problem.hint = tables::home_of(&key, "").or(near);
}
