//! The names that a rule may use: machines, their points, and the tags that can be written.

use std::borrow::Cow;

use toml::de::DeValue;

use crate::alarm::HOUSE as HOUSE_ALARMS;
use crate::load::machine::Draft;
use crate::load::nearest::nearest;
use crate::load::value::{self, Read, Wrong};
use crate::machine::{HEATERS, Machine, Mode};
use crate::point::JOURNAL_WORDS;
use crate::tag::{Kind, PinMode, Role, Source, Tag};

/// What a machine that is on no bus reports about itself: of any driver, and of the GRBL family.
const MOVES: [(&str, Says); 9] = [
    ("mode", Says::Word(&MODES)),
    ("x", Says::Number),
    ("y", Says::Number),
    ("z", Says::Number),
    ("feed", Says::Number),
    ("feed_override", Says::Number),
    ("line", Says::Number),
    ("homed", Says::Flag),
    ("progress", Says::Number),
];
const MILLS: [(&str, Says); 11] = [
    ("work_x", Says::Number),
    ("work_y", Says::Number),
    ("work_z", Says::Number),
    ("spindle", Says::Number),
    ("rapid_override", Says::Number),
    ("spindle_override", Says::Number),
    ("door", Says::Flag),
    ("probe", Says::Flag),
    ("limit", Says::Flag),
    ("flood", Says::Flag),
    ("mist", Says::Flag),
];
/// What a printer reports beside that, and beside its heaters.
const PRINTS: [(&str, Says); 2] = [("layer", Says::Number), ("flow", Says::Number)];
/// What the box reports about itself.
const HOUSE: [(&str, Says); 7] = [
    ("disk_free", Says::Number),
    ("memory_free", Says::Number),
    ("cpu_temperature", Says::Number),
    ("load", Says::Number),
    ("undervoltage", Says::Flag),
    ("clock_synchronized", Says::Flag),
    ("journal", Says::Word(&JOURNAL_WORDS)),
];

/// What `mode` says of a machine.
const MODES: [&str; Mode::ALL.len()] = {
    let mut words = [""; Mode::ALL.len()];
    let mut index = 0;
    while index < words.len() {
        words[index] = Mode::ALL[index].word();
        index += 1;
    }
    words
};

/// The kind of value that a point says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::load) enum Says {
    /// On or off.
    Flag,
    /// A number in its unit.
    Number,
    /// Any text.
    Text,
    /// One of these words.
    Word(&'static [&'static str]),
}

impl Says {
    /// Whether it is a text of whatever kind.
    pub(in crate::load) fn is_text(self) -> bool {
        matches!(self, Self::Text | Self::Word(_))
    }
}

/// Everything that is declared and may be named.
pub(in crate::load) struct Known<'k> {
    machines: Vec<&'k Machine>,
}

/// A point that exists.
#[derive(Clone, Copy)]
pub(in crate::load) struct Found<'k> {
    /// The machine that it belongs to; `None`: the box itself.
    pub(in crate::load) machine: Option<&'k Machine>,
    /// Its tag, if it is one.
    pub(in crate::load) tag: Option<&'k Tag>,
    /// What it says.
    pub(in crate::load) says: Says,
}

impl<'k> Known<'k> {
    pub(in crate::load) fn of(drafts: &'k [Draft<'_>]) -> Self {
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

    /// The tags of a machine that is declared.
    pub(super) fn tags(&self, machine: &str) -> &'k [Tag] {
        let found = self.machines.iter().find(|it| it.id == machine);
        found.map(|it| &it.tags[..]).unwrap_or_default()
    }

    /// Reads a point's name.
    pub(in crate::load) fn point(&self, value: &DeValue<'_>) -> Read<(String, Found<'k>)> {
        let said = value::text(value, 80)?;
        match self.find(&said) {
            Some(found) => Ok((said, found)),
            None => Err(Wrong::Value("is not a point that any machine has", self.meant(&said))),
        }
    }

    /// Reads the name of a tag that rules may set.
    pub(in crate::load) fn output(&self, value: &DeValue<'_>) -> Read<(&'k Machine, &'k Tag)> {
        let (_, found) = self.point(value)?;
        match found.machine.zip(found.tag) {
            Some((_, tag)) if signals(tag) => {
                value::refuse("is a lamp or buzzer that the house drives")
            }
            Some((machine, tag)) if tag.write => Ok((machine, tag)),
            _ => {
                let hint = found.tag.map(|_| "add `write = true` to the tag, if it can be written");
                Err(Wrong::Value("cannot be written", hint.map(str::to_owned)))
            }
        }
    }

    /// The machine whose power a point cuts, and the value that cuts it.
    pub(super) fn cuts(&self, point: &str) -> Option<(&'k Machine, bool)> {
        self.machines.iter().find_map(|it| {
            let power = it.power.as_ref().filter(|power| power.point() == point)?;
            Some((*it, power.off))
        })
    }

    fn find(&self, name: &str) -> Option<Found<'k>> {
        let (id, tag) = name.split_once('.')?;
        if id == "house" {
            let says = HOUSE.iter().find(|(it, _)| *it == tag)?.1;
            return Some(Found { machine: None, tag: None, says });
        }
        let machine = self.machines.iter().copied().find(|it| it.id == id)?;
        if let Some(tag) = machine.tags.iter().find(|it| it.name == tag) {
            return Some(Found { machine: Some(machine), tag: Some(tag), says: says(tag) });
        }
        let says = live(machine).find(|(it, _)| *it == tag)?.1;
        Some(Found { machine: Some(machine), tag: None, says })
    }

    /// The point that somebody meant who wrote another one.
    fn meant(&self, said: &str) -> Option<String> {
        let names = self.machines.iter().flat_map(|machine| {
            let tags = machine.tags.iter().map(|tag| tag.name.as_str());
            let live = live(machine).map(|(name, _)| name);
            tags.map(Cow::Borrowed).chain(live).map(|tag| format!("{}.{tag}", machine.id))
        });
        let of_house = HOUSE.iter().map(|(name, _)| format!("house.{name}"));
        let names: Vec<String> = names.chain(of_house).collect();
        let near = nearest(said, names.iter().map(String::as_str)).map(value::did_you_mean);
        near.or_else(|| Some("a point is a machine's id, a dot and one of its tags".into()))
    }

    /// The ids of alarms that nobody declares: those of machines and of the house.
    pub(super) fn raises(&self) -> impl Iterator<Item = Cow<'static, str>> {
        let of_machines = self.machines.iter().flat_map(|machine| {
            ["offline", "controller", "left-on"]
                .map(|it| Cow::Owned(format!("{}.{it}", machine.id)))
        });
        HOUSE_ALARMS.into_iter().map(Cow::Borrowed).chain(of_machines)
    }
}

/// What a machine reports about itself.
fn live(machine: &Machine) -> impl Iterator<Item = (Cow<'static, str>, Says)> {
    let moves = if machine.on_a_bus() { &[][..] } else { &MOVES[..] };
    let (letters, heaters) = match machine.driver.as_str() {
        "grbl" => (&MILLS[..], &[][..]),
        "marlin" => (&PRINTS[..], &HEATERS[..]),
        _ => (&[][..], &[][..]),
    };
    let known = |&(name, says): &(&'static str, Says)| (Cow::Borrowed(name), says);
    let heaters = heaters.iter().flat_map(|name| {
        let names = ["", "_target", "_power"].map(|it| Cow::Owned(format!("{name}{it}")));
        names.map(|it| (it, Says::Number))
    });
    moves.iter().chain(letters).map(known).chain(heaters)
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
