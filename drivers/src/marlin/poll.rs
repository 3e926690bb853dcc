//! Asking how warm and where, and noticing that nothing is said any more.
//!
//! Firmware that reports by itself (M155, M154) is not asked. A question is a line like any other:
//! it goes only where there is room, and not while something long is being carried out.

use std::time::{Duration, Instant};

use headstock_config::event::{Cause, Event};
use headstock_config::machine::Mode;

use super::Marlin;
use super::errand::{Errand, Why};
use super::introduce::Introduction;
use crate::Outbox;

/// How often temperatures and position are asked for.
const WARMTH: Duration = Duration::from_secs(3);
const PLACE: Duration = Duration::from_secs(5);
/// The same, if it rests and nobody knows where.
const MISSING: Duration = Duration::from_millis(100);
/// A firmware that says `busy:` says it every two seconds (`M113 S2`, as shipped).
const KEPT_ALIVE: Duration = Duration::from_secs(3);
/// One that may say nothing while it is at work.
const NOT_KEPT: Duration = Duration::from_secs(10);
/// While getting to know it: a board takes a second or two to start.
const STARTING: Duration = Duration::from_secs(2);
/// Lines sent once more without any answer, after which it is taken to be gone.
const STRIKES: u32 = 6;

/// See the file's head.
#[derive(Debug, Default)]
pub(super) struct Poll {
    warmth: Option<Instant>,
    place: Option<Instant>,
    /// Lines sent once more since anything was answered.
    strikes: u32,
    silent: bool,
    /// A print was lost by that, and nobody has switched its heaters off.
    hot: bool,
}

impl Poll {
    /// It should answer and does not.
    pub(super) fn is_silent(&self) -> bool {
        self.silent
    }

    /// Something was answered.
    pub(super) fn answered(&mut self) {
        (self.strikes, self.silent) = (0, false);
    }

    /// Whether heaters were left on by a print that is lost; asked once.
    pub(super) fn left_hot(&mut self) -> bool {
        std::mem::take(&mut self.hot)
    }

    /// Temperatures have come.
    pub(super) fn warmed(&mut self, now: Instant) {
        self.warmth = Some(now);
    }

    /// A position has come.
    pub(super) fn placed(&mut self, now: Instant) {
        self.place = Some(now);
    }
}

impl Marlin {
    /// How long a line may stay unanswered before it is sent once more.
    pub(super) fn patience(&self) -> Duration {
        let base = match self.intro {
            Introduction::Numbering => return STARTING,
            _ if self.it.keepalive => KEPT_ALIVE,
            _ => NOT_KEPT,
        };
        base * 2_u32.pow(self.poll.strikes.min(3))
    }

    /// Lets the stream give up waiting.
    pub(super) fn let_time_pass(&mut self, now: Instant, out: &mut Outbox) {
        if self.is_dead() {
            return;
        }
        let patience = self.patience();
        if self.stream.tick(now, patience, &mut out.bytes) && self.intro != Introduction::Numbering
        {
            self.poll.strikes += 1;
            if STRIKES <= self.poll.strikes && !self.poll.silent {
                self.fell_silent(now, out);
            }
        }
    }

    fn fell_silent(&mut self, now: Instant, out: &mut Outbox) {
        self.stop_unheard(now);
        if self.intro != Introduction::Known {
            return self.introduce(now, out);
        }
        self.poll.silent = true;
        self.poll.hot |= self.program.is_some();
        let reason = "the firmware does not answer any more".to_owned();
        if self.program.is_some() || self.stopping.is_some() {
            let text = format!("{reason}; its heaters may still be on");
            out.events.push_back(Event::Remark { text });
        }
        self.hold.clear();
        self.jogs.clear();
        self.errands.clear();
        self.stop_loses(out);
        self.lose_program(Cause::Link, reason, false, out);
    }

    /// When the next question is due.
    pub(super) fn poll_due(&self) -> Option<Instant> {
        if self.intro != Introduction::Known || self.poll.silent || self.stopping.is_some() {
            return None;
        }
        let [warmth, place] = self.questions().map(|(why, due)| {
            let out = self.is_out(|other| *other == why);
            due.filter(|_| !out)
        });
        warmth.into_iter().chain(place).min()
    }

    /// What is asked, and when. Where the firmware reports by itself, only if it has not for long.
    fn questions(&self) -> [(Why, Option<Instant>); 2] {
        let every = |every: Duration, reports: bool| if reports { every * 4 } else { every };
        let warmth = every(WARMTH, self.it.reports_temperatures);
        let place = every(PLACE, self.it.reports_position);
        // Who moves it next wants to know.
        let missing = self.place.is_none() && self.mode() == Mode::Idle;
        let place = if missing { MISSING } else { place };
        [
            (Why::Temperatures, self.poll.warmth.map(|last| last + warmth)),
            (Why::Place, self.poll.place.map(|last| last + place)),
        ]
    }

    /// Asks what is due.
    pub(super) fn ask_in_time(&mut self, now: Instant) {
        if self.poll_due().is_none_or(|due| now < due) {
            return;
        }
        let [warmth, place] = self.questions().map(|(why, due)| {
            due.is_some_and(|due| due <= now) && !self.is_out(|other| *other == why)
        });
        if warmth {
            self.poll.warmth = Some(now);
            self.errands.push_back(Errand::new("M105", Why::Temperatures));
        }
        if place {
            self.poll.place = Some(now);
            self.errands.push_back(Errand::new("M114", Why::Place));
        }
    }
}
