//! Conditions: a point, an operator and a value, and lists of these.

use std::borrow::Cow;

use toml::de::DeTable;

use super::known::{Known, Says};
use crate::load::findings::Findings;
use crate::load::nearest::nearest;
use crate::load::section::Section;
use crate::load::sheet::Place;
use crate::load::value::{self, Wanted, Wrong};
use crate::point::Value;
use crate::rule::{Compare, Condition, Test, Unknown};

pub(super) const CONDITION: &str = "{ point = \"machine.tag\", equals = true }, with `above`, \
    `below`, `equals` or `not_equals`; or { all = [...] }; or { any = [...] }";
const MANY: &str = "a list of conditions: [{ point = \"machine.tag\", equals = true }, ...]";
const KEYS: &[&str] =
    &["point", "above", "below", "equals", "not_equals", "if_unknown", "all", "any"];
const OPERATORS: [&str; 4] = ["above", "below", "equals", "not_equals"];
const POINT: &str = "a point: \"machine.tag\"";
pub(super) const UNKNOWN: [(&str, Unknown); 2] =
    [("trip", Unknown::Trip), ("ignore", Unknown::Ignore)];
/// Lists in lists in lists are no rule that a person can judge at a glance.
const DEEPEST: usize = 4;
/// More conditions in one list than this are no rule but a mistake.
const LONGEST: usize = 64;

/// Reads the condition that a key holds.
pub(super) fn condition(
    table: &Section<'_>,
    key: &str,
    known: &Known<'_>,
    findings: &mut Findings,
) -> Option<Condition> {
    table.missing(key, CONDITION, findings);
    let inside = table.table(key, CONDITION, KEYS, findings)?;
    one(&inside, known, DEEPEST, findings)
}

/// Reads the list of conditions that a key holds; nothing if one of them is wrong.
pub(super) fn conditions(
    table: &Section<'_>,
    key: &str,
    known: &Known<'_>,
    findings: &mut Findings,
) -> Option<Vec<Condition>> {
    table.missing(key, MANY, findings);
    list(table, key, known, DEEPEST, findings)
}

fn list<'a>(
    table: &Section<'a>,
    key: &str,
    known: &Known<'_>,
    deep: usize,
    findings: &mut Findings,
) -> Option<Vec<Condition>> {
    let tables: Vec<(usize, &'a DeTable<'a>)> = table.read(key, MANY, findings, |it| {
        let tables = crate::load::tables_of(it).ok_or(Wrong::Kind(Wanted::Many))?;
        match tables.len() {
            0 => value::refuse("is an empty list"),
            1..=LONGEST => Ok(tables),
            _ => value::refuse("is too long"),
        }
    })?;
    if deep == 0 {
        let wrong = Wrong::Value("is a list in a list in a list", None);
        table.refuse(key, wrong, "at most four lists in one another", findings);
        return None;
    }
    let sheet = table.entry(key)?.at.sheet;
    let mut parts = Vec::new();
    let mut right = true;
    for (index, (offset, inside)) in tables.into_iter().enumerate() {
        let whose = format!("{}`{key}` number {}: ", table.whose, index + 1);
        let path = format!("{}[{index}]", table.path_of(key));
        let mut section = Section::new(whose, path, KEYS);
        section.add(sheet, offset, inside, findings);
        match one(&section, known, deep - 1, findings) {
            Some(condition) => parts.push(condition),
            None => right = false,
        }
    }
    right.then_some(parts)
}

fn one(
    table: &Section<'_>,
    known: &Known<'_>,
    deep: usize,
    findings: &mut Findings,
) -> Option<Condition> {
    let lists = ["all", "any"].map(|key| table.entry(key).map(|_| key));
    let [all, any] = lists;
    let Some(key) = all.or(any) else { return test(table, known, findings).map(Condition::Test) };
    let beside = KEYS.iter().find(|it| **it != key && table.entry(it).is_some());
    if let Some(beside) = beside {
        let wrong = Wrong::Value("stands beside a list", None);
        table.refuse(beside, wrong, "a list alone, or one point with one operator", findings);
        return None;
    }
    let parts = list(table, key, known, deep, findings)?;
    Some(if key == "all" { Condition::All(parts) } else { Condition::Any(parts) })
}

fn test(table: &Section<'_>, known: &Known<'_>, findings: &mut Findings) -> Option<Test> {
    table.missing("point", POINT, findings);
    let point = table.read("point", POINT, findings, |it| known.point(it));
    let compare = compare(table, point.as_ref().map(|(_, found)| found.says), findings);
    let if_unknown = table.word("if_unknown", &UNKNOWN, findings);
    Some(Test { point: point?.0, compare: compare?, if_unknown })
}

/// Reads the one operator of a table.
pub(super) fn compare(
    table: &Section<'_>,
    says: Option<Says>,
    findings: &mut Findings,
) -> Option<Compare> {
    let accepted = "one of `above`, `below`, `equals`, `not_equals`";
    let mut set = OPERATORS.iter().copied().filter(|key| table.entry(key).is_some());
    let Some(operator) = set.next() else {
        let place: Place<'_> = table.at?;
        let message = format!("{}nothing is said that the point is compared with", table.whose);
        let problem =
            findings.at(place, "config.condition.compare", &table.path_of("equals"), message);
        problem.accepted = Some(accepted.into());
        return None;
    };
    if let Some(second) = set.next() {
        let wrong = Wrong::Value("is a second operator", None);
        table.refuse(second, wrong, &format!("{accepted}; two tests go into `all`"), findings);
        return None;
    }
    match operator {
        "above" | "below" => {
            let limit = limit(table, operator, says, findings)?;
            Some(if operator == "above" { Compare::Above(limit) } else { Compare::Below(limit) })
        }
        _ => {
            let value = fitting(table, operator, says, findings)?;
            let equals = operator == "equals";
            Some(if equals { Compare::Equals(value) } else { Compare::NotEquals(value) })
        }
    }
}

fn limit(
    table: &Section<'_>,
    key: &str,
    says: Option<Says>,
    findings: &mut Findings,
) -> Option<f64> {
    let limit = table.number(key, f64::MIN..=f64::MAX, "in the point's unit", findings)?;
    let why = match says {
        Some(Says::Flag) => "is a limit of a point that is only on or off",
        Some(Says::Text | Says::Word(_)) => "is a limit of a point that says words",
        _ => return Some(limit),
    };
    table.refuse(key, Wrong::Value(why, None), "`equals` or `not_equals`", findings);
    None
}

/// Reads a value that a point of this kind can have.
pub(super) fn fitting(
    table: &Section<'_>,
    key: &str,
    says: Option<Says>,
    findings: &mut Findings,
) -> Option<Value> {
    let accepted: Cow<'_, str> = match says {
        Some(Says::Flag) => "true or false".into(),
        Some(Says::Number) => "a number in the point's unit; true for any but 0".into(),
        Some(Says::Text) => "a text".into(),
        Some(Says::Word(words)) => format!("\"{}\"", words.join("\", \"")).into(),
        None => "true, false, a number or a text".into(),
    };
    table.read(key, &accepted, findings, |it| {
        let value = value::point(it)?;
        match (says, &value) {
            (Some(Says::Text | Says::Word(_)), Value::Flag(_) | Value::Number(_)) => {
                Err(Wrong::Kind(Wanted::Text))
            }
            (Some(Says::Word(words)), Value::Text(said)) if !words.contains(&said.as_str()) => {
                let near = nearest(said, words.iter().copied()).map(value::did_you_mean);
                Err(Wrong::Value("is nothing that the point ever says", near))
            }
            (Some(Says::Flag), Value::Text(_)) => Err(Wrong::Kind(Wanted::Flag)),
            (Some(Says::Number), Value::Text(_)) => Err(Wrong::Kind(Wanted::Number)),
            (Some(Says::Flag), Value::Number(number)) if *number != 0.0 && *number != 1.0 => {
                value::refuse("is neither on nor off")
            }
            _ => Ok(value),
        }
    })
}
