//! `[[permissive]]`, `[[interlock]]`, `[[follow]]`: their keys, and how they are read.

use super::alarm::{NAME, delay, group, priority, texts};
use super::condition::{condition, conditions, fitting};
use super::known::{Known, Says, signals};
use crate::alarm::Texts;
use crate::command::Stop;
use crate::load::findings::Findings;
use crate::load::machine::identity;
use crate::load::nearest::nearest;
use crate::load::section::Section;
use crate::load::value::{self, Wrong};
use crate::machine::Machine;
use crate::point::Value;
use crate::rule::{Condition, Does, Follow, Interlock, Output, Permissive, What};
use crate::tag::{Kind, Source, Tag};

pub(super) const PERMISSIVE: &[&str] = &["name", "machine", "what", "tag", "needs"];
pub(super) const INTERLOCK: &[&str] = &[
    "name", "when", "machine", "does", "write", "value", "latch", "priority", "group", "cause",
    "meaning", "action",
];
pub(super) const FOLLOW: &[&str] =
    &["name", "when", "write", "on", "off", "delay_on_s", "delay_off_s", "pulse_s", "optional"];

const MACHINE: &str = "the id of a machine";
const OUTPUT: &str = "a tag that rules may set: \"machine.tag\"";
const WHAT: [(&str, What); 4] = [
    ("start", What::Start),
    ("motion", What::Motion),
    ("heat", What::Heat),
    ("write", What::Write),
];

pub(super) fn permissive(
    table: &Section<'_>,
    known: &Known<'_>,
    findings: &mut Findings,
) -> Option<Permissive> {
    for (key, accepted) in [
        ("name", NAME),
        ("machine", MACHINE),
        ("what", "\"start\", \"motion\", \"heat\" or \"write\""),
    ] {
        table.missing(key, accepted, findings);
    }
    let name = table.read("name", NAME, findings, identity);
    let machine = table.read("machine", MACHINE, findings, |it| known.machine(it));
    let what = table.word("what", &WHAT, findings);
    let tag = tag_of(table, machine, what, findings);
    let needs = conditions(table, "needs", known, findings);
    if let (Some(machine), Some(what)) = (machine, what) {
        possible(table, machine, what, findings);
    }
    Some(Permissive { name: name?, machine: machine?.id.clone(), what: what?, tag, needs: needs? })
}

/// A permissive for something that the machine never does protects nobody.
fn possible(table: &Section<'_>, machine: &Machine, what: What, findings: &mut Findings) {
    let accepted = match (what, machine.on_a_bus()) {
        (What::Write, _) if machine.tags.iter().any(|it| it.write) => return,
        (What::Write, _) => "the id of a machine with a tag that can be written",
        (_, false) => return,
        (_, true) => "\"write\": a device on a bus does what it does by its tags",
    };
    let key = if what == What::Write { "machine" } else { "what" };
    table.refuse(key, Wrong::Value("is nothing that this machine does", None), accepted, findings);
}

fn tag_of(
    table: &Section<'_>,
    machine: Option<&Machine>,
    what: Option<What>,
    findings: &mut Findings,
) -> Option<String> {
    if what.is_some_and(|it| it != What::Write) {
        let wrong = Wrong::Value("stands beside something else than a write", None);
        table.refuse("tag", wrong, "`what = \"write\"` with it", findings);
        return None;
    }
    let tags = || machine.map(|it| &it.tags[..]).unwrap_or_default().iter();
    let accepted = "a tag of that machine that can be written";
    table.read("tag", accepted, findings, |it| {
        let said = value::text(it, 64)?;
        match tags().find(|it| it.name == said) {
            Some(tag) if tag.write => Ok(said),
            Some(_) => value::refuse("cannot be written"),
            None if machine.is_none() => Ok(said),
            None => {
                let near = nearest(&said, tags().map(|it| it.name.as_str()));
                Err(Wrong::Value("is not a tag of that machine", near.map(value::did_you_mean)))
            }
        }
    })
}

#[derive(Clone, Copy, PartialEq)]
enum Act {
    Stop(Stop),
    Write,
}

const DOES: [(&str, Act); 4] = [
    ("hold", Act::Stop(Stop::Hold)),
    ("stop", Act::Stop(Stop::Stop)),
    ("abort", Act::Stop(Stop::Abort)),
    ("write", Act::Write),
];

pub(super) fn interlock(
    table: &Section<'_>,
    known: &Known<'_>,
    findings: &mut Findings,
) -> Option<Interlock> {
    table.missing("name", NAME, findings);
    table.missing("does", "\"hold\", \"stop\", \"abort\" or \"write\"", findings);
    let name = table.read("name", NAME, findings, identity);
    let when = condition(table, "when", known, findings);
    let act = table.word("does", &DOES, findings);
    let does = match act {
        Some(Act::Stop(how)) => stops(table, how, known, findings),
        Some(Act::Write) => writes(table, known, findings),
        None => None,
    };
    let priority = priority(table, findings).unwrap_or_default();
    let group = group(table, findings);
    let said = texts(table, false, findings);
    let (name, when, does) = (name?, when?, does?);
    Some(Interlock {
        latch: table.flag("latch", findings).unwrap_or(false),
        priority,
        group: group.or_else(|| Some(does.machine().to_owned())),
        texts: told(said?, &when, &does),
        name,
        when,
        does,
    })
}

fn stops(
    table: &Section<'_>,
    how: Stop,
    known: &Known<'_>,
    findings: &mut Findings,
) -> Option<Does> {
    table.missing("machine", MACHINE, findings);
    for key in ["write", "value"] {
        let wrong = Wrong::Value("stands beside a stop", None);
        table.refuse(key, wrong, "`does = \"write\"` with it", findings);
    }
    let machine = table.read("machine", MACHINE, findings, |it| known.machine(it))?;
    writes_something(table, machine, how, findings);
    Some(Does::Stop { machine: machine.id.clone(), how })
}

/// A device on a bus is stopped by what is written to it: by nothing it is not.
fn writes_something(table: &Section<'_>, machine: &Machine, how: Stop, findings: &mut Findings) {
    let value = |it: &Tag| match how {
        Stop::Hold => it.hold.is_some(),
        Stop::Stop | Stop::Abort => it.stop.is_some(),
    };
    if !machine.on_a_bus() || machine.tags.iter().any(value) {
        return;
    }
    let accepted = match how {
        Stop::Hold => "a machine of which a tag has a `hold` value, or another `does`",
        Stop::Stop | Stop::Abort => {
            "a machine of which a tag has a `stop` value, or another `does`"
        }
    };
    let wrong = Wrong::Value("would do nothing: no tag of that machine says what to write", None);
    table.refuse("does", wrong, accepted, findings);
}

fn writes(table: &Section<'_>, known: &Known<'_>, findings: &mut Findings) -> Option<Does> {
    let wrong = Wrong::Value("stands beside a tag that is written", None);
    table.refuse("machine", wrong, "`write` alone: it names the machine", findings);
    table.missing("write", OUTPUT, findings);
    table.missing("value", "the value that it shall have", findings);
    let (machine, tag) = table.read("write", OUTPUT, findings, |it| known.output(it))?;
    let value = written(table, "value", tag, findings)?;
    Some(Does::Write(Output { machine: machine.id.clone(), tag: tag.name.clone(), value }))
}

/// Reads a value that the tag can be given.
fn written(table: &Section<'_>, key: &str, tag: &Tag, findings: &mut Findings) -> Option<Value> {
    let says = match &tag.source {
        Source::Register(register) => match register.kind {
            Kind::Bit => Says::Flag,
            Kind::String => Says::Text,
            _ => Says::Number,
        },
        Source::Pin(pin) if pin.mode == crate::tag::PinMode::Out => Says::Flag,
        _ => Says::Number,
    };
    let value = fitting(table, key, Some(says), findings)?;
    let outside = |[low, high]: [f64; 2]| value.number().is_some_and(|it| it < low || high < it);
    if let Some(range) = tag.range.filter(|it| outside(*it)) {
        let accepted = format!("a value from {} to {}, the range of the tag", range[0], range[1]);
        let wrong = Wrong::Value("is out of the tag's range", None);
        table.refuse(key, wrong, &accepted, findings);
        return None;
    }
    Some(value)
}

/// What a person is told where nothing is declared.
fn told(said: Texts, when: &Condition, does: &Does) -> Texts {
    let points: Vec<String> =
        when.tests().iter().map(|it| format!("`{}` ({})", it.point, it.compare)).collect();
    let Texts { cause, meaning, action } = said;
    let usual = |said: String, usual: String| if said.is_empty() { usual } else { said };
    let did = match does {
        Does::Stop { machine, .. } => {
            format!("`{machine}` was stopped, and nothing is begun on it while this lasts")
        }
        Does::Write(output) => {
            format!(
                "`{}` was set to {}, and stays so while this lasts",
                output.point(),
                output.value
            )
        }
    };
    Texts {
        cause: usual(cause, format!("it watches {}", points.join(", "))),
        meaning: usual(meaning, did),
        action: usual(action, "go and look, put it right, then acknowledge".into()),
    }
}

pub(super) fn follow(
    table: &Section<'_>,
    known: &Known<'_>,
    findings: &mut Findings,
) -> Option<Follow> {
    table.missing("name", NAME, findings);
    table.missing("write", OUTPUT, findings);
    table.missing("on", "the value while its condition holds", findings);
    table.missing("off", "the value while it does not", findings);
    let name = table.read("name", NAME, findings, identity);
    let when = condition(table, "when", known, findings);
    let output = table.read("write", OUTPUT, findings, |it| known.output(it));
    let (on, off) = match output {
        Some((_, tag)) => {
            (written(table, "on", tag, findings), written(table, "off", tag, findings))
        }
        None => (None, None),
    };
    if on.is_some() && on == off {
        let wrong = Wrong::Value("is the same as `on`", None);
        table.refuse("off", wrong, "another value than that of `on`", findings);
    }
    let pulse_s = table.number("pulse_s", 0.001..=86_400.0, "seconds", findings);
    let (machine, tag) = output?;
    debug_assert!(!signals(tag), "lamps are refused as outputs");
    Some(Follow {
        delay_on_s: delay(table, "delay_on_s", findings),
        delay_off_s: delay(table, "delay_off_s", findings),
        pulse_s,
        optional: table.flag("optional", findings).unwrap_or(false),
        name: name?,
        when: when?,
        machine: machine.id.clone(),
        tag: tag.name.clone(),
        on: on?,
        off: off?,
    })
}
