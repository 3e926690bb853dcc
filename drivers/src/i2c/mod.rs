//! Chips on an I2C bus: which channels they have, and what their registers mean.
//!
//! ```text
//!  tags --Dialect--> Measure, Set --> Carrier (link/i2c) --begin--> chip --embedded-hal--> bus
//!  readings <-- Dialect::read <-- Answer <-- Carrier <--finish-- chip
//! ```
//!
//! A [`Chip`] is written against `embedded_hal::i2c::I2c` and knows no bus. It measures in two
//! steps: [`Chip::begin`] starts it, [`Chip::finish`] fetches what came of it. In between nobody
//! holds the bus and nothing blocks: whoever carries the request may leave it there for something
//! urgent, and begin anew afterwards.
//!
//! Invariants: a chip is asked who it is before it is believed, and asked again after every fault;
//! an expander that has lost its settings is never taken for one that has not; no number is told
//! that is not finite, or that the chip says is not valid.

pub mod chips;
mod kinds;
pub mod sim;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use embedded_hal::i2c::{ErrorKind, I2c, NoAcknowledgeSource};
use headstock_config::chip;
use headstock_config::machine::Machine;
use headstock_config::point::{Quality, Value};
use headstock_config::tag::{Source, Tag};

pub use self::kinds::{KINDS, Kind, find};
use crate::Refusal;
use crate::bus::meaning::{self, Meaning};
use crate::bus::{Dialect, Fault, Place, Poll, Reading, Write};

/// A bus, as chips see it.
pub type Wire<'a> = dyn I2c<Error = WireError> + 'a;

/// Nine bits of each byte at 100 kHz, which is what buses run at unless somebody changes it.
const BYTE: Duration = Duration::from_micros(90);

/// What went wrong on the wire.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Nobody has said that they are there.
    #[error("nobody answers")]
    Nack,
    /// Something holds a line of the bus down.
    #[error("the bus is held down: a chip without power, or a short circuit")]
    Stuck,
    /// The bus is gone.
    #[error("the bus is gone: {0}")]
    Gone(String),
    /// Anything else that the system said.
    #[error("{0}")]
    Other(String),
}

impl embedded_hal::i2c::Error for WireError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Nack => ErrorKind::NoAcknowledge(NoAcknowledgeSource::Unknown),
            Self::Stuck => ErrorKind::Bus,
            Self::Gone(_) | Self::Other(_) => ErrorKind::Other,
        }
    }
}

/// Why a chip has nothing to tell.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// The wire.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// It is another chip.
    #[error("{0}")]
    Stranger(String),
    /// It has been switched off and on: what was set in it is gone.
    #[error("the chip has lost its settings: its power was away")]
    Reset,
    /// A checksum is wrong.
    #[error("a checksum is wrong")]
    Checksum,
    /// What it says cannot be.
    #[error("{0}")]
    Nonsense(&'static str),
}

impl Trouble {
    /// The same, for the bus; `address` is whom it was asked of, `patience` how long.
    pub fn fault(&self, address: u8, patience: Duration) -> Fault {
        let whole = |patience: Duration| u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
        match self {
            Self::Wire(WireError::Nack) => Fault::Absent(format!("{address:#04x}")),
            Self::Wire(WireError::Gone(why)) => Fault::Lost(why.clone()),
            Self::Wire(WireError::Stuck) => Fault::Silence(whole(patience)),
            Self::Wire(WireError::Other(_)) | Self::Checksum | Self::Nonsense(_) => {
                Fault::Garbled(self.to_string())
            }
            Self::Stranger(_) | Self::Reset => Fault::Unlike(self.to_string()),
        }
    }
}

/// How far a measurement has come.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Come back in so long.
    Later(Duration),
    /// What each channel says, or why it says nothing.
    Done(Vec<(u8, Result<f64, &'static str>)>),
}

/// One chip.
pub trait Chip: Send {
    /// Asks who it is and sets it up; outputs take their safe state before they drive anything.
    fn set_up(&mut self, wire: &mut Wire<'_>) -> Result<(), Trouble>;

    /// Starts to measure these channels; how long it will take. What was begun before is
    /// forgotten.
    fn begin(&mut self, wire: &mut Wire<'_>, channels: &[u8]) -> Result<Duration, Trouble>;

    /// What was measured.
    fn finish(&mut self, wire: &mut Wire<'_>, channels: &[u8]) -> Result<Step, Trouble>;

    /// Drives an output.
    fn set(&mut self, wire: &mut Wire<'_>, channel: u8, raw: f64) -> Result<(), Trouble> {
        let (_, _, _) = (wire, channel, raw);
        Err(Trouble::Nonsense("this chip has no outputs"))
    }
}

/// How a chip is used.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Setup {
    /// Its address.
    pub address: u8,
    /// The channels that it drives, and their safe states.
    pub outputs: Vec<(u8, f64)>,
}

/// Something asked of a machine's chip.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Index of the machine.
    pub machine: usize,
    /// What.
    pub ask: Ask,
}

/// What is asked of a chip; channels are indices into its own.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    /// How these channels are.
    Measure(Vec<u8>),
    /// Drive an output.
    Set(u8, f64),
}

/// What a chip says about its channels.
pub type Answer = Vec<(u8, Result<f64, &'static str>)>;

/// The language of an I2C bus, for the machines on it.
#[derive(Debug)]
pub struct Chips {
    machines: Vec<Station>,
}

/// A machine: a chip at its address.
#[derive(Debug)]
struct Station {
    kind: &'static Kind,
    tags: Vec<Tag>,
    /// The channel of each tag.
    channels: Vec<u8>,
}

/// A tag's channel: its index among those of the chip, and whether it is driven.
fn channel(chip: &chip::Chip, tag: &Tag) -> Option<(u8, bool)> {
    let Source::Channel { channel, output } = &tag.source else { return None };
    let index = chip.channels.iter().position(|it| it.name == channel)?;
    Some((u8::try_from(index).ok()?, *output))
}

/// What a machine declares of its chip; `None`: it declares no chip that there is a driver for.
pub fn declared(machine: &Machine) -> Option<(&'static Kind, Setup)> {
    let kind = find(machine.bus.chip.as_deref()?)?;
    let mut outputs = Vec::new();
    for tag in &machine.tags {
        let Some((index, true)) = channel(kind.chip, tag) else { continue };
        let safe = tag.safe.as_ref().map(|value| driven(kind, tag, value));
        outputs.push((index, safe.and_then(Result::ok).unwrap_or(0.0)));
    }
    Some((kind, Setup { address: machine.bus.address?, outputs }))
}

/// The raw number that an output is set to for its tag to have this value.
fn driven(kind: &Kind, tag: &Tag, value: &Value) -> Result<f64, Refusal> {
    if kind.pins {
        return Ok(f64::from(u8::from(meaning::raw_flag(tag, value)?)));
    }
    let raw = meaning::raw(tag, value)?.round();
    if (0.0..=kind.most).contains(&raw) {
        return Ok(raw);
    }
    Err(Refusal::BadCommand(format!("`{value}` is not within 0 to {}", kind.most)))
}

impl Chips {
    /// For these machines, whose places are their indices here.
    pub fn new(machines: &[Machine]) -> Self {
        let station = |machine: &Machine| {
            let kind = find(machine.bus.chip.as_deref().unwrap_or_default()).unwrap_or(&KINDS[0]);
            let number = |tag: &Tag| channel(kind.chip, tag).map_or(u8::MAX, |(index, _)| index);
            let channels = machine.tags.iter().map(number).collect();
            Station { kind, tags: machine.tags.clone(), channels }
        };
        Self { machines: machines.iter().map(station).collect() }
    }

    fn station(&self, machine: usize) -> Option<&Station> {
        self.machines.get(machine)
    }
}

impl Station {
    fn means(&self, tag: &Tag, raw: f64) -> Meaning {
        if self.kind.pins { meaning::flag(tag, raw != 0.0) } else { meaning::number(tag, raw) }
    }

    /// The tags that are found in this channel.
    fn tags(&self, channel: u8) -> impl Iterator<Item = (usize, &Tag)> {
        let here = move |(_, it): &(usize, &u8)| **it == channel;
        self.channels.iter().enumerate().filter(here).map(|(tag, _)| (tag, &self.tags[tag]))
    }
}

impl Dialect for Chips {
    type Request = Request;
    type Answer = Answer;

    fn drives_outputs(&self) -> bool {
        true
    }

    fn polls(&self) -> Vec<Poll<Request>> {
        let mut polls = Vec::new();
        for (machine, it) in self.machines.iter().enumerate() {
            let mut wanted: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
            for (tag, channel) in it.tags.iter().zip(&it.channels) {
                let channels = wanted.entry(tag.period_ms).or_default();
                if *channel != u8::MAX && !channels.contains(channel) {
                    channels.push(*channel);
                }
            }
            for (period_ms, channels) in wanted {
                let together = if it.kind.apart { 1 } else { usize::from(u8::MAX) };
                polls.extend(channels.chunks(together).map(|channels| Poll {
                    machine,
                    period: Duration::from_millis(period_ms),
                    request: Request { machine, ask: Ask::Measure(channels.to_vec()) },
                }));
            }
        }
        polls
    }

    fn read(&self, at: Instant, request: &Request, answer: &Answer, out: &mut Vec<Reading>) {
        let machine = request.machine;
        let Some(station) = self.station(machine) else { return };
        for (channel, said) in answer {
            for (number, tag) in station.tags(*channel) {
                let (value, quality, why) = match said {
                    Ok(raw) => station.means(tag, *raw),
                    Err(why) => (None, Quality::Bad, Some((*why).to_owned())),
                };
                let place = Place { machine, tag: number };
                out.push(Reading { place, value, quality, at, why });
            }
        }
    }

    fn write(&self, place: Place, value: &Value) -> Result<Write<Request>, Refusal> {
        let machine = place.machine;
        let known = self.station(machine).and_then(|it| Some((it, it.tags.get(place.tag)?)));
        let (station, tag) =
            known.ok_or(Refusal::Unsupported("set a tag that it does not have"))?;
        let Some((channel, true)) = channel(station.kind.chip, tag) else {
            return Err(Refusal::BadCommand("an input cannot be driven".into()));
        };
        let raw = driven(station.kind, tag, value)?;
        let (expected, ..) = station.means(tag, raw);
        let ask = |ask| Request { machine, ask };
        Ok(Write {
            requests: vec![ask(Ask::Set(channel, raw))],
            verify: station.kind.reads_back.then(|| ask(Ask::Measure(vec![channel]))),
            expected: expected.unwrap_or_else(|| value.clone()),
            repeatable: true,
        })
    }

    fn places(&self, request: &Request) -> Vec<Place> {
        let machine = request.machine;
        let Some(station) = self.station(machine) else { return Vec::new() };
        let channels = match &request.ask {
            Ask::Measure(channels) => channels.as_slice(),
            Ask::Set(channel, _) => std::slice::from_ref(channel),
        };
        let tags = channels.iter().flat_map(|channel| station.tags(*channel));
        tags.map(|(tag, _)| Place { machine, tag }).collect()
    }

    fn cost(&self, request: &Request) -> Duration {
        let Some(station) = self.station(request.machine) else { return BYTE };
        match request.ask {
            Ask::Measure(_) => station.kind.takes + BYTE * u32::from(station.kind.bytes),
            Ask::Set(..) => BYTE * 4,
        }
    }

    fn halves(&self, request: &Request) -> Option<[Request; 2]> {
        let Ask::Measure(channels) = &request.ask else { return None };
        let (one, other) = channels.split_at(channels.len() / 2);
        let machine = request.machine;
        let measure = |it: &[u8]| Request { machine, ask: Ask::Measure(it.to_vec()) };
        (!one.is_empty()).then(|| [measure(one), measure(other)])
    }
}
