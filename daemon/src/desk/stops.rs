//! Stops at the desk: sent at once, then waited for, told and written down.
//!
//! ```text
//!  may? -+-> stop lane of each machine -> byte out -> own report of rest, 5 s at the most -> answer
//!        |      \-> book: asked, passed on                              \-> book: stopped
//!        \-> abort: lane of the board that cuts its power -> read back --/
//! ```
//!
//! Invariants: nothing is called stopped that has not said so itself, or is silent because its power
//! has been read back as off; one machine that does not
//! answer keeps neither the others nor the answer waiting for longer than [`REST`]; nobody waits
//! for the book.

use std::time::{Duration, Instant};

use headstock_config::api::{PowerReport, StopReport};
use headstock_config::command::{Command, Stop};
use headstock_config::ledger::{Fact, Request};
use headstock_config::machine::{Machine, Mode, Power};
use headstock_config::people::Person;
use headstock_drivers::Refusal;
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

/// What comes of a stop that has been handed over.
pub(super) struct Going {
    /// Its byte has left the house, or not.
    pub(super) sent: Sent,
    /// What has been told to cut the machine's power.
    power: Option<machine::Switching>,
}

/// The number that a request gets in the book.
type Number = JoinHandle<Option<u64>>;

impl Desk {
    /// Stops one machine and waits, within reason, until it reports that it rests.
    pub async fn stop(&self, who: &Person, id: &str, how: Stop) -> Result<StopReport, Refused> {
        let request = Request::Tell { machine: id.to_owned(), command: as_command(how) };
        let machine = self.machine_for(who, &request, id)?;
        let asked = self.asked();
        let (going, number) = self.stop_one(who, request, machine, how).await;
        if let Err(refused @ Refused::Forbidden { .. }) = going.sent {
            return Err(refused);
        }
        let report = self.report(machine, how, asked, going).await;
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
                let going = desk.send_stop(&machine, how, &by).await;
                desk.report(&machine, how, asked, going).await
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
    ) -> (Going, Option<Number>) {
        if let Err(refused) = self.permit(who, &request) {
            return (Going { sent: Err(refused), power: None }, None);
        }
        let going = self.send_stop(machine, how, &who.name).await;
        let refused = going.sent.as_ref().err().map(ToString::to_string);
        let number = self.note_later(who, request, refused);
        (going, Some(number))
    }

    /// Hands a stop to a machine. One that does not take it in time is left to itself: the stop
    /// stays in its lane.
    pub(super) async fn send_stop(&self, machine: &machine::Handle, how: Stop, by: &str) -> Going {
        let asked = self.asked();
        let mut told = machine.stop_now(how, by);
        let sent = match timeout(REST, told.sent()).await {
            Ok(sent) => sent.map_err(Refused::Machine),
            Err(_) => Err(Refused::Machine(machine::Error::Deaf)),
        };
        if let Ok(sent) = &sent {
            self.inner.stop_times.note(sent.saturating_duration_since(asked));
        }
        Going { sent, power: told.power }
    }

    /// An abort that is only passed on: done as well where the machine is out of reach and its power
    /// is off.
    pub(super) async fn passed_on(
        &self,
        machine: &machine::Handle,
        going: Going,
    ) -> Result<(), Refused> {
        let Going { sent, power } = going;
        match (sent, power) {
            (Err(refused), Some(power)) => {
                let power = self.power(machine, self.asked(), Some(power)).await;
                if power.is_some_and(|it| it.confirmed) { Ok(()) } else { Err(refused) }
            }
            (sent, _) => sent.map(drop),
        }
    }

    /// What has come of the relay, within reason.
    async fn power(
        &self,
        machine: &machine::Handle,
        asked: Instant,
        switching: Option<machine::Switching>,
    ) -> Option<PowerReport> {
        let power = machine.declared.power.as_ref()?;
        let cut = timeout_at((asked + REST).into(), switching?.cut()).await;
        let relay = power.point();
        Some(match cut {
            Ok(Ok(at)) => {
                let ms = Some(millis(at.saturating_duration_since(asked)));
                let text = format!("it stays off until somebody says `{}`", power.on_again());
                PowerReport { relay, confirmed: true, ms, text }
            }
            Ok(Err(why)) => {
                let text = format!("{why}; use the power switch of the machine");
                PowerReport { relay, confirmed: false, ms: None, text }
            }
            Err(_) => {
                let seconds = REST.as_secs();
                let text = format!(
                    "nothing was read back within {seconds} s; use the power switch of the machine"
                );
                PowerReport { relay, confirmed: false, ms: None, text }
            }
        })
    }

    async fn report(
        &self,
        machine: &machine::Handle,
        how: Stop,
        asked: Instant,
        going: Going,
    ) -> StopReport {
        let Going { sent, power } = going;
        let rested = async {
            let until = *sent.as_ref().ok()? + REST;
            let mode = timeout_at(until.into(), machine.rest(how)).await.ok()?;
            Some((mode, asked.elapsed()))
        };
        let (rested, power) = tokio::join!(rested, self.power(machine, asked, power));
        let live = machine.live();
        let state = rested.map_or(live.mode, |(mode, _)| mode);
        // What it has said itself counts first; what has no power cannot say anything.
        let own = rested.filter(|(mode, _)| *mode != Mode::Offline).map(|(_, took)| millis(took));
        let off = power.as_ref().filter(|it| it.confirmed && state == Mode::Offline);
        let confirmed = own.is_some() || off.is_some();
        let text = match &sent {
            _ if confirmed => None,
            Err(refused) => Some(unreached(&machine.declared, refused)),
            Ok(_) if rested.is_some() => {
                Some("the machine went offline before it rested".to_owned())
            }
            Ok(_) => Some(unconfirmed(&machine.declared, how, power.as_ref())),
        };
        let id = &machine.declared.id;
        let controller =
            self.ledger().state().machines.get(id).and_then(|it| it.controller.clone());
        let did = match &sent {
            Err(_) if power.is_none() => "nothing".to_owned(),
            Err(_) => "nothing reached it; its power is switched off".to_owned(),
            Ok(_) => does(&machine.declared, controller.as_ref(), &live, how),
        };
        StopReport {
            machine: id.clone(),
            class: Class::of(&machine.declared).word().to_owned(),
            did,
            sent: sent.is_ok(),
            confirmed,
            ms: own.or(off.and_then(|it| it.ms)),
            state,
            text,
            power,
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

/// What stands in the answer where a stop could not be sent.
fn unreached(machine: &Machine, refused: &Refused) -> String {
    let offline = matches!(refused, Refused::Machine(machine::Error::Refused(Refusal::NotOnline)));
    let later = if offline && machine.on_a_bus() {
        "; it is stopped first thing when it answers again"
    } else {
        ""
    };
    format!("nothing reached it: {refused}{later}")
}

/// What to do about a machine that has not said that it rests.
fn unconfirmed(machine: &Machine, how: Stop, power: Option<&PowerReport>) -> String {
    let seconds = REST.as_secs();
    let (id, relay) = (&machine.id, machine.power.as_ref().map(Power::point));
    match (relay, power) {
        (Some(relay), Some(it)) if it.confirmed => format!(
            "its power is off ({relay}), and it has neither rested nor fallen silent: go and look"
        ),
        (Some(relay), None) if how != Stop::Hold => format!(
            "no report of rest within {seconds} s; `headstock abort {id}` cuts its power ({relay})"
        ),
        _ => format!("no report of rest within {seconds} s; use its power switch"),
    }
}

fn millis(took: Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}

fn tell_log(report: &StopReport, by: &str, how: Stop) {
    if let Some(PowerReport { relay, confirmed, ms, text }) = &report.power {
        tracing::info!(machine = %report.machine, %relay, confirmed, ms, %text, "its power");
    }
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
