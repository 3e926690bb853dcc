//! Asks rules once more whether values may be sent, at the moment at which they would be: since the
//! task took them they may have waited for two seconds, and for what else the line was owed.
//!
//! Invariant: nothing that somebody asked for is sent, or sent again, while a rule stands against it.
//! Stops are nobody's wishes and are not judged.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use headstock_config::command::Command;
use headstock_config::machine::Machine;
use headstock_drivers::bus::schedule::Ticket;
use tokio::sync::oneshot;

use crate::machine::Error;
use crate::rules::{Interlocked, Permit, Wish};

/// Somebody who waits for a value to be written, and what they asked for.
pub(super) struct Asker {
    pub(super) permit: Permit,
    pub(super) command: Command,
    pub(super) answer: oneshot::Sender<Result<(), Error>>,
}

/// Judges the values that one request sends.
pub(super) struct Judge {
    machine: Arc<Machine>,
    /// They have been sent before.
    begun: bool,
    asked: Vec<(Ticket, Permit, Command)>,
    refused: RefCell<Vec<(Ticket, Interlocked)>>,
}

impl Judge {
    /// For those who wait with these tickets; for none, everything is permitted.
    pub(super) fn new(
        machine: Arc<Machine>,
        askers: &BTreeMap<Ticket, Asker>,
        tickets: &[Ticket],
        begun: bool,
    ) -> Self {
        let asked = tickets.iter().filter_map(|ticket| {
            let asker = askers.get(ticket)?;
            Some((*ticket, asker.permit.clone(), asker.command.clone()))
        });
        Self { machine, begun, asked: asked.collect(), refused: RefCell::default() }
    }

    /// Whether anybody is left who may have it sent.
    pub(super) fn permits(&self) -> bool {
        let refused = self.asked.iter().filter_map(|(ticket, permit, command)| {
            let stands = permit.holds(&self.machine, &Wish::Command(command));
            Some((*ticket, stands.err()?))
        });
        let refused: Vec<_> = refused.collect();
        let left = self.asked.is_empty() || refused.len() < self.asked.len();
        self.refused.replace(refused);
        left
    }

    /// Those whom rules have refused hear which.
    pub(super) fn refuse(self, askers: &mut BTreeMap<Ticket, Asker>) {
        for (ticket, why) in self.refused.into_inner() {
            let Some(asker) = askers.remove(&ticket) else { continue };
            let error = match self.begun {
                false => Error::Interlocked(why),
                true => Error::Unverified(format!("{why}; it had been sent before")),
            };
            // The asker may have gone.
            asker.answer.send(Err(error)).ok();
        }
    }
}
