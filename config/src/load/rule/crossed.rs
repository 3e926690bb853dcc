//! What no rule says by itself: two of one name, two that write one tag, a rule that feeds itself,
//! and rules that can never be met together.

use std::collections::BTreeMap;

use super::Draft;
use super::known::Known;
use crate::alarm::Alarm;
use crate::load::findings::Findings;
use crate::load::nearest::nearest;
use crate::load::section::Section;
use crate::load::value;
use crate::point::Value;
use crate::rule::{Compare, Condition, Does, Follow, Interlock, Permissive, Test, What, same};
use crate::tag::Tag;

/// Everything that was read.
pub(super) struct All<'a> {
    pub(super) alarms: Vec<Draft<'a, Alarm>>,
    pub(super) permissives: Vec<Draft<'a, Permissive>>,
    pub(super) interlocks: Vec<Draft<'a, Interlock>>,
    pub(super) follows: Vec<Draft<'a, Follow>>,
}

pub(super) fn check(all: &All<'_>, known: &Known<'_>, findings: &mut Findings) {
    names(all, findings);
    suppressions(all, known, findings);
    outputs(all, findings);
    powers(all, known, findings);
    guarded(all, known, findings);
    circles(all, findings);
    contradictions(all, findings);
}

/// Says it at a key of a table, or where the table begins.
fn say(
    table: &Section<'_>,
    key: &str,
    code: &'static str,
    message: &str,
    accepted: &str,
    findings: &mut Findings,
) {
    let Some(at) = table.entry(key).map(|it| it.value_at).or(table.at) else { return };
    let message = format!("{}{message}", table.whose);
    findings.at(at, code, &table.path_of(key), message).accepted = Some(accepted.into());
}

/// The rule and its table, of each that is right in itself.
fn right<'d, 'a, T>(drafts: &'d [Draft<'a, T>]) -> impl Iterator<Item = (&'d Section<'a>, &'d T)> {
    drafts.iter().filter_map(|it| Some((&it.table, it.rule.as_ref()?)))
}

/// Rules are told apart by their names, in refusals and in history; so are alarms, and an
/// interlock is both.
fn names(all: &All<'_>, findings: &mut Findings) {
    let permissives = right(&all.permissives).map(|(table, it)| (table, it.name.as_str()));
    let interlocks = || right(&all.interlocks).map(|(table, it)| (table, it.name.as_str()));
    let follows = right(&all.follows).map(|(table, it)| (table, it.name.as_str()));
    let alarms = right(&all.alarms).map(|(table, it)| (table, it.name.as_str()));
    apart(permissives.chain(interlocks()).chain(follows), "rule", findings);
    let mut seen: Vec<&str> = interlocks().map(|(_, name)| name).collect();
    for (table, name) in alarms {
        if seen.contains(&name) {
            let message = format!("another alarm or an interlock is called `{name}`");
            say(table, "name", "config.rule.twice", &message, "a name of its own", findings);
        }
        seen.push(name);
    }
}

fn apart<'d>(
    named: impl Iterator<Item = (&'d Section<'d>, &'d str)>,
    what: &str,
    findings: &mut Findings,
) {
    let mut first: BTreeMap<&str, &Section<'_>> = BTreeMap::new();
    for (table, name) in named {
        if let Some(known) = first.get(name) {
            let at = known.entry("name").map(|it| it.at.to_string()).unwrap_or_default();
            let message = format!("another {what} has this name, at {at}");
            say(table, "name", "config.rule.twice", &message, "a name of its own", findings);
        } else {
            first.insert(name, table);
        }
    }
}

fn suppressions(all: &All<'_>, known: &Known<'_>, findings: &mut Findings) {
    let by: BTreeMap<&str, &[String]> =
        right(&all.alarms).map(|(_, it)| (it.name.as_str(), &it.suppressed_by[..])).collect();
    let interlocks: Vec<&str> = right(&all.interlocks).map(|(_, it)| it.name.as_str()).collect();
    let raised: Vec<_> = known.raises().collect();
    for (table, alarm) in right(&all.alarms) {
        for id in &alarm.suppressed_by {
            let declared = by.contains_key(id.as_str()) || interlocks.contains(&id.as_str());
            if declared || raised.iter().any(|it| it == id) {
                continue;
            }
            let Some(entry) = table.entry("suppressed_by") else { continue };
            let message = format!("{}there is no alarm `{id}`", table.whose);
            let path = table.path_of("suppressed_by");
            let problem = findings.at(entry.value_at, "config.alarm.unknown", &path, message);
            let declared = by.keys().copied().chain(interlocks.iter().copied());
            let names = declared.chain(raised.iter().map(AsRef::as_ref));
            problem.hint = nearest(id, names).map(value::did_you_mean);
            problem.accepted = Some(
                "names of alarms and interlocks; `MACHINE.offline`, `MACHINE.controller`; `house.disk` and its like"
                    .into(),
            );
        }
        let next = |id: &str| by.get(id).copied().unwrap_or_default().to_vec();
        if reaches(&alarm.name, &alarm.name, &next) {
            let message = "is suppressed by itself, over others or directly";
            let code = "config.alarm.circle";
            say(table, "suppressed_by", code, message, "alarms that stand alone", findings);
        }
    }
}

/// Whether one comes from `from` to `to` in one step or more.
fn reaches(from: &str, to: &str, next: &dyn Fn(&str) -> Vec<String>) -> bool {
    let mut seen: Vec<String> = Vec::new();
    let mut open = next(from);
    while let Some(here) = open.pop() {
        if here == to {
            return true;
        }
        if !seen.contains(&here) {
            open.extend(next(&here));
            seen.push(here);
        }
    }
    false
}

/// Two follow rules on one tag would pull it to and fro; so would two interlocks that want
/// different things of it.
fn outputs(all: &All<'_>, findings: &mut Findings) {
    let mut taken: BTreeMap<String, &str> = BTreeMap::new();
    for (table, follow) in right(&all.follows) {
        if let Some(other) = taken.insert(follow.point(), &follow.name) {
            let message = format!("`{}` is written by rule `{other}` as well", follow.point());
            let code = "config.rule.contradiction";
            say(
                table,
                "write",
                code,
                &message,
                "one follow rule for each tag; `any` joins conditions",
                findings,
            );
        }
    }
    let mut wanted: BTreeMap<String, (&str, &Value)> = BTreeMap::new();
    for (table, interlock) in right(&all.interlocks) {
        let Does::Write(output) = &interlock.does else { continue };
        let other = wanted.insert(output.point(), (&interlock.name, &output.value));
        if let Some((name, value)) = other.filter(|(_, it)| *it != &output.value) {
            let message = format!("`{}` is set to {value} by rule `{name}`", output.point());
            let code = "config.rule.contradiction";
            say(table, "value", code, &message, "one value for all interlocks of a tag", findings);
        }
    }
}

/// What cuts a machine's power is put on again by nobody but a person.
fn powers(all: &All<'_>, known: &Known<'_>, findings: &mut Findings) {
    let mut refuse = |table: &Section<'_>, machine: &str, point: &str| {
        let message = format!("`{point}` cuts the power of `{machine}`, which no rule puts on");
        let accepted = "an interlock that cuts it; only a person puts it on";
        say(table, "write", "config.power.rule", &message, accepted, findings);
    };
    for (table, follow) in right(&all.follows) {
        if let Some((machine, _)) = known.cuts(&follow.point()) {
            refuse(table, &machine.id, &follow.point());
        }
    }
    for (table, interlock) in right(&all.interlocks) {
        let Does::Write(output) = &interlock.does else { continue };
        let cut = known.cuts(&output.point());
        if let Some((machine, _)) = cut.filter(|(_, off)| output.value.is_on() != *off) {
            refuse(table, &machine.id, &output.point());
        }
    }
}

/// What may only be written while something is so must have a value that it may always take: or
/// else nobody could switch it off.
fn guarded(all: &All<'_>, known: &Known<'_>, findings: &mut Findings) {
    let switched_off = |point: &str| right(&all.follows).any(|(_, it)| it.point() == point);
    for (table, permissive) in right(&all.permissives).filter(|(_, it)| it.what == What::Write) {
        let about = |tag: &&Tag| permissive.tag.as_ref().is_none_or(|it| *it == tag.name);
        let written = known.tags(&permissive.machine).iter().filter(|it| it.write).filter(about);
        for tag in written.filter(|it| it.safe.is_none() && it.stop.is_none() && !it.is_a_bit()) {
            let point = format!("{}.{}", permissive.machine, tag.name);
            if switched_off(&point) {
                continue;
            }
            let message = format!("`{point}` has neither `safe` nor `stop`: nothing would calm it");
            let accepted = "a `safe` or a `stop` value of the tag, which is never refused";
            say(table, "what", "config.rule.calm", &message, accepted, findings);
        }
    }
}

fn inputs(when: &Condition) -> Vec<String> {
    when.tests().into_iter().map(|it| it.point.clone()).collect()
}

/// A rule whose output comes back as its own input.
fn circles(all: &All<'_>, findings: &mut Findings) {
    let follows = right(&all.follows).map(|(_, it)| (inputs(&it.when), it.point()));
    let interlocks = right(&all.interlocks).filter_map(|(_, it)| match &it.does {
        Does::Write(output) => Some((inputs(&it.when), output.point())),
        Does::Stop { .. } => None,
    });
    let writes: Vec<(Vec<String>, String)> = follows.chain(interlocks).collect();
    // From a point to the points that are written because of it.
    let next = |point: &str| {
        let moved = writes.iter().filter(|(inputs, _)| inputs.iter().any(|it| it == point));
        moved.map(|(_, output)| output.clone()).collect::<Vec<_>>()
    };
    let accepted = "conditions about points that this rule does not move";
    let mut look = |table: &Section<'_>, when: &Condition, output: String| {
        let fed = |it: &String| *it == output || reaches(&output, it, &next);
        if let Some(input) = inputs(when).into_iter().find(fed) {
            let over = if input == output { "" } else { ", over other rules" };
            let message = format!("its output `{output}` feeds its own input `{input}`{over}");
            say(table, "when", "config.rule.circle", &message, accepted, findings);
        }
    };
    for (table, follow) in right(&all.follows) {
        look(table, &follow.when, follow.point());
    }
    for (table, interlock) in right(&all.interlocks) {
        let Does::Write(output) = &interlock.does else { continue };
        look(table, &interlock.when, output.point());
    }
}

fn contradictions(all: &All<'_>, findings: &mut Findings) {
    let code = "config.rule.contradiction";
    for (table, permissive) in right(&all.permissives) {
        let needs = permissive.needs.iter().flat_map(together).collect::<Vec<_>>();
        if let Some((one, other)) = exclusive(&needs) {
            let message = format!("`{}` cannot be {one} and {other}", needs_point(&needs, one));
            say(table, "needs", code, &message, "conditions that can hold together", findings);
        }
        for (_, interlock) in right(&all.interlocks) {
            let same_machine = interlock.does.machine() == permissive.machine;
            let trips = if same_machine { alone(&interlock.when) } else { Vec::new() };
            let both = needs.iter().find(|need| trips.iter().any(|trip| implies(need, trip)));
            if let Some(need) = both {
                let message = format!(
                    "needs `{}` to be {}, which trips interlock `{}`",
                    need.point, need.compare, interlock.name
                );
                let accepted = "conditions under which the machine is not stopped";
                say(table, "needs", code, &message, accepted, findings);
            }
        }
    }
    for (table, interlock) in right(&all.interlocks) {
        never(table, &interlock.when, findings);
    }
    for (table, follow) in right(&all.follows) {
        never(table, &follow.when, findings);
    }
}

/// A condition that nothing can bring about.
fn never(table: &Section<'_>, when: &Condition, findings: &mut Findings) {
    let tests = together(when);
    if let Some((one, other)) = exclusive(&tests) {
        let message = format!("`{}` cannot be {one} and {other}", needs_point(&tests, one));
        let code = "config.rule.contradiction";
        say(table, "when", code, &message, "conditions that can hold together", findings);
    }
}

fn needs_point<'t>(tests: &[&'t Test], of: &Compare) -> &'t str {
    tests.iter().find(|it| it.compare == *of).map_or("", |it| it.point.as_str())
}

/// Tests that must all hold for the condition to hold.
fn together(condition: &Condition) -> Vec<&Test> {
    match condition {
        Condition::Test(test) => vec![test],
        Condition::All(parts) => parts.iter().flat_map(together).collect(),
        Condition::Any(parts) if parts.len() == 1 => together(&parts[0]),
        Condition::Any(_) => Vec::new(),
    }
}

/// Tests each of which is enough for the condition to hold.
fn alone(condition: &Condition) -> Vec<&Test> {
    match condition {
        Condition::Test(test) => vec![test],
        Condition::Any(parts) => parts.iter().flat_map(alone).collect(),
        Condition::All(parts) if parts.len() == 1 => alone(&parts[0]),
        Condition::All(_) => Vec::new(),
    }
}

/// Two of these that cannot hold at once.
fn exclusive<'t>(tests: &[&'t Test]) -> Option<(&'t Compare, &'t Compare)> {
    tests.iter().enumerate().find_map(|(index, one)| {
        let other = tests[..index]
            .iter()
            .find(|it| it.point == one.point && excludes(&it.compare, &one.compare))?;
        Some((&other.compare, &one.compare))
    })
}

fn excludes(one: &Compare, other: &Compare) -> bool {
    match (one, other) {
        (Compare::Equals(value), it) | (it, Compare::Equals(value)) => {
            it.holds(value) == Some(false)
        }
        (Compare::Above(low), Compare::Below(high))
        | (Compare::Below(high), Compare::Above(low)) => high <= low,
        _ => false,
    }
}

/// Whether `trip` holds whenever `need` does.
fn implies(need: &Test, trip: &Test) -> bool {
    if need.point != trip.point {
        return false;
    }
    match (&plain(&need.compare), &plain(&trip.compare)) {
        (Compare::Equals(value), trip) => trip.holds(value) == Some(true),
        (Compare::Above(need), Compare::Above(trip)) => trip <= need,
        (Compare::Below(need), Compare::Below(trip)) => need <= trip,
        (Compare::NotEquals(need), Compare::NotEquals(trip)) => same(need, trip) == Some(true),
        _ => false,
    }
}

/// Not on is off.
fn plain(compare: &Compare) -> Compare {
    match compare {
        Compare::NotEquals(Value::Flag(flag)) => Compare::Equals(Value::Flag(!flag)),
        other => other.clone(),
    }
}
