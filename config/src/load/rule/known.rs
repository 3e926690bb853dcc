//! The names that a rule may use: machines, their points, and the tags that can be written.

use toml::de::DeValue;

use crate::load::machine::Draft;
use crate::load::nearest::nearest;
use crate::load::value::{self, Read, Wrong};
use crate::machine::Machine;
use crate::tag::{Kind, PinMode, Role, Source, Tag};

/// What every machine that is on no bus reports about itself, beside what it is told by tags.
const LIVE: [(&str, Says); 12] = [
    ("mode", Says::Text),
    ("x", Says::Number),
    ("y", Says::Number),
    ("z", Says::Number),
    ("work_x", Says::Number),
    ("work_y", Says::Number),
    ("work_z", Says::Number),
    ("feed", Says::Number),
    ("spindle", Says::Number),
    ("feed_override", Says::Number),
    ("rapid_override", Says::Number),
    ("spindle_override", Says::Number),
];

/// The kind of value that a point says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Says {
    /// On or off.
    Flag,
    /// A number in its unit.
    Number,
    /// A word.
    Text,
}

/// Everything that is declared and may be named.
pub(super) struct Known<'k> {
    machines: Vec<&'k Machine>,
}

/// A point that exists.
#[derive(Clone, Copy)]
pub(super) struct Found<'k> {
    /// The machine that it belongs to.
    pub(super) machine: &'k Machine,
    /// Its tag, if it is one.
    pub(super) tag: Option<&'k Tag>,
    /// What it says.
    pub(super) says: Says,
}

impl<'k> Known<'k> {
    pub(super) fn of(drafts: &'k [Draft<'_>]) -> Self {
        let named = drafts.iter().map(|it| &it.machine).filter(|it| !it.id.is_empty());
        Self { machines: named.collect() }
    }

    /// Reads a machine's id.
    pub(super) fn machine(&self, value: &DeValue<'_>) -> Read<&'k Machine> {
        let said = value::text(value, 64)?;
        let found = self.machines.iter().find(|it| it.id == said);
        found.copied().ok_or_else(|| {
            let near = nearest(&said, self.machines.iter().map(|it| it.id.as_str()));
            Wrong::Value("is not a machine that is declared", near.map(value::did_you_mean))
        })
    }

    /// Reads a point's name.
    pub(super) fn point(&self, value: &DeValue<'_>) -> Read<(String, Found<'k>)> {
        let said = value::text(value, 80)?;
        match self.find(&said) {
            Some(found) => Ok((said, found)),
            None => Err(Wrong::Value("is not a point that any machine has", self.meant(&said))),
        }
    }

    /// Reads the name of a tag that rules may set.
    pub(super) fn output(&self, value: &DeValue<'_>) -> Read<(&'k Machine, &'k Tag)> {
        let (_, found) = self.point(value)?;
        match found.tag {
            Some(tag) if signals(tag) => value::refuse("is a lamp or buzzer that the house drives"),
            Some(tag) if tag.write => Ok((found.machine, tag)),
            _ => {
                let hint = found.tag.map(|_| "add `write = true` to the tag, if it can be written");
                Err(Wrong::Value("cannot be written", hint.map(str::to_owned)))
            }
        }
    }

    fn find(&self, name: &str) -> Option<Found<'k>> {
        let (id, tag) = name.split_once('.')?;
        let machine = self.machines.iter().copied().find(|it| it.id == id)?;
        if let Some(tag) = machine.tags.iter().find(|it| it.name == tag) {
            return Some(Found { machine, tag: Some(tag), says: says(tag) });
        }
        let live = LIVE.iter().find(|(it, _)| *it == tag).filter(|_| !on_a_bus(machine))?;
        Some(Found { machine, tag: None, says: live.1 })
    }

    /// The point that somebody meant who wrote another one.
    fn meant(&self, said: &str) -> Option<String> {
        let names = self.machines.iter().flat_map(|machine| {
            let tags = machine.tags.iter().map(|tag| tag.name.as_str());
            let live = LIVE.iter().map(|(name, _)| *name).filter(|_| !on_a_bus(machine));
            tags.chain(live).map(|tag| format!("{}.{tag}", machine.id))
        });
        let names: Vec<String> = names.collect();
        let near = nearest(said, names.iter().map(String::as_str)).map(value::did_you_mean);
        near.or_else(|| Some("a point is a machine's id, a dot and one of its tags".into()))
    }

    /// The ids of alarms that nobody declares: those of machines and of the house.
    pub(super) fn raises(&self, id: &str) -> bool {
        match id.split_once('.') {
            Some(("house", _)) => true,
            Some((machine, "offline" | "controller")) => {
                self.machines.iter().any(|it| it.id == machine)
            }
            _ => false,
        }
    }
}

/// Whether the machine is reached over a bus, and does what it does by tags.
pub(super) fn on_a_bus(machine: &Machine) -> bool {
    crate::load::bus::keys(&machine.driver).is_some()
}

fn says(tag: &Tag) -> Says {
    match &tag.source {
        Source::Register(register) => match register.kind {
            Kind::Bit => Says::Flag,
            Kind::String => Says::Text,
            _ => Says::Number,
        },
        Source::Pin(pin) => match pin.mode {
            PinMode::In | PinMode::Out => Says::Flag,
            PinMode::Count | PinMode::Frequency | PinMode::Pwm => Says::Number,
        },
        // Some channels are pins of an expander, others measure: both take numbers and flags.
        Source::Channel { .. } => Says::Number,
    }
}

/// Whether the house drives the tag by itself, to show how things are.
pub(super) fn signals(tag: &Tag) -> bool {
    tag.role().is_some_and(Role::signals)
}
