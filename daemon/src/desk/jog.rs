//! Moving by hand, at the desk.
//!
//! ```text
//!  step ----- one at a time ------> booked, passed on
//!  hold ----- first sign ---------> booked, passed on     \  one person at a time
//!        ---- every further sign -> passed on             /
//!  let go --- passed on ----------> booked afterwards
//! ```
//!
//! A key that repeats itself, or is held, says the same thing many times a second: what it begins
//! and ends is written down, what merely keeps it going is not. Letting go waits for no disk.
//! What bounds the motion itself is the driver's (`jog_hold` of `headstock_drivers`).

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use headstock_config::command::Command;
use headstock_config::ledger::{Fact, Request};
use headstock_config::machine::{JogNow, Mode};
use headstock_config::people::Person;

use super::{Desk, Refused};
use crate::machine;

/// What is known of the hands on the machines, by machine.
pub(super) type Hands = BTreeMap<String, Hand>;

/// A hand on a machine.
#[derive(Debug, Default)]
pub(super) struct Hand {
    /// Whose key is held down.
    holder: String,
    /// Steps that came while one was under way, since the last one that was taken.
    dropped: u64,
}

impl Desk {
    /// The jog that somebody holds on this machine, with the distance in which it stops.
    pub fn jog(&self, id: &str) -> Option<JogNow> {
        self.inner.machines.get(id)?.live().jog
    }

    /// A step: not while one is under way. Repeats are counted, not written down.
    pub(super) fn one_step_at_a_time(
        &self,
        machine: &machine::Handle,
        command: &Command,
    ) -> Result<(), Refused> {
        if !matches!(command, Command::Jog { .. }) {
            return Ok(());
        }
        let jogs = machine.live().mode == Mode::Jogging;
        let id = &machine.declared.id;
        self.with_hand(id, |hand| {
            hand.dropped = if jogs { hand.dropped + 1 } else { 0 };
            let refused = || Refused::Jogging { machine: id.clone(), dropped: hand.dropped };
            if jogs { Err(refused()) } else { Ok(()) }
        })
    }

    /// A sign of somebody who holds a key down.
    pub(super) async fn jog_hold(
        &self,
        who: &Person,
        machine: &machine::Handle,
        (request, command, lease_ms): (Request, Command, u64),
    ) -> Result<(), Refused> {
        let (asked, stops) = (self.asked(), machine.stops());
        let id = &machine.declared.id;
        if machine.live().jog.is_some() {
            let holder = self.with_hand(id, |hand| hand.holder.clone());
            if holder != who.name {
                return Err(Refused::InHand { machine: id.clone(), holder });
            }
            return Ok(machine.tell(command, &who.name, stops).await?);
        }
        self.not_locked(id, &command)?;
        let of = self.inner.ledger.write(Fact::Asked { by: who.clone(), request }).await?;
        let begun = if asked.elapsed() < Duration::from_millis(lease_ms) {
            self.with_hand(id, |hand| hand.holder.clone_from(&who.name));
            machine.tell(command, &who.name, stops).await
        } else {
            // The book took longer than the sign is good for: the key may have been let go.
            Err(machine::Error::Overtaken)
        };
        let refused = begun.as_ref().err().map(ToString::to_string);
        // Nobody waits: the next sign must come before the lease is over.
        self.inner.ledger.note(Fact::Answered { of, refused }).ok();
        Ok(begun?)
    }

    /// The key was let go: done first, written down afterwards.
    pub(super) async fn jog_end(
        &self,
        who: &Person,
        machine: &machine::Handle,
        (request, command): (Request, Command),
    ) -> Result<(), Refused> {
        let stops = machine.stops();
        let ended = machine.tell(command, &who.name, stops).await.map_err(Refused::from);
        let refused = ended.as_ref().err().map(ToString::to_string);
        self.note_later(who, request, refused);
        ended
    }

    fn with_hand<T>(&self, id: &str, look: impl FnOnce(&mut Hand) -> T) -> T {
        let mut hands = self.inner.hands.lock().unwrap_or_else(PoisonError::into_inner);
        // As many as there are machines.
        look(hands.entry(id.to_owned()).or_default())
    }

    pub(super) fn asked(&self) -> Instant {
        self.arrived.unwrap_or_else(Instant::now)
    }
}
