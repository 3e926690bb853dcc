//! Jobs at the desk: queued, started, given up, decided.
//!
//! Invariants: `Started` is durable before the first byte of a program leaves; a job leaves
//! `interrupted` only by [`Desk::decide`], which a person calls; a job that was queued before the
//! house opened starts only when a person says so.

use std::sync::PoisonError;

use headstock_config::api::{Decide, StartJob};
use headstock_config::command::{Command, Stop};
use headstock_config::file::{Analysis, File};
use headstock_config::job::{Decision, Job, JobEvent, JobState};
use headstock_config::ledger::{Fact, Request};
use headstock_config::machine::Units;
use headstock_config::people::Person;
use headstock_config::preflight::Finding;
use headstock_drivers::gcode::Language;

use super::resume::Continuation;
use super::{Desk, Refused};
use crate::clock::now_ms;
use crate::ledger::Health;
use crate::machine::{Program, Source, Start};

/// What a decision led to.
pub enum Outcome {
    /// It stands; this job follows, if one does.
    Decided(Option<String>),
    /// Nothing was decided: this is what would be sent before the line, and the line.
    Preview(Vec<String>),
}

/// What tells one new job from another.
struct Order<'a> {
    machine: &'a str,
    file: &'a File,
    estimate_s: f64,
    dry_run: bool,
    from_line: u64,
    follows: Option<String>,
}

impl Desk {
    /// The job with this id, however long it has been over.
    pub async fn find_job(&self, id: &str) -> Result<Job, Refused> {
        let found = self.ledger().job(id).await?;
        found.ok_or_else(|| Refused::UnknownJob(id.to_owned()))
    }

    /// The job with this id, unless it has been over for so long that it must be looked up on the
    /// disk.
    pub fn job(&self, id: &str) -> Result<Job, Refused> {
        let state = self.ledger().state();
        state.job(id).cloned().ok_or_else(|| Refused::UnknownJob(id.to_owned()))
    }

    /// A program is to be run: at once if the machine is free, else when its turn comes.
    pub async fn start_job(&self, who: &Person, ask: StartJob) -> Result<Job, Refused> {
        let StartJob { machine, file, dry_run } = ask;
        let (stops, file_id) = (self.stops(&machine), file.clone());
        let request = Request::StartJob { machine: machine.clone(), file, dry_run };
        self.book(who, request, async {
            let file = self.file(&file_id)?;
            self.runs_programs(&machine)?;
            let found = self.analysed_for(&machine, &file).await?;
            let _one_at_a_time = self.inner.one_at_a_time.lock().await;
            // It may have been removed meanwhile.
            self.file(&file_id)?;
            self.room_for_work()?;
            self.not_locked_at_all(&machine)?;
            let waits = self.active_job(&machine).is_some();
            if !waits {
                self.may_start(&machine, dry_run)?;
                self.fit_to_run(&machine, &found).await?;
            }
            let order = Order {
                machine: &machine,
                file: &file,
                estimate_s: found.time_s,
                dry_run,
                from_line: 1,
                follows: None,
            };
            let job = self.queue(who, order).await?;
            if !waits {
                self.begin(&job, &who.name, &file, None, stops).await?;
            }
            self.job(&job)
        })
        .await
    }

    /// A queued job is started by a person.
    pub async fn start_queued(&self, who: &Person, id: &str) -> Result<Job, Refused> {
        let stops = self.stops_before(id).await;
        let request = Request::GoJob { job: id.to_owned() };
        self.book(who, request, async {
            let _one_at_a_time = self.inner.one_at_a_time.lock().await;
            self.start_if_free(id, &who.name, stops).await?;
            self.job(id)
        })
        .await
    }

    /// A machine has finished a job: the next one in its queue starts, if a person has queued it
    /// since the house opened.
    pub async fn advance(&self, machine: &str) {
        // A stop that came after the job that has ended is meant for the next one as well.
        let Ok(stops) = self.machine(machine).map(|machine| machine.stops_at_end()) else { return };
        let _one_at_a_time = self.inner.one_at_a_time.lock().await;
        let Some(job) = self.next_in_queue(machine) else { return };
        if let Err(refused) = self.start_if_free(&job.id, &job.by, stops).await {
            tracing::warn!(%machine, job = %job.id, "the next job stays queued: {}", refused.sentence());
        }
    }

    fn next_in_queue(&self, machine: &str) -> Option<Job> {
        let fresh = self.inner.fresh.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let state = self.ledger().state();
        let mut jobs = state.jobs.values();
        jobs.find(|job| {
            job.machine == machine && job.state == JobState::Queued && fresh.contains(&job.id)
        })
        .cloned()
    }

    async fn start_if_free(&self, id: &str, by: &str, stops: u64) -> Result<(), Refused> {
        let job = self.find_job(id).await?;
        if job.state != JobState::Queued {
            return Err(Refused::State { job: job.id, state: job.state });
        }
        self.room_for_work()?;
        self.not_locked_at_all(&job.machine)?;
        if let Some(other) = self.active_job(&job.machine) {
            return Err(crate::machine::Error::AtWork(other).into());
        }
        self.may_start(&job.machine, job.dry_run)?;
        let file = self.file(&job.file)?;
        self.fit_to_run(&job.machine, &self.analysed_for(&job.machine, &file).await?).await?;
        let continuation = self.preamble_of(&job, &file).await?;
        if stops < self.stops(&job.machine) {
            return Err(crate::machine::Error::Overtaken.into());
        }
        self.begin(id, by, &file, continuation, stops).await
    }

    /// What goes before a job that begins in the middle of its program. It is judged anew: since
    /// the job was queued the machine may have been moved.
    async fn preamble_of(&self, job: &Job, file: &File) -> Result<Option<Continuation>, Refused> {
        if job.from_line <= 1 {
            return Ok(None);
        }
        let broken_off = match &job.follows {
            Some(id) => self.find_job(id).await?,
            None => job.clone(),
        };
        self.continuation(&broken_off, file, Some(job.from_line)).await.map(Some)
    }

    async fn queue(&self, who: &Person, order: Order<'_>) -> Result<String, Refused> {
        let id = format!("j{}", self.ledger().state().next_job.max(1));
        let job = Job {
            id: id.clone(),
            machine: order.machine.to_owned(),
            file: order.file.id.clone(),
            file_name: order.file.name.clone(),
            by: who.name.clone(),
            state: JobState::Queued,
            dry_run: order.dry_run,
            from_line: order.from_line,
            lines: order.file.analysis.program_lines,
            lines_acked: 0,
            estimate_s: order.estimate_s,
            queued_ms: now_ms(),
            started_ms: None,
            ended_ms: None,
            held_ms: 0,
            held_since_ms: None,
            reason: None,
            interruption: None,
            checkpoint: None,
            follows: order.follows,
            followed_by: None,
            notes: Vec::new(),
            refused_lines: 0,
        };
        let happened = JobEvent::Queued { job: Box::new(job) };
        self.ledger().write(Fact::Job { job: id.clone(), happened }).await?;
        let mut fresh = self.inner.fresh.lock().unwrap_or_else(PoisonError::into_inner);
        fresh.retain(|id| self.job(id).is_ok_and(|job| job.state == JobState::Queued));
        fresh.insert(id.clone());
        Ok(id)
    }

    /// Devices on buses take values, not programs.
    fn runs_programs(&self, machine: &str) -> Result<(), Refused> {
        match self.machine(machine)?.bus() {
            Some(_) => Err(Refused::NoPrograms(machine.to_owned())),
            None => Ok(()),
        }
    }

    /// Stops that a machine has been asked for; what is asked for now must not come after the next.
    fn stops(&self, machine: &str) -> u64 {
        self.inner.machines.get(machine).map_or(0, crate::machine::Handle::stops)
    }

    /// The same for the machine of a job, if there is such a job.
    async fn stops_before(&self, job: &str) -> u64 {
        self.find_job(job).await.map_or(0, |job| self.stops(&job.machine))
    }

    /// Writes `Started`, waits until that is durable, and only then lets the program flow.
    async fn begin(
        &self,
        id: &str,
        by: &str,
        file: &File,
        continuation: Option<Continuation>,
        stops: u64,
    ) -> Result<(), Refused> {
        let job = self.job(id)?;
        let machine = self.machine(&job.machine)?;
        let program =
            Program::open(self.source(&job, file, continuation)).map_err(crate::files::Error::Disk);
        let live = machine.live();
        let started =
            JobEvent::Started { position: live.machine_position, work_offset: live.work_offset };
        self.ledger().write(Fact::Job { job: id.to_owned(), happened: started }).await?;
        let result = match program {
            Ok(program) => {
                let layers = file.analysis.print.map_or(0, |it| it.layers);
                let start = Start { job: id.to_owned(), program, dry_run: job.dry_run, layers };
                machine.run(start, by, stops).await.map_err(Refused::from)
            }
            Err(error) => Err(error.into()),
        };
        if let Err(refused) = &result {
            let happened = JobEvent::Failed { reason: refused.sentence(), lines_acked: 0 };
            self.ledger().write(Fact::Job { job: id.to_owned(), happened }).await?;
        }
        result
    }

    /// The longest line that the machine's controller takes.
    pub(super) fn line_max(&self, machine: &str) -> usize {
        let state = self.ledger().state();
        let controller = state.machines.get(machine).and_then(|it| it.controller.as_ref());
        controller.map(|it| it.line_max).filter(|&it| 0 < it).unwrap_or(79)
    }

    fn source(&self, job: &Job, file: &File, continuation: Option<Continuation>) -> Source {
        let state = self.ledger().state();
        let controller = state.machines.get(&job.machine).and_then(|it| it.controller.as_ref());
        let laser = controller.and_then(|it| it.laser).unwrap_or(false);
        drop(state);
        let declared = self.inner.machines.get(&job.machine).map(|it| &it.declared);
        Source {
            path: self.files().path(file),
            language: declared.map_or(Language::Mill, |it| Language::of_driver(&it.driver)),
            line_max: self.line_max(&job.machine),
            preamble: continuation.map(|it| it.preamble).unwrap_or_default(),
            from_line: job.from_line,
            laser,
            units: declared.map_or(Units::Mm, |it| it.units),
        }
    }

    /// Rests a job.
    pub async fn hold_job(&self, who: &Person, id: &str) -> Result<Job, Refused> {
        let job = self.active(id).await?;
        self.tell(who, &job.machine, Command::Hold).await?;
        self.job(id)
    }

    /// Lets a job go on.
    pub async fn resume_job(&self, who: &Person, id: &str) -> Result<Job, Refused> {
        let job = self.active(id).await?;
        self.tell(who, &job.machine, Command::Resume).await?;
        self.job(id)
    }

    /// Gives a job up: the machine comes to rest, then is reset; position is kept.
    pub async fn cancel_job(&self, who: &Person, id: &str) -> Result<Job, Refused> {
        let request = Request::CancelJob { job: id.to_owned() };
        if let Ok(job) = self.active(id).await {
            let machine = self.machine(&job.machine)?;
            self.stop_one(who, request, machine, Stop::Stop).await.0.sent?;
            return self.job(id);
        }
        self.book(who, request, async {
            // One that is being started is under way when its start has been dealt with.
            let _one_at_a_time = self.inner.one_at_a_time.lock().await;
            let job = self.find_job(id).await?;
            match job.state {
                JobState::Queued => {
                    let by = who.name.clone();
                    let happened = JobEvent::Cancelled { by, lines_acked: 0 };
                    self.ledger().write(Fact::Job { job: id.to_owned(), happened }).await?;
                }
                state if state.active() => {
                    self.send_stop(self.machine(&job.machine)?, Stop::Stop, &who.name).await.sent?;
                }
                state => return Err(Refused::State { job: job.id, state }),
            }
            self.job(id)
        })
        .await
    }

    /// Adds a remark to a job.
    pub async fn note(&self, who: &Person, id: &str, text: &str) -> Result<Job, Refused> {
        if text.trim().is_empty() || 2000 < text.len() {
            return Err(Refused::Words("a note has 1 to 2000 bytes".into()));
        }
        let request = Request::Note { job: id.to_owned(), text: text.to_owned() };
        self.book(who, request, async {
            self.find_job(id).await?;
            let happened = JobEvent::Note { by: who.name.clone(), text: text.to_owned() };
            self.ledger().write(Fact::Job { job: id.to_owned(), happened }).await?;
            self.find_job(id).await
        })
        .await
    }

    /// A person decides an interrupted job.
    pub async fn decide(&self, who: &Person, id: &str, ask: Decide) -> Result<Outcome, Refused> {
        let stops = self.stops_before(id).await;
        let request = Request::Decide {
            job: id.to_owned(),
            decision: ask.decision,
            reason: ask.reason.clone(),
            from_line: ask.from_line,
        };
        self.book(who, request, async {
            let _one_at_a_time = self.inner.one_at_a_time.lock().await;
            let job = self.find_job(id).await?;
            if job.state != JobState::Interrupted {
                return Err(Refused::State { job: job.id, state: job.state });
            }
            if ask.reason.trim().is_empty() {
                return Err(Refused::Words("a decision needs a reason".into()));
            }
            match ask.decision {
                Decision::Done | Decision::Scrap | Decision::Release => {
                    self.decided(who, id, &ask, None).await?;
                    Ok(Outcome::Decided(None))
                }
                Decision::Restart => self.again(who, &job, &ask, None, stops).await,
                Decision::Resume => self.go_on(who, &job, &ask, stops).await,
            }
        })
        .await
    }

    async fn go_on(
        &self,
        who: &Person,
        job: &Job,
        ask: &Decide,
        stops: u64,
    ) -> Result<Outcome, Refused> {
        let file = self.file(&job.file)?;
        let continuation = self.continuation(job, &file, ask.from_line).await?;
        if !ask.accepted {
            return Ok(Outcome::Preview(continuation.preview));
        }
        self.again(who, job, ask, Some(continuation), stops).await
    }

    /// A new job does the work of this one, from its first line or from a later one.
    async fn again(
        &self,
        who: &Person,
        job: &Job,
        ask: &Decide,
        continuation: Option<Continuation>,
        stops: u64,
    ) -> Result<Outcome, Refused> {
        let file = self.file(&job.file)?;
        self.room_for_work()?;
        let found = self.analysed_for(&job.machine, &file).await?;
        self.may_start(&job.machine, job.dry_run)?;
        self.fit_to_run(&job.machine, &found).await?;
        let order = Order {
            machine: &job.machine,
            file: &file,
            estimate_s: found.time_s,
            dry_run: job.dry_run,
            from_line: continuation.as_ref().map_or(1, |it| it.from_line),
            follows: Some(job.id.clone()),
        };
        let next = self.queue(who, order).await?;
        self.decided(who, &job.id, ask, Some(next.clone())).await?;
        self.begin(&next, &who.name, &file, continuation, stops).await?;
        Ok(Outcome::Decided(Some(next)))
    }

    async fn decided(
        &self,
        who: &Person,
        id: &str,
        ask: &Decide,
        next: Option<String>,
    ) -> Result<(), Refused> {
        let happened = JobEvent::Decided {
            decision: ask.decision,
            by: who.name.clone(),
            reason: ask.reason.clone(),
            next,
        };
        self.ledger().write(Fact::Job { job: id.to_owned(), happened }).await?;
        Ok(())
    }

    /// A job that is under way is in memory: holding one waits for no disk.
    async fn active(&self, id: &str) -> Result<Job, Refused> {
        let job = self.find_job(id).await?;
        if job.state.active() {
            Ok(job)
        } else {
            Err(Refused::State { job: job.id, state: job.state })
        }
    }

    fn active_job(&self, machine: &str) -> Option<String> {
        let state = self.ledger().state();
        let mut jobs = state.jobs.values();
        jobs.find(|job| job.machine == machine && job.state.active()).map(|job| job.id.clone())
    }

    fn room_for_work(&self) -> Result<(), Refused> {
        match *self.ledger().health().borrow() {
            Health::Ok => Ok(()),
            Health::LowSpace => Err(Refused::DiskFull),
            Health::Failed => Err(crate::ledger::Error::Failed.into()),
        }
    }

    fn not_locked_at_all(&self, machine: &str) -> Result<(), Refused> {
        let state = self.ledger().state();
        match state.machines.get(machine).and_then(|it| it.locked_by.clone()) {
            Some(job) => Err(Refused::Locked { machine: machine.to_owned(), job }),
            None => Ok(()),
        }
    }

    async fn fit_to_run(&self, machine: &str, found: &Analysis) -> Result<(), Refused> {
        let findings: Vec<Finding> = self.findings(machine, found).await?;
        if findings.iter().any(|finding| finding.blocks) {
            return Err(Refused::Preflight(findings));
        }
        Ok(())
    }
}
