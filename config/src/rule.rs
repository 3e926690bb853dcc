//! Rules: what must be true before a machine does something, what stops it, and what follows what.
//!
//! ```text
//!  permissive   needs …            -> or else this machine is not started, moved, heated, written
//!  interlock    when …             -> this machine is held, stopped or aborted, or a tag is written
//!  follow       when …             -> a tag is on while that is so, and off when it is not
//! ```
//!
//! A condition is declared, not programmed: a point, an operator and a value, and lists of these.
//! Judging one is pure: what the points say comes in as an argument.

use std::fmt::{Display, Formatter};

use serde::{Deserialize, Serialize};

use crate::alarm::{Priority, Texts};
use crate::command::Stop;
use crate::point::{Quality, Value};

/// Every rule that is declared.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Rules {
    /// Every `[[permissive]]`.
    pub permissives: Vec<Permissive>,
    /// Every `[[interlock]]`.
    pub interlocks: Vec<Interlock>,
    /// Every `[[follow]]`.
    pub follows: Vec<Follow>,
}

/// Something about points that holds or does not.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// One point is compared with one value.
    Test(Test),
    /// All of these.
    All(Vec<Condition>),
    /// One or more of these.
    Any(Vec<Condition>),
}

/// One point, compared with one value.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Test {
    /// `machine.tag`.
    pub point: String,
    /// How it is compared, and with what.
    #[serde(flatten)]
    pub compare: Compare,
    /// What counts while nobody knows the point's value; `None`: what is usual for the rule.
    pub if_unknown: Option<Unknown>,
}

/// An operator and the value beside it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Compare {
    /// More than this, in the point's unit.
    Above(f64),
    /// Less than this, in the point's unit.
    Below(f64),
    /// This.
    Equals(Value),
    /// Something else than this.
    NotEquals(Value),
}

/// What counts while a point is stale or bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unknown {
    /// The rule acts: a permissive refuses, an interlock stops, a follow rule switches on.
    Trip,
    /// The rule does not act on this account.
    Ignore,
}

/// What a point says at the moment of judging.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// Its value; `None` as long as there has been none.
    pub value: Option<Value>,
    /// How far it can be believed.
    pub quality: Quality,
}

/// Which kind of rule a condition belongs to: it says what an unknown point comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `needs` of a permissive: unknown is usually not met.
    Permissive,
    /// `when` of an interlock: unknown usually trips.
    Interlock,
    /// `when` of a follow rule: unknown usually switches off.
    Follow,
}

/// What came of judging a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// It holds.
    pub holds: bool,
    /// No point that decided it was unknown.
    pub known: bool,
    /// The test that decided it.
    pub because: Because,
}

/// The point that decided, and what it said: "`pins.door` is off".
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Because {
    /// `machine.tag`.
    pub point: String,
    /// Its value as people write it, or `stale`, `bad`.
    pub is: String,
    /// What it was compared with: `on`, `above 100`.
    pub against: String,
}

impl Display for Because {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        write!(out, "`{}` is {}", self.point, self.is)
    }
}

impl Display for Compare {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Above(limit) => write!(out, "above {limit}"),
            Self::Below(limit) => write!(out, "below {limit}"),
            Self::Equals(value) => write!(out, "{value}"),
            Self::NotEquals(value) => write!(out, "not {value}"),
        }
    }
}

impl Compare {
    /// Whether it holds for this value; `None`: the two cannot be compared.
    pub fn holds(&self, value: &Value) -> Option<bool> {
        match self {
            Self::Above(limit) => Some(*limit < value.number()?),
            Self::Below(limit) => Some(value.number()? < *limit),
            Self::Equals(other) => same(value, other),
            Self::NotEquals(other) => same(value, other).map(|same| !same),
        }
    }
}

/// Whether two values are the same; a flag and a number are where 0 is off. `None`: one is a text
/// and the other is not.
pub fn same(one: &Value, other: &Value) -> Option<bool> {
    match (one, other) {
        (Value::Text(one), Value::Text(other)) => Some(one == other),
        (Value::Flag(flag), Value::Number(number)) | (Value::Number(number), Value::Flag(flag)) => {
            Some(*flag == (*number != 0.0))
        }
        (one, other) => Some(one.number()? == other.number()?),
    }
}

impl Reading {
    /// The value, if a rule may rely on it.
    pub fn believed(&self) -> Option<&Value> {
        self.value.as_ref().filter(|_| self.quality.believable())
    }

    /// As people are told: the value, or why there is none.
    pub fn words(&self) -> String {
        match (self.believed(), &self.value) {
            (Some(value), _) => value.to_string(),
            (None, None) => "not known".into(),
            (None, Some(_)) => self.quality.word().into(),
        }
    }
}

impl Kind {
    /// Whether a test of an unknown point counts as holding.
    fn unknown_holds(self, declared: Option<Unknown>) -> bool {
        match self {
            Self::Permissive => declared.unwrap_or(Unknown::Trip) == Unknown::Ignore,
            Self::Interlock => declared.unwrap_or(Unknown::Trip) == Unknown::Trip,
            Self::Follow => declared.unwrap_or(Unknown::Ignore) == Unknown::Trip,
        }
    }
}

impl Condition {
    /// Every test in it, in the order of writing.
    pub fn tests(&self) -> Vec<&Test> {
        match self {
            Self::Test(test) => vec![test],
            Self::All(parts) | Self::Any(parts) => parts.iter().flat_map(Self::tests).collect(),
        }
    }

    /// Judges it by what the points say now. An empty list of `all` holds, one of `any` does not.
    pub fn judge(&self, kind: Kind, read: &dyn Fn(&str) -> Reading) -> Verdict {
        match self {
            Self::Test(test) => test.judge(kind, read),
            Self::All(parts) => decide(parts, false, kind, read),
            Self::Any(parts) => decide(parts, true, kind, read),
        }
    }
}

/// The first part that comes out as `deciding` decides; otherwise all of them together do, and
/// the least sure of them speaks for them.
fn decide(
    parts: &[Condition],
    deciding: bool,
    kind: Kind,
    read: &dyn Fn(&str) -> Reading,
) -> Verdict {
    let verdicts: Vec<Verdict> = parts.iter().map(|part| part.judge(kind, read)).collect();
    // What is known to decide tells people more than what nobody knows.
    let decisive = |known| verdicts.iter().find(|it| it.holds == deciding && it.known == known);
    if let Some(verdict) = decisive(true).or_else(|| decisive(false)) {
        return verdict.clone();
    }
    let speaks = verdicts.iter().find(|it| !it.known).or(verdicts.first());
    let because = speaks.map(|it| it.because.clone()).unwrap_or_default();
    Verdict { holds: !deciding, known: verdicts.iter().all(|it| it.known), because }
}

impl Test {
    fn judge(&self, kind: Kind, read: &dyn Fn(&str) -> Reading) -> Verdict {
        let reading = read(&self.point);
        let compared = reading.believed().and_then(|value| self.compare.holds(value));
        let because = Because {
            point: self.point.clone(),
            is: reading.words(),
            against: self.compare.to_string(),
        };
        Verdict {
            holds: compared.unwrap_or_else(|| kind.unknown_holds(self.if_unknown)),
            known: compared.is_some(),
            because,
        }
    }
}

/// A `[[permissive]]`: what must be so before a machine may do something.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Permissive {
    /// Its name, as it appears in refusals.
    pub name: String,
    /// The machine's id.
    pub machine: String,
    /// What it may not do otherwise.
    pub what: What,
    /// For `write`: only this tag of the machine; all of them where absent.
    pub tag: Option<String>,
    /// All of these.
    pub needs: Vec<Condition>,
}

/// What a machine may be kept from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// Starting a job, and going on with one.
    Start,
    /// Anything that moves an axis, a started job among it.
    Motion,
    /// Anything that heats, a started job among it.
    Heat,
    /// Setting a tag.
    Write,
}

impl What {
    /// The word used in every interface.
    pub fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Motion => "motion",
            Self::Heat => "heat",
            Self::Write => "write",
        }
    }
}

/// An `[[interlock]]`: what stops a machine.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Interlock {
    /// Its name; also that of the alarm that it raises.
    pub name: String,
    /// It trips while this holds.
    pub when: Condition,
    /// What it does then.
    pub does: Does,
    /// A person must reset it after the condition is gone.
    pub latch: bool,
    /// Of its alarm.
    pub priority: Priority,
    /// Of its alarm: those of a group are told apart by which came first.
    pub group: Option<String>,
    /// Of its alarm.
    pub texts: Texts,
}

/// What an interlock does.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Does {
    /// It stops a machine, and nothing is begun on it as long as it is tripped.
    Stop {
        /// The machine's id.
        machine: String,
        /// How.
        how: Stop,
    },
    /// It sets a tag, and nobody sets that to anything else as long as it is tripped.
    Write(Output),
}

/// A tag and what is written to it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Output {
    /// The machine's id.
    pub machine: String,
    /// The tag's name, without its machine.
    pub tag: String,
    /// The value, in the tag's unit.
    pub value: Value,
}

impl Output {
    /// `machine.tag`.
    pub fn point(&self) -> String {
        format!("{}.{}", self.machine, self.tag)
    }
}

impl Does {
    /// The machine that is stopped or written to.
    pub fn machine(&self) -> &str {
        match self {
            Self::Stop { machine, .. } => machine,
            Self::Write(output) => &output.machine,
        }
    }
}

/// A `[[follow]]`: a tag that is on while something holds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Follow {
    /// Its name.
    pub name: String,
    /// It is on while this holds.
    pub when: Condition,
    /// The machine's id of the tag that it sets.
    pub machine: String,
    /// The tag's name, without its machine.
    pub tag: String,
    /// What is written when it goes on.
    pub on: Value,
    /// What is written when it goes off.
    pub off: Value,
    /// The condition must have held for so long.
    pub delay_on_s: f64,
    /// The condition must not have held for so long.
    pub delay_off_s: f64,
    /// It goes off by itself after so long, and stays off until the condition holds anew.
    pub pulse_s: Option<f64>,
    /// A person may set the tag otherwise; the rule then stands back until its condition comes
    /// to hold anew.
    pub optional: bool,
}

impl Follow {
    /// `machine.tag`.
    pub fn point(&self) -> String {
        format!("{}.{}", self.machine, self.tag)
    }
}

/// What can happen to a rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum RuleEvent {
    /// An interlock has acted. Written down after the stop had gone out.
    Tripped {
        /// The point that tripped it.
        because: Because,
        /// What it did, for people: `stop mill`.
        did: String,
        /// How often it has tripped since this was last written down; 0: told once more.
        times: u64,
        /// From now on a person must reset it.
        #[serde(default)]
        latch: bool,
        /// It was counted when it happened and is written down now, when it may be over.
        #[serde(default)]
        counted: bool,
    },
    /// Its condition does not hold any more.
    Released,
    /// A person has set the tag of an optional follow rule, or the machine of a follow rule's tag
    /// was held: the rule stands back until its condition comes to hold anew.
    SetAside {
        /// Who.
        by: String,
    },
}

/// What can happen to the hardware stop chain. The house looks at it and never drives it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum ChainEvent {
    /// It is open, or nobody knows.
    Opened {
        /// The input that says so.
        because: Because,
        /// The machines that were stopped, and that wait for a person from now on.
        machines: Vec<String>,
    },
    /// All its inputs are closed.
    Closed,
    /// A person has looked, and says that the machine is clear.
    Cleared {
        /// Its id.
        machine: String,
        /// Who.
        by: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test(point: &str, compare: Compare, if_unknown: Option<Unknown>) -> Condition {
        Condition::Test(Test { point: point.into(), compare, if_unknown })
    }

    /// `a.on` is on, `a.five` is 5, `a.word` is RUN, `a.stale` was on; nothing else is known.
    fn read(point: &str) -> Reading {
        let (value, quality) = match point {
            "a.on" => (Some(Value::Flag(true)), Quality::Good),
            "a.five" => (Some(Value::Number(5.0)), Quality::Uncertain),
            "a.word" => (Some(Value::Text("RUN".into())), Quality::Good),
            "a.stale" => (Some(Value::Flag(true)), Quality::Stale),
            _ => (None, Quality::Bad),
        };
        Reading { value, quality }
    }

    #[test]
    fn a_test_compares_what_can_be_compared() {
        let rows = [
            ("a.on", Compare::Equals(Value::Flag(true)), true),
            ("a.on", Compare::Equals(Value::Number(1.0)), true),
            ("a.on", Compare::NotEquals(Value::Flag(true)), false),
            ("a.five", Compare::Above(4.9), true),
            ("a.five", Compare::Above(5.0), false),
            ("a.five", Compare::Below(5.1), true),
            ("a.word", Compare::Equals(Value::Text("RUN".into())), true),
            ("a.word", Compare::NotEquals(Value::Text("STOP".into())), true),
        ];
        for (point, compare, holds) in rows {
            let verdict = test(point, compare.clone(), None).judge(Kind::Interlock, &read);
            assert_eq!((verdict.holds, verdict.known), (holds, true), "{point} {compare}");
        }
        // A word is neither above nor below anything: nobody knows.
        let verdict = test("a.word", Compare::Above(1.0), None).judge(Kind::Interlock, &read);
        assert_eq!((verdict.holds, verdict.known), (true, false));
    }

    #[test]
    fn what_nobody_knows_takes_the_declared_side_or_the_safe_one() {
        let on = || Compare::Equals(Value::Flag(true));
        for point in ["a.stale", "a.nothing"] {
            for (kind, usual, trip, ignore) in [
                (Kind::Permissive, false, false, true),
                (Kind::Interlock, true, true, false),
                (Kind::Follow, false, true, false),
            ] {
                let holds = |side| test(point, on(), side).judge(kind, &read).holds;
                assert_eq!(holds(None), usual, "{kind:?}");
                assert_eq!(holds(Some(Unknown::Trip)), trip, "{kind:?}");
                assert_eq!(holds(Some(Unknown::Ignore)), ignore, "{kind:?}");
            }
        }
        let said = test("a.stale", on(), None).judge(Kind::Interlock, &read).because.to_string();
        assert_eq!(said, "`a.stale` is stale");
        let said = test("a.nothing", on(), None).judge(Kind::Interlock, &read).because.to_string();
        assert_eq!(said, "`a.nothing` is not known");
    }

    #[test]
    fn a_list_names_the_point_that_decided_it() {
        let on = || test("a.on", Compare::Equals(Value::Flag(true)), None);
        let off = || test("a.on", Compare::Equals(Value::Flag(false)), None);
        let five = || test("a.five", Compare::Above(9.0), None);
        let lost = || test("a.stale", Compare::Equals(Value::Flag(true)), None);
        let judge = |it: Condition| it.judge(Kind::Permissive, &read);

        let verdict = judge(Condition::All(vec![on(), five(), lost()]));
        assert!(!verdict.holds);
        assert_eq!((verdict.because.point.as_str(), verdict.because.is.as_str()), ("a.five", "5"));
        let verdict = judge(Condition::All(vec![on(), lost()]));
        assert_eq!((verdict.holds, verdict.because.point.as_str()), (false, "a.stale"));
        let verdict = judge(Condition::Any(vec![off(), Condition::All(vec![on(), on()])]));
        assert_eq!((verdict.holds, verdict.known), (true, true));
        assert!(judge(Condition::All(Vec::new())).holds);
        assert!(!judge(Condition::Any(Vec::new())).holds);
    }
}
