//! The job that a machine is on: its lines, and what its machine's news mean for it.
//!
//! ```text
//!  reading --last chunk--> fed --finish--> waiting for ProgramDone or ProgramLost
//! ```

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use headstock_config::event::{Cause, Event};
use headstock_config::job::{Checkpoint, Interruption, JobEvent};
use headstock_config::ledger::Fact;
use headstock_config::machine::{Controller, Live, Mode, Progress, Xyz};
use headstock_drivers::Driver;
use headstock_drivers::gcode::ProgramLine;

use super::program::Place;
use super::{Program, Start};

/// Blocks that may have left the planner and not been moved along yet: grblHAL keeps ten of them
/// in its segment buffer.
const SEGMENTS: usize = 10;

/// Answered lines that may not have been carried out yet: those in the planner, those that are
/// moved along and the one being parsed.
fn planned(controller: Option<&Controller>) -> usize {
    controller.map_or(15, |it| it.planner_blocks.max(15)) + SEGMENTS + 1
}

pub(super) struct Work {
    job: String,
    program: Option<Program>,
    lines: VecDeque<ProgramLine>,
    /// The driver has been told that there are no more lines.
    finished: bool,
    held: bool,
    /// Why it rests, if the driver said more than that it does.
    pause: Option<String>,
    /// Who gave it up.
    cancelled: Option<String>,
    /// Why the rest of the program could not be read.
    broken: Option<String>,
    refused: u64,
    /// Where it was when the controller restarted by itself.
    before_restart: Option<Xyz>,
    dry_run: bool,
    sent_line: u64,
    /// Answered lines that may be planned only.
    planned: usize,
    /// File lines that the driver was given, in order: those without an answer, and before them as
    /// many as may be planned only.
    recent: VecDeque<u64>,
    began: Instant,
    held_since: Option<Instant>,
    held_for: Duration,
}

/// Whether the job is over.
pub(super) enum Ended {
    No,
    With(Box<Fact>),
}

impl Work {
    /// `controller`: as far as it is known.
    pub(super) fn new(start: Start, controller: Option<&Controller>) -> Self {
        Self {
            dry_run: start.dry_run,
            planned: planned(controller),
            recent: VecDeque::new(),
            job: start.job,
            program: Some(start.program),
            lines: VecDeque::new(),
            finished: false,
            held: false,
            pause: None,
            cancelled: None,
            broken: None,
            refused: 0,
            before_restart: None,
            sent_line: 0,
            began: Instant::now(),
            held_since: None,
            held_for: Duration::ZERO,
        }
    }

    pub(super) fn job(&self) -> &str {
        &self.job
    }

    /// Whether it waits for lines from the disk.
    pub(super) fn reads(&self) -> bool {
        self.lines.is_empty() && self.program.is_some()
    }

    /// Nobody has said yet where its program begins.
    pub(super) fn unopened(&self) -> bool {
        self.program.as_ref().is_some_and(Program::unopened)
    }

    /// The program begins here.
    pub(super) fn open(&mut self, place: Place) {
        if let Some(program) = &mut self.program {
            program.begin_at(place);
        }
    }

    /// Safe to drop while it waits.
    pub(super) async fn read(&mut self) -> Option<Result<Vec<ProgramLine>, String>> {
        self.program.as_mut()?.next().await
    }

    pub(super) fn buffer(&mut self, lines: Vec<ProgramLine>) {
        self.lines.extend(lines);
    }

    pub(super) fn read_to_the_end(&mut self) {
        self.program = None;
    }

    pub(super) fn broken(&mut self, reason: String) {
        self.program = None;
        self.lines.clear();
        // The driver is stopped, not finished.
        self.finished = true;
        self.broken = Some(reason);
    }

    pub(super) fn next_line(&mut self) -> Option<ProgramLine> {
        let line = self.lines.pop_front()?;
        self.sent_line = self.sent_line.max(line.number);
        self.recent.push_back(line.number);
        Some(line)
    }

    /// The file line up to which everything has been carried out. Comments between the lines count
    /// for nothing in a planner, so it is looked up, not reckoned.
    fn surely_done(&mut self, done: &Progress) -> u64 {
        let answered = self.recent.partition_point(|number| *number <= done.line);
        self.recent.drain(..answered.saturating_sub(self.planned));
        let open = self.recent.front().map_or(done.line, |number| number.saturating_sub(1));
        done.executing.unwrap_or(open).min(done.line)
    }

    /// True once: when the last line has been fed.
    pub(super) fn finishes_now(&mut self) -> bool {
        let now = !self.finished && self.lines.is_empty() && self.program.is_none();
        self.finished |= now;
        now
    }

    pub(super) fn cancelled_by(&mut self, by: &str) {
        self.cancelled.get_or_insert_with(|| by.to_owned());
        self.program = None;
        self.lines.clear();
        self.finished = true;
    }

    /// What this news means for the job; facts that do not end it go to `facts`.
    pub(super) fn hear(
        &mut self,
        said: &Event,
        driver: &dyn Driver,
        by: &str,
        facts: &mut VecDeque<Fact>,
    ) -> Ended {
        match said {
            Event::Mode { mode } => facts.extend(self.mode(*mode, by)),
            Event::Asks { why, line } => {
                self.pause = Some(format!("{why} in line {line} asks for the operator"));
                facts.extend(self.held.then(|| self.rests()));
            }
            Event::LineRefused { .. } => self.refused += 1,
            // What it reports from now on is where it counts from, not where it stands.
            Event::Restarted { asked: false } => {
                self.before_restart = driver.live().machine_position;
            }
            Event::ProgramDone => return self.end(self.completed(driver)),
            Event::ProgramLost { cause, reason, position_kept } => {
                let happened = self.lost(*cause, reason, *position_kept, driver);
                return self.end(happened);
            }
            _ => (),
        }
        Ended::No
    }

    fn mode(&mut self, mode: Mode, by: &str) -> Option<Fact> {
        match mode {
            Mode::Held | Mode::Door if !self.held => {
                self.held = true;
                self.held_since = Some(Instant::now());
                if mode == Mode::Door && self.pause.is_none() {
                    self.pause = Some("the safety door is open".into());
                }
                Some(self.rests())
            }
            Mode::Running | Mode::Checking if self.held => {
                self.held = false;
                self.pause = None;
                self.held_for += self.held_since.take().map(|at| at.elapsed()).unwrap_or_default();
                Some(self.fact(JobEvent::Resumed { by: by.to_owned() }))
            }
            _ => None,
        }
    }

    fn rests(&self) -> Fact {
        let reason = self.pause.clone().unwrap_or_else(|| "feed hold".into());
        self.fact(JobEvent::Held { reason })
    }

    fn completed(&self, driver: &dyn Driver) -> JobEvent {
        let lines_acked = driver.progress().unwrap_or_default().lines_acked;
        JobEvent::Completed { lines_acked, refused_lines: self.refused }
    }

    fn lost(&mut self, cause: Cause, reason: &str, kept: bool, driver: &dyn Driver) -> JobEvent {
        let progress = driver.progress().unwrap_or_default();
        let lines_acked = progress.lines_acked;
        if let Some(reason) = &self.broken {
            return JobEvent::Failed { reason: reason.clone(), lines_acked };
        }
        match (cause, &self.cancelled) {
            (Cause::Asked, by) => {
                let by = by.clone().unwrap_or_else(|| "a reset".into());
                JobEvent::Cancelled { by, lines_acked }
            }
            // Nothing has moved in check mode: there is no part to look at.
            _ if self.dry_run => JobEvent::Failed { reason: reason.to_owned(), lines_acked },
            (Cause::Refused, _) => JobEvent::Failed { reason: reason.to_owned(), lines_acked },
            _ => JobEvent::Interrupted(self.interruption(reason, kept, progress, driver.live())),
        }
    }

    fn interruption(&mut self, why: &str, kept: bool, done: Progress, live: &Live) -> Interruption {
        Interruption {
            reason: why.to_owned(),
            line_min: self.surely_done(&done),
            line_max: self.sent_line,
            position: self.before_restart.or(live.machine_position),
            work_offset: live.work_offset,
            position_kept: kept,
            lines_acked: done.lines_acked,
        }
    }

    /// Where the job is, unless it rests: then the last one still holds.
    pub(super) fn checkpoint(&mut self, driver: &dyn Driver) -> Option<Fact> {
        if self.held {
            return None;
        }
        let (progress, live) = (driver.progress()?, driver.live());
        let line_min = self.surely_done(&progress);
        Some(self.fact(JobEvent::Checkpoint(Checkpoint {
            sent: progress.lines_sent,
            acked: progress.lines_acked,
            line: progress.line,
            line_min,
            sent_line: self.sent_line,
            position: live.machine_position,
            work_offset: live.work_offset,
            elapsed_ms: (self.began.elapsed() - self.held_for).as_millis() as u64,
        })))
    }

    fn end(&self, happened: JobEvent) -> Ended {
        Ended::With(Box::new(self.fact(happened)))
    }

    fn fact(&self, happened: JobEvent) -> Fact {
        Fact::Job { job: self.job.clone(), happened }
    }
}

#[cfg(test)]
mod tests {
    use headstock_drivers::gcode::LineTraits;

    use super::*;

    /// A job that has been given these file lines.
    fn work(controller: Option<&Controller>, lines: impl Iterator<Item = u64>) -> Work {
        let start =
            Start { job: "j1".into(), program: Program::empty(), dry_run: false, layers: 0 };
        let mut work = Work::new(start, controller);
        let (text, traits) = (String::from("G1X1"), LineTraits::default());
        let line = |number| ProgramLine { number, text: text.clone(), traits, end: [None; 3] };
        work.buffer(lines.map(line).collect());
        while work.next_line().is_some() {}
        work
    }

    #[test]
    fn what_may_only_be_planned_is_not_taken_for_done() {
        let at = |line| Progress { line, ..Progress::default() };
        let mut dense = work(None, 1..=100);
        assert_eq!(dense.surely_done(&at(60)), 34);
        assert_eq!(dense.surely_done(&at(61)), 35);
        assert_eq!(dense.recent.len(), 26 + 39);
        assert_eq!(work(None, 1..=100).surely_done(&at(5)), 0);
        assert_eq!(work(None, std::iter::empty()).surely_done(&at(0)), 0);

        let far = Controller { planner_blocks: 100, ..Controller::default() };
        assert_eq!(work(Some(&far), 1..=300).surely_done(&at(250)), 139);

        // A comment stands between every two lines.
        let mut sparse = work(None, (1..=100).map(|it| it * 2));
        assert_eq!(sparse.surely_done(&at(120)), 69);

        let told = Progress { executing: Some(58), ..at(60) };
        assert_eq!(dense.surely_done(&told), 58);
    }
}
