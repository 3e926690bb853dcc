//! What is known about jobs that an earlier house left under way.
//!
//! Only the book speaks here: the latest checkpoint, and how much can have gone over the wire
//! since. The lines between the two bounds are the ones that a person has to look at.

use headstock_config::job::{Interruption, Job, JobEvent};
use headstock_config::ledger::{Fact, State};
use headstock_config::settings::Settings;

/// The shortest line that a controller could be fed: what may have been sent after the last
/// checkpoint of a house that was killed is bounded by the wire.
const SHORTEST_LINE: u64 = 3;
/// A checkpoint is at most this old, seconds: one a second, and one for the disk.
const CHECKPOINT_AGE: u64 = 2;

/// What is to be written down before any door opens. `clean`: the earlier house was closed.
pub(super) fn interruptions(state: &State, settings: &Settings, clean: bool) -> Vec<Fact> {
    let active = state.jobs.values().filter(|job| job.state.active());
    active
        .map(|job| {
            let known = interruption(job, state, settings, clean);
            let (reason, lines_acked) = (known.reason.clone(), known.lines_acked);
            let happened = match job.dry_run {
                // Nothing has moved in check mode.
                true => JobEvent::Failed { reason, lines_acked },
                false => JobEvent::Interrupted(known),
            };
            Fact::Job { job: job.id.clone(), happened }
        })
        .collect()
}

fn interruption(job: &Job, state: &State, settings: &Settings, clean: bool) -> Interruption {
    let declared = settings.machines.iter().find(|machine| machine.id == job.machine);
    let per_second = declared.map_or(0, |machine| u64::from(machine.baud) / 10 / SHORTEST_LINE);
    let last = job.checkpoint.clone().unwrap_or_default();
    // What continues another job has nothing to do with the lines before its own.
    let before = job.from_line.saturating_sub(1);
    let sent_line = last.sent_line.max(before) + per_second * CHECKPOINT_AGE;
    // No file of lines is longer than itself.
    let end = state.files.get(&job.file).map_or(u64::MAX, |file| file.lines);
    Interruption {
        reason: if clean { "the house was closed" } else { "the box or the daemon restarted" }
            .into(),
        line_min: last.line_min.max(before).min(end),
        line_max: sent_line.min(end),
        position: last.position,
        work_offset: last.work_offset,
        position_kept: false,
        lines_acked: last.acked,
    }
}

#[cfg(test)]
mod tests {
    use headstock_config::file::{Analysis, File};
    use headstock_config::job::{Checkpoint, JobState};
    use headstock_config::load;

    use super::*;

    /// The lines that a job of a file of 1000 lines may have been at.
    fn between(from_line: u64, line: u64, sent_line: u64, known: bool) -> (u64, u64) {
        let text = "[[machine]]\nid = \"mill\"\ndriver = \"grbl\"\nport = \"sim:grbl\"\n\
                    baud = 1200\n";
        let settings = load::parse(text, "t.toml", &["grbl"]).unwrap();
        let checkpoint = Checkpoint {
            line,
            line_min: line.saturating_sub(17),
            sent_line,
            ..Checkpoint::default()
        };
        let job = Job {
            id: "j1".into(),
            machine: "mill".into(),
            file: "f".into(),
            file_name: "part.nc".into(),
            by: "ada".into(),
            state: JobState::Running,
            from_line,
            lines: 900,
            started_ms: Some(0),
            checkpoint: (0 < sent_line).then_some(checkpoint),
            ..Job::default()
        };
        let file = File {
            id: "f".into(),
            name: "part.nc".into(),
            bytes: 1,
            lines: 1000,
            blake3: String::new(),
            uploaded_ms: 0,
            by: "ada".into(),
            analysis: Analysis::default(),
        };
        let files = known.then(|| ("f".into(), file)).into_iter().collect();
        let state = State { jobs: [(1, job)].into(), files, ..State::default() };
        let facts = interruptions(&state, &settings, false);
        match &facts[..] {
            [Fact::Job { happened: JobEvent::Interrupted(it), .. }] => (it.line_min, it.line_max),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn no_job_broke_off_behind_the_end_of_its_file_or_before_its_own_beginning() {
        // 1200 baud: 40 lines a second at the most.
        assert_eq!(between(1, 100, 120, true), (83, 200));
        assert_eq!(between(1, 960, 990, true), (943, 1000));
        assert_eq!(between(1, 960, 990, false), (943, 1070));
        assert_eq!(between(1, 0, 0, true), (0, 80));
        assert_eq!(between(500, 0, 0, true), (499, 579));
        assert_eq!(between(500, 505, 510, true), (499, 590));
    }
}
