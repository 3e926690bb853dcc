//! Stops and safe states: what must be in a device before it counts as stopped.
//!
//! ```text
//!  stop --> values written --> read back --> tags tell of rest --> confirmed
//!              \ refused, unread, offline: again, up to a bound, then said so
//! ```

use std::time::{Duration, Instant};

use headstock_config::command::Stop;
use headstock_config::point::Value;
use headstock_config::tag::Tag;

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
    /// is not sent any more.
    pub fn stop(&mut self, now: Instant, machine: usize, how: Stop) -> Stopped {
        self.overtake(machine);
        let value = |tag: &Tag| match how {
            Stop::Hold => tag.hold.clone(),
            Stop::Stop | Stop::Abort => tag.stop.clone(),
        };
        let values = self.values(machine, value);
        if values.is_empty() {
            self.units[machine].stopping = None;
            return Stopped::AtOnce;
        }
        let offline = self.units[machine].health == Health::Offline;
        if offline && how == Stop::Hold {
            return Stopped::Offline;
        }
        self.units[machine].stopping = Some(Stopping { how, since: now, written: None });
        self.put(now, machine, Class::Stop, values);
        if offline { Stopped::Offline } else { Stopped::UnderWay }
    }

    /// Nothing more is begun; outputs take their safe states, if anybody is there to hear it.
    pub fn close(&mut self, now: Instant) {
        self.closing = true;
        for machine in 0..self.units.len() {
            if self.units[machine].stopping.is_none() {
                self.overtake(machine);
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

    /// Outputs for which one is declared take their safe state.
    pub(super) fn make_safe(&mut self, now: Instant, machine: usize) {
        let values = self.values(machine, |tag| tag.safe.clone());
        self.put(now, machine, Class::Safe, values);
    }

    fn values(&self, machine: usize, of: impl Fn(&Tag) -> Option<Value>) -> Vec<(Place, Value)> {
        let tags = self.machines[machine].tags.iter().enumerate();
        tags.filter_map(|(tag, declared)| Some((Place { machine, tag }, of(declared)?))).collect()
    }

    fn put(&mut self, now: Instant, machine: usize, class: Class, values: Vec<(Place, Value)>) {
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
                    self.out.push(Said::NotStopped(machine, why));
                }
            }
        }
    }

    /// Everything that waits for this machine is given up.
    fn overtake(&mut self, machine: usize) {
        let jobs = std::mem::take(&mut self.jobs);
        let (over, kept): (Vec<_>, Vec<_>) =
            jobs.into_iter().partition(|job| job.place.machine == machine);
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

    /// Whether a stop has come to its end.
    pub(super) fn settle_one(&mut self, now: Instant, machine: usize) {
        let Some(mut stopping) = self.units[machine].stopping else { return };
        if self.jobs.iter().any(|it| it.class == Class::Stop && it.place.machine == machine) {
            return;
        }
        let written = *stopping.written.get_or_insert(now);
        self.units[machine].stopping = Some(stopping);
        if self.units[machine].rests_since(written) {
            self.units[machine].stopping = None;
            self.out.push(Said::AtRest(machine, stopping.how));
            return;
        }
        if PATIENCE <= now.saturating_duration_since(stopping.since) {
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
}
