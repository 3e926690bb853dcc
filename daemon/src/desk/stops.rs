//! Stops at the desk: sent at once, then waited for, told and written down.
//!
//! ```text
//!  may? -> stop lane of each machine -> byte out -> own report of rest, 5 s at the most -> answer
//!               \-> book: asked, passed on                              \-> book: stopped
//! ```
//!
//! Invariants: nothing is called stopped that has not said so itself; one machine that does not
//! answer keeps neither the others nor the answer waiting for longer than [`REST`]; nobody waits
//! for the book.

use std::time::{Duration, Instant};

use headstock_config::api::StopReport;
use headstock_config::command::{Command, Stop};
use headstock_config::ledger::{Fact, Request};
use headstock_config::machine::Mode;
use headstock_config::people::Person;
use headstock_drivers::stops::{Class, does};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{timeout, timeout_at};

use super::{Desk, Refused};
use crate::histogram::Histogram;
use crate::machine;

/// How long a stop waits for a machine to report rest before it says that it has not.
const REST: Duration = Duration::from_secs(5);

/// When the byte of a stop was handed to the port, or why none was.
type Sent = Result<Instant, Refused>;

/// The number that a request gets in the book.
type Number = JoinHandle<Option<u64>>;

impl Desk {
    /// Stops one machine and waits, within reason, until it reports that it rests.
    pub async fn stop(&self, who: &Person, id: &str, how: Stop) -> Result<StopReport, Refused> {
        let request = Request::Tell { machine: id.to_owned(), command: as_command(how) };
        let machine = self.machine_for(who, &request, id)?;
        let asked = self.asked();
        let (sent, number) = self.stop_one(who, request, machine, how).await;
        if let Err(refused @ Refused::Forbidden { .. }) = sent {
            return Err(refused);
        }
        let report = self.report(machine, how, asked, sent).await;
        tell_log(&report, &who.name, how);
        self.note_stopped(number, vec![report.clone()]);
        Ok(report)
    }

    /// Stops every machine at once and says of each what was confirmed.
    pub async fn stop_all(&self, who: &Person, how: Stop) -> Result<Vec<StopReport>, Refused> {
        self.permit(who, &Request::StopAll)?;
        let asked = self.asked();
        let mut reports = JoinSet::new();
        for machine in self.inner.machines.values() {
            let (desk, machine, by) = (self.clone(), machine.clone(), who.name.clone());
            reports.spawn(async move {
                let sent = desk.send_stop(&machine, how, &by).await;
                desk.report(&machine, how, asked, sent).await
            });
        }
        let number = Some(self.note_later(who, Request::StopAll, None));
        let mut reports = reports.join_all().await;
        reports.sort_by(|one, other| one.machine.cmp(&other.machine));
        for report in &reports {
            tell_log(report, &who.name, how);
        }
        self.note_stopped(number, reports.clone());
        Ok(reports)
    }

    /// Holds every machine without anybody having asked: the house cannot keep its book. One that
    /// does not answer keeps none of the others waiting, nor whoever asks for this.
    pub async fn hold_all(&self, why: &str) {
        let machines = self.inner.machines.values();
        let held = futures_util::future::join_all(machines.map(|it| it.stop(Stop::Hold, why)));
        // A machine that is gone needs no hold.
        tokio::time::timeout(REST, held).await.ok();
    }

    /// From a stop's arrival until its byte had been handed to the port of a machine.
    pub fn stop_times(&self) -> &Histogram {
        &self.inner.stop_times
    }

    /// One machine is stopped; answers when the byte is out.
    pub(super) async fn stop_one(
        &self,
        who: &Person,
        request: Request,
        machine: &machine::Handle,
        how: Stop,
    ) -> (Sent, Option<Number>) {
        if let Err(refused) = self.permit(who, &request) {
            return (Err(refused), None);
        }
        let sent = self.send_stop(machine, how, &who.name).await;
        let refused = sent.as_ref().err().map(ToString::to_string);
        let number = self.note_later(who, request, refused);
        (sent, Some(number))
    }

    /// Hands a stop to a machine. One that does not take it in time is left to itself: the stop
    /// stays in its lane.
    pub(super) async fn send_stop(&self, machine: &machine::Handle, how: Stop, by: &str) -> Sent {
        let asked = self.asked();
        let sent = timeout(REST, machine.stop(how, by)).await;
        let sent = sent.map_err(|_| Refused::Machine(machine::Error::Deaf))??;
        self.inner.stop_times.note(sent.saturating_duration_since(asked));
        Ok(sent)
    }

    async fn report(
        &self,
        machine: &machine::Handle,
        how: Stop,
        asked: Instant,
        sent: Sent,
    ) -> StopReport {
        let rested = match &sent {
            Ok(sent) => timeout_at((*sent + REST).into(), machine.rest(how)).await.ok(),
            Err(_) => None,
        };
        let took = asked.elapsed();
        let live = machine.live();
        let text = match (&sent, rested) {
            (_, Some(Mode::Offline)) => {
                Some("the machine went offline before it rested".to_owned())
            }
            (Ok(_), Some(_)) => None,
            (Ok(_), None) => {
                Some(format!("no report of rest within {} s; use its power switch", REST.as_secs()))
            }
            (Err(refused), _) => Some(format!("nothing reached it: {refused}")),
        };
        let confirmed = text.is_none();
        let id = &machine.declared.id;
        let state = self.ledger().state();
        let controller = state.machines.get(id).and_then(|it| it.controller.as_ref());
        let did = match &sent {
            Ok(_) => does(&machine.declared, controller, &live, how),
            Err(_) => "nothing".to_owned(),
        };
        StopReport {
            machine: id.clone(),
            class: Class::of(&machine.declared).word().to_owned(),
            did,
            sent: sent.is_ok(),
            confirmed,
            ms: confirmed.then(|| u64::try_from(took.as_millis()).unwrap_or(u64::MAX)),
            state: rested.unwrap_or(live.mode),
            text,
        }
    }

    /// Writes down what came of a stop, once it is known under which number it was asked for.
    fn note_stopped(&self, number: Option<Number>, reports: Vec<StopReport>) {
        let Some(number) = number else { return };
        let ledger = self.inner.ledger.clone();
        tokio::spawn(async move {
            if let Ok(Some(of)) = number.await {
                // A ledger that fails says so itself and has the machines held.
                ledger.note(Fact::Stopped { of, reports }).ok();
            }
        });
    }
}

fn tell_log(report: &StopReport, by: &str, how: Stop) {
    let StopReport { machine, sent, confirmed, ms, text, .. } = report;
    match text {
        None => tracing::info!(%machine, %by, ?how, sent, confirmed, ms, "stopped"),
        Some(why) => tracing::warn!(%machine, %by, ?how, sent, confirmed, %why, "stop"),
    }
}

fn as_command(how: Stop) -> Command {
    match how {
        Stop::Hold => Command::Hold,
        Stop::Stop => Command::Stop,
        Stop::Abort => Command::Abort,
    }
}
