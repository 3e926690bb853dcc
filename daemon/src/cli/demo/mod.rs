//! The demo: what a workshop does in five minutes, in half a minute and without a machine.
//!
//! ```text
//!  stage -> home both -> zero both -> upload -> check -> start both
//!        -> hold and resume `mill` for all to see, `router` often to measure
//!        -> both completed -> summary -> close (or stay until Ctrl-C)
//! ```
//!
//! Everything goes through the doors that anybody else uses; only the figures about what arrived
//! at the machines come from the machines' own count.

mod stage;
mod summary;

use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use headstock_config::api::{Equipment, JobView, StartJob, System};
use headstock_config::command::{Command, NO_AXIS};
use headstock_config::job::JobState;
use headstock_config::machine::Mode;
use headstock_config::preflight::Finding;
use headstock_drivers::grbl::sim::Sim;
use headstock_tui::view;
use headstock_tui::words::duration;
use serde::de::IgnoredAny;

use self::stage::{MACHINES, Stage, TIME_SCALE};
use self::summary::{Percentiles, Summary, rounded};
use super::exit::Exit;
use super::signals::Ended;
use super::trouble::Trouble;
use super::{Call, files, jobs, say};

/// Nothing in the demo may take longer than this to happen.
const PATIENCE: Duration = Duration::from_secs(10);
/// The programs have to be through by then.
const LIMIT: Duration = Duration::from_secs(50);
/// Between two looks.
const PACE: Duration = Duration::from_millis(50);
/// Between two lines where no terminal is.
const PLAIN_PACE: Duration = Duration::from_secs(2);
/// Holds of the second machine, to measure how soon they take effect.
const SAMPLES: usize = 20;
/// Where the zero of the part is put, machine coordinates: the part fits around it.
const PLACE: &str = "G53 G0 X-200 Y-200 Z-30";

/// Plays it, and ends within a minute unless it is told to stay.
pub(super) fn demo(stay: bool, json: bool) -> Result<Exit, Trouble> {
    let mut play = Play::begin(json)?;
    let summary = play.run().map_err(|trouble| play.with_last_words(trouble))?;
    if json {
        // The summary is the last line of all.
        if stay {
            play.tell_where();
            play.stay();
        }
        play.stage.close();
        say::json(&summary);
    } else {
        say::text(&format!("\n{}", summary.told(play.samples.len())));
        play.tell_where();
        if stay {
            play.stay();
        }
        play.stage.close();
    }
    Ok(if summary.ok { Exit::Done } else { Exit::Failed })
}

/// The demo under way.
struct Play {
    stage: Stage,
    call: Call,
    samples: Vec<Duration>,
    told_at: Option<Instant>,
    ended: Ended,
}

impl Play {
    fn begin(json: bool) -> Result<Self, Trouble> {
        // First of all: whatever is built from now on is taken down again.
        let ended = Ended::listen();
        let stage = Stage::build()?;
        let call = stage.call(json)?;
        Ok(Self { stage, call, samples: Vec::new(), told_at: None, ended })
    }

    fn run(&mut self) -> Result<Summary, Trouble> {
        self.remark(&format!(
            "A daemon and two pretend GRBL machines, {TIME_SCALE} times as fast as real ones."
        ));
        self.until("the daemon answers", |it| it.call.client.get::<System>("system").is_ok())?;
        self.make_ready()?;
        let jobs = self.start()?;
        let began = Instant::now();
        self.work(&jobs)?;
        self.sum_up(&jobs, began.elapsed())
    }

    /// Homes both machines, moves them to where the part lies and zeroes them there.
    fn make_ready(&self) -> Result<(), Trouble> {
        self.each_is("locked until homed", |it| matches!(it.state, Mode::Alarm | Mode::Idle))?;
        self.remark("Both are homed, moved to where the stock lies, and zeroed there.");
        self.tell_each(&Command::Home { axes: None })?;
        self.each_is("homed", |it| it.state == Mode::Idle && it.live.homed == Some(true))?;
        self.tell_each(&Command::Run { line: PLACE.into() })?;
        self.each_is("at the stock", |it| {
            it.state == Mode::Idle
                && it.live.machine_position.is_some_and(|[x, ..]| (x + 200.0).abs() < 0.01)
        })?;
        self.tell_each(&Command::Zero { system: None, at: NO_AXIS.map(|_| Some(0.0)) })?;
        self.each_is("zeroed", |it| {
            it.state == Mode::Idle
                && it.live.work_position.is_some_and(|at| at.iter().all(|it| it.abs() < 0.01))
        })
    }

    /// Uploads the part, checks it, and starts it on both machines.
    fn start(&self) -> Result<Vec<String>, Trouble> {
        let file = files::send(&self.call, &self.stage.path("sample-part.nc"), None)?;
        self.remark(&format!(
            "{} is uploaded: {} lines, {} of cutting on a real machine.",
            file.name,
            file.lines,
            duration(file.analysis.time_s)
        ));
        for machine in MACHINES {
            let path = format!("files/{}/preflight?machine={machine}", file.id);
            let findings: Vec<Finding> = self.call.client.get(&path)?;
            if !findings.is_empty() {
                self.remark(view::findings::list(&findings).trim_end());
            }
        }
        self.remark("It is checked against both machines and started.\n");
        let start = |machine: &&str| {
            let wish =
                StartJob { machine: (*machine).into(), file: file.id.clone(), dry_run: false };
            self.call.client.post::<JobView>("jobs", &wish).map(|view| view.job.id)
        };
        MACHINES.iter().map(start).collect()
    }

    /// Watches both jobs to their ends; holds both in between.
    fn work(&mut self, jobs: &[String]) -> Result<(), Trouble> {
        let until = Instant::now() + LIMIT;
        let mut held = false;
        while Instant::now() < until {
            self.go_on()?;
            let views = self.views(jobs)?;
            let over = views.iter().all(|it| it.job.state.over());
            self.show(&views, over);
            if over {
                return Ok(());
            }
            if !held && views[0].progress > 0.3 {
                held = true;
                self.hold_for_all_to_see(jobs)?;
            }
            let measurable = views[1].progress > 0.05 && views[1].job.state == JobState::Running;
            if measurable && self.samples.len() < SAMPLES {
                self.hold_and_measure()?;
            } else {
                sleep(PACE);
            }
        }
        Err(late("both parts are finished"))
    }

    fn hold_for_all_to_see(&mut self, jobs: &[String]) -> Result<(), Trouble> {
        self.tell(MACHINES[0], &Command::Hold)?;
        self.is(MACHINES[0], "held", |it| it.state == Mode::Held)?;
        let views = self.views(jobs)?;
        self.show(&views, false);
        sleep(Duration::from_secs(1));
        self.tell(MACHINES[0], &Command::Resume)
    }

    /// One hold of the second machine: from the request until its controller begins to slow down.
    fn hold_and_measure(&mut self) -> Result<(), Trouble> {
        let machine = MACHINES[1];
        let pretender = &self.stage.pretenders[1];
        let before = pretender.counters().holds;
        let began = Instant::now();
        let (asked, seen) = thread::scope(|scope| {
            let watcher = scope.spawn(|| hold_after(pretender, before));
            let asked = self.tell(machine, &Command::Hold);
            (asked, watcher.join().unwrap_or(None))
        });
        asked?;
        // The program may have ended, or stood still, at that moment: no sample then.
        if let Some(at) = seen {
            self.samples.push(at.duration_since(began));
        }
        self.is(machine, "held", |it| matches!(it.state, Mode::Held | Mode::Idle))?;
        self.tell(machine, &Command::Resume)?;
        self.is(machine, "running", |it| matches!(it.state, Mode::Running | Mode::Idle))
    }

    fn sum_up(&self, jobs: &[String], took: Duration) -> Result<Summary, Trouble> {
        let views = self.views(jobs)?;
        let counted: Vec<_> = self.stage.pretenders.iter().map(Sim::counters).collect();
        let lines: u64 = views.iter().map(|it| it.job.lines_acked).sum();
        let whole = views.iter().all(|it| it.job.state == JobState::Completed);
        let clean = counted.iter().all(|it| it.overflowed == 0 && it.errors == 0);
        Ok(Summary {
            ok: whole && clean,
            lines,
            lines_per_s: rounded(lines as f64 / took.as_secs_f64(), 10.0),
            starved: counted.iter().map(|it| it.starved).sum(),
            hold_ms: Percentiles::of(&self.samples),
            seconds: rounded(took.as_secs_f64(), 10.0),
        })
    }

    fn views(&self, jobs: &[String]) -> Result<Vec<JobView>, Trouble> {
        jobs.iter().map(|id| self.call.client.get(&jobs::path(id))).collect()
    }

    fn tell(&self, machine: &str, command: &Command) -> Result<(), Trouble> {
        let path = format!("equipment/{machine}/commands");
        self.call.client.post::<IgnoredAny>(&path, command).map(|_| ())
    }

    fn tell_each(&self, command: &Command) -> Result<(), Trouble> {
        MACHINES.iter().try_for_each(|machine| self.tell(machine, command))
    }

    fn each_is(&self, what: &str, so: impl Fn(&Equipment) -> bool) -> Result<(), Trouble> {
        MACHINES.iter().try_for_each(|machine| self.is(machine, what, &so))
    }

    /// Waits until a machine is so.
    fn is(
        &self,
        machine: &str,
        what: &str,
        so: impl Fn(&Equipment) -> bool,
    ) -> Result<(), Trouble> {
        let path = format!("equipment/{machine}");
        self.until(&format!("`{machine}` is {what}"), |it| {
            it.call.client.get(&path).is_ok_and(|machine| so(&machine))
        })
    }

    fn until(&self, what: &str, so: impl Fn(&Self) -> bool) -> Result<(), Trouble> {
        let until = Instant::now() + PATIENCE;
        while !so(self) {
            self.go_on()?;
            if Instant::now() > until {
                return Err(late(what));
            }
            sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Progress of both machines in one line. With `--json` stdout is kept for the summary.
    fn show(&mut self, views: &[JobView], over: bool) {
        let terminal = if self.call.json { say::remarks_on_terminal() } else { say::on_terminal() };
        if terminal {
            let line = view::jobs::side_by_side(views, say::width());
            return if self.call.json {
                say::aside_bar(&line, over)
            } else {
                say::bar(&line, over)
            };
        }
        if over || self.told_at.is_none_or(|at| at.elapsed() >= PLAIN_PACE) {
            self.told_at = Some(Instant::now());
            self.remark(&view::jobs::side_by_side(views, 78));
        }
    }

    fn remark(&self, text: &str) {
        if self.call.json { say::aside(text) } else { say::text(&format!("{text}\n")) }
    }

    fn tell_where(&self) {
        let socket = self.stage.path("headstock.sock");
        self.remark(&format!(
            "API        http://{}/api/v1/ with a token, or without one on {}\n\
             try        headstock --socket {} status",
            self.stage.web(),
            socket.display(),
            socket.display(),
        ));
    }

    fn stay(&self) {
        self.remark("\nIt stays up to look at; end it with Ctrl-C.");
        while !self.ended.so() {
            sleep(PACE);
        }
    }

    /// Fails once somebody wishes the end.
    fn go_on(&self) -> Result<(), Trouble> {
        if !self.ended.so() {
            return Ok(());
        }
        let message = "the demo was broken off";
        let means = "nothing of it is left running";
        Err(Trouble::new(Exit::Failed, "demo.ended", message, means, ""))
    }

    fn with_last_words(&self, mut trouble: Trouble) -> Trouble {
        let words = self.stage.last_words();
        trouble.error.details = words.lines().collect();
        trouble
    }
}

/// When the controller began a hold that it had not begun before.
fn hold_after(pretender: &Sim, before: u64) -> Option<Instant> {
    let until = Instant::now() + Duration::from_secs(1);
    while Instant::now() < until {
        if pretender.counters().holds > before {
            return Some(Instant::now());
        }
        sleep(Duration::from_micros(50));
    }
    None
}

fn late(what: &str) -> Trouble {
    Trouble::new(
        Exit::Failed,
        "demo.late",
        format!("waited in vain until {what}"),
        "the demo was ended; nothing of it is left running",
        "try again on a box that has less to do; what the daemon said last is shown here",
    )
}
