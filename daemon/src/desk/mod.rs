//! The one place where anything is asked for.
//!
//! Every request, from whichever door, takes the same steps: is there such a thing, may this
//! person, write it down, do it, write down what came of it. Refusals are written down as well.
//!
//! Stops are the exception: the role is looked up in memory, the byte goes out, and then it is
//! written down, without anybody waiting for that.

mod alarms;
mod buses;
mod discover;
mod files;
mod jobs;
mod jog;
mod people;
mod points;
mod refused;
mod repeats;
mod resume;
mod rules;
mod stops;
#[cfg(test)]
mod tests;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use headstock_config::command::Command;
use headstock_config::ledger::{Fact, Request};
use headstock_config::people::Person;

pub use self::discover::Looking;
pub use self::jobs::Outcome;
pub use self::refused::{Kind, Refused};
use self::repeats::{Refusals, Repeat};
pub use self::view::Snapshot;
use crate::alarms::definition::Definitions;
use crate::authz::{least, may};
use crate::files::Files;
use crate::histogram::Histogram;
use crate::ledger;
use crate::machine;
use crate::points::Points;
use crate::rules::{Asker, Rules};

/// Bytes of each text that are kept of a request that is refused.
const CLIP: usize = 200;

/// The desk. Cheap to clone.
#[derive(Clone)]
pub struct Desk {
    inner: Arc<Inner>,
    /// When what is asked now arrived at its door, if the door has told.
    arrived: Option<Instant>,
}

struct Inner {
    ledger: ledger::Handle,
    machines: BTreeMap<String, machine::Handle>,
    files: Files,
    points: Points,
    /// Every alarm that this house can raise.
    alarms: Definitions,
    /// What refuses, stops and follows.
    rules: Rules,
    /// What looks at the book before it writes is done one at a time, so that two requests cannot
    /// both find a machine free, a name unused or a file not needed.
    one_at_a_time: tokio::sync::Mutex<()>,
    /// Jobs queued since the house opened: only these may start when their turn comes.
    fresh: Mutex<BTreeSet<String>>,
    /// From a stop's arrival until its byte had been handed to a port.
    stop_times: Histogram,
    /// What was found by looking around.
    looking: Looking,
    /// Who moves what by hand.
    hands: Mutex<jog::Hands>,
    /// What is refused again and again.
    refusals: Mutex<Refusals>,
}

impl Desk {
    /// Opens a desk for these machines and files.
    pub fn new(
        ledger: ledger::Handle,
        machines: BTreeMap<String, machine::Handle>,
        files: Files,
        points: Points,
    ) -> Self {
        Self::with_rules(ledger, machines, files, points, Definitions::default(), Rules::default())
    }

    /// The same, in a house that has alarms and rules.
    pub fn with_rules(
        ledger: ledger::Handle,
        machines: BTreeMap<String, machine::Handle>,
        files: Files,
        points: Points,
        alarms: Definitions,
        rules: Rules,
    ) -> Self {
        let one_at_a_time = tokio::sync::Mutex::new(());
        let inner = Inner {
            ledger,
            machines,
            files,
            points,
            alarms,
            rules,
            one_at_a_time,
            fresh: Mutex::default(),
            stop_times: Histogram::default(),
            looking: Looking::default(),
            hands: Mutex::default(),
            refusals: Mutex::default(),
        };
        Self { inner: Arc::new(inner), arrived: None }
    }

    /// The same desk for a request that arrived at its door at this moment: stops are timed from
    /// then.
    #[must_use]
    pub fn since(&self, arrived: Instant) -> Self {
        Self { arrived: Some(arrived), ..self.clone() }
    }

    /// What has been written, and what is being written.
    pub fn ledger(&self) -> &ledger::Handle {
        &self.inner.ledger
    }

    fn machine(&self, id: &str) -> Result<&machine::Handle, Refused> {
        self.inner.machines.get(id).ok_or_else(|| Refused::UnknownMachine(id.to_owned()))
    }

    /// The latest of everything that devices report.
    pub fn points(&self) -> &Points {
        &self.inner.points
    }

    /// The stored program files' content.
    pub fn files(&self) -> &Files {
        &self.inner.files
    }

    /// Tells one machine something. Answers when the machine took it, which may be long before
    /// it has been carried out.
    pub async fn tell(&self, who: &Person, id: &str, command: Command) -> Result<(), Refused> {
        self.tell_as(who, Asker::Person, id, command, None).await
    }

    /// The same, by a person or a rule. `stops`: how many there had been when it was wished, if that
    /// was before now.
    pub(crate) async fn tell_as(
        &self,
        who: &Person,
        asker: Asker,
        id: &str,
        command: Command,
        stops: Option<u64>,
    ) -> Result<(), Refused> {
        let stop = command.as_stop();
        let request = Request::Tell { machine: id.to_owned(), command: command.clone() };
        let machine = self.machine_for(who, &request, id)?;
        let stops = stops.unwrap_or_else(|| machine.stops());
        if let Some(how) = stop {
            let (going, _) = self.stop_one(who, request, machine, how).await;
            return self.passed_on(machine, going).await;
        }
        match command {
            Command::JogHold { lease_ms, .. } => {
                return self.jog_hold(who, machine, (request, command, lease_ms)).await;
            }
            Command::JogEnd | Command::JogCancel => {
                return self.jog_end(who, machine, (request, command)).await;
            }
            _ => self.one_step_at_a_time(machine, &command)?,
        }
        self.book(who, request, async {
            self.not_locked(id, &command)?;
            let by_person = asker == Asker::Person;
            machine.tell_as(asker, command.clone(), &who.name, stops).await?;
            if by_person {
                self.inner.rules.told(id, &command, &who.name);
            }
            Ok(())
        })
        .await
    }

    /// Machines whose task has not gone round for this long.
    pub fn late_machines(&self, allowed: Duration) -> Vec<String> {
        let machines = self.inner.machines.iter();
        let late = machines.filter(|(_, machine)| allowed < machine.idle_for());
        late.map(|(id, _)| id.clone()).collect()
    }

    /// The machine that this is asked of. That there is none is written down as well.
    fn machine_for(
        &self,
        who: &Person,
        request: &Request,
        id: &str,
    ) -> Result<&machine::Handle, Refused> {
        self.permit(who, request)?;
        self.machine(id).inspect_err(|refused| self.note_refusal(who, request, refused))
    }

    fn permit(&self, who: &Person, request: &Request) -> Result<(), Refused> {
        if may(who.role, request) {
            return Ok(());
        }
        let refused = Refused::Forbidden { who: who.name.clone(), need: least(request) };
        self.note_refusal(who, request, &refused);
        Err(refused)
    }

    /// Writes down a refusal, unless this person is refused so often that it says nothing new.
    fn note_refusal(&self, who: &Person, request: &Request, refused: &Refused) {
        let mut refusals = self.inner.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        let repeat = refusals.count(Instant::now(), &who.name);
        drop(refusals);
        match repeat {
            Repeat::Tell(0) => {
                self.note_later(who, clipped(request), Some(refused.to_string()));
            }
            Repeat::Tell(untold) => {
                let why = format!("{refused}, like {untold} more before that are not written down");
                self.note_later(who, clipped(request), Some(why));
            }
            Repeat::LastTold => {
                tracing::warn!(by = %who.name, "is refused again and again; not all is written down");
                self.note_later(who, clipped(request), Some(refused.to_string()));
            }
            Repeat::Untold => (),
        }
    }

    /// Writes down what was asked and what came of it, without waiting; the number that the
    /// request got, once it has one.
    fn note_later(
        &self,
        who: &Person,
        request: Request,
        refused: Option<String>,
    ) -> tokio::task::JoinHandle<Option<u64>> {
        let ledger = self.inner.ledger.clone();
        let by = who.clone();
        tokio::spawn(async move {
            // A ledger that fails says so itself and has the machines held.
            let of = ledger.write(Fact::Asked { by, request }).await.ok()?;
            ledger.note(Fact::Answered { of, refused }).ok();
            Some(of)
        })
    }

    /// May this person; write it down; do it; write down what came of it.
    async fn book<T>(
        &self,
        who: &Person,
        request: Request,
        deed: impl Future<Output = Result<T, Refused>>,
    ) -> Result<T, Refused> {
        self.permit(who, &request)?;
        let of = self.inner.ledger.write(Fact::Asked { by: who.clone(), request }).await?;
        let result = deed.await;
        let refused = result.as_ref().err().map(ToString::to_string);
        self.inner.ledger.write(Fact::Answered { of, refused }).await?;
        result
    }

    /// What an interrupted job left in the controller must not go on by a mere resume.
    fn not_locked(&self, id: &str, command: &Command) -> Result<(), Refused> {
        let state = self.inner.ledger.state();
        let lock = state.machines.get(id).and_then(|machine| machine.locked_by.clone());
        match (lock, command) {
            (Some(job), Command::Resume) => Err(Refused::Locked { machine: id.to_owned(), job }),
            _ => Ok(()),
        }
    }
}

/// A request that is refused, with no more of each of its words than tells what it was: whoever
/// may do nothing shall not fill the disk either.
fn clipped(request: &Request) -> Request {
    let Ok(mut value) = serde_json::to_value(request) else { return request.clone() };
    clip(&mut value);
    serde_json::from_value(value).unwrap_or_else(|_| request.clone())
}

fn clip(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::String(text) if CLIP < text.len() => {
            text.truncate(text.floor_char_boundary(CLIP));
            text.push('…');
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(clip),
        serde_json::Value::Object(fields) => fields.values_mut().for_each(clip),
        _ => (),
    }
}
