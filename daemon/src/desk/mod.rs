//! The one place where anything is asked for.
//!
//! Every request, from whichever door, takes the same steps: is there such a thing, may this
//! person, write it down, do it, write down what came of it. Refusals are written down as well.
//!
//! Stops are the exception: the role is looked up in memory, the byte goes out, and then it is
//! written down, without anybody waiting for that.

mod buses;
mod files;
mod jobs;
mod people;
mod refused;
mod resume;
#[cfg(test)]
mod tests;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use headstock_config::api::StopReport;
use headstock_config::command::{Command, Stop};
use headstock_config::ledger::{Fact, Request};
use headstock_config::machine::Mode;
use headstock_config::people::Person;

pub use self::jobs::Outcome;
pub use self::refused::{Kind, Refused};
pub use self::view::Snapshot;
use crate::authz::{least, may};
use crate::files::Files;
use crate::ledger;
use crate::machine;
use crate::points::Points;

/// How long a stop waits for a machine to report rest before it says that it has not.
const REST: Duration = Duration::from_secs(5);
/// Bytes of each text that are kept of a request that is refused.
const CLIP: usize = 200;

/// The desk. Cheap to clone.
#[derive(Clone)]
pub struct Desk {
    inner: Arc<Inner>,
}

struct Inner {
    ledger: ledger::Handle,
    machines: BTreeMap<String, machine::Handle>,
    files: Files,
    points: Points,
    /// What looks at the book before it writes is done one at a time, so that two requests cannot
    /// both find a machine free, a name unused or a file not needed.
    one_at_a_time: tokio::sync::Mutex<()>,
    /// Jobs queued since the house opened: only these may start when their turn comes.
    fresh: Mutex<BTreeSet<String>>,
}

impl Desk {
    /// Opens a desk for these machines and files.
    pub fn new(
        ledger: ledger::Handle,
        machines: BTreeMap<String, machine::Handle>,
        files: Files,
        points: Points,
    ) -> Self {
        let one_at_a_time = tokio::sync::Mutex::new(());
        let fresh = Mutex::default();
        Self { inner: Arc::new(Inner { ledger, machines, files, points, one_at_a_time, fresh }) }
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
        let stop = command.as_stop();
        let request = Request::Tell { machine: id.to_owned(), command: command.clone() };
        let machine = self.machine_for(who, &request, id)?;
        let stops = machine.stops();
        if let Some(how) = stop {
            return self.stop_one(who, request, machine, how).await.map(drop);
        }
        self.book(who, request, async {
            self.not_locked(id, &command)?;
            Ok(machine.tell(command, &who.name, stops).await?)
        })
        .await
    }

    /// Stops one machine and waits, within reason, until it reports that it rests.
    pub async fn stop(&self, who: &Person, id: &str, how: Stop) -> Result<StopReport, Refused> {
        let request = Request::Tell { machine: id.to_owned(), command: as_command(how) };
        let machine = self.machine_for(who, &request, id)?;
        let asked = Instant::now();
        match self.stop_one(who, request, machine, how).await {
            Err(refused @ Refused::Forbidden { .. }) => Err(refused),
            sent => Ok(report(machine, how, asked, sent).await),
        }
    }

    /// Stops every machine at once and says of each what was confirmed.
    pub async fn stop_all(&self, who: &Person, how: Stop) -> Result<Vec<StopReport>, Refused> {
        self.permit(who, &Request::StopAll)?;
        let asked = Instant::now();
        let mut reports = tokio::task::JoinSet::new();
        for machine in self.inner.machines.values() {
            let (machine, by) = (machine.clone(), who.name.clone());
            reports.spawn(async move {
                let sent = machine.stop(how, &by).await.map_err(Refused::from);
                report(&machine, how, asked, sent).await
            });
        }
        self.note_later(who, Request::StopAll, None);
        let mut reports = reports.join_all().await;
        reports.sort_by(|one, other| one.machine.cmp(&other.machine));
        Ok(reports)
    }

    /// Machines whose task has not gone round for this long.
    pub fn late_machines(&self, allowed: Duration) -> Vec<String> {
        let machines = self.inner.machines.iter();
        let late = machines.filter(|(_, machine)| allowed < machine.idle_for());
        late.map(|(id, _)| id.clone()).collect()
    }

    /// Holds every machine without anybody having asked: the house cannot keep its book. One that
    /// does not answer keeps none of the others waiting, nor whoever asks for this.
    pub async fn hold_all(&self, why: &str) {
        let machines = self.inner.machines.values();
        let held = futures_util::future::join_all(machines.map(|it| it.stop(Stop::Hold, why)));
        // A machine that is gone needs no hold.
        tokio::time::timeout(REST, held).await.ok();
    }

    /// The machine that this is asked of. That there is none is written down as well.
    fn machine_for(
        &self,
        who: &Person,
        request: &Request,
        id: &str,
    ) -> Result<&machine::Handle, Refused> {
        self.permit(who, request)?;
        self.machine(id).inspect_err(|refused| {
            self.note_later(who, clipped(request), Some(refused.to_string()));
        })
    }

    async fn stop_one(
        &self,
        who: &Person,
        request: Request,
        machine: &machine::Handle,
        how: Stop,
    ) -> Result<Instant, Refused> {
        self.permit(who, &request)?;
        let sent = machine.stop(how, &who.name).await.map_err(Refused::from);
        self.note_later(who, request, sent.as_ref().err().map(ToString::to_string));
        sent
    }

    fn permit(&self, who: &Person, request: &Request) -> Result<(), Refused> {
        if may(who.role, request) {
            return Ok(());
        }
        let refused = Refused::Forbidden { who: who.name.clone(), need: least(request) };
        self.note_later(who, clipped(request), Some(refused.to_string()));
        Err(refused)
    }

    /// Writes down what was asked and what came of it, without waiting.
    fn note_later(&self, who: &Person, request: Request, refused: Option<String>) {
        let ledger = self.inner.ledger.clone();
        let by = who.clone();
        tokio::spawn(async move {
            // A ledger that fails says so itself and has the machines held.
            if let Ok(of) = ledger.write(Fact::Asked { by, request }).await {
                ledger.note(Fact::Answered { of, refused }).ok();
            }
        });
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

fn as_command(how: Stop) -> Command {
    match how {
        Stop::Hold => Command::Hold,
        Stop::Stop => Command::Stop,
        Stop::Abort => Command::Abort,
    }
}

async fn report(
    machine: &machine::Handle,
    how: Stop,
    asked: Instant,
    sent: Result<Instant, Refused>,
) -> StopReport {
    let rested = match &sent {
        Ok(_) => tokio::time::timeout(REST, machine.rest(how)).await.ok(),
        Err(_) => None,
    };
    let state = rested.unwrap_or_else(|| machine.live().mode);
    let text = match (&sent, rested) {
        (_, Some(Mode::Offline)) => Some("the machine went offline before it rested".to_owned()),
        (Ok(_), Some(_)) => None,
        (Ok(_), None) => Some(format!("no report of rest within {} s", REST.as_secs())),
        (Err(refused), _) => Some(format!("nothing reached it: {refused}")),
    };
    let confirmed = text.is_none();
    StopReport {
        machine: machine.declared.id.clone(),
        sent: sent.is_ok(),
        confirmed,
        ms: confirmed.then(|| asked.elapsed().as_millis() as u64),
        state,
        text,
    }
}
