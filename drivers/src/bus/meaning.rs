//! Between the raw thing that a device holds and the value that people see: scale, offset, range.
//!
//! Value = raw × scale + offset. What is read outside of a tag's range is uncertain; what is to be
//! written outside of it is refused. No number that is not finite ever becomes a value.

use headstock_config::point::{Quality, Value};
use headstock_config::tag::Tag;

use crate::Refusal;

/// A value, how far it can be believed, and why that is not good.
pub type Meaning = (Option<Value>, Quality, Option<String>);

/// What a raw number means.
pub fn number(tag: &Tag, raw: f64) -> Meaning {
    let value = raw * tag.scale + tag.offset;
    if !value.is_finite() {
        return (None, Quality::Bad, Some("the device says something that is no number".into()));
    }
    match tag.range {
        Some([low, high]) if !(low..=high).contains(&value) => {
            let why = format!("outside of {low} to {high} {}", tag.unit);
            (Some(Value::Number(value)), Quality::Uncertain, Some(why.trim_end().to_owned()))
        }
        _ => (Some(Value::Number(value)), Quality::Good, None),
    }
}

/// What a raw bit means; `scale = -1.0` with `offset = 1.0` turns it round.
pub fn flag(tag: &Tag, raw: bool) -> Meaning {
    let on = f64::from(u8::from(raw)) * tag.scale + tag.offset != 0.0;
    (Some(Value::Flag(on)), Quality::Good, None)
}

/// The raw number of a value that is to be written.
pub fn raw(tag: &Tag, value: &Value) -> Result<f64, Refusal> {
    let wrong = |what: String| Refusal::BadCommand(format!("`{value}` {what}"));
    let number = value.number().ok_or_else(|| wrong("is not a number".into()))?;
    if let Some([low, high]) = tag.range
        && !(low..=high).contains(&number)
    {
        return Err(wrong(format!("is outside of {low} to {high}")));
    }
    let raw = (number - tag.offset) / tag.scale;
    if raw.is_finite() { Ok(raw) } else { Err(wrong("cannot be written to this tag".into())) }
}

/// The raw bit of a value that is to be written.
pub fn raw_flag(tag: &Tag, value: &Value) -> Result<bool, Refusal> {
    match raw(tag, value)? {
        0.0 => Ok(false),
        1.0 => Ok(true),
        _ => Err(Refusal::BadCommand(format!("`{value}` is neither on nor off"))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tag() -> Tag {
        Tag { scale: 0.1, offset: -5.0, range: Some([0.0, 100.0]), ..Tag::default() }
    }

    #[test]
    fn what_is_outside_of_its_range_is_uncertain_when_read_and_refused_when_written() {
        let (value, quality, why) = number(&tag(), 1_051.0);
        assert!(matches!(value, Some(Value::Number(it)) if (it - 100.1).abs() < 1e-9));
        assert_eq!((quality, why.as_deref()), (Quality::Uncertain, Some("outside of 0 to 100")));
        assert!(raw(&tag(), &Value::Number(100.1)).is_err());
        assert!(raw(&tag(), &Value::Text("much".into())).is_err());
    }

    #[test]
    fn a_bit_can_be_turned_round() {
        let round = Tag { scale: -1.0, offset: 1.0, ..Tag::default() };
        assert_eq!(flag(&round, true).0, Some(Value::Flag(false)));
        assert_eq!(raw_flag(&round, &Value::Flag(true)), Ok(false));
        assert_eq!(raw_flag(&Tag::default(), &Value::Number(1.0)), Ok(true));
        assert!(raw_flag(&Tag::default(), &Value::Number(0.5)).is_err());
    }

    proptest! {
        #[test]
        fn no_value_is_anything_but_finite(raw: f64, scale: f64, offset: f64) {
            let tag = Tag { scale, offset, ..Tag::default() };
            let (value, quality, _) = number(&tag, raw);
            match value {
                Some(Value::Number(it)) => prop_assert!(it.is_finite()),
                _ => prop_assert_eq!(quality, Quality::Bad),
            }
        }
    }
}
