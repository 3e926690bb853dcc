//! What comes next on a bus.
//!
//! ```text
//!  cuts, stops, safe --+
//!  signs of life ------+
//!  writes, read-backs -+--> next --> one request --> done --> readings, answers
//!  polls, by deadline -+
//!  probes of the dead -+
//! ```
//!
//! A stop interrupts whatever is under way and is not a stop itself ([`Schedule::pressed_at`]); what
//! gave way is made again, and counts against nobody. Anything else that is urgent comes after the
//! request that is under way, and none of those takes longer than the dialect allows. Polls are
//! released at fixed phases and go by the earliest deadline; fast and slow ones are one class, since
//! a deadline says which is urgent and a slow poll must not starve.
//!
//! Pure: time comes in as an argument, one request is out at a time, and what is to be told is
//! collected until [`Schedule::take`].
//!
//! Invariants: every ticket is answered exactly once; a reading comes only from the answer to a
//! request that asked for it; probes of devices that are offline take at most a twentieth of the
//! bus while others are alive; what was asked for before a stop is not sent after it.

mod answers;
mod beats;
mod cut;
mod job;
mod load;
mod press;
mod slot;
mod stops;
#[cfg(test)]
mod tests;
mod unit;
mod writes;

use std::time::{Duration, Instant};

use headstock_config::command::Stop;
use headstock_config::machine::{Machine, Mode};
use headstock_config::point::{Quality, Value};

use self::beats::Beat;
use self::job::{Class, Job, Step, same};
pub use self::load::{Load, Times};
use self::slot::Slot;
pub use self::stops::Stopped;
pub use self::unit::{Counts, Health};
use self::unit::{Rest, Unit};
use super::{Dialect, Fault, Haste, Place, Reading};

/// A probe may take this share of the time that passes until the next one: a twentieth in all.
const PROBE_PAUSE: u32 = 19;

/// Who waits for a write. Given by whoever asks; means nothing here.
pub type Ticket = u64;

/// What has come of a write.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It was written and read back.
    Verified,
    /// It was written; it cannot be read back.
    Sent,
    /// The device refused.
    Rejected(Fault),
    /// The device did not answer.
    NoAnswer(Fault),
    /// It was written and could not be read back.
    Unread(Fault),
    /// It was written, and something else was read back.
    Mismatch {
        /// What should be there.
        expected: Value,
        /// What is.
        found: Option<Value>,
    },
    /// The bus was too busy to send it in time; nothing was sent.
    Expired,
    /// Another value for the same tag came before it was sent.
    Superseded,
    /// A stop came; it is not sent any more.
    Overtaken,
    /// A rule stood against it when it would have been sent.
    Forbidden {
        /// It had been sent before, and whether it was done is not known.
        begun: bool,
    },
    /// The device went offline; it is not sent any more.
    Offline {
        /// Why.
        why: String,
        /// It had been sent, and whether it was done is not known.
        begun: bool,
    },
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Verified => out.write_str("written and read back"),
            Self::Sent => out.write_str("written; it cannot be read back"),
            Self::Rejected(fault) => write!(out, "{fault}"),
            Self::NoAnswer(fault) => write!(out, "{fault}; whether it was written is not known"),
            Self::Unread(fault) => {
                write!(out, "it was written and could not be read back: {fault}")
            }
            Self::Mismatch { expected, found: Some(found) } => {
                write!(out, "`{expected}` was written and `{found}` was read back")
            }
            Self::Mismatch { expected, found: None } => {
                write!(out, "`{expected}` was written and nothing was read back")
            }
            Self::Expired => out.write_str("the bus was too busy to send it in time"),
            Self::Superseded => out.write_str("another value was set before this one was sent"),
            Self::Overtaken => out.write_str("the machine was stopped before this was sent"),
            Self::Forbidden { begun: false } => {
                out.write_str("a rule stood against it when its turn came")
            }
            Self::Forbidden { begun: true } => out.write_str(
                "a rule stood against sending it again, and whether it was written is not known",
            ),
            Self::Offline { why, begun: false } => write!(out, "the device went offline: {why}"),
            Self::Offline { why, begun: true } => {
                write!(
                    out,
                    "the device went offline, and whether it was written is not known: {why}"
                )
            }
        }
    }
}

/// What is to be told.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// A tag's value.
    Reading(Reading),
    /// What has come of a write.
    Answer(Ticket, Outcome),
    /// A device answers, and did not before.
    Came(usize),
    /// A device does not answer any more, and why.
    Went(usize, String),
    /// A stop is confirmed: the machine rests.
    AtRest(usize, Stop),
    /// A stop was given up, and why.
    NotStopped(usize, String),
    /// What has come of a tag that cuts a power.
    Cut(Place, Outcome),
    /// An output is not known to be in its safe state, and why.
    NotSafe(usize, String),
    /// A device does not take the house's signs of life, and why.
    NotWatched(usize, String),
}

/// What is to be done now.
#[derive(Clone, Debug, PartialEq)]
pub enum Next<R> {
    /// This request, to this machine.
    Do {
        /// Index of the machine.
        machine: usize,
        /// What is asked.
        request: R,
        /// How much of a hurry it is in; any at all: it is part of a stop.
        haste: Haste,
        /// Whose value it sends. Rules are asked once more before it leaves.
        tickets: Vec<Ticket>,
        /// That value has been sent before.
        begun: bool,
    },
    /// Nothing before this time; `None`: nothing until something is asked for.
    Wait(Option<Instant>),
}

/// The part of the schedule that a request was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Poll(usize),
    Job(u64),
    Beat,
}

#[derive(Debug)]
struct Doing<R> {
    began: Instant,
    machine: usize,
    what: What,
    request: R,
    haste: Haste,
    /// Its job had been on the wire before.
    begun: bool,
}

/// What is known of a bus at a moment, for people.
#[derive(Clone, Debug)]
pub struct Look {
    /// Share of the last ten seconds in which the bus was busy, 0 to 1.
    pub utilisation: f64,
    /// Polls that were left out because they were late.
    pub overruns: u64,
    /// By machine.
    pub devices: Vec<DeviceLook>,
}

/// The same for one device.
#[derive(Clone, Copy, Debug)]
pub struct DeviceLook {
    /// How it is.
    pub health: Health,
    /// What has come of requests to it.
    pub counts: Counts,
    /// Polls of it that were left out because they were late.
    pub overruns: u64,
    /// Latest that a poll of it began after its time.
    pub latest: Duration,
    /// Requests that read its tags.
    pub polls: usize,
}

/// The order of things on a bus.
pub struct Schedule<D: Dialect> {
    dialect: D,
    machines: Vec<Machine>,
    units: Vec<Unit>,
    slots: Vec<Slot<D::Request>>,
    /// In the order in which they were asked for.
    jobs: Vec<Job<D::Request>>,
    jobs_made: u64,
    doing: Option<Doing<D::Request>>,
    /// No probe before this, so that the living have the bus.
    probe_after: Instant,
    /// The bus is open.
    link: bool,
    /// Outputs that the house drives take their safe states and nothing else is begun.
    closing: bool,
    /// The house does its work.
    alive: bool,
    load: Load,
    out: Vec<Said>,
}

impl<D: Dialect> Schedule<D> {
    /// The schedule of a bus that is not open yet. `machines` as the dialect knows them.
    pub fn new(now: Instant, dialect: D, machines: &[Machine]) -> Self {
        let polls = dialect.polls().into_iter().enumerate();
        let slots = polls
            .map(|(index, poll)| {
                let cost = dialect.cost(&poll.request);
                let tells_rest = tells_rest(&dialect, machines, &poll.request);
                Slot { tells_rest, ..Slot::new(now, index, poll, cost) }
            })
            .collect();
        let unit = |(index, machine): (usize, &Machine)| {
            let rests = machine.tags.iter().enumerate().filter_map(|(tag, declared)| {
                declared.rest_below.map(|below| Rest { tag, below, last: None })
            });
            let beat = dialect.heartbeat(index, 0).map(|(period, _)| Beat::new(now, period));
            Unit::new(now, rests.collect(), beat)
        };
        let units = machines.iter().enumerate().map(unit).collect();
        Self {
            units,
            slots,
            dialect,
            machines: machines.to_vec(),
            jobs: Vec::new(),
            jobs_made: 0,
            doing: None,
            probe_after: now,
            link: false,
            closing: false,
            alive: true,
            load: Load::new(now),
            out: Vec::new(),
        }
    }

    /// What is to be told since the last call, in order.
    pub fn take(&mut self) -> Vec<Said> {
        std::mem::take(&mut self.out)
    }

    /// What a machine shows as.
    pub fn mode(&self, machine: usize) -> Mode {
        self.units[machine].mode()
    }

    /// How the bus is.
    pub fn look(&mut self, now: Instant) -> Look {
        let device = |(index, unit): (usize, &Unit)| {
            let slots = || self.slots.iter().filter(|slot| slot.machine == index);
            DeviceLook {
                health: unit.health,
                counts: unit.counts,
                overruns: slots().map(|slot| slot.overruns).sum(),
                latest: slots().map(|slot| slot.latest).max().unwrap_or_default(),
                polls: slots().count(),
            }
        };
        let devices: Vec<DeviceLook> = self.units.iter().enumerate().map(device).collect();
        let overruns = devices.iter().map(|device| device.overruns).sum();
        Look { utilisation: self.load.utilisation(now), overruns, devices }
    }

    /// Time that the bus has been busy, and time that has passed.
    pub fn busy(&self, now: Instant) -> (Duration, Duration) {
        self.load.ever(now)
    }

    /// The bus has been opened: everything is read.
    pub fn opened(&mut self, now: Instant) {
        self.doing = None;
        self.link = true;
        self.probe_after = now;
        self.units.iter_mut().for_each(Unit::opened);
        self.slots.iter_mut().for_each(|slot| slot.at_once(now));
    }

    /// The link is gone, or could not be opened.
    pub fn lost(&mut self, now: Instant, why: &str) {
        self.doing = None;
        self.link = false;
        for machine in 0..self.units.len() {
            if self.units[machine].lost(why) {
                self.gone(now, machine);
            }
        }
    }

    /// What comes next. Nothing may be under way.
    pub fn next(&mut self, now: Instant) -> Next<D::Request> {
        debug_assert!(self.doing.is_none(), "one request at a time");
        self.expire(now);
        match self.choose(now) {
            Some((machine, what, request)) => self.begin(now, machine, what, request),
            None => Next::Wait(self.wake()),
        }
    }

    fn begin(
        &mut self,
        now: Instant,
        machine: usize,
        what: What,
        request: D::Request,
    ) -> Next<D::Request> {
        let (mut haste, mut tickets, mut begun) = (Haste::Turn, Vec::new(), false);
        match what {
            What::Poll(index) => {
                let slot = &mut self.slots[index];
                if slot.urgent {
                    haste = Haste::Confirms;
                }
                slot.goes(now);
            }
            What::Job(id) => {
                if let Some(job) = self.job(id) {
                    (haste, tickets) = (job.haste(), job.judged());
                    begun = std::mem::replace(&mut job.begun, true);
                }
            }
            What::Beat => {
                if let Some(beat) = &mut self.units[machine].beat {
                    beat.goes(now);
                }
            }
        }
        let asked = request.clone();
        self.doing = Some(Doing { began: now, machine, what, request: asked, haste, begun });
        Next::Do { machine, request, haste, tickets, begun }
    }

    fn choose(&self, now: Instant) -> Option<(usize, What, D::Request)> {
        self.ready_job(now, |class| class != Class::Asked)
            .or_else(|| self.beat(now))
            .or_else(|| self.ready_job(now, |class| class == Class::Asked))
            .or_else(|| self.poll(now))
            .or_else(|| self.probe(now))
    }

    /// The poll with the earliest deadline among those that have been released.
    fn poll(&self, now: Instant) -> Option<(usize, What, D::Request)> {
        let released = self.slots.iter().enumerate();
        let released = released.filter(|(_, slot)| slot.due <= now && self.is_polled(slot));
        let (index, slot) = released.min_by_key(|(_, slot)| (!slot.urgent, slot.deadline()))?;
        Some((slot.machine, What::Poll(index), slot.request.clone()))
    }

    /// Asks a device that has fallen silent whether it is there.
    fn probe(&self, now: Instant) -> Option<(usize, What, D::Request)> {
        let due = self.units.iter().enumerate().filter(|(machine, _)| {
            self.probe_time(*machine).is_some_and(|at| at <= now) && !self.closing
        });
        let (machine, _) = due.min_by_key(|(_, unit)| unit.probe_at)?;
        let slots = self.slots.iter().enumerate().filter(|(_, slot)| slot.machine == machine);
        let (index, slot) = slots.min_by_key(|(_, slot)| slot.cost)?;
        Some((machine, What::Poll(index), slot.request.clone()))
    }

    /// When a device may be asked whether it is there; `None`: it is.
    fn probe_time(&self, machine: usize) -> Option<Instant> {
        let unit = &self.units[machine];
        match unit.health {
            // It is known why, and until when, it does not answer.
            _ if unit.dark => None,
            _ if self.held_back(machine) => None,
            Health::Suspect => Some(unit.probe_at),
            Health::Offline if self.link => Some(unit.probe_at.max(self.probe_after)),
            _ => None,
        }
    }

    /// When there may be something to do.
    fn wake(&self) -> Option<Instant> {
        let polls = self.slots.iter().filter(|slot| self.is_polled(slot));
        let polls = polls.map(|slot| slot.due);
        let probes = (0..self.units.len()).filter_map(|machine| self.probe_time(machine));
        let jobs = self.jobs.iter().flat_map(|job| {
            let begins = self.job_time(job);
            begins.into_iter().chain(self.expires(job))
        });
        polls.chain(probes.filter(|_| !self.closing)).chain(self.beats_at()).chain(jobs).min()
    }
}

/// Whether a request reads a tag that tells whether its machine rests.
fn tells_rest<D: Dialect>(dialect: &D, machines: &[Machine], request: &D::Request) -> bool {
    let declared = |place: &Place| machines.get(place.machine)?.tags.get(place.tag)?.rest_below;
    dialect.places(request).iter().any(|place| declared(place).is_some())
}
