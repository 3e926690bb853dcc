//! `[[alarm]]`, `[[permissive]]`, `[[interlock]]` and `[[follow]]`: gathered from all files, and
//! read once every machine is known, since they name machines and points.

mod alarm;
mod condition;
mod crossed;
pub(super) mod known;
mod table;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use self::known::Known;
use super::findings::Findings;
use super::machine::Draft as MachineDraft;
use super::section::Section;
use super::sheet::Place;
use super::value;
use crate::alarm::Alarm;
use crate::rule::Rules;

/// The tables that are read here.
pub(super) const TABLES: [&str; 4] = ["alarm", "permissive", "interlock", "follow"];
/// More rules or alarms of one kind than this are no workshop but a mistake.
const RULES_MAX: usize = 1_000;

/// Tables that wait until every machine is known, by kind.
#[derive(Default)]
pub(super) struct Waiting<'a> {
    tables: [Vec<(Place<'a>, &'a DeTable<'a>)>; TABLES.len()],
}

/// A rule while the whole is still being checked.
struct Draft<'a, T> {
    /// Its table.
    table: Section<'a>,
    /// What it is; `None` while something about it is wrong.
    rule: Option<T>,
}

impl<'a> Waiting<'a> {
    /// Takes in what a file has for one of [`TABLES`].
    pub(super) fn add(
        &mut self,
        key: &str,
        at: Place<'a>,
        value: &'a Spanned<DeValue<'a>>,
        findings: &mut Findings,
    ) {
        let Some(kind) = TABLES.iter().position(|it| *it == key) else { return };
        let Some(tables) = super::tables_of(value.get_ref()) else {
            let what = value::kind(value.get_ref());
            let message = format!("`{key}` is {what}, not a list of tables");
            let problem = findings.at(at, "config.value.kind", key, message);
            problem.accepted = Some(format!("one `[[{key}]]` for each, with two brackets"));
            return;
        };
        for (offset, table) in tables {
            let place = Place { sheet: at.sheet, offset };
            if self.tables[kind].len() == RULES_MAX {
                let message = format!("there are more than {RULES_MAX} tables `[[{key}]]`");
                findings.at(place, "config.rule.many", key, message);
                return;
            }
            self.tables[kind].push((place, table));
        }
    }

    /// Reads all of them.
    pub(super) fn read(
        self,
        machines: &[MachineDraft<'a>],
        findings: &mut Findings,
    ) -> (Vec<Alarm>, Rules) {
        let known = Known::of(machines);
        let [alarms, permissives, interlocks, follows] = self.tables;
        let alarms = each("alarm", alarm::KEYS, &alarms, findings, |table, findings| {
            alarm::alarm(table, &known, findings)
        });
        let permissives =
            each("permissive", table::PERMISSIVE, &permissives, findings, |table, findings| {
                table::permissive(table, &known, findings)
            });
        let interlocks =
            each("interlock", table::INTERLOCK, &interlocks, findings, |table, findings| {
                table::interlock(table, &known, findings)
            });
        let follows = each("follow", table::FOLLOW, &follows, findings, |table, findings| {
            table::follow(table, &known, findings)
        });
        let all = crossed::All { alarms, permissives, interlocks, follows };
        crossed::check(&all, &known, findings);
        let rules = Rules {
            permissives: whole(all.permissives),
            interlocks: whole(all.interlocks),
            follows: whole(all.follows),
        };
        (whole(all.alarms), rules)
    }
}

fn whole<T>(drafts: Vec<Draft<'_, T>>) -> Vec<T> {
    drafts.into_iter().filter_map(|draft| draft.rule).collect()
}

/// Reads every table of a kind.
fn each<'a, T>(
    kind: &str,
    keys: &'static [&'static str],
    tables: &[(Place<'a>, &'a DeTable<'a>)],
    findings: &mut Findings,
    read: impl Fn(&Section<'a>, &mut Findings) -> Option<T>,
) -> Vec<Draft<'a, T>> {
    let mut drafts = Vec::new();
    for (index, (at, inside)) in tables.iter().enumerate() {
        let whose = match inside.get("name").and_then(|it| it.get_ref().as_str()) {
            Some(name) => format!("{kind} `{}`: ", super::shortened(name)),
            None => format!("{kind} number {}: ", index + 1),
        };
        let mut table = Section::new(whose, format!("{kind}[{index}]"), keys);
        table.add(at.sheet, at.offset, inside, findings);
        let rule = read(&table, findings);
        drafts.push(Draft { table, rule });
    }
    drafts
}
