//! A value on its way into a device.
//!
//! ```text
//!  Send(0) -> Send(1) … -> Verify -> done
//!     ^  \ refused: the dialect knows another way
//!     +-- Detour (read first)
//! ```

use std::time::{Duration, Instant};

use headstock_config::point::Value;

use super::{Outcome, Ticket};
use crate::bus::{Fault, Haste, Place, Write};

/// A write that has not been begun by then is given up.
pub(super) const TIME_TO_LIVE: Duration = Duration::from_secs(2);
/// How often a write that somebody asked for is sent or read back before it is given up.
pub(super) const TRIES: u32 = 3;
/// The same for a stop: whoever waits for it has long been told that it is not confirmed.
const TRIES_OF_STOP: u32 = 40;
/// First wait before something is tried again; it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(50);
/// The longest of these waits.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// What a job is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    /// It cuts a power: a stop of one tag.
    Cut,
    /// A stop: before everything else.
    Stop,
    /// An output takes its safe state: like a stop, and nobody waits for it.
    Safe,
    /// Somebody has asked for it.
    Asked,
}

impl Class {
    /// Other requests give way to it.
    pub(super) fn presses(self) -> bool {
        matches!(self, Self::Cut | Self::Stop)
    }
}

/// Where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The request with this index is sent next.
    Send(usize),
    /// The job's detour is read, then that request is replaced.
    Detour(usize),
    /// Everything was sent at that time; it is read back.
    Verify(Instant),
}

/// One value for one tag.
#[derive(Debug)]
pub(super) struct Job<R> {
    pub(super) id: u64,
    pub(super) class: Class,
    pub(super) place: Place,
    pub(super) value: Value,
    pub(super) plan: Write<R>,
    pub(super) step: Step,
    /// It has been on the wire.
    pub(super) begun: bool,
    pub(super) tickets: Vec<Ticket>,
    /// Not begun by then, it is given up.
    pub(super) expires: Option<Instant>,
    /// It waits until then.
    pub(super) not_before: Instant,
    tries: u32,
    /// What is read before a request is replaced, and the number with which that was refused.
    pub(super) detour: Option<(R, u8)>,
    /// A detour has been taken: there is no second one.
    pub(super) detoured: bool,
}

impl<R: Clone> Job<R> {
    pub(super) fn new(
        now: Instant,
        id: u64,
        class: Class,
        place: Place,
        value: Value,
        plan: Write<R>,
    ) -> Self {
        let expires = (class == Class::Asked).then(|| now + TIME_TO_LIVE);
        Self {
            id,
            class,
            place,
            value,
            plan,
            step: Step::Send(0),
            begun: false,
            tickets: Vec::new(),
            expires,
            not_before: now,
            tries: 0,
            detour: None,
            detoured: false,
        }
    }

    /// What is to be sent now.
    pub(super) fn request(&self) -> Option<&R> {
        match self.step {
            Step::Send(index) => self.plan.requests.get(index),
            Step::Detour(_) => self.detour.as_ref().map(|(read, _)| read),
            Step::Verify(_) => self.plan.verify.as_ref(),
        }
    }

    /// How much of a hurry its next request is in.
    pub(super) fn haste(&self) -> Haste {
        match self.step {
            _ if !self.class.presses() => Haste::Turn,
            Step::Send(_) => Haste::Stops,
            Step::Detour(_) | Step::Verify(_) => Haste::Confirms,
        }
    }

    /// Who has asked for what is sent next: rules may have come to stand against it.
    pub(super) fn judged(&self) -> Vec<Ticket> {
        match self.step {
            Step::Send(_) => self.tickets.clone(),
            Step::Detour(_) | Step::Verify(_) => Vec::new(),
        }
    }

    /// It has hardly been tried.
    pub(super) fn is_fresh(&self) -> bool {
        self.tries < TRIES
    }

    /// A request was carried out: what is next. `None`: nothing, it is done.
    pub(super) fn sent(&mut self, now: Instant, index: usize) -> Option<()> {
        if self.class == Class::Asked {
            self.tries = 0;
        }
        if index + 1 < self.plan.requests.len() {
            self.step = Step::Send(index + 1);
            return Some(());
        }
        self.plan.verify.as_ref()?;
        self.step = Step::Verify(now);
        Some(())
    }

    /// It did not come to an end this time. Whether it is tried again, after a while if it shall
    /// `wait`.
    pub(super) fn again(&mut self, now: Instant, wait: bool) -> bool {
        self.tries += 1;
        let most = if self.class == Class::Asked { TRIES } else { TRIES_OF_STOP };
        if most <= self.tries {
            return false;
        }
        if wait {
            let doubled = FIRST_WAIT.saturating_mul(1 << (self.tries - 1).min(8));
            self.not_before = now + doubled.min(LONGEST_WAIT);
        }
        true
    }

    /// From the beginning.
    pub(super) fn restart(&mut self) {
        self.step = Step::Send(0);
    }

    /// What was read back is not what was written: every fourth time it is written once more.
    pub(super) fn rewrite_now_and_then(&mut self) {
        if self.tries.is_multiple_of(4) {
            self.restart();
        }
    }

    /// What a fault has come to, if nothing more is tried.
    pub(super) fn failed(&self, fault: Fault) -> Outcome {
        match (self.step, fault) {
            (Step::Verify(_), fault) => Outcome::Unread(fault),
            (_, fault @ Fault::Refused { .. }) => Outcome::Rejected(fault),
            (_, fault) => Outcome::NoAnswer(fault),
        }
    }
}

/// Whether a value is what was to be read back. Numbers may differ by rounding.
pub(super) fn same(expected: &Value, found: &Value) -> bool {
    match (expected, found) {
        (Value::Number(one), Value::Number(other)) => {
            (one - other).abs() <= 1e-9 * one.abs().max(other.abs()).max(1e-9)
        }
        (one, other) => one == other,
    }
}
