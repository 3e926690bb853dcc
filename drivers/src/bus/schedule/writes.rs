//! Values that somebody asks for.

use std::time::Instant;

use headstock_config::point::Value;

use super::job::{Class, Job, Step, TIME_TO_LIVE};
use super::stops::shows;
use super::{Fault, Health, Outcome, Place, Said, Schedule, Ticket, What};
use crate::Refusal;
use crate::bus::Dialect;

/// Askers that may wait for one tag: each gets an answer, and nobody needs more.
const ASKERS: usize = 32;

impl<D: Dialect> Schedule<D> {
    /// A tag shall have a value. Answered by [`Said::Answer`] with this ticket, unless it is
    /// refused here. While earlier values for the tag have not been sent, the last one wins.
    pub fn write(
        &mut self,
        now: Instant,
        place: Place,
        value: &Value,
        ticket: Ticket,
    ) -> Result<(), Refusal> {
        let unit = &self.units[place.machine];
        if unit.health == Health::Offline || self.closing {
            return Err(Refusal::NotOnline);
        }
        if self.cutting(place) {
            return Err(Refusal::NotNow("switching off"));
        }
        if unit.stopping.is_some() {
            return Err(Refusal::NotNow("holding"));
        }
        let plan = self.dialect.write(place, value)?;
        let of_tag = |job: &&mut Job<D::Request>| job.place == place && job.class == Class::Asked;
        let waiting: usize = self.jobs.iter_mut().filter(of_tag).map(|it| it.tickets.len()).sum();
        if ASKERS <= waiting {
            return Err(Refusal::Backlog(waiting));
        }
        let Some(job) = self.jobs.iter_mut().filter(of_tag).find(|job| !job.begun) else {
            self.jobs_made += 1;
            let id = self.jobs_made;
            let mut job = Job::new(now, id, Class::Asked, place, value.clone(), plan);
            job.tickets.push(ticket);
            self.jobs.push(job);
            if !shows(&self.machines[place.machine].tags[place.tag]) {
                self.units[place.machine].stopped = None;
            }
            return Ok(());
        };
        let mut earlier = Vec::new();
        if job.value != *value {
            (job.value, job.plan) = (value.clone(), plan);
            job.expires = Some(now + TIME_TO_LIVE);
            earlier = std::mem::take(&mut job.tickets);
        }
        job.tickets.push(ticket);
        self.answer(earlier, &Outcome::Superseded);
        Ok(())
    }

    /// Writes that could not be begun in time.
    pub(super) fn expire(&mut self, now: Instant) {
        let late = self.jobs.iter().filter(|job| self.expires(job).is_some_and(|at| at <= now));
        let late: Vec<(u64, bool)> = late.map(|job| (job.id, job.begun)).collect();
        for (id, begun) in late {
            let gave_way = Outcome::NoAnswer(Fault::GaveWay { sent: true });
            self.finish(id, if begun { gave_way } else { Outcome::Expired });
        }
    }

    /// When a write is given up if it gets no turn; `None`: it is on its way.
    pub(super) fn expires(&self, job: &Job<D::Request>) -> Option<Instant> {
        job.expires.filter(|_| !job.begun || self.held_back(job.place.machine))
    }

    /// The job that is to go on now, of those of a class.
    pub(super) fn ready_job(
        &self,
        now: Instant,
        of: impl Fn(Class) -> bool,
    ) -> Option<(usize, What, D::Request)> {
        let ready = self.jobs.iter().filter(|job| of(job.class));
        let ready = ready.filter(|job| self.job_time(job).is_some_and(|at| at <= now));
        // All values of a stop are sent before the first of them is read back.
        let order = |job: &&Job<D::Request>| {
            let rank = job.class.max(Class::Stop);
            (rank, matches!(job.step, Step::Verify(_)), job.class, job.id)
        };
        let job = ready.min_by_key(order)?;
        Some((job.place.machine, What::Job(job.id), self.request_of(job)?))
    }

    /// When a job can go on; `None`: it waits for something else.
    pub(super) fn job_time(&self, job: &Job<D::Request>) -> Option<Instant> {
        let earlier =
            |it: &Job<D::Request>| it.id < job.id && it.place == job.place && it.class == job.class;
        if self.jobs.iter().any(earlier) {
            return None;
        }
        let unit = &self.units[job.place.machine];
        match unit.health {
            _ if job.class == Class::Asked && self.held_back(job.place.machine) => None,
            Health::Online | Health::Unknown => Some(job.not_before),
            Health::Suspect if job.class.presses() && !unit.dark => Some(job.not_before),
            // A stop is what a device that does not answer is probed with.
            // One that cuts a power does not wait for its share of the bus.
            _ if job.class == Class::Cut => {
                (self.link && !unit.dark).then(|| unit.probe_at.max(job.not_before))
            }
            _ if job.class == Class::Stop => {
                let probed = unit.probe_at.max(self.probe_after).max(job.not_before);
                (self.link && !unit.dark).then_some(probed)
            }
            _ => None,
        }
    }

    /// Several values of a stop are read back by one poll, where there is one for them.
    fn request_of(&self, job: &Job<D::Request>) -> Option<D::Request> {
        if let (Step::Verify(_), Class::Stop | Class::Safe) = (job.step, job.class) {
            let slots = self.slots.iter().filter(|slot| slot.machine == job.place.machine);
            for slot in slots {
                let places = self.dialect.places(&slot.request);
                let waiting = self
                    .jobs
                    .iter()
                    .filter(|it| matches!(it.step, Step::Verify(_)) && places.contains(&it.place));
                if places.contains(&job.place) && 1 < waiting.count() {
                    return Some(slot.request.clone());
                }
            }
        }
        job.request().cloned()
    }

    pub(super) fn job(&mut self, id: u64) -> Option<&mut Job<D::Request>> {
        self.jobs.iter_mut().find(|job| job.id == id)
    }

    /// A job is over.
    pub(super) fn finish(&mut self, id: u64, outcome: Outcome) {
        let Some(index) = self.jobs.iter().position(|job| job.id == id) else { return };
        let job = self.jobs.remove(index);
        let there = matches!(outcome, Outcome::Verified | Outcome::Sent);
        match job.class {
            Class::Cut => self.out.push(Said::Cut(job.place, outcome.clone())),
            Class::Stop if !there => self.not_stopped(job.place, &outcome),
            Class::Safe => {
                if !there {
                    self.not_safe(job.place, &outcome);
                }
                self.met(job.place.machine);
            }
            Class::Stop | Class::Asked => (),
        }
        self.answer(job.tickets, &outcome);
    }

    pub(super) fn answer(&mut self, tickets: Vec<Ticket>, outcome: &Outcome) {
        self.out.extend(tickets.into_iter().map(|it| Said::Answer(it, outcome.clone())));
    }
}
