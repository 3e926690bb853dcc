//! `power` of a machine: the tag of another machine that cuts its power.
//!
//! Read once every machine is known. Nothing but a person may switch the power on again: a tag that
//! a stop, a hold or an opening house would put on, or a rule, is refused.

use toml::de::DeValue;

use super::findings::Findings;
use super::machine::Draft;
use super::rule::known::Known;
use super::section::Section;
use super::value::{self, Read, Wrong};
use crate::machine::{Machine, Power};
use crate::tag::{Kind, PinMode, Source, Tag};

const POWER: &str = "a tag that switches, of another machine: \"relays.printer\", or { tag = \
    \"relays.printer\", off = false }";
const TAG: &str = "a tag that switches, of another machine: \"relays.printer\"";
const KEYS: &[&str] = &["tag", "off", "shared"];

/// Reads it of every machine that declares it, and says where two are in each other's way.
pub(super) fn powers(drafts: &mut [Draft<'_>], findings: &mut Findings) {
    let known = Known::of(drafts);
    let powers: Vec<Option<Power>> =
        drafts.iter().map(|draft| power(draft, &known, findings)).collect();
    twice(drafts, &powers, findings);
    for (draft, power) in drafts.iter_mut().zip(powers) {
        draft.machine.power = power;
    }
}

fn power(draft: &Draft<'_>, known: &Known<'_>, findings: &mut Findings) -> Option<Power> {
    let table = &draft.table;
    let entry = table.entry("power")?;
    if entry.value.as_str().is_some() {
        let relay = |it: &DeValue<'_>| relay(it, &draft.machine, known, false);
        let (machine, tag) = table.read("power", POWER, findings, relay)?;
        return Some(Power { machine, tag, off: false, shared: false });
    }
    let inside = table.table("power", POWER, KEYS, findings)?;
    let off = inside.flag("off", findings).unwrap_or(false);
    let shared = inside.flag("shared", findings).unwrap_or(false);
    inside.missing("tag", TAG, findings);
    let relay = |it: &DeValue<'_>| relay(it, &draft.machine, known, off);
    let (machine, tag) = inside.read("tag", TAG, findings, relay)?;
    Some(Power { machine, tag, off, shared })
}

/// The machine and the tag that cut this machine's power by going to `off`.
fn relay(
    value: &DeValue<'_>,
    of: &Machine,
    known: &Known<'_>,
    off: bool,
) -> Read<(String, String)> {
    let (machine, tag) = known.output(value)?;
    if machine.id == of.id {
        return value::refuse("is a tag of the machine itself, which cannot switch without power");
    }
    if !switches(tag) {
        return value::refuse("is a number: power is cut by what is on or off");
    }
    let puts_on =
        |it: &Option<crate::point::Value>| it.as_ref().is_some_and(|it| it.is_on() != off);
    if [&tag.hold, &tag.stop, &tag.safe].into_iter().any(puts_on) {
        let hint =
            format!("`hold`, `stop` and `safe` of the tag, where it has them, must be {off}");
        return Err(Wrong::Value("would be put on by a stop or an opening house", Some(hint)));
    }
    Ok((machine.id.clone(), tag.name.clone()))
}

/// Whether a tag is on or off, and nothing between.
fn switches(tag: &Tag) -> bool {
    match &tag.source {
        Source::Register(register) => register.kind == Kind::Bit,
        Source::Pin(pin) => pin.mode == PinMode::Out,
        Source::Channel { channel, output } => *output && channel != "dac",
    }
}

/// Two machines on one relay: whoever aborts one of them cuts the other off as well.
fn twice(drafts: &[Draft<'_>], powers: &[Option<Power>], findings: &mut Findings) {
    let all = || drafts.iter().zip(powers).filter_map(|(draft, it)| Some((draft, it.as_ref()?)));
    for (index, (draft, power)) in all().enumerate() {
        let earlier = all().take(index);
        let mut of_it = earlier.filter(|(_, it)| it.point() == power.point());
        let Some((other, it)) =
            of_it.find(|(_, it)| it.off != power.off || !(it.shared && power.shared))
        else {
            continue;
        };
        let (table, name) = (&draft.table, &other.machine.id);
        let message = if it.off == power.off {
            format!("`{}` is what cuts the power of machine `{name}`", power.point())
        } else {
            format!("`{}` cuts the power of machine `{name}` the other way round", power.point())
        };
        say(table, &message, findings);
    }
}

fn say(table: &Section<'_>, message: &str, findings: &mut Findings) {
    let Some(entry) = table.entry("power") else { return };
    let message = format!("{}{message}", table.whose);
    let key = table.path_of("power");
    let problem = findings.at(entry.value_at, "config.power.twice", &key, message);
    problem.accepted = Some("a tag of its own, or `shared = true` and one `off` for both".into());
}
