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

mod hand;
mod stage;
mod summary;

use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use headstock_config::api::{JobView, StartJob, System};
use headstock_config::command::{Command, NO_AXIS};
use headstock_config::job::JobState;
use headstock_config::machine::Mode;
use headstock_config::preflight::Finding;
use headstock_drivers::grbl::sim::Sim;
use headstock_tui::view;
use headstock_tui::words::duration;

use self::hand::{Hand, late};
use self::stage::MACHINES;
use self::summary::{Percentiles, Summary, rounded};
use super::args::DemoWords;
use super::exit::Exit;
use super::files;
use super::trouble::Trouble;

/// The programs have to be through by then, at the usual time scale.
const LIMIT: Duration = Duration::from_secs(50);
/// What the part takes on a real machine, with time for the holds.
const REAL: Duration = Duration::from_secs(600);
/// Between two looks.
const PACE: Duration = Duration::from_millis(50);
/// Holds of the second machine, to measure how soon they take effect.
const SAMPLES: usize = 20;
/// Where the zero of the part is put, machine coordinates: the part fits around it.
const PLACE: &str = "G53 G0 X-200 Y-200 Z-30";

/// Plays it, and ends within a minute unless it is told to stay. With `json` the summary is the
/// last and only line on stdout; all else goes to stderr.
pub(super) fn demo(words: &DemoWords, json: bool) -> Result<Exit, Trouble> {
    let mut play = Play { hand: Hand::begin(words.time_scale, json)?, samples: Vec::new() };
    let summary = play.run(words).map_err(|trouble| play.with_last_words(trouble))?;
    play.hand.call.show(&summary, |it| format!("\n{}", it.told(play.samples.len())));
    play.tell_where(words.stay);
    if words.stay {
        play.hand.stay();
    }
    let in_order = play.hand.stage.close();
    Ok(if summary.ok && in_order { Exit::Done } else { Exit::Failed })
}

/// The demo under way.
struct Play {
    hand: Hand,
    samples: Vec<Duration>,
}

impl Play {
    fn run(&mut self, words: &DemoWords) -> Result<Summary, Trouble> {
        self.hand.remark(&format!(
            "A daemon and two pretend GRBL machines, {} times as fast as real ones.",
            words.time_scale
        ));
        self.hand
            .until("the daemon answers", |it| it.call.client.get::<System>("system").is_ok())?;
        self.make_ready()?;
        let jobs = self.start()?;
        let began = Instant::now();
        self.work(&jobs, LIMIT.max(REAL / words.time_scale))?;
        self.sum_up(&jobs, began.elapsed())
    }

    /// Homes both machines, moves them to where the part lies and zeroes them there.
    fn make_ready(&self) -> Result<(), Trouble> {
        self.hand.each_is("known and locked until homed", |it| {
            it.controller.is_some() && matches!(it.state, Mode::Alarm | Mode::Idle)
        })?;
        self.hand.remark("Both are homed, moved to where the stock lies, and zeroed there.");
        self.hand.tell_each(&Command::Home { axes: None })?;
        self.hand.each_is("homed", |it| it.state == Mode::Idle && it.live.homed == Some(true))?;
        self.hand.tell_each(&Command::Run { line: PLACE.into() })?;
        self.hand.each_is("at the stock", |it| {
            it.state == Mode::Idle
                && it.live.machine_position.is_some_and(|[x, ..]| (x + 200.0).abs() < 0.01)
        })?;
        self.hand.tell_each(&Command::Zero { system: None, at: NO_AXIS.map(|_| Some(0.0)) })?;
        self.hand.each_is("zeroed", |it| {
            it.state == Mode::Idle
                && it.live.work_position.is_some_and(|at| at.iter().all(|it| it.abs() < 0.01))
        })
    }

    /// Uploads the part, checks it, and starts it on both machines.
    fn start(&self) -> Result<Vec<String>, Trouble> {
        let file = files::send(&self.hand.call, &self.hand.stage.path("sample-part.nc"), None)?;
        self.hand.remark(&format!(
            "{} is uploaded: {} lines, {} of cutting on a real machine.",
            file.name,
            file.lines,
            duration(file.analysis.time_s)
        ));
        for machine in MACHINES {
            let path = format!("files/{}/preflight?machine={machine}", file.id);
            let findings: Vec<Finding> = self.hand.call.client.get(&path)?;
            if !findings.is_empty() {
                self.hand.remark(view::findings::list(&findings).trim_end());
            }
        }
        self.hand.remark("It is checked against both machines and started.\n");
        let start = |machine: &&str| {
            let wish =
                StartJob { machine: (*machine).into(), file: file.id.clone(), dry_run: false };
            self.hand.call.client.post::<JobView>("jobs", &wish).map(|view| view.job.id)
        };
        MACHINES.iter().map(start).collect()
    }

    /// Watches both jobs to their ends; holds both in between.
    fn work(&mut self, jobs: &[String], limit: Duration) -> Result<(), Trouble> {
        let until = Instant::now() + limit;
        let mut held = false;
        while Instant::now() < until {
            self.hand.go_on()?;
            let views = self.hand.views(jobs)?;
            let over = views.iter().all(|it| it.job.state.over());
            self.hand.show(&views, over);
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
        self.hand.tell(MACHINES[0], &Command::Hold)?;
        self.hand.is(MACHINES[0], "held", |it| it.state == Mode::Held)?;
        let views = self.hand.views(jobs)?;
        self.hand.show(&views, false);
        sleep(Duration::from_secs(1));
        self.hand.tell(MACHINES[0], &Command::Resume)
    }

    /// One hold of the second machine: from the request until its controller begins to slow down.
    fn hold_and_measure(&mut self) -> Result<(), Trouble> {
        let machine = MACHINES[1];
        let pretender = &self.hand.stage.pretenders[1];
        let before = pretender.counters().holds;
        let began = Instant::now();
        let (asked, seen) = thread::scope(|scope| {
            let watcher = scope.spawn(|| hold_after(pretender, before));
            let asked = self.hand.tell(machine, &Command::Hold);
            (asked, watcher.join().unwrap_or(None))
        });
        asked?;
        // The program may have ended, or stood still, at that moment: no sample then.
        if let Some(at) = seen {
            self.samples.push(at.duration_since(began));
        }
        self.hand.is(machine, "held", |it| matches!(it.state, Mode::Held | Mode::Idle))?;
        self.hand.tell(machine, &Command::Resume)?;
        self.hand.is(machine, "running", |it| matches!(it.state, Mode::Running | Mode::Idle))
    }

    fn sum_up(&self, jobs: &[String], took: Duration) -> Result<Summary, Trouble> {
        let views = self.hand.views(jobs)?;
        let counted: Vec<_> = self.hand.stage.pretenders.iter().map(Sim::counters).collect();
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

    fn tell_where(&self, stay: bool) {
        let (web, socket) = (self.hand.stage.web(), self.hand.stage.path("headstock.sock"));
        let socket = socket.display();
        self.hand.remark(&if stay {
            format!(
                "API        http://{web}/api/v1/ with a token (headstock token create), or without \
                 one on the socket\n\
                 try        headstock --socket {socket} status\n\n\
                 It stays up to look at; end it with Ctrl-C."
            )
        } else {
            format!(
                "API        was at http://{web}/api/v1/ (see README.md); keep it up to look at with \
                 `headstock demo --stay`"
            )
        });
    }

    fn with_last_words(&self, mut trouble: Trouble) -> Trouble {
        let words = self.hand.stage.last_words();
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
