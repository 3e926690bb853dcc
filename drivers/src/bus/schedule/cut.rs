//! What cuts a machine's power: one tag of a board, put to its value ahead of everything, while the
//! rest of the board goes on. And a machine whose own power has been cut: it is left alone.
//!
//! ```text
//!  cut --> written --> read back --> told
//!     \ out of reach, refused, unread: told at once, and tried again up to the bound of a stop
//! ```
//!
//! Invariants: no stop of the board and no end of the house overtakes a cut; nothing else is written
//! to the tag before it is over; each cut is told of at least once.

use std::time::Instant;

use headstock_config::point::Value;

use super::job::{Class, Job};
use super::{Health, Outcome, Place, Said, Schedule};
use crate::Refusal;
use crate::bus::Dialect;

impl<D: Dialect> Schedule<D> {
    /// Puts one tag to the value that cuts a power. What comes of it is [`Said::Cut`]. A board that
    /// is out of reach is told of at once, and tried nevertheless.
    pub fn cut(&mut self, now: Instant, place: Place, value: &Value) -> Result<(), Refusal> {
        let plan = self.dialect.write(place, value)?;
        self.overtake(place.machine, |job| job.place == place && job.class == Class::Asked);
        let unit = &mut self.units[place.machine];
        if !unit.reachable() {
            // It may just have come back.
            unit.probe_at = now;
        }
        if unit.health == Health::Offline {
            let why = unit.why.clone();
            self.out.push(Said::Cut(place, Outcome::Offline { why, begun: false }));
        }
        if !self.cutting(place) {
            self.jobs_made += 1;
            let value = value.clone();
            self.jobs.push(Job::new(now, self.jobs_made, Class::Cut, place, value, plan));
        }
        Ok(())
    }

    /// Whether a tag is on its way to cutting a power: nothing else is written to it.
    pub(super) fn cutting(&self, place: Place) -> bool {
        self.jobs.iter().any(|job| job.class == Class::Cut && job.place == place)
    }

    /// A machine's own power is off, or not any more. Off, it is left alone and shown as offline.
    pub fn power(&mut self, now: Instant, machine: usize, off: bool, why: &str) {
        let unit = &mut self.units[machine];
        if std::mem::replace(&mut unit.dark, off) == off {
            return;
        }
        unit.probe_at = now;
        if off && unit.lost(why) {
            self.gone(now, machine);
        }
    }
}
