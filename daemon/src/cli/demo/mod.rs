//! The demo: what a workshop does in an hour, in half a minute and without a machine.
//!
//! ```text
//!  stage -> look around -> home and zero the mill, start the spindle's drive
//!        -> upload, check and start: a part on the mill, a print on the printer
//!        -> hold and resume the mill: once for all to see, often to measure
//!        -> open the door (the interlock holds the mill), close it, acknowledge, resume
//!        -> both completed -> stop all -> summary -> close (or stay until Ctrl-C)
//! ```
//!
//! Everything goes through the doors that anybody else uses; only the door of the pretend mill is
//! opened behind their backs, as a hand would, and only the figures about what arrived at the
//! machines come from the machines' own count.

mod hand;
mod stage;
mod summary;

use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use headstock_config::api::{
    AlarmView, Equipment, JobView, StartJob, StopReport, StopScope, System,
};
use headstock_config::command::{Command, NO_AXIS};
use headstock_config::job::JobState;
use headstock_config::machine::Mode;
use headstock_config::point::{Point, Value};
use headstock_config::preflight::Finding;
use headstock_drivers::grbl::sim::Sim;
use headstock_tui::view;
use headstock_tui::words::duration;
use serde::de::IgnoredAny;

use self::hand::{Hand, late};
use self::stage::{MILL, PRINTER};
use self::summary::{Percentiles, Summary, rounded};
use super::args::DemoWords;
use super::exit::Exit;
use super::files;
use super::trouble::Trouble;
use crate::clock::now_ms;

/// The programs have to be through by then, at the usual time scale.
const LIMIT: Duration = Duration::from_secs(50);
/// What the part takes on a real machine, with time for the holds.
const REAL: Duration = Duration::from_secs(600);
/// Between two looks.
const PACE: Duration = Duration::from_millis(50);
/// Holds of the mill, to measure how soon they take effect.
const SAMPLES: usize = 20;
/// Where the zero of the part is put, machine coordinates: the part fits around it.
const PLACE: &str = "G53 G0 X-200 Y-200 Z-30";
/// The line that the switch of the mill's door is on.
const DOOR: &str = "gpiochip0/17";
/// The interlock that watches it; also the alarm's id.
const INTERLOCK: &str = "mill-door";

/// Plays it, and ends within a minute unless it is told to stay. With `json` the summary is the
/// last and only line on stdout; all else goes to stderr.
pub(super) fn demo(words: &DemoWords, json: bool) -> Result<Exit, Trouble> {
    let hand = Hand::begin(words.time_scale, json)?;
    let mut play = Play { hand, samples: Vec::new(), interlock: None };
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
    /// From the edge of the door's switch until the mill began to slow down.
    interlock: Option<Duration>,
}

impl Play {
    fn run(&mut self, words: &DemoWords) -> Result<Summary, Trouble> {
        self.hand.remark(&format!(
            "A workshop of pretend machines behind real ptys and sockets, {} times as fast as real \
             ones:\na mill (GRBL), a printer (Marlin), a spindle drive and an energy meter on one \
             serial bus,\na relay board (Modbus TCP), a door switch and a stack light (GPIO), and \
             a climate sensor (I2C).\n",
            words.time_scale
        ));
        self.hand
            .until("the daemon answers", |it| it.call.client.get::<System>("system").is_ok())?;
        self.look_around()?;
        self.make_ready()?;
        let jobs = self.start()?;
        let began = Instant::now();
        self.work(&jobs, LIMIT.max(REAL / words.time_scale))?;
        let took = began.elapsed();
        let stopped = self.stop_all()?;
        self.sum_up(&jobs, took, stopped)
    }

    /// Closes the door, waits until everything is there, and shows some of what it says.
    fn look_around(&self) -> Result<(), Trouble> {
        self.hand.until("the pretend pins are there", |it| it.stage.pins("set", "1").is_ok())?;
        self.hand.until("every machine is known", |it| {
            let machines = it.call.client.get::<Vec<Equipment>>("equipment");
            let known = |it: &Equipment| it.controller.is_some() && it.state != Mode::Offline;
            machines.is_ok_and(|all| all.iter().all(known))
        })?;
        self.hand.says("pins.door", "is closed", Value::is_on)?;
        self.hand.says("meter.power", "is told", |_| true)?;
        self.hand.says("climate.temperature", "is told", |_| true)?;
        self.hand.says("spindle.speed", "is told", |_| true)?;
        let points: Vec<Point> = self.hand.call.client.get("points")?;
        let some = ["climate.", "meter.voltage", "meter.power", "pins.", "spindle.speed"];
        let shown: Vec<Point> = points
            .into_iter()
            .filter(|it| it.quality.believable())
            .filter(|it| some.iter().any(|some| it.name.starts_with(some)))
            .collect();
        self.hand.remark(&view::points::list(&shown, now_ms()));
        Ok(())
    }

    /// Homes the mill, moves it to where the part lies and zeroes it there; starts its drive.
    fn make_ready(&self) -> Result<(), Trouble> {
        self.hand.is(MILL, "known and locked until homed", |it| {
            matches!(it.state, Mode::Alarm | Mode::Idle)
        })?;
        self.hand.remark("The mill is homed, moved to where the stock lies, and zeroed there.");
        self.hand.tell(MILL, &Command::Home { axes: None })?;
        self.hand.is(MILL, "homed", |it| it.state == Mode::Idle && it.live.homed == Some(true))?;
        self.hand.tell(MILL, &Command::Run { line: PLACE.into() })?;
        self.hand.is(MILL, "at the stock", |it| {
            it.state == Mode::Idle
                && it.live.machine_position.is_some_and(|[x, ..]| (x + 200.0).abs() < 0.01)
        })?;
        let zero = Command::Zero { system: None, at: NO_AXIS.map(|_| Some(0.0)) };
        self.hand.tell(MILL, &zero)?;
        self.hand.is(MILL, "zeroed", |it| {
            it.state == Mode::Idle
                && it.live.work_position.is_some_and(|at| at.iter().all(|it| it.abs() < 0.01))
        })?;
        self.hand
            .remark("The spindle's drive is set to 60 % and started; each write is read back.");
        self.hand.set("spindle.set_share", 60.0)?;
        self.hand.set("spindle.control", 1.0)
    }

    /// Uploads part and print, checks each against its machine, and starts them.
    fn start(&self) -> Result<Vec<String>, Trouble> {
        let start = |(machine, name): (&str, &str)| {
            let file = files::send(&self.hand.call, &self.hand.stage.path(name), None)?;
            self.hand.remark(&format!(
                "{} is uploaded: {} lines, {} on a real machine. It is checked and started on the \
                 {machine}.",
                file.name,
                file.lines,
                duration(file.analysis.time_s)
            ));
            let path = format!("files/{}/preflight?machine={machine}", file.id);
            let findings: Vec<Finding> = self.hand.call.client.get(&path)?;
            if !findings.is_empty() {
                self.hand.remark(view::findings::list(&findings).trim_end());
            }
            let wish = StartJob { machine: machine.into(), file: file.id, dry_run: false };
            self.hand.call.client.post::<JobView>("jobs", &wish).map(|view| view.job.id)
        };
        let jobs = [(MILL, "sample-part.nc"), (PRINTER, "sample-print.gcode")];
        let jobs = jobs.into_iter().map(start).collect();
        self.hand.remark("");
        jobs
    }

    /// Watches both jobs to their ends; holds the mill in between, and opens its door.
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
            let mill = &views[0];
            if !held && mill.progress > 0.3 {
                held = true;
                self.hold_for_all_to_see(jobs)?;
            } else if self.interlock.is_none() && mill.progress > 0.6 {
                self.open_the_door()?;
            } else if mill.progress > 0.05
                && mill.job.state == JobState::Running
                && self.samples.len() < SAMPLES
            {
                self.hold_and_measure()?;
            } else {
                sleep(PACE);
            }
        }
        Err(late("part and print are finished"))
    }

    fn hold_for_all_to_see(&mut self, jobs: &[String]) -> Result<(), Trouble> {
        self.hand.tell(MILL, &Command::Hold)?;
        self.hand.is(MILL, "held", |it| it.state == Mode::Held)?;
        let views = self.hand.views(jobs)?;
        self.hand.show(&views, false);
        sleep(Duration::from_secs(1));
        self.hand.tell(MILL, &Command::Resume)
    }

    /// One hold of the mill: from the request until its controller begins to slow down.
    fn hold_and_measure(&mut self) -> Result<(), Trouble> {
        let (asked, seen) = self.slows_down_after(|hand| hand.tell(MILL, &Command::Hold));
        asked?;
        // The program may have ended, or stood still, at that moment: no sample then.
        self.samples.extend(seen);
        self.hand.is(MILL, "held", |it| matches!(it.state, Mode::Held | Mode::Idle))?;
        self.hand.tell(MILL, &Command::Resume)?;
        self.hand.is(MILL, "running", |it| matches!(it.state, Mode::Running | Mode::Idle))
    }

    /// The door opens under a running mill: the interlock holds it and is an alarm.
    fn open_the_door(&mut self) -> Result<(), Trouble> {
        self.hand.says("relays.relay_2", "is on: the dust collector follows", Value::is_on)?;
        let (opened, seen) = self.slows_down_after(|hand| hand.stage.pins("set", "0"));
        opened.map_err(|error| late(&format!("the door is opened: {error}")))?;
        self.interlock = seen;
        self.hand.is(MILL, "held", |it| it.state == Mode::Held)?;
        let held = |alarm: &AlarmView| alarm.id == INTERLOCK && alarm.active;
        self.hand.until("the alarm is raised", |it| {
            it.call.client.get::<Vec<AlarmView>>("alarms").is_ok_and(|all| all.iter().any(held))
        })?;
        let alarms: Vec<AlarmView> = self.hand.call.client.get("alarms")?;
        self.hand.remark(&format!(
            "\n\nThe door is opened: the interlock holds the mill{}.\n{}",
            seen.map(|it| format!(" after {:.1} ms", it.as_secs_f64() * 1e3)).unwrap_or_default(),
            view::alarms::list(&alarms),
        ));
        self.hand.says("pins.red", "is lit", Value::is_on)?;
        let refused = self.hand.tell(MILL, &Command::Resume);
        self.hand.remark(&match refused {
            Err(trouble) => format!("Resuming now is refused: {}.", trouble.error.message),
            Ok(()) => return Err(late("a resume with an open door is refused")),
        });
        let closed = self.hand.stage.pins("set", "1");
        closed.map_err(|error| late(&format!("the door is closed: {error}")))?;
        self.hand.says("pins.door", "is closed", Value::is_on)?;
        let ack = format!("alarms/{INTERLOCK}/ack");
        self.hand.call.client.post::<IgnoredAny>(&ack, &serde_json::json!({}))?;
        self.hand.remark("The door is closed, the alarm acknowledged, and the mill resumed.\n");
        self.hand.until("the mill may go on", |it| it.tell(MILL, &Command::Resume).is_ok())
    }

    /// Does something, and says how long after its beginning the mill began to slow down.
    fn slows_down_after<T: Send>(&self, deed: impl FnOnce(&Hand) -> T) -> (T, Option<Duration>) {
        let pretender = &self.hand.stage.mill;
        let before = pretender.counters().holds;
        let began = Instant::now();
        let (done, seen) = thread::scope(|scope| {
            let watcher = scope.spawn(|| hold_after(pretender, before));
            let done = deed(&self.hand);
            (done, watcher.join().unwrap_or(None))
        });
        (done, seen.map(|at| at.duration_since(began)))
    }

    /// Stops every machine, and shows what each has confirmed.
    fn stop_all(&self) -> Result<bool, Trouble> {
        let scope = StopScope { scope: "all".into(), how: None };
        let reports: Vec<StopReport> = self.hand.call.client.post("stop", &scope)?;
        self.hand.remark(&format!("\nEverything is stopped:\n{}", view::house::stops(&reports)));
        Ok(reports.iter().all(|it| it.confirmed))
    }

    fn sum_up(&self, jobs: &[String], took: Duration, stopped: bool) -> Result<Summary, Trouble> {
        let views = self.hand.views(jobs)?;
        let (mill, printer) = (self.hand.stage.mill.counters(), self.hand.stage.printer.counters());
        let points: Vec<Point> = self.hand.call.client.get("points")?;
        let lines: u64 = views.iter().map(|it| it.job.lines_acked).sum();
        let whole = views.iter().all(|it| it.job.state == JobState::Completed);
        let clean = [mill.overflowed, mill.errors, printer.overflowed, printer.unknown];
        let interlock_ms = self.interlock.map(|it| rounded(it.as_secs_f64() * 1e3, 1e3));
        Ok(Summary {
            ok: whole && stopped && clean.iter().all(|it| *it == 0) && interlock_ms.is_some(),
            lines,
            lines_per_s: rounded(lines as f64 / took.as_secs_f64(), 10.0),
            starved: mill.starved + printer.starved,
            hold_ms: Percentiles::of(&self.samples),
            interlock_ms,
            points: points.iter().filter(|it| it.quality.believable()).count(),
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
                 try        headstock --socket {socket} status\n\
                 door       headstock sim pins {} set {DOOR} 0\n\n\
                 It stays up to look at; end it with Ctrl-C.",
                self.hand.stage.board().display(),
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
