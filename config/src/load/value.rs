//! Single values: from what TOML says to what the house means, or what is wrong with it.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use toml::de::{DeArray, DeValue};

use super::nearest::nearest;
use crate::machine::Xyz;
use crate::point::Value;

/// No machine of this workshop reaches farther than this from its zero.
pub(super) const FARTHEST_MM: f64 = 100_000.0;

/// What is wrong with a value.
#[derive(Debug, PartialEq)]
pub(super) enum Wrong {
    /// It is not of the kind that is wanted here.
    Kind(Wanted),
    /// The kind is right, the value is not: why, and what to try.
    Value(&'static str, Option<String>),
}

/// The kind that is wanted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Wanted {
    /// `true` or `false`.
    Flag,
    /// With or without a fraction.
    Number,
    /// Between quotes.
    Text,
    /// Between brackets or braces.
    Many,
}

/// What a reader makes of a value.
pub(super) type Read<T> = Result<T, Wrong>;

/// Says that the value is wrong, without a hint.
pub(super) fn refuse<T>(why: &'static str) -> Read<T> {
    Err(Wrong::Value(why, None))
}

/// `true` or `false`.
pub(super) fn flag(value: &DeValue<'_>) -> Read<bool> {
    value.as_bool().ok_or(Wrong::Kind(Wanted::Flag))
}

/// A whole number within the range.
pub(super) fn whole(value: &DeValue<'_>, range: &RangeInclusive<u64>) -> Read<u64> {
    let digits = value.as_integer().ok_or(Wrong::Kind(Wanted::Number))?;
    let number = i128::from_str_radix(digits.as_str(), digits.radix()).unwrap_or(i128::MAX);
    let number = u64::try_from(number).ok().filter(|number| range.contains(number));
    number.map_or_else(|| refuse("is out of range"), Ok)
}

/// A number within the range, with or without a fraction.
pub(super) fn number(value: &DeValue<'_>, range: &RangeInclusive<f64>) -> Read<f64> {
    let number = match value {
        DeValue::Float(digits) => digits.as_str().parse().unwrap_or(f64::NAN),
        DeValue::Integer(digits) => i64::from_str_radix(digits.as_str(), digits.radix())
            .map_or(f64::NAN, |whole| whole as f64),
        _ => return Err(Wrong::Kind(Wanted::Number)),
    };
    if range.contains(&number) { Ok(number) } else { refuse("is out of range") }
}

/// Text that a person can read, of at most this many characters.
pub(super) fn text(value: &DeValue<'_>, longest: usize) -> Read<String> {
    let text = value.as_str().ok_or(Wrong::Kind(Wanted::Text))?;
    match text {
        "" => refuse("is empty"),
        _ if text.chars().any(char::is_control) => refuse("has control characters in it"),
        _ if text.chars().count() > longest => refuse("is too long"),
        _ => Ok(text.to_string()),
    }
}

/// An absolute path.
pub(super) fn path(value: &DeValue<'_>) -> Read<PathBuf> {
    let path = text(value, 4095)?;
    if path.starts_with('/') {
        return Ok(path.into());
    }
    let home = path.starts_with('~').then(|| "`~` means nothing here: write the path out".into());
    Err(Wrong::Value("is not an absolute path", home))
}

/// What a point can be set to: a truth value, a number or a text.
pub(super) fn point(value: &DeValue<'_>) -> Read<Value> {
    match value {
        DeValue::Boolean(flag) => Ok(Value::Flag(*flag)),
        DeValue::String(_) => text(value, 250).map(Value::Text),
        _ => number(value, &(f64::MIN..=f64::MAX)).map(Value::Number),
    }
}

/// One of a few words.
pub(super) fn word<T: Copy>(value: &DeValue<'_>, words: &[(&str, T)]) -> Read<T> {
    let said = value.as_str().ok_or(Wrong::Kind(Wanted::Text))?;
    let known = words.iter().find(|(word, _)| *word == said);
    known.map(|(_, meaning)| *meaning).ok_or_else(|| {
        let near = nearest(said, words.iter().map(|(word, _)| *word));
        Wrong::Value("is not a known word", near.map(did_you_mean))
    })
}

/// A point: three numbers, millimetres.
pub(super) fn xyz(value: &DeValue<'_>) -> Read<Xyz> {
    let items = value.as_array().ok_or(Wrong::Kind(Wanted::Many))?;
    let numbers: Vec<f64> = each(items, |item| number(item, &(-FARTHEST_MM..=FARTHEST_MM)))?;
    numbers.try_into().or_else(|_| refuse("does not have three numbers"))
}

/// Every item of a list, or what is wrong with the first bad one.
pub(super) fn each<T>(items: &DeArray<'_>, read: impl Fn(&DeValue<'_>) -> Read<T>) -> Read<Vec<T>> {
    let bad = |wrong| match wrong {
        Wrong::Kind(_) => Wrong::Value("has an item of the wrong kind", None),
        Wrong::Value(_, hint) => Wrong::Value("has an item that is not accepted", hint),
    };
    items.iter().map(|item| read(item.get_ref()).map_err(bad)).collect()
}

/// What to try where the kind is wrong but may be a matter of quotes only.
pub(super) fn quotes(wanted: Wanted, value: &DeValue<'_>, raw: &str) -> Option<String> {
    let bare = matches!(value, DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_));
    let inside = value.as_str().unwrap_or_default();
    match wanted {
        Wanted::Text if bare => Some(format!("write it in quotes: `\"{raw}\"`")),
        Wanted::Number if inside.parse::<f64>().is_ok_and(f64::is_finite) => {
            Some(format!("write it without quotes: `{inside}`"))
        }
        Wanted::Flag if matches!(inside, "true" | "false") => {
            Some(format!("write it without quotes: `{inside}`"))
        }
        _ => None,
    }
}

/// The kind of a value, for a sentence.
pub(super) fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "a truth value",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// `did you mean …?`
pub(super) fn did_you_mean(word: impl Display) -> String {
    format!("did you mean `{word}`?")
}
