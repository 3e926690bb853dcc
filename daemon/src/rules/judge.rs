//! What stands against a request: the hardware stop chain, interlocks, permissives and follow
//! rules, in this order.
//!
//! Pure: what points say comes in as an argument, and so does what is remembered ([`Memory`]):
//! latched interlocks, and machines that nobody has cleared.
//!
//! Invariants: a stop is never refused, nor is a write that calms a tag down (its safe state, what
//! a stop writes to it, off), nor a typed line that only switches something off; no permissive keeps a
//! follow rule from switching off; whoever is refused is told the rule, the point and what it says.

use std::collections::{BTreeMap, BTreeSet};

use headstock_config::command::Command;
use headstock_config::explain::Explain;
use headstock_config::point::Value;
use headstock_config::rule::{Because, Condition, Does, Kind, Reading, What, same};

use headstock_drivers::gcode::calm::only_switches_off;

use super::declared::Declared;
use super::engine::open;

/// A rule stands against it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Interlocked {
    /// The hardware stop chain is not closed.
    #[error("the hardware stop chain is open: {0}")]
    ChainOpen(Because),
    /// It was open, and nobody has looked since.
    #[error("`{0}` has not been cleared since the hardware stop chain was open")]
    NotCleared(String),
    /// An interlock is tripped.
    #[error("interlock `{rule}` is tripped: {because}")]
    Tripped {
        /// Its name.
        rule: String,
        /// The point that trips it.
        because: Because,
    },
    /// An interlock was tripped and has not been reset.
    #[error("interlock `{rule}` has tripped and was not reset: {because} then")]
    Latched {
        /// Its name.
        rule: String,
        /// The point that tripped it.
        because: Because,
    },
    /// What a permissive needs is not so.
    #[error("permissive `{rule}` is not met: {because}, and must be {}", because.against)]
    NotPermitted {
        /// Its name.
        rule: String,
        /// What it keeps the machine from.
        what: What,
        /// The point that is missing.
        because: Because,
    },
    /// The tag belongs to a rule.
    #[error("`{point}` is set by rule `{rule}`, which is not optional")]
    Driven {
        /// Its name.
        rule: String,
        /// `machine.tag`.
        point: String,
    },
}

impl Interlocked {
    /// The rule's name, where it is one that is declared.
    pub fn rule(&self) -> Option<&str> {
        match self {
            Self::Tripped { rule, .. }
            | Self::Latched { rule, .. }
            | Self::NotPermitted { rule, .. }
            | Self::Driven { rule, .. } => Some(rule),
            Self::ChainOpen(_) | Self::NotCleared(_) => None,
        }
    }

    /// The point that decided, and what it said.
    pub fn because(&self) -> Option<&Because> {
        match self {
            Self::ChainOpen(because)
            | Self::Tripped { because, .. }
            | Self::Latched { because, .. }
            | Self::NotPermitted { because, .. } => Some(because),
            Self::NotCleared(_) | Self::Driven { .. } => None,
        }
    }
}

impl Explain for Interlocked {
    fn code(&self) -> &'static str {
        match self {
            Self::ChainOpen(_) => "rule.stop_chain",
            Self::NotCleared(_) => "rule.not_cleared",
            Self::Tripped { .. } => "rule.interlock",
            Self::Latched { .. } => "rule.latched",
            Self::NotPermitted { .. } => "rule.permissive",
            Self::Driven { .. } => "rule.driven",
        }
    }

    fn means(&self) -> String {
        match self {
            Self::ChainOpen(_) | Self::NotCleared(_) => {
                "nothing was sent; machines that move are stopped until the chain is closed and a person says that they are clear".into()
            }
            _ => "nothing was sent to the machine".into(),
        }
    }

    fn remedy(&self) -> String {
        match self {
            Self::ChainOpen(_) => {
                "see to people first; put right what was wrong, close the chain, look at each machine, then `headstock clear`".into()
            }
            Self::NotCleared(machine) => {
                format!("look at the machine, then `headstock clear {machine}`")
            }
            Self::Tripped { because, .. } => {
                format!("see to `{}`; `headstock rules` shows how each rule stands", because.point)
            }
            Self::Latched { rule, .. } => {
                format!("look at the machine, then `headstock alarm reset {rule}`")
            }
            Self::NotPermitted { because, .. } => {
                format!("bring `{}` to be {}", because.point, because.against)
            }
            Self::Driven { rule, .. } => {
                format!("let rule `{rule}` set it, or declare the rule `optional = true`")
            }
        }
    }
}

/// What rules remember beyond what points say.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// Latched interlocks by name, and the point that tripped each.
    pub latched: BTreeMap<String, Because>,
    /// Machines that nobody has cleared since the chain was open.
    pub uncleared: BTreeSet<String>,
    /// How often the chain has opened since the house did.
    pub openings: u64,
    /// Why it opened the last time.
    pub opened: Because,
}

/// Who asks, as far as rules make a difference.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Asker {
    /// A person, at a door or a button.
    #[default]
    Person,
    /// A follow rule, by name.
    Follow(String),
    /// An interlock, by name: what it writes protects, and nothing stands against it.
    Interlock,
}

/// What is asked of a machine.
#[derive(Clone, Debug, PartialEq)]
pub enum Wish<'w> {
    /// A job is to begin.
    Start,
    /// A program is to be checked; nothing moves.
    Try,
    /// A command.
    Command(&'w Command),
}

/// What a wish comes to. Exhaustive on purpose: whoever adds a command decides here what it does.
fn whats(wish: &Wish<'_>) -> &'static [What] {
    match wish {
        Wish::Command(Command::Run { line }) if only_switches_off(line) => &[],
        // A program and a line of G-code may do anything.
        // So may what waits for an answer.
        Wish::Start
        | Wish::Command(Command::Resume | Command::Run { .. } | Command::Answer { .. }) => {
            &[What::Start, What::Motion, What::Heat]
        }
        Wish::Try => &[],
        Wish::Command(command) => match command {
            Command::Home { .. }
            | Command::Jog { .. }
            | Command::JogHold { .. }
            | Command::Probe { .. }
            | Command::Extrude { .. }
            | Command::Motors { on: true } => &[What::Motion],
            Command::Preheat { celsius, .. } if 0.0 < *celsius => &[What::Heat],
            Command::Write { .. } => &[What::Write],
            Command::Hold
            | Command::Stop
            | Command::Abort
            | Command::Reset
            | Command::Unlock
            | Command::JogCancel
            | Command::JogEnd
            | Command::Preheat { .. }
            | Command::Fan { .. }
            | Command::Motors { on: false }
            | Command::Answer { .. }
            | Command::Zero { .. }
            | Command::WorkOffset { .. }
            | Command::Override { .. }
            | Command::Check { .. }
            | Command::Sleep
            | Command::Setting { .. }
            | Command::Resume
            | Command::Run { .. } => &[],
        },
    }
}

/// What stands against it, if anything.
pub fn judge(
    declared: &Declared,
    memory: &Memory,
    asker: &Asker,
    machine: &str,
    wish: &Wish<'_>,
    read: &dyn Fn(&str) -> Reading,
) -> Result<(), Interlocked> {
    let whats = whats(wish);
    if whats.is_empty() || *asker == Asker::Interlock {
        return Ok(());
    }
    let written = match wish {
        Wish::Command(Command::Write { tag, value }) => Some((format!("{machine}.{tag}"), value)),
        _ => None,
    };
    if let Some((point, value)) = &written {
        if declared.signals.contains_key(point) {
            return Ok(());
        }
        pinned(declared, memory, point, value, read)?;
        if declared.calms(point, value) {
            return Ok(());
        }
        driven(declared, asker, point)?;
    }
    if let Some((because, _)) = open(&declared.chain, read) {
        return Err(Interlocked::ChainOpen(because));
    }
    if memory.uncleared.contains(machine) {
        return Err(Interlocked::NotCleared(machine.to_owned()));
    }
    stopped(declared, memory, machine, read)?;
    if let Some((point, value)) = &written
        && switches_off(declared, asker, point, value)
    {
        return Ok(());
    }
    let tag = written.as_ref().map(|(point, _)| point.as_str());
    permitted(declared, machine, whats, tag, read)
}

/// An interlock that is tripped keeps its machine from everything.
fn stopped(
    declared: &Declared,
    memory: &Memory,
    machine: &str,
    read: &dyn Fn(&str) -> Reading,
) -> Result<(), Interlocked> {
    let locks = declared.rules.interlocks.iter();
    let stops = |does: &Does| matches!(does, Does::Stop { machine: of, .. } if of == machine);
    for lock in locks.filter(|it| stops(&it.does)) {
        tripped(&lock.name, &lock.when, memory, read)?;
    }
    Ok(())
}

/// An interlock that sets a tag keeps it as it is.
fn pinned(
    declared: &Declared,
    memory: &Memory,
    point: &str,
    value: &Value,
    read: &dyn Fn(&str) -> Reading,
) -> Result<(), Interlocked> {
    for lock in &declared.rules.interlocks {
        let Does::Write(output) = &lock.does else { continue };
        if output.point() == point && same(&output.value, value) != Some(true) {
            tripped(&lock.name, &lock.when, memory, read)?;
        }
    }
    Ok(())
}

fn tripped(
    rule: &str,
    when: &Condition,
    memory: &Memory,
    read: &dyn Fn(&str) -> Reading,
) -> Result<(), Interlocked> {
    let verdict = when.judge(Kind::Interlock, read);
    if verdict.holds {
        return Err(Interlocked::Tripped { rule: rule.to_owned(), because: verdict.because });
    }
    match memory.latched.get(rule) {
        Some(because) => {
            Err(Interlocked::Latched { rule: rule.to_owned(), because: because.clone() })
        }
        None => Ok(()),
    }
}

fn driven(declared: &Declared, asker: &Asker, point: &str) -> Result<(), Interlocked> {
    let mut follows = declared.rules.follows.iter();
    let strict = follows.find(|it| !it.optional && it.point() == point);
    match (strict, asker) {
        (Some(rule), Asker::Person) => {
            Err(Interlocked::Driven { rule: rule.name.clone(), point: point.to_owned() })
        }
        _ => Ok(()),
    }
}

/// What was permitted once must not stay on because it is not permitted any more.
fn switches_off(declared: &Declared, asker: &Asker, point: &str, value: &Value) -> bool {
    let Asker::Follow(name) = asker else { return false };
    let mut rules = declared.rules.follows.iter();
    rules.any(|it| it.name == *name && it.point() == point && same(&it.off, value) == Some(true))
}

fn permitted(
    declared: &Declared,
    machine: &str,
    whats: &[What],
    point: Option<&str>,
    read: &dyn Fn(&str) -> Reading,
) -> Result<(), Interlocked> {
    let rules = declared.rules.permissives.iter();
    let about = rules.filter(|it| it.machine == machine && whats.contains(&it.what));
    for rule in about {
        let tag = point.and_then(|it| it.split_once('.')).map(|(_, tag)| tag);
        if rule.tag.is_some() && rule.tag.as_deref() != tag {
            continue;
        }
        for need in &rule.needs {
            let verdict = need.judge(Kind::Permissive, read);
            if !verdict.holds {
                let (rule, what) = (rule.name.clone(), rule.what);
                return Err(Interlocked::NotPermitted { rule, what, because: verdict.because });
            }
        }
    }
    Ok(())
}
