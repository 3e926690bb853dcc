//! When a request has to give way, and what becomes of it.
//!
//! ```text
//!  a write, a sign of life  <-- values of stops, and what reads them back
//!  a poll                   <-- the same, and polls that tell whether a machine rests
//!  something of a stop      <-- another machine's value, if it has not been on the wire yet or its
//!                               device answers; the same machine's, if it has taken its place
//!  the same, and the device <-- polls of other machines that tell whether they rest
//!  did not answer lately
//! ```
//!
//! What is part of a stop itself and gave way is made again a little later: so what it gave way to comes
//! next, two devices that keep silent do not call each other back for ever, and one that answers is
//! known to rest before one that does not is waited for.
//!
//! Invariants: what gave way counts against nobody, and is made again; a device that was given up
//! unanswered is asked nothing more until no other machine is on its way to a standstill, but for its
//! own stop; it goes on getting signs of life, since without them it would stop by itself.

use std::time::{Duration, Instant};

use super::job::{Class, Job, Step};
use super::{Doing, Fault, Haste, Health, Outcome, Schedule, Slot, Unit, What};
use crate::bus::Dialect;

/// When something of a stop is made again that gave way to another one.
const AFTER_OTHERS: Duration = Duration::from_millis(250);

impl<D: Dialect> Schedule<D> {
    /// From when on the request under way has to give way to a stop; `None`: nothing of a stop is on
    /// its way.
    pub fn pressed_at(&self) -> Option<Instant> {
        let doing = self.doing.as_ref()?;
        let stops = self.jobs.iter().filter(|job| job.class.presses());
        let stops = stops.filter(|job| self.precedes(job, doing));
        let stops = stops.filter_map(|job| self.job_time(job));
        let polls = self.slots.iter().filter(|slot| slot.urgent && self.is_polled(slot));
        let polls = polls.filter(|slot| self.tells_before(slot, doing)).map(|slot| slot.due);
        stops.chain(polls).min()
    }

    /// Whether a job of a stop goes before what is under way.
    fn precedes(&self, job: &Job<D::Request>, doing: &Doing<D::Request>) -> bool {
        let machine = job.place.machine;
        let over = |id| !self.jobs.iter().any(|job| job.id == id);
        match doing.what {
            _ if doing.haste == Haste::Turn => true,
            _ if machine != doing.machine => !job.begun || self.units[machine].answers(),
            What::Job(id) => !job.begun && over(id),
            What::Poll(_) | What::Beat => !job.begun,
        }
    }

    /// Whether a poll that is to tell of rest goes before what is under way.
    fn tells_before(&self, slot: &Slot<D::Request>, doing: &Doing<D::Request>) -> bool {
        match (doing.what, doing.haste) {
            (What::Poll(_), haste) => haste == Haste::Turn,
            (What::Job(_), Haste::Stops | Haste::Confirms) => {
                slot.machine != doing.machine && !self.units[doing.machine].answers()
            }
            (What::Job(_) | What::Beat, _) => false,
        }
    }

    /// Whether a poll is made at its times.
    pub(super) fn is_polled(&self, slot: &Slot<D::Request>) -> bool {
        let held_back = !slot.urgent && self.held_back(slot.machine);
        self.units[slot.machine].reachable() && !held_back && !self.closing
    }

    /// Whether a device keeps its silence to itself: another one is being stopped.
    pub(super) fn held_back(&self, machine: usize) -> bool {
        // One that is out of reach is stopped when it comes back, be it tomorrow.
        let stops = |it: &Unit| it.stopping.is_some() && it.health != Health::Offline;
        let mut units = self.units.iter().enumerate();
        self.units[machine].given_up && units.any(|(index, it)| index != machine && stops(it))
    }

    /// The request under way was called back.
    pub(super) fn gave_way(&mut self, now: Instant, doing: &Doing<D::Request>, sent: bool) {
        let machine = doing.machine;
        self.units[machine].given_up |= sent || doing.haste != Haste::Turn;
        match doing.what {
            What::Poll(index) => {
                self.slots[index].at_once(now);
                self.slots[index].urgent |= doing.haste != Haste::Turn;
            }
            What::Job(id) => self.job_gave_way(now, id, doing.begun || sent, sent),
            What::Beat => {
                // One that was sent has been heard, whoever waits for the answer.
                if let Some(beat) = self.units[machine].beat.as_mut().filter(|_| !sent) {
                    beat.at_once(now);
                }
            }
        }
        self.settle(now);
    }

    fn job_gave_way(&mut self, now: Instant, id: u64, begun: bool, sent: bool) {
        let Some(job) = self.job(id) else { return };
        job.begun = begun || job.class.presses();
        if job.class.presses() {
            job.not_before = now + AFTER_OTHERS;
        }
        let sends = matches!(job.step, Step::Send(_));
        if sent && sends && !job.plan.repeatable && job.class == Class::Asked {
            self.finish(id, Outcome::NoAnswer(Fault::GaveWay { sent }));
        }
    }

    /// The request under way may not be sent any more.
    pub(super) fn forbidden(&mut self, now: Instant, doing: &Doing<D::Request>) {
        if let What::Job(id) = doing.what {
            self.finish(id, Outcome::Forbidden { begun: doing.begun });
        }
        self.settle(now);
    }
}
