//! How the demo asks, waits and tells.

use std::thread::sleep;
use std::time::{Duration, Instant};

use headstock_config::api::{Equipment, JobView};
use headstock_config::command::Command;
use headstock_config::point::{Point, SetPoint, Value};
use headstock_tui::view;
use serde::de::IgnoredAny;

use super::stage::Stage;
use crate::cli::exit::Exit;
use crate::cli::signals::Ended;
use crate::cli::trouble::Trouble;
use crate::cli::{Call, jobs, say};

/// Nothing in the demo may take longer than this to happen.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks at what is awaited.
const PACE: Duration = Duration::from_millis(5);
/// Between two lines where no terminal is.
const PLAIN_PACE: Duration = Duration::from_secs(2);
/// Width of those lines.
const PLAIN_WIDTH: usize = 78;

/// The stage, and a client in front of it.
pub(super) struct Hand {
    pub(super) stage: Stage,
    pub(super) call: Call,
    told_at: Option<Instant>,
    ended: Ended,
}

impl Hand {
    pub(super) fn begin(time_scale: u32, json: bool) -> Result<Self, Trouble> {
        // First of all: whatever is built from now on is taken down again.
        let ended = Ended::listen();
        let stage = Stage::build(time_scale)?;
        let call = stage.call(json)?;
        Ok(Self { stage, call, told_at: None, ended })
    }
    pub(super) fn views(&self, jobs: &[String]) -> Result<Vec<JobView>, Trouble> {
        jobs.iter().map(|id| self.call.client.get(&jobs::path(id))).collect()
    }

    pub(super) fn tell(&self, machine: &str, command: &Command) -> Result<(), Trouble> {
        let path = format!("equipment/{machine}/commands");
        self.call.client.post::<IgnoredAny>(&path, command).map(|_| ())
    }

    /// Sets a point, and waits until its device has confirmed it.
    pub(super) fn set(&self, point: &str, value: f64) -> Result<(), Trouble> {
        let value = SetPoint { value: Value::Number(value) };
        self.call.client.put::<Point>(&format!("points/{point}"), &value).map(drop)
    }

    /// Waits until a point says what is wished, and can be believed.
    pub(super) fn says(
        &self,
        point: &str,
        what: &str,
        so: impl Fn(&Value) -> bool,
    ) -> Result<(), Trouble> {
        let path = format!("points/{point}");
        self.until(&format!("`{point}` {what}"), |it| {
            it.call
                .client
                .get::<Point>(&path)
                .is_ok_and(|it| it.quality.believable() && it.value.as_ref().is_some_and(&so))
        })
    }

    /// Waits until a machine is so.
    pub(super) fn is(
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

    pub(super) fn until(&self, what: &str, so: impl Fn(&Self) -> bool) -> Result<(), Trouble> {
        let until = Instant::now() + PATIENCE;
        while !so(self) {
            self.go_on()?;
            if Instant::now() > until {
                return Err(late(what));
            }
            sleep(PACE);
        }
        Ok(())
    }

    /// Progress of both machines in one line. With `--json` stdout is kept for the summary.
    pub(super) fn show(&mut self, views: &[JobView], over: bool) {
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
            self.remark(&view::jobs::side_by_side(views, PLAIN_WIDTH));
        }
    }

    pub(super) fn remark(&self, text: &str) {
        if self.call.json { say::aside(text) } else { say::text(&format!("{text}\n")) }
    }

    /// Waits until somebody wishes the end.
    pub(super) fn stay(&self) {
        while !self.ended.so() {
            sleep(10 * PACE);
        }
    }

    /// Fails once somebody wishes the end, or the daemon is gone.
    pub(super) fn go_on(&self) -> Result<(), Trouble> {
        let (code, message) = match (self.ended.so(), self.stage.is_up()) {
            (false, true) => return Ok(()),
            (true, _) => ("demo.ended", "the demo was broken off"),
            (false, false) => ("demo.daemon", "the demo's daemon has ended by itself"),
        };
        let means = "nothing of it is left running";
        Err(Trouble::new(Exit::Failed, code, message, means, "what it said last is shown here"))
    }
}

/// What should have happened has not.
pub(super) fn late(what: &str) -> Trouble {
    Trouble::new(
        Exit::Failed,
        "demo.late",
        format!("waited in vain until {what}"),
        "the demo was ended; nothing of it is left running",
        "try again on a box that has less to do; what the daemon said last is shown here",
    )
}
