//! `[[alarm]]`: its keys, and how they are read.

use toml::de::DeValue;

use super::condition;
use super::known::Known;
use crate::alarm::{Alarm, Priority, Texts};
use crate::load::findings::Findings;
use crate::load::machine::identity;
use crate::load::section::Section;
use crate::load::value::{self, Read, Wanted, Wrong};
use crate::rule::Compare;

pub(super) const KEYS: &[&str] = &[
    "name",
    "point",
    "above",
    "below",
    "equals",
    "not_equals",
    "hysteresis",
    "delay_on_s",
    "delay_off_s",
    "priority",
    "cause",
    "meaning",
    "action",
    "latch",
    "group",
    "suppressed_by",
    "if_unknown",
];

pub(super) const NAME: &str =
    "text of at most 32 characters a-z 0-9 - _ that begins with a letter or digit";
const PRIORITIES: [(&str, Priority); 3] =
    [("critical", Priority::Critical), ("high", Priority::High), ("low", Priority::Low)];
const PRIORITY: &str = "\"critical\": act within 5 minutes, a person, a machine or a fire; \
    \"high\": within 30 minutes, the part or the machine; \"low\": this shift";
const TEXTS: [(&str, &str); 3] = [
    ("cause", "what brings it about, for the person who is called"),
    ("meaning", "what comes of it if nothing is done"),
    ("action", "what to do now"),
];
/// A delay that is longer than this is no delay any more.
const LONGEST_DELAY_S: f64 = 86_400.0;
const TEXT_MAX: usize = 400;

pub(super) fn alarm(
    table: &Section<'_>,
    known: &Known<'_>,
    findings: &mut Findings,
) -> Option<Alarm> {
    table.missing("name", NAME, findings);
    table.missing("point", "a point: \"machine.tag\"", findings);
    table.missing("priority", PRIORITY, findings);
    let name = table.read("name", NAME, findings, identity);
    let point = table.read("point", "a point: \"machine.tag\"", findings, |it| known.point(it));
    let limit = condition::compare(table, point.as_ref().map(|(_, it)| it.says), findings);
    let hysteresis = hysteresis(table, limit.as_ref(), findings);
    let priority = table.word("priority", &PRIORITIES, findings);
    let texts = texts(table, true, findings);
    Some(Alarm {
        delay_on_s: delay(table, "delay_on_s", findings),
        delay_off_s: delay(table, "delay_off_s", findings),
        latch: table.flag("latch", findings).unwrap_or(false),
        group: group(table, findings),
        suppressed_by: suppressed_by(table, findings),
        if_unknown: table.word("if_unknown", &condition::UNKNOWN, findings),
        name: name?,
        point: point?.0,
        limit: limit?,
        hysteresis: hysteresis?,
        priority: priority?,
        texts: texts?,
    })
}

/// A value that hovers at its limit must not call somebody twice a second.
fn hysteresis(
    table: &Section<'_>,
    limit: Option<&Compare>,
    findings: &mut Findings,
) -> Option<f64> {
    let analog = match limit? {
        Compare::Above(_) | Compare::Below(_) => true,
        Compare::Equals(_) | Compare::NotEquals(_) => false,
    };
    let of = "in the point's unit: how far the value must come back";
    if analog {
        table.missing("hysteresis", &format!("a number above 0, {of}"), findings);
        table.number("hysteresis", f64::MIN_POSITIVE..=f64::MAX, of, findings)
    } else if table.entry("hysteresis").is_some() {
        let wrong = Wrong::Value("stands beside a value that is met or not", None);
        table.refuse("hysteresis", wrong, "`above` or `below` with it", findings);
        None
    } else {
        Some(0.0)
    }
}

pub(super) fn delay(table: &Section<'_>, key: &str, findings: &mut Findings) -> f64 {
    table.number(key, 0.0..=LONGEST_DELAY_S, "seconds", findings).unwrap_or(0.0)
}

pub(super) fn priority(table: &Section<'_>, findings: &mut Findings) -> Option<Priority> {
    table.word("priority", &PRIORITIES, findings)
}

pub(super) fn group(table: &Section<'_>, findings: &mut Findings) -> Option<String> {
    table.read("group", NAME, findings, identity)
}

/// The three texts; an alarm that does not say what to do is only noise.
pub(super) fn texts(table: &Section<'_>, required: bool, findings: &mut Findings) -> Option<Texts> {
    let mut text = |(key, what): (&str, &str)| {
        let accepted = format!("text of at most {TEXT_MAX} characters: {what}");
        if required {
            table.missing(key, &accepted, findings);
        }
        let said = table.read(key, &accepted, findings, |it| value::text(it, TEXT_MAX));
        said.or_else(|| (!required).then(String::new))
    };
    let [cause, meaning, action] = TEXTS.map(&mut text);
    Some(Texts { cause: cause?, meaning: meaning?, action: action? })
}

fn suppressed_by(table: &Section<'_>, findings: &mut Findings) -> Vec<String> {
    let accepted = "ids of alarms that explain this one: [\"mill.offline\"]";
    let named = |it: &DeValue<'_>| value::text(it, 80);
    let read = |it: &DeValue<'_>| -> Read<Vec<String>> {
        value::each(it.as_array().ok_or(Wrong::Kind(Wanted::Many))?, named)
    };
    table.read("suppressed_by", accepted, findings, read).unwrap_or_default()
}
