//! Pins: which tag is which line, and what a level, a count or a share means.
//!
//! ```text
//!  tags --Dialect--> Look, Set, Pulse --> Carrier (link/pins) --> lines
//!  readings <-- Dialect::read <-- Answer <-- [ Board ] <-- levels, edges
//! ```
//!
//! Pure: the [`Board`] is told of edges and of the time, and says what they mean; who moves the
//! lines stands in `link/pins`. On and off are what people call so; a line with `!` is high when
//! it is off.
//!
//! An output takes a flag, 0 or 1, or a text such as `pulse 250ms`: on for that long, then off by
//! itself. A line with pulse width modulation takes a share from 0 to 1.

mod board;
mod contact;
mod counter;
pub mod sim;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use headstock_config::machine::Machine;
use headstock_config::point::{Quality, Value};
use headstock_config::tag::{Line, Pin, PinMode, Source, Tag};

pub use self::board::{Board, Edge};
use crate::Refusal;
use crate::bus::meaning::{self, Meaning};
use crate::bus::{Dialect, Place, Poll, Reading, Write};

/// Longest pulse. More is not a pulse but something that a rule should switch.
pub const PULSE_MAX: Duration = Duration::from_secs(60);
/// What a look at some lines, or setting one, takes: a few system calls.
const COST: Duration = Duration::from_micros(50);

/// A line that a tag uses.
#[derive(Clone, Debug, PartialEq)]
pub struct Use {
    /// Whose it is.
    pub place: Place,
    /// `machine.tag`, as people know it.
    pub name: String,
    /// Line, mode, debounce.
    pub pin: Pin,
    /// The share of the time that an output is on while nothing may happen: 0 or 1 for a switch.
    pub safe: f64,
}

impl Use {
    /// Whether the line is high when the tag is `on`, and the other way round.
    pub fn level(&self, on: bool) -> bool {
        on != self.pin.line.inverted
    }
}

/// What is asked of a board.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// How these tags of one machine are.
    Look(Vec<Place>),
    /// Drive an output: the share of the time that it is on, 0 to 1.
    Set(Place, f64),
    /// Switch an output on for so long.
    Pulse(Place, Duration),
}

/// What a board says about tags.
pub type Answer = Vec<(Place, Seen)>;

/// How a line is.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// On is 1; a count, a frequency, a share. `None` if there is no telling.
    pub raw: Option<f64>,
    /// How far that can be believed.
    pub quality: Quality,
    /// Why not further.
    pub why: Option<String>,
}

impl Seen {
    /// It is so.
    pub fn good(raw: f64) -> Self {
        Self { raw: Some(raw), quality: Quality::Good, why: None }
    }

    /// There is no telling.
    pub fn bad(why: impl Into<String>) -> Self {
        Self { raw: None, quality: Quality::Bad, why: Some(why.into()) }
    }
}

/// The language of pins: one for all machines whose pins are moved by one carrier.
#[derive(Debug)]
pub struct Gpio {
    machines: Vec<Machine>,
}

impl Gpio {
    /// For these machines, whose places are their indices here.
    pub fn new(machines: &[Machine]) -> Self {
        Self { machines: machines.to_vec() }
    }

    /// What is told of a tag that is seen like this; `None`: it is no pin.
    pub fn told(&self, place: Place, at: Instant, seen: &Seen) -> Option<Reading> {
        let (tag, pin) = self.tag(place)?;
        let (value, quality, odd) = match seen.raw {
            Some(raw) => meant(tag, pin, raw),
            None => (None, Quality::Bad, None),
        };
        let (quality, why) = (quality.max(seen.quality), seen.why.clone().or(odd));
        Some(Reading { place, value, quality, at, why })
    }

    fn tag(&self, place: Place) -> Option<(&Tag, &Pin)> {
        let tag = self.machines.get(place.machine)?.tags.get(place.tag)?;
        match &tag.source {
            Source::Pin(pin) => Some((tag, pin)),
            _ => None,
        }
    }
}

/// Every line that the machines' tags use.
pub fn uses(machines: &[Machine]) -> Vec<Use> {
    let mut uses = Vec::new();
    for (machine, declared) in machines.iter().enumerate() {
        for (number, tag) in declared.tags.iter().enumerate() {
            let Source::Pin(pin) = &tag.source else { continue };
            uses.push(Use {
                place: Place { machine, tag: number },
                name: format!("{}.{}", declared.id, tag.name),
                pin: pin.clone(),
                safe: safe(tag, pin),
            });
        }
    }
    uses
}

/// Off, where nothing that can be driven is declared.
fn safe(tag: &Tag, pin: &Pin) -> f64 {
    let declared = tag.safe.as_ref().map(|value| driven(tag, pin, value));
    declared.and_then(Result::ok).unwrap_or(0.0)
}

/// The share of the time that an output is on for it to have this value.
fn driven(tag: &Tag, pin: &Pin, value: &Value) -> Result<f64, Refusal> {
    match pin.mode {
        PinMode::Out => Ok(f64::from(u8::from(meaning::raw_flag(tag, value)?))),
        PinMode::Pwm => match meaning::raw(tag, value)? {
            share if (0.0..=1.0).contains(&share) => Ok(share),
            _ => Err(Refusal::BadCommand(format!("`{value}` is not a share from 0 to 1"))),
        },
        PinMode::In | PinMode::Count | PinMode::Frequency => {
            Err(Refusal::BadCommand("an input cannot be driven".into()))
        }
    }
}

/// `pulse 250ms` or `pulse 2 s`; `None`: it is not about pulses.
fn pulse(value: &Value) -> Option<Result<Duration, Refusal>> {
    let Value::Text(text) = value else { return None };
    let said = text.trim().strip_prefix("pulse")?.trim();
    let read = || {
        let (number, unit) = match said.strip_suffix("ms") {
            Some(number) => (number, 1_000.0),
            None => (said.strip_suffix('s')?, 1.0),
        };
        let seconds = number.trim().parse::<f64>().ok()? / unit;
        let length = Duration::try_from_secs_f64(seconds).ok()?;
        (Duration::from_millis(1)..=PULSE_MAX).contains(&length).then_some(length)
    };
    Some(read().ok_or_else(|| {
        let most = PULSE_MAX.as_secs();
        Refusal::BadCommand(format!("`{text}` is not a pulse of 1 ms to {most} s: `pulse 250ms`"))
    }))
}

fn meant(tag: &Tag, pin: &Pin, raw: f64) -> Meaning {
    match pin.mode {
        PinMode::In | PinMode::Out => meaning::flag(tag, raw != 0.0),
        PinMode::Count | PinMode::Frequency | PinMode::Pwm => meaning::number(tag, raw),
    }
}

impl Dialect for Gpio {
    type Request = Request;
    type Answer = Answer;

    fn drives_outputs(&self) -> bool {
        true
    }

    fn polls(&self) -> Vec<Poll<Request>> {
        let mut looks: BTreeMap<(usize, u64), Vec<Place>> = BTreeMap::new();
        for (machine, declared) in self.machines.iter().enumerate() {
            for (tag, it) in declared.tags.iter().enumerate() {
                looks.entry((machine, it.period_ms)).or_default().push(Place { machine, tag });
            }
        }
        let poll = |((machine, period_ms), places)| Poll {
            machine,
            period: Duration::from_millis(period_ms),
            request: Request::Look(places),
        };
        looks.into_iter().map(poll).collect()
    }

    fn read(&self, at: Instant, _: &Request, answer: &Answer, out: &mut Vec<Reading>) {
        for (place, seen) in answer {
            out.extend(self.told(*place, at, seen));
        }
    }

    fn write(&self, place: Place, value: &Value) -> Result<Write<Request>, Refusal> {
        let (tag, pin) = self.tag(place).ok_or(Refusal::Unsupported("set a tag that is no pin"))?;
        if let Some(length) = pulse(value) {
            let length = length?;
            if pin.mode != PinMode::Out {
                return Err(Refusal::BadCommand("only an output can be pulsed".into()));
            }
            return Ok(Write {
                requests: vec![Request::Pulse(place, length)],
                // It may be over before anybody has looked.
                verify: None,
                expected: Value::Flag(true),
                repeatable: false,
            });
        }
        let share = driven(tag, pin, value)?;
        let (expected, ..) = meant(tag, pin, share);
        Ok(Write {
            requests: vec![Request::Set(place, share)],
            verify: Some(Request::Look(vec![place])),
            expected: expected.unwrap_or_else(|| value.clone()),
            repeatable: true,
        })
    }

    fn places(&self, request: &Request) -> Vec<Place> {
        match request {
            Request::Look(places) => places.clone(),
            Request::Set(place, _) | Request::Pulse(place, _) => vec![*place],
        }
    }

    fn cost(&self, _: &Request) -> Duration {
        COST
    }

    fn halves(&self, request: &Request) -> Option<[Request; 2]> {
        let Request::Look(places) = request else { return None };
        let (one, other) = places.split_at(places.len() / 2);
        let look = |it: &[Place]| Request::Look(it.to_vec());
        (!one.is_empty()).then(|| [look(one), look(other)])
    }
}

/// The line as people write it.
pub fn spelled(line: &Line) -> String {
    format!("{}/{}", line.chip, line.offset)
}
