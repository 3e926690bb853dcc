//! How many program lines were answered since the house opened, machine by machine.
//!
//! The book lets go of old jobs, and a live value ends before its job does; a counter that ever
//! went down would be read as a restart. So what is over is added up once, and no sum is told
//! that is smaller than one told before.

use std::collections::{BTreeMap, BTreeSet};

use headstock_config::api::Equipment;
use headstock_config::ledger::State;

/// What has been added up, and what has been told.
#[derive(Default)]
pub(super) struct Tally {
    /// Jobs before this one ended before the house opened.
    first_job: u64,
    /// Jobs that are over and have been added.
    added: BTreeSet<u64>,
    machines: BTreeMap<String, Sum>,
}

#[derive(Default)]
struct Sum {
    over: u64,
    told: u64,
}

impl Tally {
    /// Nothing yet; jobs that the book holds now are of earlier times.
    pub(super) fn new(state: &State) -> Self {
        Self { first_job: state.next_job, ..Self::default() }
    }

    /// The sum of each machine.
    pub(super) fn lines(&mut self, state: &State, equipment: &[Equipment]) -> Vec<(String, u64)> {
        let mut open: BTreeMap<&str, u64> = BTreeMap::new();
        for (&number, job) in state.jobs.range(self.first_job..) {
            if !job.state.over() {
                *open.entry(&job.machine).or_default() += job.lines_acked;
            } else if self.added.insert(number) {
                self.machines.entry(job.machine.clone()).or_default().over += job.lines_acked;
            }
        }
        equipment
            .iter()
            .map(|machine| {
                let written = open.get(machine.id.as_str()).copied().unwrap_or_default();
                (machine.id.clone(), self.tell(machine, written))
            })
            .collect()
    }

    /// The live value is newer than what has been written down of the same job.
    fn tell(&mut self, machine: &Equipment, written: u64) -> u64 {
        let live = machine.live.progress.filter(|_| machine.job.is_some());
        let sum = self.machines.entry(machine.id.clone()).or_default();
        sum.told = sum.told.max(sum.over + written.max(live.map_or(0, |it| it.lines_acked)));
        sum.told
    }
}

#[cfg(test)]
mod tests {
    use headstock_config::job::{Job, JobState};
    use headstock_config::machine::{Live, Mode, Progress};
    use serde_json::json;

    use super::*;

    fn job(state: JobState, lines_acked: u64) -> Job {
        let job = json!({
            "id": "j1", "machine": "mill", "file": "f", "file_name": "a.nc", "by": "ada",
            "state": state, "dry_run": false, "from_line": 1, "lines": 100,
            "lines_acked": lines_acked, "estimate_s": 1.0, "queued_ms": 0, "held_ms": 0,
            "notes": [], "refused_lines": 0,
        });
        serde_json::from_value(job).unwrap()
    }

    fn mill(job: Option<&str>, lines_acked: Option<u64>) -> Equipment {
        let progress =
            lines_acked.map(|lines_acked| Progress { lines_acked, ..Progress::default() });
        Equipment {
            id: "mill".into(),
            name: "mill".into(),
            driver: "grbl".into(),
            port: "sim:grbl".into(),
            state: Mode::Running,
            job: job.map(str::to_owned),
            queue: Vec::new(),
            locked_by: None,
            alarm: None,
            offline_reason: None,
            controller: None,
            uncleared: false,
            power: None,
            live: Live { progress, ..Live::default() },
        }
    }

    #[test]
    fn the_sum_follows_the_machine_and_never_goes_down() {
        let mut state = State { next_job: 5, ..State::default() };
        state.jobs.insert(4, job(JobState::Completed, 1000));
        let mut tally = Tally::new(&state);
        let mut told = |state: &State, mill: Equipment| tally.lines(state, &[mill])[0].1;
        assert_eq!(told(&state, mill(None, None)), 0, "earlier jobs are of earlier times");

        state.jobs.insert(5, job(JobState::Running, 10));
        assert_eq!(told(&state, mill(Some("j5"), Some(60))), 60);
        assert_eq!(told(&state, mill(Some("j5"), None)), 60, "the live value ended first");
        state.jobs.insert(5, job(JobState::Completed, 100));
        assert_eq!(told(&state, mill(None, Some(100))), 100, "nothing is counted twice");
        state.jobs.remove(&5);
        state.jobs.insert(6, job(JobState::Interrupted, 7));
        assert_eq!(told(&state, mill(None, None)), 107, "what the book lets go of stays counted");
    }
}
