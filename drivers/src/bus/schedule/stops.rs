//! Stops and safe states: what must be in a device before it counts as stopped.
//!
//! ```text
//!  stop --> values written --> read back --> tags tell of rest --> confirmed
//!              \ refused, unread, offline: again, up to a bound, then said so
//! ```
//!
//! Invariants: a weaker stop takes nothing back of a stronger one; a hold writes nothing to a
//! machine that has been stopped, as long as that stands; no machine is at rest before it has heard.

use std::time::{Duration, Instant};

use headstock_config::command::Stop;
use headstock_config::point::Value;
use headstock_config::tag::{Role, Tag};

use super::answers::REST_AGAIN;
use super::job::{Class, Job};
use super::unit::Stopping;
use super::{Health, Outcome, Place, Said, Schedule};
use crate::bus::Dialect;

/// A machine that has not come to rest by then is not going to by this stop.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a stop sets off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// There is nothing that it would write: the machine is as it is.
    AtOnce,
    /// It is the next thing to be sent.
    UnderWay,
    /// The device is out of reach; it is stopped first thing when it answers again.
    Offline,
}

impl<D: Dialect> Schedule<D> {
    /// Stops a machine: `hold` or `stop` values, ahead of everything. What was asked of it before
    /// is not sent any more. A stop takes nothing back of a stronger one, nor of one that stands.
    pub fn stop(&mut self, now: Instant, machine: usize, how: Stop) -> Stopped {
        let unit = &self.units[machine];
        let idle = unit.stopping.is_none();
        let weaker = unit.stopping.is_some_and(|it| strength(how) < strength(it.how));
        let stands = how == Stop::Hold && unit.stopped.is_some();
        let values = self.values(machine, |tag| match how {
            Stop::Hold => tag.hold.clone(),
            Stop::Stop | Stop::Abort => tag.stop.clone(),
        });
        if weaker || stands || values.is_empty() {
            self.overtake(machine, |job| job.class == Class::Asked);
            let nothing = values.is_empty() && idle;
            return if nothing { Stopped::AtOnce } else { self.reached(machine) };
        }
        // Where an output is yet to become safe and this says nothing of it, it still becomes so.
        let written = |place: Place| values.iter().any(|(it, _)| *it == place);
        let unsafe_yet = self.waits(machine, Class::Safe);
        self.overtake(machine, |job| match job.class {
            Class::Cut => false,
            Class::Safe => written(job.place),
            Class::Stop | Class::Asked => true,
        });
        if unsafe_yet {
            self.met(machine);
        }
        self.units[machine].stopped = None;
        let whole = self.put(now, machine, Class::Stop, values);
        self.units[machine].stopping = whole.then_some(Stopping { how, written: None });
        self.reached(machine)
    }

    /// How far the machine's stop is.
    fn reached(&self, machine: usize) -> Stopped {
        if self.units[machine].health == Health::Offline {
            return Stopped::Offline;
        }
        if self.stop_waits(machine) { Stopped::UnderWay } else { Stopped::AtOnce }
    }

    /// Whether something of a stop is yet to be sent, or read back.
    pub fn stop_waits(&self, machine: usize) -> bool {
        self.waits(machine, Class::Stop)
    }

    pub(super) fn waits(&self, machine: usize, class: Class) -> bool {
        self.jobs.iter().any(|job| job.class == class && job.place.machine == machine)
    }

    /// Nothing more is begun; outputs take their safe states, if anybody is there to hear it.
    pub fn close(&mut self, now: Instant) {
        self.closing = true;
        for machine in 0..self.units.len() {
            if self.units[machine].stopping.is_none() {
                self.overtake(machine, |job| job.class != Class::Cut);
            }
            if self.units[machine].reachable() {
                self.make_safe(now, machine);
            }
        }
    }

    /// Whether everything has been said that could be said to devices which are there.
    pub fn idle(&self) -> bool {
        let reached = |place: Place| self.units[place.machine].reachable();
        self.doing.is_none() && !self.jobs.iter().any(|job| reached(job.place))
    }

    /// Outputs that the house drives take their safe state. What other devices drive is their own
    /// business: they go on while the house starts anew.
    pub(super) fn make_safe(&mut self, now: Instant, machine: usize) {
        if !self.dialect.drives_outputs() || self.waits(machine, Class::Safe) {
            return;
        }
        let values = self.values(machine, |tag| tag.safe.clone());
        let whole = self.put(now, machine, Class::Safe, values);
        self.units[machine].missed = !whole;
        self.met(machine);
    }

    /// A value of a safe state has come to its end. Only when all of them are there need it not be
    /// brought about again when the device comes back.
    pub(super) fn met(&mut self, machine: usize) {
        let over = !self.waits(machine, Class::Safe);
        let unit = &mut self.units[machine];
        unit.met = over && !unit.missed;
    }

    /// An output is not known to be in its safe state.
    pub(super) fn not_safe(&mut self, place: Place, outcome: &Outcome) {
        let tag = &self.machines[place.machine].tags[place.tag].name;
        let why = format!("`{tag}`: {outcome}");
        self.units[place.machine].missed = true;
        self.out.push(Said::NotSafe(place.machine, why));
    }

    fn values(&self, machine: usize, of: impl Fn(&Tag) -> Option<Value>) -> Vec<(Place, Value)> {
        let tags = self.machines[machine].tags.iter().enumerate();
        tags.filter_map(|(tag, declared)| Some((Place { machine, tag }, of(declared)?))).collect()
    }

    /// Whether all of them can be written.
    fn put(
        &mut self,
        now: Instant,
        machine: usize,
        class: Class,
        values: Vec<(Place, Value)>,
    ) -> bool {
        let mut whole = true;
        for (place, value) in values {
            match self.dialect.write(place, &value) {
                Ok(plan) => {
                    self.jobs_made += 1;
                    self.jobs.push(Job::new(now, self.jobs_made, class, place, value, plan));
                }
                // Found when the configuration was read, unless it was not asked.
                Err(refusal) => {
                    let tag = &self.machines[machine].tags[place.tag].name;
                    let why = format!("`{tag}` cannot be set: {refusal}");
                    whole = false;
                    self.out.push(match class {
                        Class::Safe => Said::NotSafe(machine, why),
                        Class::Cut | Class::Stop | Class::Asked => Said::NotStopped(machine, why),
                    });
                }
            }
        }
        whole
    }

    /// What waits for this machine is given up, as far as it is `of` these.
    pub(super) fn overtake(&mut self, machine: usize, of: impl Fn(&Job<D::Request>) -> bool) {
        let jobs = std::mem::take(&mut self.jobs);
        let (over, kept): (Vec<_>, Vec<_>) =
            jobs.into_iter().partition(|job| job.place.machine == machine && of(job));
        self.jobs = kept;
        for job in over {
            self.answer(job.tickets, &Outcome::Overtaken);
        }
    }

    /// A value of a stop cannot be brought into the device.
    pub(super) fn not_stopped(&mut self, place: Place, outcome: &Outcome) {
        let tag = &self.machines[place.machine].tags[place.tag].name;
        let why = format!("`{tag}`: {outcome}");
        self.units[place.machine].stopping = None;
        self.out.push(Said::NotStopped(place.machine, why));
    }

    /// Whether a stop has come to its end. One that has not been heard of has not.
    pub(super) fn settle_one(&mut self, now: Instant, machine: usize) {
        let Some(mut stopping) = self.units[machine].stopping else { return };
        if self.units[machine].health == Health::Offline || self.stop_waits(machine) {
            return;
        }
        let first = stopping.written.is_none();
        let written = *stopping.written.get_or_insert(now);
        if first && stopping.how != Stop::Hold {
            self.units[machine].stopped = Some(self.stop_values(machine));
        }
        self.units[machine].stopping = Some(stopping);
        if self.units[machine].rests_since(written) {
            self.units[machine].stopping = None;
            self.out.push(Said::AtRest(machine, stopping.how));
            return;
        }
        if PATIENCE <= now.saturating_duration_since(written) {
            self.units[machine].stopping = None;
            let why = format!("it does not rest {} s after the stop", PATIENCE.as_secs());
            self.out.push(Said::NotStopped(machine, why));
            return;
        }
        let at = if written == now { now } else { now + REST_AGAIN };
        let slots = self.slots.iter_mut();
        for slot in slots.filter(|slot| slot.machine == machine && slot.tells_rest) {
            slot.urge(at);
        }
    }

    /// What is read back from a machine for as long as a stop stands, by tag.
    fn stop_values(&self, machine: usize) -> Vec<(usize, Value)> {
        // Lamps and buzzers go on showing how things are.
        let stop = |tag: &Tag| tag.stop.clone().filter(|_| !shows(tag));
        let expected = self.values(machine, stop).into_iter().filter_map(|(place, value)| {
            Some((place.tag, self.dialect.write(place, &value).ok()?.expected))
        });
        expected.collect()
    }
}

/// Whether a tag only shows how things are.
pub(super) fn shows(tag: &Tag) -> bool {
    tag.role().is_some_and(Role::signals)
}

/// A stop takes nothing back of one that is stronger.
fn strength(how: Stop) -> u8 {
    match how {
        Stop::Hold => 0,
        Stop::Stop => 1,
        Stop::Abort => 2,
    }
}
