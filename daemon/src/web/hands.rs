//! Hands on machines over the feed: a key that is held down, as small messages.
//!
//! ```text
//!  {"type":"jog_hold","machine":"mill","toward":[1,0,0],"feed":600}   every 50 ms
//!  {"type":"jog_end","machine":"mill"}                                when it is let go
//! ```
//!
//! What is refused comes back over the feed. Invariant: when the socket is closed, by whomever and
//! for whatever reason, everything that was held over it is let go at once, without waiting for a
//! lease.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use headstock_config::api::FeedMessage;
use headstock_config::command::Command;
use headstock_config::explain::Explain;
use headstock_config::people::Person;
use serde::Deserialize;
use tokio::sync::mpsc;

use super::hall::Hall;
use crate::desk::Refused;

/// Refusals that may wait to be told; a client that reads none needs no more.
const REFUSALS: usize = 8;

/// What a client says over the feed.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum Said {
    JogHold {
        machine: String,
        toward: [i8; 3],
        feed: f64,
        #[serde(default = "usual_lease_ms")]
        lease_ms: u64,
    },
    JogEnd {
        machine: String,
    },
}

fn usual_lease_ms() -> u64 {
    150
}

/// The hands of one client.
pub(super) struct Hands {
    hall: Arc<Hall>,
    who: Person,
    /// Machines on which it may hold something.
    held: BTreeSet<String>,
    refusals: mpsc::Sender<FeedMessage>,
}

impl Hands {
    /// Nothing is held; refusals come out at the other end.
    pub(super) fn new(hall: Arc<Hall>, who: Person) -> (Self, mpsc::Receiver<FeedMessage>) {
        let (refusals, told) = mpsc::channel(REFUSALS);
        (Self { hall, who, held: BTreeSet::new(), refusals }, told)
    }

    /// The client said something.
    pub(super) async fn hear(&mut self, text: &str) {
        match serde_json::from_str(text) {
            Ok(Said::JogHold { machine, toward, feed, lease_ms }) => {
                self.tell(&machine, Command::JogHold { toward, feed, lease_ms }).await;
            }
            Ok(Said::JogEnd { machine }) => {
                self.tell(&machine, Command::JogEnd).await;
                self.held.remove(&machine);
            }
            Err(error) => {
                let machine = String::new();
                let (code, message) = ("feed.words".to_owned(), error.to_string());
                self.refused(FeedMessage::Refused { machine, code, message });
            }
        }
    }

    /// Lets everything go.
    pub(super) async fn let_go(mut self) {
        for machine in std::mem::take(&mut self.held) {
            self.tell(&machine, Command::JogEnd).await;
        }
    }

    /// Passes a command on, to its end even if the client leaves meanwhile.
    async fn tell(&mut self, machine: &str, command: Command) {
        let holds = matches!(command, Command::JogHold { .. });
        if holds && self.hall.door.desk.one_equipment(machine).is_ok() {
            self.held.insert(machine.to_owned());
        }
        let desk = self.hall.door.desk.since(Instant::now());
        let (who, id) = (self.who.clone(), machine.to_owned());
        let told = self.hall.deeds.spawn(async move { desk.tell(&who, &id, command).await }).await;
        if let Ok(Err(refused)) = told {
            // What somebody else holds is not let go with this one's socket.
            if holds && matches!(refused, Refused::InHand { .. } | Refused::Forbidden { .. }) {
                self.held.remove(machine);
            }
            self.refused(message(machine, &refused));
        }
    }

    fn refused(&self, message: FeedMessage) {
        // One that does not fit says nothing that those before it have not said.
        self.refusals.try_send(message).ok();
    }
}

fn message(machine: &str, refused: &Refused) -> FeedMessage {
    FeedMessage::Refused {
        machine: machine.to_owned(),
        code: refused.code().to_owned(),
        message: refused.sentence(),
    }
}
