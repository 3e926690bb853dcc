//! Signs of life, for devices that stop by themselves when the house falls silent.
//!
//! ```text
//!  due --> sent --answered--> due a period later
//!              \--refused: the dialect's other way, once; refused again: told, and tried on
//! ```
//!
//! Invariants: none is sent while the house's heart has stopped, whoever else still goes round; a
//! device that takes none is told of once, for what was to watch over the house does not.

use std::time::{Duration, Instant};

use super::{Fault, Health, Said, Schedule, What};
use crate::bus::{Detour, Dialect};

/// The signs of life to one device.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beat {
    /// When the next one is due.
    at: Instant,
    period: Duration,
    /// How many were sent.
    count: u64,
    /// The number with which the dialect's first way was refused.
    refused: Option<u8>,
    told: bool,
}

impl Beat {
    pub(super) fn new(now: Instant, period: Duration) -> Self {
        Self { at: now, period, count: 0, refused: None, told: false }
    }

    /// The next one is due now.
    pub(super) fn at_once(&mut self, now: Instant) {
        self.at = now;
    }

    /// One leaves.
    pub(super) fn goes(&mut self, now: Instant) {
        self.count += 1;
        let next = self.at + self.period;
        self.at = if now < next { next } else { now + self.period };
    }
}

impl<D: Dialect> Schedule<D> {
    /// Whether the house does its work, and not only this bus.
    pub fn house_is_alive(&mut self, alive: bool) {
        self.alive = alive;
    }

    /// A sign of life that is due.
    pub(super) fn beat(&self, now: Instant) -> Option<(usize, What, D::Request)> {
        let (machine, beat) = self.beats().find(|(_, beat)| beat.at <= now)?;
        let (_, request) = self.dialect.heartbeat(machine, beat.count)?;
        let other = beat.refused.and_then(|it| self.dialect.instead(&request, it, None));
        let request = match other {
            Some(Detour::Send(other)) => other,
            Some(Detour::Read(_)) | None => request,
        };
        Some((machine, What::Beat, request))
    }

    /// When one is due next.
    pub(super) fn beats_at(&self) -> Option<Instant> {
        self.beats().map(|(_, beat)| beat.at).min()
    }

    fn beats(&self) -> impl Iterator<Item = (usize, Beat)> + '_ {
        let units = self.units.iter().enumerate().filter(|_| self.alive);
        units
            .filter(|(_, unit)| unit.health == Health::Online)
            .filter_map(|(machine, unit)| Some((machine, unit.beat?)))
    }

    /// What a device has said to one.
    pub(super) fn beaten(&mut self, machine: usize, request: &D::Request, fault: Option<&Fault>) {
        let Some(beat) = &mut self.units[machine].beat else { return };
        match fault {
            None => beat.told = false,
            Some(Fault::Refused { number, later: false, .. }) if beat.refused.is_none() => {
                beat.refused = Some(*number);
                if self.dialect.instead(request, *number, None).is_none() {
                    self.not_watched(machine, fault);
                }
            }
            Some(Fault::Refused { later: false, .. }) => self.not_watched(machine, fault),
            // Whether it is there is seen by the polls.
            Some(_) => (),
        }
    }

    fn not_watched(&mut self, machine: usize, fault: Option<&Fault>) {
        let Some(beat) = &mut self.units[machine].beat else { return };
        if !std::mem::replace(&mut beat.told, true) {
            let why = fault.map(ToString::to_string).unwrap_or_default();
            self.out.push(Said::NotWatched(machine, why));
        }
    }
}
