//! What registers hold, and what a value becomes in them.
//!
//! ```text
//!  words -> order -> number -> × scale + offset -> range -> value
//!  value -> range -> (− offset) ÷ scale, rounded -> fits? -> order -> words
//! ```
//!
//! What is to be written is judged as it will be read back, after rounding.

use headstock_config::point::{Quality, Value};
use headstock_config::tag::{Area, Kind, Order, Register, Tag};

use crate::Refusal;
use crate::bus::meaning;

/// What registers say about a tag.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    /// The value, if there is one.
    pub value: Option<Value>,
    /// How far it can be believed.
    pub quality: Quality,
    /// Why it is not good.
    pub why: Option<String>,
}

/// What must be put into a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Raw {
    /// A coil.
    Coil(bool),
    /// One bit of a register.
    Bit(bool),
    /// Whole registers, as they stand on the wire.
    Words(Vec<u16>),
}

/// What a coil, a discrete input or a bit of a register says.
pub fn read_bit(tag: &Tag, on: bool) -> Said {
    let (value, quality, why) = meaning::flag(tag, on);
    Said { value, quality, why }
}

/// What registers say: as many as the tag takes.
pub fn read(tag: &Tag, register: &Register, words: &[u16]) -> Said {
    match register.kind {
        Kind::Bit => read_bit(tag, words.first().is_some_and(|it| it >> register.bit & 1 == 1)),
        Kind::String => {
            let value = Some(Value::Text(text(register.order, words)));
            Said { value, quality: Quality::Good, why: None }
        }
        kind => number(kind, &ordered(register.order, words))
            .map(|raw| scaled(raw, tag.scale) + tag.offset)
            .filter(|number| number.is_finite())
            .map_or_else(no_number, |number| judged(tag, number)),
    }
}

fn no_number() -> Said {
    Said { value: None, quality: Quality::Bad, why: Some("the device says: not a number".into()) }
}

fn judged(tag: &Tag, number: f64) -> Said {
    let value = Some(Value::Number(number));
    match tag.range {
        Some([low, high]) if number < low || high < number => Said {
            value,
            quality: Quality::Uncertain,
            why: Some(format!("outside of {low} to {high}")),
        },
        _ => Said { value, quality: Quality::Good, why: None },
    }
}

/// What must be written, and what will be read back then.
pub fn write(tag: &Tag, register: &Register, value: &Value) -> Result<(Raw, Value), Refusal> {
    if register.kind == Kind::Bit {
        let on = meaning::raw_flag(tag, value)?;
        let raw = if register.area == Area::Coil { Raw::Coil(on) } else { Raw::Bit(on) };
        return Ok((raw, meaning::flag(tag, on).0.unwrap_or_else(|| value.clone())));
    }
    let words = match register.kind {
        Kind::String => spelled(register, value)?,
        kind => {
            let number = value.number().ok_or_else(|| refuse("a number is wanted"))?;
            if !number.is_finite() {
                return Err(refuse("a number is wanted"));
            }
            let raw = (number - tag.offset) / tag.scale;
            let words = encoded(kind, raw)
                .ok_or_else(|| refuse("that does not fit into the device's register"))?;
            ordered(register.order, &words)
        }
    };
    let said = read(tag, register, &words);
    match (said.value, said.quality) {
        (Some(value), Quality::Good) => Ok((Raw::Words(words), value)),
        (_, _) => Err(refuse(&said.why.unwrap_or_else(|| "that has no meaning there".into()))),
    }
}

/// Whether this is what somebody may set. A quantity, which has a unit, is rounded to what the device
/// can hold; a whole number without one is a command or a count, of which there is no half. On or
/// off is no quantity.
pub fn meant(tag: &Tag, register: &Register, value: &Value) -> Result<(), Refusal> {
    let whole = matches!(register.kind, Kind::U16 | Kind::I16 | Kind::U32 | Kind::I32);
    let plain = tag.scale == 1.0 && tag.offset == 0.0;
    match value {
        Value::Flag(_) if register.kind != Kind::Bit && !(whole && plain) => {
            Err(refuse("a number is wanted"))
        }
        Value::Number(number) if whole && tag.unit.is_empty() && 1.0 <= tag.scale.abs() => {
            let steps = (number - tag.offset) / tag.scale;
            let exact = (steps - steps.round()).abs() <= 1e-9 * steps.abs().max(1.0);
            let why = || format!("it counts in steps of {}", tag.scale.abs());
            if exact || !steps.is_finite() { Ok(()) } else { Err(Refusal::BadCommand(why())) }
        }
        _ => Ok(()),
    }
}

fn refuse(why: &str) -> Refusal {
    Refusal::BadCommand(why.to_owned())
}

/// Words in the order of the standard. The same again undoes it.
fn ordered(order: Order, words: &[u16]) -> Vec<u16> {
    let swapped = |word: &u16| if swaps_bytes(order) { word.swap_bytes() } else { *word };
    match order {
        Order::Abcd | Order::Badc => words.iter().map(swapped).collect(),
        Order::Cdab | Order::Dcba => words.iter().rev().map(swapped).collect(),
    }
}

fn swaps_bytes(order: Order) -> bool {
    matches!(order, Order::Badc | Order::Dcba)
}

fn number(kind: Kind, words: &[u16]) -> Option<f64> {
    let four = || Some(u32::from(*words.first()?) << 16 | u32::from(*words.get(1)?));
    Some(match kind {
        Kind::U16 => f64::from(*words.first()?),
        Kind::I16 => f64::from(words.first()?.cast_signed()),
        Kind::U32 => f64::from(four()?),
        Kind::I32 => f64::from(four()?.cast_signed()),
        Kind::F32 => shortest(f32::from_bits(four()?)),
        Kind::F64 => {
            let eight =
                words.get(..4)?.iter().fold(0_u64, |all, word| all << 16 | u64::from(*word));
            f64::from_bits(eight)
        }
        Kind::Bit | Kind::String => return None,
    })
}

/// The number that people would write for it: 230.2, not 230.1999969.
fn shortest(number: f32) -> f64 {
    number.to_string().parse().unwrap_or(f64::NAN)
}

/// A tenth is divided by ten, so that 23 tenths are 2.3 and nothing else.
fn scaled(raw: f64, scale: f64) -> f64 {
    let parts = (1.0 / scale).round();
    if scale.abs() < 1.0 && (1.0 / parts - scale).abs() <= scale.abs() * 1e-12 {
        return raw / parts;
    }
    raw * scale
}

fn encoded(kind: Kind, raw: f64) -> Option<Vec<u16>> {
    let whole = raw.round();
    let within = |low: f64, high: f64| (low <= whole && whole <= high).then_some(whole);
    let words = |bits: u64, count: usize| -> Vec<u16> {
        (0..count).rev().map(|place| (bits >> (16 * place) & 0xffff) as u16).collect()
    };
    Some(match kind {
        Kind::U16 => words(within(0.0, f64::from(u16::MAX))? as u64, 1),
        Kind::I16 => words(within(f64::from(i16::MIN), f64::from(i16::MAX))? as i64 as u64, 1),
        Kind::U32 => words(within(0.0, f64::from(u32::MAX))? as u64, 2),
        Kind::I32 => words(within(f64::from(i32::MIN), f64::from(i32::MAX))? as i64 as u64, 2),
        Kind::F32 => {
            let single = raw as f32;
            words(u64::from(single.is_finite().then_some(single)?.to_bits()), 2)
        }
        Kind::F64 => words(raw.is_finite().then_some(raw)?.to_bits(), 4),
        Kind::Bit | Kind::String => return None,
    })
}

/// Texts end with the first zero; blanks at the end are padding.
fn text(order: Order, words: &[u16]) -> String {
    let swapped = |word: &u16| if swaps_bytes(order) { word.swap_bytes() } else { *word };
    let bytes: Vec<u8> = words.iter().flat_map(|word| swapped(word).to_be_bytes()).collect();
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let read = String::from_utf8_lossy(&bytes[..end]);
    let visible = |it: char| if it.is_control() { '\u{fffd}' } else { it };
    read.trim_end().chars().map(visible).collect()
}

fn spelled(register: &Register, value: &Value) -> Result<Vec<u16>, Refusal> {
    let said = value.to_string();
    let length = usize::from(register.length);
    if 2 * length < said.len() {
        let long = format!("the text has {} bytes; there is room for {}", said.len(), 2 * length);
        return Err(Refusal::BadCommand(long));
    }
    let mut bytes = said.into_bytes();
    bytes.resize(2 * length, 0);
    let word = |pair: &[u8]| u16::from_be_bytes([pair[0], pair[1]]);
    let swapped = |word: u16| if swaps_bytes(register.order) { word.swap_bytes() } else { word };
    Ok(bytes.chunks_exact(2).map(word).map(swapped).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ORDERS: [Order; 4] = [Order::Abcd, Order::Cdab, Order::Badc, Order::Dcba];
    const KINDS: [Kind; 6] = [Kind::U16, Kind::I16, Kind::U32, Kind::I32, Kind::F32, Kind::F64];

    fn register(kind: Kind, order: Order) -> Register {
        let area = Area::Holding;
        Register { area, address: 0, kind, order, bit: 3, length: 3, read_back: true }
    }

    fn number(tag: &Tag, kind: Kind, order: Order, words: &[u16]) -> Option<f64> {
        read(tag, &register(kind, order), words).value?.number()
    }

    /// 123456.0 in the four orders, from the tests of libmodbus.
    #[test]
    fn floats_are_read_in_the_four_orders() {
        let rows = [
            (Order::Abcd, [0x47f1, 0x2000]),
            (Order::Cdab, [0x2000, 0x47f1]),
            (Order::Badc, [0xf147, 0x0020]),
            (Order::Dcba, [0x0020, 0xf147]),
        ];
        for (order, words) in rows {
            assert_eq!(number(&Tag::default(), Kind::F32, order, &words), Some(123_456.0));
        }
    }

    #[test]
    fn words_become_what_people_would_write() {
        let tenths = Tag { scale: 0.1, ..Tag::default() };
        assert_eq!(number(&tenths, Kind::I16, Order::Abcd, &[23]), Some(2.3));
        assert_eq!(number(&tenths, Kind::I16, Order::Abcd, &[0xff9c]), Some(-10.0));
        assert_eq!(number(&tenths, Kind::U16, Order::Badc, &[0x1700]), Some(2.3));
        let plain = Tag::default();
        // Eastron SDM: 230.2 V.
        assert_eq!(number(&plain, Kind::F32, Order::Abcd, &[0x4366, 0x3333]), Some(230.2));
        assert_eq!(number(&plain, Kind::U32, Order::Cdab, &[1, 2]), Some(131_073.0));
        let text = read(&plain, &register(Kind::String, Order::Abcd), &[0x4142, 0x4320, 0x2000]);
        assert_eq!(text.value, Some(Value::Text("ABC".into())));
        let bit = read(&plain, &register(Kind::Bit, Order::Abcd), &[0b1000]);
        assert_eq!(bit.value, Some(Value::Flag(true)));
    }

    #[test]
    fn what_is_no_number_is_bad_and_what_is_out_of_range_is_uncertain() {
        let tag = Tag { range: Some([0.0, 50.0]), ..Tag::default() };
        let said = |kind, words: &[u16]| read(&tag, &register(kind, Order::Abcd), words);
        let nan = said(Kind::F32, &[0x7fc0, 0]);
        assert_eq!((nan.value, nan.quality), (None, Quality::Bad));
        let far = said(Kind::U16, &[51]);
        assert_eq!((far.value, far.quality), (Some(Value::Number(51.0)), Quality::Uncertain));
        assert_eq!(said(Kind::U16, &[50]).quality, Quality::Good);
    }

    #[test]
    fn what_does_not_fit_is_refused_and_the_rest_is_rounded_to_what_the_device_can_hold() {
        let hertz = Tag { scale: 0.01, range: Some([0.0, 400.0]), ..Tag::default() };
        let register = register(Kind::U16, Order::Abcd);
        let put = |value: Value| write(&hertz, &register, &value);
        let (raw, expected) = put(Value::Number(123.456)).unwrap();
        assert_eq!(raw, Raw::Words(vec![12_346]));
        assert_eq!(expected, Value::Number(123.46));
        let bad = [
            Value::Number(-0.01),
            Value::Number(400.01),
            Value::Number(f64::NAN),
            Value::Number(f64::INFINITY),
            Value::Text("fast".into()),
        ];
        for value in bad {
            assert!(put(value.clone()).is_err(), "{value:?}");
        }
        let unbounded = Tag { scale: 0.01, ..Tag::default() };
        assert!(write(&unbounded, &register, &Value::Number(655.36)).is_err());
    }

    #[test]
    fn texts_and_bits_are_written_as_they_are_read() {
        let plain = Tag::default();
        let text = register(Kind::String, Order::Badc);
        let (raw, expected) = write(&plain, &text, &Value::Text("M6".into())).unwrap();
        assert_eq!(raw, Raw::Words(vec![0x364d, 0, 0]));
        assert_eq!(expected, Value::Text("M6".into()));
        assert!(write(&plain, &text, &Value::Text("seven!!".into())).is_err());
        let bit = register(Kind::Bit, Order::Abcd);
        assert_eq!(write(&plain, &bit, &Value::Number(1.0)).unwrap().0, Raw::Bit(true));
        assert!(write(&plain, &bit, &Value::Number(2.0)).is_err());
    }

    #[test]
    fn half_a_command_is_no_command() {
        let word = register(Kind::U16, Order::Abcd);
        let (plain, hundredths) = (Tag::default(), Tag { scale: 0.01, ..Tag::default() });
        assert!(meant(&plain, &word, &Value::Number(1.5)).is_err());
        assert!(meant(&plain, &word, &Value::Number(18.0)).is_ok());
        assert!(meant(&plain, &word, &Value::Flag(true)).is_ok());
        assert!(meant(&hundredths, &word, &Value::Number(123.456)).is_ok());
        assert!(meant(&hundredths, &word, &Value::Flag(true)).is_err());
        let degrees = Tag { unit: "°C".into(), ..Tag::default() };
        assert!(meant(&degrees, &word, &Value::Number(250.5)).is_ok());
        let fives = Tag { scale: 5.0, ..Tag::default() };
        assert!(meant(&fives, &word, &Value::Number(15.0)).is_ok());
        assert!(meant(&fives, &word, &Value::Number(16.0)).is_err());
    }

    #[test]
    fn a_contact_that_opens_can_be_turned_round() {
        let round = Tag { scale: -1.0, offset: 1.0, ..Tag::default() };
        let bit = register(Kind::Bit, Order::Abcd);
        assert_eq!(read(&round, &bit, &[0b1000]).value, Some(Value::Flag(false)));
        assert_eq!(read_bit(&round, false).value, Some(Value::Flag(true)));
        let off = write(&round, &bit, &Value::Flag(false)).unwrap();
        assert_eq!(off, (Raw::Bit(true), Value::Flag(false)));
    }

    proptest! {
        #[test]
        fn what_is_written_is_what_is_read_back(
            kind in prop::sample::select(&KINDS[..]),
            order in prop::sample::select(&ORDERS[..]),
            number in prop_oneof![-4e9..4e9, -100.0..100.0, any::<f64>()],
            scale in prop::sample::select(&[1.0, 0.1, 0.01, 2.0, -0.5][..]),
            offset in -50.0..50.0,
        ) {
            let tag = Tag { scale, offset, ..Tag::default() };
            let register = register(kind, order);
            if let Ok((Raw::Words(words), expected)) = write(&tag, &register, &Value::Number(number)) {
                prop_assert_eq!(words.len(), usize::from(register.width()));
                let read = read(&tag, &register, &words).value;
                prop_assert_eq!(&read, &Some(expected.clone()));
                let again = write(&tag, &register, &expected).unwrap();
                let numbers = again.1.number().zip(expected.number());
                let near = numbers.is_some_and(|(one, other)| {
                    (one - other).abs() <= 1e-9 * one.abs().max(other.abs()).max(1.0)
                });
                prop_assert!(near, "{numbers:?}");
            }
        }

        #[test]
        fn no_words_panic(
            words in prop::collection::vec(any::<u16>(), 0..8),
            kind in prop::sample::select(&KINDS[..]),
            order in prop::sample::select(&ORDERS[..]),
        ) {
            read(&Tag::default(), &register(kind, order), &words);
        }
    }
}
