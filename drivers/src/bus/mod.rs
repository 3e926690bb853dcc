//! Buses: devices that share a wire, are read again and again, and are told single values.
//!
//! ```text
//!  tags --Dialect::polls--> [ schedule ] --request--> Carrier --> wire
//!  readings <--Dialect::read-- answer <-------------- Carrier <-- wire
//! ```
//!
//! A [`Dialect`] is pure: it knows which requests read the tags of its machines, and what answers
//! mean. A [`Carrier`] performs one request at a time and knows nothing of tags. One task of the
//! house owns both, so that a bus has one voice; what comes next on it is decided in one place
//! for every kind of bus.
//!
//! A stop waits for nobody: the request that is under way is called back (see [`Errand`]), and the
//! stop goes as soon as the wire permits it.
//!
//! Invariant: a value is attributed to a tag only by the dialect that made the request, from the
//! answer to that request. Where an answer might belong to another request, there is none.

pub mod admission;
pub mod meaning;
pub mod schedule;

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

use headstock_config::explain::Explain;
use headstock_config::point::{Quality, Value};

use crate::Refusal;
use crate::link::OpenError;

/// A tag on a bus: the machine's place among those on the bus, and the tag's among its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Index of the machine on this bus.
    pub machine: usize,
    /// Index into `Machine::tags`.
    pub tag: usize,
}

/// What a device says about one tag.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// Which tag.
    pub place: Place,
    /// What it is now; `None` if there is no telling.
    pub value: Option<Value>,
    /// How far that can be believed.
    pub quality: Quality,
    /// When it was so: the arrival of the answer, or the moment of an edge.
    pub at: Instant,
    /// Why the quality is not good, for people.
    pub why: Option<String>,
}

/// A request that is made again and again.
#[derive(Clone, Debug, PartialEq)]
pub struct Poll<R> {
    /// Index of the machine that it is made to.
    pub machine: usize,
    /// How often.
    pub period: Duration,
    /// The request.
    pub request: R,
}

/// How a value gets into a device.
#[derive(Clone, Debug, PartialEq)]
pub struct Write<R> {
    /// What is sent, in order.
    pub requests: Vec<R>,
    /// What reads it back, where that is possible; [`Dialect::read`] then tells what is there.
    pub verify: Option<R>,
    /// What must be read back, as [`Dialect::read`] tells it.
    pub expected: Value,
    /// The same write may be sent again when its answer was lost: it sets, it does not toggle.
    pub repeatable: bool,
}

/// A way round what a device does not know.
#[derive(Clone, Debug, PartialEq)]
pub enum Detour<R> {
    /// This must be read first.
    Read(R),
    /// This is sent in its place.
    Send(R),
}

/// The language of one kind of bus.
pub trait Dialect: Send {
    /// One thing asked of one device.
    type Request: Clone + Debug + PartialEq + Send;
    /// What came back.
    type Answer: Debug + Send;

    /// The requests that together read every tag of every machine on the bus.
    fn polls(&self) -> Vec<Poll<Self::Request>>;

    /// What an answer says about the tags that the request asks for.
    fn read(
        &self,
        at: Instant,
        request: &Self::Request,
        answer: &Self::Answer,
        out: &mut Vec<Reading>,
    );

    /// How this value gets into this tag. Refuses what does not fit or lies outside its range.
    fn write(&self, place: Place, value: &Value) -> Result<Write<Self::Request>, Refusal>;

    /// The tags that a request reads, so that they can be told bad when it fails.
    fn places(&self, request: &Self::Request) -> Vec<Place>;

    /// How long the bus is busy with a request, device's thinking included.
    fn cost(&self, request: &Self::Request) -> Duration;

    /// Two requests that together ask for the same, for one that the device will not answer
    /// because of something in it; `None` if it cannot be halved.
    fn halves(&self, request: &Self::Request) -> Option<[Self::Request; 2]>;

    /// Another way to the same end, after the device has refused `refused` in the course of a
    /// write, with this number of its own. `read` is the answer to a [`Detour::Read`] of before.
    fn instead(
        &self,
        refused: &Self::Request,
        number: u8,
        read: Option<&Self::Answer>,
    ) -> Option<Detour<Self::Request>> {
        let (_, _, _) = (refused, number, read);
        None
    }

    /// The house itself drives the outputs: they take their safe state when it meets them and when
    /// it closes. Other devices keep what they were told, whoever comes and goes.
    fn drives_outputs(&self) -> bool {
        false
    }

    /// What tells the machine that the house is alive, for the `count`th time, and how often it
    /// is sent; `None`: the machine wants no such thing.
    fn heartbeat(&self, machine: usize, count: u64) -> Option<(Duration, Self::Request)> {
        let (_, _) = (machine, count);
        None
    }
}

/// How much of a hurry a request is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Haste {
    /// None: whatever may still come is waited for.
    #[default]
    Turn,
    /// A stop is confirmed by it: what other devices may still say is not waited for.
    Confirms,
    /// It stops: nothing is waited for but the silence that the wire and the device need.
    Stops,
}

/// What goes with a request on its way. By default it is in no hurry, is never called back, and may
/// be sent whenever its turn comes.
#[derive(Default)]
pub struct Errand<'a> {
    /// How much of a hurry it is in.
    pub haste: Haste,
    /// Comes when a stop waits. Then the request is given up with [`Fault::GaveWay`]: at once if it
    /// has not been sent; else as soon as nothing has come for so long that nothing is likely to.
    pub recall: Option<Pin<&'a mut (dyn Future<Output = ()> + 'a)>>,
    /// Asked when everything has been waited for and the first byte would leave: whether it still
    /// may. If not, nothing is sent: [`Fault::Forbidden`].
    pub may: Option<&'a dyn Fn() -> bool>,
}

impl Errand<'_> {
    /// In this hurry, and nothing else.
    pub fn of(haste: Haste) -> Self {
        Self { haste, ..Self::default() }
    }

    /// Whether it may be sent now.
    pub fn may(&self) -> Result<(), Fault> {
        if self.may.is_none_or(|may| may()) { Ok(()) } else { Err(Fault::Forbidden) }
    }
}

/// Carries requests to a bus and answers back. Opens nothing before it is told to.
pub trait Carrier<D: Dialect> {
    /// Opens the bus. Nothing is switched by it, but for outputs taking their safe state.
    fn open(&mut self) -> impl Future<Output = Result<(), OpenError>>;

    /// Performs a request. After a fault other than [`Fault::Refused`] whatever may still come
    /// has been waited out or cut off: it will not be taken for the answer to a later request.
    /// May be dropped halfway; the next call then does the same.
    fn perform(
        &mut self,
        machine: usize,
        request: &D::Request,
        errand: Errand<'_>,
    ) -> impl Future<Output = Result<D::Answer, Fault>>;

    /// Whether anything of the latest request has left: a fault may come before.
    fn sent(&self) -> bool {
        true
    }

    /// What devices say without being asked: edges of pins. Never comes back where there is no
    /// such thing. May be dropped halfway and loses nothing.
    fn unasked(&mut self) -> impl Future<Output = Result<Vec<Reading>, Fault>>;

    /// Leaves the bus: outputs go to their safe state where the house drives them.
    fn close(&mut self) -> impl Future<Output = ()>;
}

/// Why a request has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Nothing came in time.
    #[error("no answer within {0} ms")]
    Silence(u64),
    /// What came is not an answer to this: wrong checksum, device or function.
    #[error("not an answer to what was asked: {0}")]
    Garbled(String),
    /// The device answered that it will not; it is alive.
    #[error("the device refused: {means} ({number})")]
    Refused {
        /// The device's own number for it.
        number: u8,
        /// What that means.
        means: &'static str,
        /// Asking again later may help.
        later: bool,
    },
    /// Somebody on the way answered that the device does not: a gateway. The link is fine.
    #[error("{0}")]
    Away(&'static str),
    /// Nothing is there at its address: the bus itself has said so.
    #[error("nothing answers at {0}")]
    Absent(String),
    /// Something else is there, or it has lost its settings.
    #[error("not the device that is declared: {0}")]
    Unlike(String),
    /// The link is gone.
    #[error("the link is lost: {0}")]
    Lost(String),
    /// It was called back for a stop; this says nothing of the device.
    #[error("it gave way to a stop")]
    GaveWay {
        /// It had been sent: the device may have heard it.
        sent: bool,
    },
    /// It was not sent, since it may not be any more.
    #[error("a rule stands against it")]
    Forbidden,
}

impl Explain for Fault {
    fn code(&self) -> &'static str {
        match self {
            Self::Silence(_) => "bus.silence",
            Self::Garbled(_) => "bus.garbled",
            Self::Refused { .. } => "bus.refused",
            Self::Away(_) => "bus.away",
            Self::Absent(_) => "bus.absent",
            Self::Unlike(_) => "bus.unlike",
            Self::Lost(_) => "bus.lost",
            Self::GaveWay { .. } => "bus.gave_way",
            Self::Forbidden => "bus.forbidden",
        }
    }

    fn means(&self) -> String {
        match self {
            Self::Refused { .. } => "the device is there and will not do this".into(),
            Self::Lost(_) => "every device on this bus is out of reach; it is opened again".into(),
            Self::GaveWay { .. } => "it is made again when the stop has been sent".into(),
            Self::Forbidden => "nothing was sent".into(),
            _ => "its points are bad until it answers; other devices on the bus go on".into(),
        }
    }

    fn remedy(&self) -> String {
        match self {
            Self::Silence(_) | Self::Away(_) => {
                "look at power, wiring, unit number, baud rate and parity".into()
            }
            Self::Garbled(_) => {
                "look at termination, shielding, and for two devices of one number".into()
            }
            Self::Refused { .. } => "compare the tags with the device's manual".into(),
            Self::Absent(_) => {
                "look at power, wiring and address; `headstock doctor` lists what answers".into()
            }
            Self::Unlike(_) => "compare what is declared with what is written on the part".into(),
            Self::Lost(_) => "look at the adapter or the network".into(),
            Self::GaveWay { .. } => "wait for the stop, then ask again".into(),
            Self::Forbidden => "see `headstock rules` for what stands against it".into(),
        }
    }
}
