//! What answers do: to a device's health, to polls, and to values on their way.

use std::time::{Duration, Instant};

use super::job::Class;
use super::{Doing, Health, PROBE_PAUSE, Said, Schedule, What, same, tells_rest};
use super::{Fault, Outcome, Place, Quality, Reading, Step};
use crate::bus::{Detour, Dialect};

impl<D: Dialect> Schedule<D> {
    /// What has come of the request that was under way.
    pub fn done(&mut self, now: Instant, result: Result<D::Answer, Fault>) {
        let Some(doing) = self.doing.take() else { return };
        self.load.busy(doing.began, now);
        match result {
            Err(Fault::GaveWay { sent }) => return self.gave_way(now, &doing, sent),
            Err(Fault::Forbidden) => return self.forbidden(now, &doing),
            _ => (),
        }
        self.count(now, &doing, result.as_ref().err());
        if let Err(Fault::Lost(why)) = &result {
            return self.lost(now, why);
        }
        self.judge(now, &doing, result.as_ref().err());
        if let Ok(answer) = &result {
            let mut readings = Vec::new();
            self.dialect.read(now, &doing.request, answer, &mut readings);
            self.heard(now, readings);
        }
        match doing.what {
            What::Poll(index) => self.polled(now, index, result.err()),
            What::Job(id) => self.stepped(now, id, &doing.request, result),
            What::Beat => self.beaten(doing.machine, &doing.request, result.as_ref().err()),
        }
        self.settle(now);
    }

    /// What devices say, asked or unasked.
    pub fn heard(&mut self, now: Instant, readings: Vec<Reading>) {
        for reading in readings {
            let Place { machine, tag } = reading.place;
            let believed = reading.value.as_ref().filter(|_| reading.quality.believable());
            if let Some(unit) = self.units.get_mut(machine) {
                unit.told(tag, believed, reading.at);
            }
            let confirmed = self.jobs.iter().find(|job| {
                let since = matches!(job.step, Step::Verify(since) if since <= reading.at);
                since
                    && job.place == reading.place
                    && believed.is_some_and(|found| same(&job.plan.expected, found))
            });
            if let Some(id) = confirmed.map(|job| job.id) {
                self.finish(id, Outcome::Verified);
            }
            self.out.push(Said::Reading(reading));
        }
        self.settle(now);
    }

    fn count(&mut self, now: Instant, doing: &Doing<D::Request>, fault: Option<&Fault>) {
        let counts = &mut self.units[doing.machine].counts;
        counts.requests += 1;
        match fault {
            None => {
                counts.answers += 1;
                counts.times.took(now.saturating_duration_since(doing.began));
            }
            Some(Fault::Refused { .. }) => counts.refused += 1,
            Some(Fault::Garbled(_)) => counts.garbled += 1,
            Some(_) => counts.silences += 1,
        }
    }

    /// What this says about the device.
    fn judge(&mut self, now: Instant, doing: &Doing<D::Request>, fault: Option<&Fault>) {
        let machine = doing.machine;
        if self.units[machine].dark {
            return;
        }
        match fault {
            // Whoever refuses is there.
            None | Some(Fault::Refused { .. }) => {
                if self.units[machine].answered() {
                    self.came(now, machine, doing);
                }
            }
            Some(fault) => {
                if self.units[machine].silent(now, fault, machine as u64) {
                    self.gone(now, machine);
                } else if !self.units[machine].reachable() && self.anybody_else(machine) {
                    let took = now.saturating_duration_since(doing.began);
                    self.probe_after = now + took * PROBE_PAUSE;
                }
            }
        }
    }

    fn anybody_else(&self, machine: usize) -> bool {
        let mut units = self.units.iter().enumerate();
        units.any(|(index, unit)| index != machine && unit.reachable())
    }

    /// A device answers: all of it is read, and outputs that the house drives are safe once.
    fn came(&mut self, now: Instant, machine: usize, doing: &Doing<D::Request>) {
        self.out.push(Said::Came(machine));
        let read = |slot: &super::Slot<D::Request>| slot.request == doing.request;
        for slot in self.slots.iter_mut().filter(|slot| slot.machine == machine && !read(slot)) {
            slot.at_once(now);
        }
        if let Some(beat) = &mut self.units[machine].beat {
            beat.at_once(now);
        }
        // It is to be seen at rest now, whatever it was before it went.
        if let Some(stopping) = &mut self.units[machine].stopping {
            stopping.written = None;
        }
        if !self.units[machine].met && !self.closing {
            self.make_safe(now, machine);
        }
    }

    /// A device is out of reach: nothing is known of its tags, and nothing will be set.
    pub(super) fn gone(&mut self, now: Instant, machine: usize) {
        let why = self.units[machine].why.clone();
        self.out.push(Said::Went(machine, why.clone()));
        for tag in 0..self.machines[machine].tags.len() {
            self.out.push(Said::Reading(bad(now, Place { machine, tag }, &why)));
        }
        for rest in &mut self.units[machine].rests {
            rest.last = None;
        }
        let (lost, kept) = std::mem::take(&mut self.jobs)
            .into_iter()
            .partition(|job| job.place.machine == machine && job.class == Class::Asked);
        self.jobs = kept;
        for job in Vec::from_iter(lost) {
            let outcome = Outcome::Offline { why: why.clone(), begun: job.begun };
            self.answer(job.tickets, &outcome);
        }
        for job in self.jobs.iter_mut().filter(|job| job.place.machine == machine) {
            if job.class == Class::Cut {
                let outcome = Outcome::Offline { why: why.clone(), begun: job.begun };
                self.out.push(Said::Cut(job.place, outcome));
            }
            job.restart();
        }
    }

    /// A poll of which the device will not answer something is halved; what is left in the end
    /// is the one tag that it does not know.
    fn polled(&mut self, now: Instant, index: usize, fault: Option<Fault>) {
        let Some(fault @ Fault::Refused { later: false, .. }) = fault else { return };
        let request = self.slots[index].request.clone();
        match self.dialect.halves(&request) {
            Some(halves) => {
                let [one, other] = halves.map(|request| {
                    let cost = self.dialect.cost(&request);
                    let tells_rest = tells_rest(&self.dialect, &self.machines, &request);
                    super::Slot { request, cost, tells_rest, ..self.slots[index].clone() }
                });
                self.slots[index] = one;
                self.slots.push(other);
                let last = self.slots.len() - 1;
                for index in [index, last] {
                    self.slots[index].at_once(now);
                }
            }
            None => {
                self.slots[index].refused(now);
                let why = fault.to_string();
                let places = self.dialect.places(&request);
                self.out.extend(places.into_iter().map(|it| Said::Reading(bad(now, it, &why))));
            }
        }
    }

    /// A step of a value on its way.
    fn stepped(
        &mut self,
        now: Instant,
        id: u64,
        request: &D::Request,
        result: Result<D::Answer, Fault>,
    ) {
        // It may be done already: confirmed, or overtaken by a stop.
        let Some(step) = self.job(id).map(|job| job.step) else { return };
        match (step, result) {
            (Step::Send(index), Ok(answer)) => {
                if self.job(id).is_some_and(|job| job.sent(now, index).is_none()) {
                    return self.finish(id, Outcome::Sent);
                }
                self.read_along(now, id, request, &answer);
            }
            (Step::Detour(index), Ok(answer)) => self.detoured(now, id, index, &answer),
            (Step::Verify(_), Ok(answer)) => self.mismatched(now, id, request, &answer),
            (Step::Send(index), Err(fault)) => self.not_sent(now, id, index, request, fault),
            (Step::Detour(_) | Step::Verify(_), Err(fault)) => self.fails(now, id, fault, false),
        }
    }

    /// An answer may tell what is there now. If that is something else than what was written, the device
    /// may take a moment: it is read back as usual.
    fn read_along(&mut self, now: Instant, id: u64, request: &D::Request, answer: &D::Answer) {
        let mut readings = Vec::new();
        self.dialect.read(now, request, answer, &mut readings);
        let Some(job) = self.job(id).filter(|job| matches!(job.step, Step::Verify(_))) else {
            return;
        };
        let found = readings.iter().find(|it| it.place == job.place);
        let found = found.filter(|it| it.quality.believable()).and_then(|it| it.value.as_ref());
        if found.is_some_and(|found| same(&job.plan.expected, found)) {
            self.finish(id, Outcome::Verified);
        }
    }

    /// What was to be changed has been read: the request is replaced.
    fn detoured(&mut self, now: Instant, id: u64, index: usize, answer: &D::Answer) {
        let Some(job) = self.jobs.iter_mut().find(|job| job.id == id) else { return };
        let refused = &job.plan.requests[index];
        let number = job.detour.as_ref().map_or(0, |(_, number)| *number);
        match self.dialect.instead(refused, number, Some(answer)) {
            Some(Detour::Send(other)) => {
                job.plan.requests[index] = other;
                job.step = Step::Send(index);
            }
            Some(Detour::Read(_)) | None => {
                let fault = Fault::Garbled("it cannot be told what is there".into());
                self.fails(now, id, fault, true);
            }
        }
    }

    fn not_sent(
        &mut self,
        now: Instant,
        id: u64,
        index: usize,
        request: &D::Request,
        fault: Fault,
    ) {
        let Some(job) = self.jobs.iter_mut().find(|job| job.id == id) else { return };
        let number = match &fault {
            Fault::Refused { number, later: false, .. } if !job.detoured => Some(*number),
            _ => None,
        };
        let detour = number.and_then(|it| Some((it, self.dialect.instead(request, it, None)?)));
        match (detour, &fault) {
            (Some((number, Detour::Read(read))), _) => {
                (job.detoured, job.detour) = (true, Some((read, number)));
                job.step = Step::Detour(index);
            }
            (Some((_, Detour::Send(other))), _) => {
                job.detoured = true;
                job.plan.requests[index] = other;
            }
            (None, Fault::Refused { later, .. }) => {
                let given_up = !*later;
                self.fails(now, id, fault, given_up);
            }
            (None, _) => {
                let given_up = !job.plan.repeatable;
                self.fails(now, id, fault, given_up);
            }
        }
    }

    /// A fault on the way of a value. A stop is tried again whatever it was.
    fn fails(&mut self, now: Instant, id: u64, fault: Fault, given_up: bool) {
        let away = |machine: usize| self.units[machine].health == Health::Offline;
        let waits_for_it = self.jobs.iter().find(|job| job.id == id);
        let waits_for_it =
            waits_for_it.is_some_and(|it| it.class.presses() && away(it.place.machine));
        let Some(job) = self.job(id) else { return };
        if waits_for_it {
            // It hears of it first thing when it answers again, however long that takes.
            return job.restart();
        }
        let stop = job.class != Class::Asked;
        // What collided with something is sent again at once.
        let collided = matches!(fault, Fault::Garbled(_)) && job.is_fresh();
        let waits = matches!(fault, Fault::Refused { .. }) || stop && !collided;
        if (given_up && !stop) || !job.again(now, waits) {
            let outcome = job.failed(fault);
            return self.finish(id, outcome);
        }
        if given_up {
            job.restart();
        }
    }

    /// Something else was read back than what was written. Some devices take a moment.
    fn mismatched(&mut self, now: Instant, id: u64, request: &D::Request, answer: &D::Answer) {
        let mut readings = Vec::new();
        self.dialect.read(now, request, answer, &mut readings);
        let Some(job) = self.job(id) else { return };
        let found = readings.into_iter().find(|it| it.place == job.place);
        let found = found.and_then(|it| it.value);
        if !job.again(now, true) {
            let expected = job.plan.expected.clone();
            return self.finish(id, Outcome::Mismatch { expected, found });
        }
        if job.class != Class::Asked {
            job.rewrite_now_and_then();
        }
    }

    /// Stops that have been written: does the machine rest?
    pub(super) fn settle(&mut self, now: Instant) {
        for machine in 0..self.units.len() {
            self.settle_one(now, machine);
        }
    }
}

/// There is no telling about a tag.
fn bad(at: Instant, place: Place, why: &str) -> Reading {
    Reading { place, value: None, quality: Quality::Bad, at, why: Some(why.to_owned()) }
}

/// How soon a tag that tells about rest is read again while somebody waits for it.
pub(super) const REST_AGAIN: Duration = Duration::from_millis(100);
