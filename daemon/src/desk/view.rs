//! What the doors show: the book and the live values, put together.

use std::collections::BTreeSet;
use std::sync::Arc;

use headstock_config::api::{AlarmView, Equipment, JobView};
use headstock_config::job::{Job, JobState};
use headstock_config::ledger::{Entry, State, job_number};
use headstock_config::machine::{Controller, Live, Power, Setting};
use tokio::sync::broadcast::Receiver;

use super::alarms::views;
use super::{Desk, Refused};
use crate::clock::now_ms;
use crate::ledger::Health;
use crate::machine;

/// Share of a program after which its own pace says more than the estimate.
const SETTLED: f64 = 0.05;
/// Jobs that are over in a snapshot.
const RECENT: usize = 50;

/// Everything as of one entry.
pub struct Snapshot {
    /// The last entry that it includes.
    pub number: u64,
    /// All machines.
    pub equipment: Vec<Equipment>,
    /// Unfinished jobs, then the newest finished ones; each newest first.
    pub jobs: Vec<JobView>,
    /// Alarms that are not normal, the most urgent first.
    pub alarms: Vec<AlarmView>,
}

impl Desk {
    /// All machines, in the order of their ids.
    pub fn equipment(&self) -> Vec<Equipment> {
        let state = self.ledger().state();
        self.inner.machines.values().map(|machine| equipment(&state, machine)).collect()
    }

    /// One machine.
    pub fn one_equipment(&self, id: &str) -> Result<Equipment, Refused> {
        let machine = self.machine(id)?;
        Ok(equipment(&self.ledger().state(), machine))
    }

    /// The settings that the controller of a machine has told; none while it is not known.
    pub fn settings(&self, id: &str) -> Result<Vec<Setting>, Refused> {
        self.machine(id)?;
        let state = self.ledger().state();
        let controller = state.machines.get(id).and_then(|it| it.controller.as_ref());
        Ok(controller.map(|it| it.settings.clone()).unwrap_or_default())
    }

    /// Jobs for which `wanted` is true, newest first, at most `limit`; only those before the job
    /// with the id `before`, if one is given.
    pub async fn jobs(
        &self,
        before: Option<&str>,
        limit: usize,
        wanted: impl Fn(&Job) -> bool + Send + 'static,
    ) -> Result<Vec<JobView>, Refused> {
        let number = |id| job_number(id).ok_or_else(|| Refused::UnknownJob(id.to_owned()));
        let before = before.map(number).transpose()?;
        let jobs = self.ledger().jobs(before, limit, wanted).await?;
        Ok(jobs.iter().map(|job| self.look_at(job)).collect())
    }

    /// One job.
    pub async fn one_job(&self, id: &str) -> Result<JobView, Refused> {
        Ok(self.look_at(&self.find_job(id).await?))
    }

    /// A job with what its machine says at this moment.
    pub fn look_at(&self, job: &Job) -> JobView {
        let machine = self.inner.machines.get(&job.machine).filter(|_| job.state.active());
        let live = machine.map(machine::Handle::live);
        job_view(job, live.as_ref(), now_ms())
    }

    /// How much of the job that a machine is at has been done: 0 to 1; `None` if it is at none.
    pub fn share_done(&self, machine: &str) -> Option<f64> {
        let state = self.ledger().state();
        let mut jobs = state.jobs.values().rev();
        let job = jobs.find(|job| job.machine == machine && job.state.active())?;
        Some(self.look_at(job).progress)
    }

    /// Everything as of one entry, and every entry after it: nothing is missed between the two,
    /// and nothing seen twice.
    pub fn snapshot(&self) -> (Snapshot, Receiver<Arc<Entry>>) {
        let failed = *self.ledger().health().borrow() == Health::Failed;
        self.ledger().follow(|state| {
            let machines = self.inner.machines.values();
            let (over, open): (Vec<&Job>, Vec<&Job>) =
                state.jobs.values().rev().partition(|job| job.state.over());
            let jobs = open.into_iter().chain(over.into_iter().take(RECENT));
            Snapshot {
                number: state.applied,
                equipment: machines.map(|machine| equipment(state, machine)).collect(),
                jobs: jobs.map(|job| self.look_at(job)).collect(),
                alarms: views(state, &self.inner.alarms, false, failed),
            }
        })
    }

    /// How each machine is, and whether a job is under way on it.
    pub fn lives(&self) -> Vec<(String, Live, bool)> {
        let state = self.ledger().state();
        let active = state.jobs.values().filter(|job| job.state.active());
        let at_work: BTreeSet<&str> = active.map(|job| job.machine.as_str()).collect();
        let live = |(id, machine): (&String, &machine::Handle)| {
            (id.clone(), machine.live(), at_work.contains(id.as_str()))
        };
        self.inner.machines.iter().map(live).collect()
    }

    /// What rules go by of a machine, every time that it changed; for the one who asks first.
    pub fn changes_of(
        &self,
        machine: &str,
    ) -> Option<tokio::sync::mpsc::Receiver<machine::Changed>> {
        self.inner.machines.get(machine)?.changes()
    }

    /// To be told when a machine says something else.
    pub fn watch_machines(
        &self,
    ) -> impl Iterator<Item = (String, tokio::sync::watch::Receiver<Live>)> {
        self.inner.machines.iter().map(|(id, machine)| (id.clone(), machine.watch()))
    }
}

fn equipment(state: &State, machine: &machine::Handle) -> Equipment {
    let declared = &machine.declared;
    let live = machine.live();
    let book = state.machines.get(&declared.id).cloned().unwrap_or_default();
    let of_machine = || state.jobs.values().filter(|job| job.machine == declared.id);
    let queued = of_machine().filter(|job| job.state == JobState::Queued);
    Equipment {
        id: declared.id.clone(),
        name: declared.name.clone(),
        driver: declared.driver.clone(),
        port: declared.port.to_string(),
        state: live.mode,
        job: of_machine().find(|job| job.state.active()).map(|job| job.id.clone()),
        queue: queued.map(|job| job.id.clone()).collect(),
        locked_by: book.locked_by,
        alarm: book.alarm,
        offline_reason: book.offline_reason,
        controller: book.controller.map(without_settings),
        uncleared: book.uncleared,
        power: declared.power.as_ref().map(Power::point),
        live,
    }
}

/// There are a hundred and more of them, and few people look: see [`Desk::settings`].
fn without_settings(controller: Controller) -> Controller {
    Controller { settings: Vec::new(), ..controller }
}

fn job_view(job: &Job, live: Option<&Live>, now_ms: u64) -> JobView {
    let mut job = job.clone();
    let progress = live.and_then(|live| live.progress);
    if let Some(progress) = progress {
        job.lines_acked = progress.lines_acked;
    }
    let share = match job.state {
        JobState::Completed => 1.0,
        _ if job.lines == 0 => 0.0,
        _ => (job.lines_acked as f64 / job.lines as f64).min(1.0),
    };
    let line = progress.map(|it| it.line).or(job.checkpoint.as_ref().map(|it| it.line));
    JobView {
        progress: share,
        line: line.unwrap_or_default(),
        executing: progress.and_then(|it| it.executing),
        time_left_s: job.state.active().then(|| time_left(&job, share, now_ms)),
        asks: live.and_then(|live| live.asks.clone()),
        starved: progress.map(|it| it.starved).unwrap_or_default(),
        job,
    }
}

/// The estimate at first; later more and more what the job's own pace says.
fn time_left(job: &Job, share: f64, now_ms: u64) -> f64 {
    let planned = job.estimate_s * (1.0 - share);
    // The box's clock may be set meanwhile, so it counts only until the first checkpoint.
    let by_clock = || {
        let held = job.held_ms + job.held_since_ms.map_or(0, |since| now_ms.saturating_sub(since));
        now_ms.saturating_sub(job.started_ms.unwrap_or(now_ms)).saturating_sub(held)
    };
    let elapsed = job.worked_ms().unwrap_or_else(by_clock);
    if share < SETTLED {
        return planned;
    }
    let by_pace = elapsed as f64 / 1000.0 / share * (1.0 - share);
    by_pace * share + planned * (1.0 - share)
}
