//! A job: one program on one machine, once.
//!
//! ```text
//!            start             end of program
//!  queued ---------> running -----------------> completed
//!    |               |  ^  |                        ^ done
//!    | cancel   hold v  |  | cable, reset, alarm,   |
//!    |              held   | mismatch, box restart  |
//!    |               |     v                        |
//!    |               +-> interrupted ---------------+
//!    v  cancel,error |     | scrap, restart, release, resume
//!  cancelled <-------+     v
//!  failed                failed
//! ```
//!
//! Every transition stands in [`JobState::after`]; there is no other place that changes a state.
//! Invariant: only a [`JobEvent::Decided`] by a person leaves `interrupted`.

use serde::{Deserialize, Serialize};

use crate::machine::Xyz;

/// What has become of a job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Waits for its machine.
    #[default]
    Queued,
    /// Is being carried out.
    Running,
    /// Rests; can go on.
    Held,
    /// Broke off; a person must decide.
    Interrupted,
    /// Carried out to the end.
    Completed,
    /// Given up because something was wrong.
    Failed,
    /// Given up because a person wished so.
    Cancelled,
}

impl JobState {
    /// The word used in every interface.
    pub fn word(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Held => "held",
            Self::Interrupted => "interrupted",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Nothing more will happen to it.
    pub fn over(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }

    /// Its program may be in the controller.
    pub fn active(self) -> bool {
        matches!(self, Self::Running | Self::Held)
    }

    /// The table: the state after an event, or `None` where the event cannot happen.
    pub fn after(self, event: &JobEvent) -> Option<Self> {
        use JobState::{Cancelled, Completed, Failed, Held, Interrupted, Queued, Running};
        Some(match (self, event) {
            (Queued, JobEvent::Started { .. }) => Running,
            (Queued, JobEvent::Cancelled { .. }) => Cancelled,
            (Queued, JobEvent::Failed { .. }) => Failed,
            (Running, JobEvent::Held { .. }) => Held,
            (Held, JobEvent::Held { .. }) => Held,
            (Held | Running, JobEvent::Resumed { .. }) => Running,
            (Running | Held, JobEvent::Checkpoint(_)) => self,
            (Running | Held, JobEvent::Completed { .. }) => Completed,
            (Running | Held, JobEvent::Failed { .. }) => Failed,
            (Running | Held, JobEvent::Cancelled { .. }) => Cancelled,
            (Running | Held, JobEvent::Interrupted(_)) => Interrupted,
            (Interrupted, JobEvent::Decided { decision: Decision::Done, .. }) => Completed,
            (Interrupted, JobEvent::Decided { .. }) => Failed,
            (_, JobEvent::Note { .. }) => self,
            _ => return None,
        })
    }
}

/// A job and its history in short.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// `j` and a number that counts up: `j12`.
    pub id: String,
    /// The machine's id.
    pub machine: String,
    /// The file's id.
    pub file: String,
    /// The file's name when the job was made.
    pub file_name: String,
    /// Who asked for it.
    pub by: String,
    /// What has become of it.
    pub state: JobState,
    /// Check mode only: nothing moves.
    pub dry_run: bool,
    /// File line that it begins with; 1 unless it continues another job.
    pub from_line: u64,
    /// Program lines in all.
    pub lines: u64,
    /// Program lines that the controller had answered at the latest event.
    pub lines_acked: u64,
    /// Estimated seconds.
    pub estimate_s: f64,
    /// Milliseconds since 1970.
    pub queued_ms: u64,
    /// Milliseconds since 1970.
    pub started_ms: Option<u64>,
    /// Milliseconds since 1970.
    pub ended_ms: Option<u64>,
    /// Milliseconds spent held.
    pub held_ms: u64,
    /// When the present hold began, milliseconds since 1970.
    pub held_since_ms: Option<u64>,
    /// Why it is in its state, for people.
    pub reason: Option<String>,
    /// What is known about an interruption.
    pub interruption: Option<Interruption>,
    /// The latest checkpoint.
    pub checkpoint: Option<Checkpoint>,
    /// The job that this one repeats or continues.
    pub follows: Option<String>,
    /// The job that repeats or continues this one.
    pub followed_by: Option<String>,
    /// Notes by people.
    pub notes: Vec<String>,
    /// Lines that the controller refused.
    pub refused_lines: u64,
}

/// What can happen to a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum JobEvent {
    /// A person asked for it.
    Queued {
        /// The job as it begins.
        job: Box<Job>,
    },
    /// Stored before its first byte leaves.
    Started {
        /// Where the machine was, machine coordinates.
        position: Option<Xyz>,
        /// The work offset then.
        work_offset: Option<Xyz>,
    },
    /// It rests.
    Held {
        /// For people.
        reason: String,
    },
    /// It goes on.
    Resumed {
        /// Who said so.
        by: String,
    },
    /// Once a second while it runs.
    Checkpoint(Checkpoint),
    /// Carried out to the end.
    Completed {
        /// Program lines answered.
        lines_acked: u64,
        /// Program lines the controller refused.
        refused_lines: u64,
    },
    /// Given up.
    Failed {
        /// For people.
        reason: String,
        /// Program lines answered.
        lines_acked: u64,
    },
    /// Given up by a person.
    Cancelled {
        /// Who.
        by: String,
        /// Program lines answered.
        lines_acked: u64,
    },
    /// Broke off.
    Interrupted(Interruption),
    /// A person has decided.
    Decided {
        /// What.
        decision: Decision,
        /// Who.
        by: String,
        /// Why.
        reason: String,
        /// The job that follows, for `restart` and `resume`.
        next: Option<String>,
    },
    /// A person remarks.
    Note {
        /// Who.
        by: String,
        /// What.
        text: String,
    },
}

/// Where a running job was.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Program lines sent.
    pub sent: u64,
    /// Program lines answered.
    pub acked: u64,
    /// File line number of the last answered line.
    pub line: u64,
    /// File line number up to which everything has been carried out; answered lines may wait in
    /// the controller's planner.
    #[serde(default)]
    pub line_min: u64,
    /// File line number of the last line sent.
    pub sent_line: u64,
    /// Machine coordinates.
    pub position: Option<Xyz>,
    /// Work offset.
    pub work_offset: Option<Xyz>,
    /// Milliseconds since the job started, without holds.
    pub elapsed_ms: u64,
}

/// What is known about an interruption.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Interruption {
    /// For people.
    pub reason: String,
    /// File line number that the tool had reached at the least.
    pub line_min: u64,
    /// File line number that the tool can have reached at the most.
    pub line_max: u64,
    /// Last known machine coordinates.
    pub position: Option<Xyz>,
    /// Last known work offset.
    pub work_offset: Option<Xyz>,
    /// Whether position can still be trusted.
    pub position_kept: bool,
    /// Program lines answered.
    pub lines_acked: u64,
}

/// What a person may decide about an interrupted job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// The part is good: finished by hand or far enough.
    Done,
    /// The part is spoiled.
    Scrap,
    /// New stock is clamped: begin again from the first line, as a new job.
    Restart,
    /// Leave the job; free the machine.
    Release,
    /// Go on from a line, as a new job with a preamble.
    Resume,
}

/// The longest that a job goes on after its latest checkpoint: one a second, and one for the disk.
const UNCHECKED_MS: u64 = 3_000;

impl Job {
    /// Milliseconds of work, holds left out; `None` before there is anything to tell.
    ///
    /// The box's clock may be set while a job runs (a Pi has none of its own and starts with a
    /// wrong one), so what it says is only believed as far as it agrees with the latest
    /// checkpoint, which counts by a clock that nobody sets.
    pub fn worked_ms(&self) -> Option<u64> {
        let checked = self.checkpoint.as_ref().map(|it| it.elapsed_ms);
        let (Some(began), Some(ended)) = (self.started_ms, self.ended_ms) else { return checked };
        let told = ended.checked_sub(began).map(|it| it.saturating_sub(self.held_ms));
        match (checked, told) {
            (Some(checked), Some(told))
                if (checked..=checked.saturating_add(UNCHECKED_MS)).contains(&told) =>
            {
                Some(told)
            }
            (None, told) => told,
            (checked, _) => checked,
        }
    }

    /// Folds one event in. Returns whether the table allows it.
    #[must_use]
    pub fn apply(&mut self, at_ms: u64, event: &JobEvent) -> bool {
        let Some(state) = self.state.after(event) else { return false };
        if self.state == JobState::Held && state != JobState::Held {
            let since = self.held_since_ms.take().unwrap_or(at_ms);
            self.held_ms += at_ms.saturating_sub(since);
        }
        self.state = state;
        if state.over() {
            self.ended_ms = Some(at_ms);
        }
        match event {
            JobEvent::Queued { .. } => (),
            JobEvent::Started { .. } => self.started_ms = Some(at_ms),
            JobEvent::Held { reason } => {
                self.held_since_ms.get_or_insert(at_ms);
                self.reason = Some(reason.clone());
            }
            JobEvent::Resumed { .. } => self.reason = None,
            JobEvent::Checkpoint(checkpoint) => {
                self.lines_acked = checkpoint.acked;
                self.checkpoint = Some(checkpoint.clone());
            }
            JobEvent::Completed { lines_acked, refused_lines } => {
                (self.lines_acked, self.refused_lines) = (*lines_acked, *refused_lines);
                self.reason = None;
            }
            JobEvent::Failed { reason, lines_acked } => {
                self.lines_acked = *lines_acked;
                self.reason = Some(reason.clone());
            }
            JobEvent::Cancelled { by, lines_acked } => {
                self.lines_acked = *lines_acked;
                self.reason = Some(format!("cancelled by {by}"));
            }
            JobEvent::Interrupted(interruption) => {
                self.lines_acked = interruption.lines_acked;
                self.reason = Some(interruption.reason.clone());
                self.interruption = Some(interruption.clone());
                self.ended_ms = Some(at_ms);
            }
            JobEvent::Decided { by, reason, next, .. } => {
                self.reason = Some(format!("{reason} ({by})"));
                self.followed_by.clone_from(next);
            }
            JobEvent::Note { by, text } => self.notes.push(format!("{by}: {text}")),
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a job from `began` to `ended` by the box's clock; by its own it had worked for
    /// `checked` at its latest checkpoint, if it came to one.
    fn worked(began: u64, checked: Option<u64>, ended: u64) -> Option<u64> {
        let mut job = Job::default();
        assert!(job.apply(began, &JobEvent::Started { position: None, work_offset: None }));
        if let Some(elapsed_ms) = checked {
            let checkpoint = Checkpoint { elapsed_ms, ..Checkpoint::default() };
            assert!(job.apply(began, &JobEvent::Checkpoint(checkpoint)));
            assert_eq!(job.worked_ms(), checked, "while it runs");
        }
        assert!(job.apply(began + 100, &JobEvent::Held { reason: "feed hold".into() }));
        assert!(job.apply(began + 1100, &JobEvent::Resumed { by: "ada".into() }));
        assert!(job.apply(ended, &JobEvent::Completed { lines_acked: 10, refused_lines: 0 }));
        job.worked_ms()
    }

    #[test]
    fn a_clock_that_is_set_while_a_job_runs_does_not_change_how_long_it_worked() {
        const YEAR: u64 = 31_536_000_000;
        assert_eq!(worked(YEAR, Some(60_000), YEAR + 61_500), Some(60_500));
        assert_eq!(worked(0, Some(60_000), YEAR), Some(60_000), "set forward");
        assert_eq!(worked(YEAR, Some(60_000), 5), Some(60_000), "set back");
        assert_eq!(worked(YEAR, None, YEAR + 1_500), Some(500), "over before a checkpoint");
        assert_eq!(worked(YEAR, None, 5), None, "nothing is known");
        assert_eq!(Job::default().worked_ms(), None);
    }
}
