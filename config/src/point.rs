//! A point: one named value that a device reports, with how far it can be believed.
//!
//! Everything that a device says beside events is a point: a position, a temperature, a register,
//! a pin. Its name is `machine.tag`.

use std::fmt::{Display, Formatter};

use serde::{Deserialize, Serialize};

/// What `house.journal` says: all is well, only the reserve is left, nothing is written any more.
pub const JOURNAL_WORDS: [&str; 3] = ["ok", "low_space", "failed"];

/// What a point can say. In JSON just the value: `true`, `21.5`, `"RUN"`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// Off or on, open or closed.
    Flag(bool),
    /// A number in the point's unit. Finite.
    Number(f64),
    /// A word or a text.
    Text(String),
}

impl Value {
    /// The value as a number; a flag counts as 0 or 1.
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Flag(flag) => Some(f64::from(u8::from(*flag))),
            Self::Number(number) => Some(*number),
            Self::Text(_) => None,
        }
    }

    /// Whether it is on: `true`, or a number other than 0.
    pub fn is_on(&self) -> bool {
        self.number().is_some_and(|number| number != 0.0)
    }

    /// What a person typed: `on`, `off`, `true`, `false`, a number, or else a text.
    pub fn typed(text: &str) -> Self {
        match text.trim() {
            "on" | "true" => Self::Flag(true),
            "off" | "false" => Self::Flag(false),
            word => match word.parse::<f64>() {
                Ok(number) if number.is_finite() => Self::Number(number),
                _ => Self::Text(word.to_owned()),
            },
        }
    }
}

impl Display for Value {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Flag(true) => out.write_str("on"),
            Self::Flag(false) => out.write_str("off"),
            // What lies behind the sixth decimal is noise of the arithmetic.
            Self::Number(number) => write!(out, "{}", (number * 1e6).round() / 1e6),
            Self::Text(text) => out.write_str(text),
        }
    }
}

/// How far a point's value can be believed. From best to worst.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Quality {
    /// The device has just said so.
    Good,
    /// It has, and something about it is odd: out of its range, or not verified.
    Uncertain,
    /// It was good, and is older than the point's age limit.
    Stale,
    /// There is no value to believe: the device is out of reach, or answers with an error.
    #[default]
    Bad,
}

impl Quality {
    /// The word used in every interface.
    pub fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Uncertain => "uncertain",
            Self::Stale => "stale",
            Self::Bad => "bad",
        }
    }

    /// Whether a rule may rely on the value.
    pub fn believable(self) -> bool {
        matches!(self, Self::Good | Self::Uncertain)
    }
}

/// `GET /api/v1/points` (an array of these) and `GET /api/v1/points/{name}` without a time range.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// `machine.tag`.
    pub name: String,
    /// The latest value; `null` as long as there has been none.
    pub value: Option<Value>,
    /// Its unit, as people write it: `mm`, `°C`, `rev/min`; empty where it has none.
    pub unit: String,
    /// How far it can be believed at this moment.
    pub quality: Quality,
    /// When the device said so, RFC 3339 in UTC; `null` as long as it has not.
    pub at: Option<String>,
    /// The same in milliseconds since 1970.
    pub at_ms: Option<u64>,
    /// A person may set it.
    pub writable: bool,
    /// Why the quality is not good, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// Body of `PUT /api/v1/points/{name}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetPoint {
    /// The value that it shall have.
    pub value: Value,
}

/// A piece of a point's history: one span of time. Answer to `GET /api/v1/points/{name}` with a
/// range is an array of these, oldest first.
///
/// A point is a step function of time: each value holds until the next, as long as its quality is
/// good or uncertain. What holds at the beginning of a span belongs to it; nothing holds over a
/// restart of the house, nor when the box's clock is set. A flag counts as 0 or 1, so that its mean
/// is its duty cycle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Span {
    /// Beginning of the span, milliseconds since 1970.
    pub at_ms: u64,
    /// Smallest number that was believed in it; `null` if none was.
    pub min: Option<f64>,
    /// Largest number that was believed in it.
    pub max: Option<f64>,
    /// Mean of the numbers that were believed in it, each weighted with the time for which it held
    /// in it; the last of them, if none held for a millisecond.
    pub mean: Option<f64>,
    /// The last value that came or was believed in it.
    pub last: Option<Value>,
    /// How many values came in it; 0 if one merely held.
    pub count: u64,
    /// The worst quality in it.
    pub quality: Quality,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_person_types_is_the_value_that_is_meant() {
        let rows = [
            ("on", Value::Flag(true)),
            ("false", Value::Flag(false)),
            ("1", Value::Number(1.0)),
            (" -2.5 ", Value::Number(-2.5)),
            ("forward", Value::Text("forward".into())),
            ("nan", Value::Text("nan".into())),
        ];
        for (typed, meant) in rows {
            assert_eq!(Value::typed(typed), meant);
        }
        assert!(Value::Number(2.0).is_on() && !Value::Text("on".into()).is_on());
        assert_eq!(serde_json::to_string(&Value::Flag(true)).unwrap(), "true");
        assert_eq!(Value::Number(0.1 + 0.2).to_string(), "0.3");
    }
}
