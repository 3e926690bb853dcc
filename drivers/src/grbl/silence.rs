//! What does not come: an answer to a line, or any report at all.
//!
//! A line whose answer got lost shows by a machine that rests, with nothing travelling, and a line
//! still unanswered. A dwell looks the same for as long as it lasts, so the line being worked on
//! is given its time. A controller that does not even report is out of reach; homing (which
//! answers nothing) and a lock-up after a limit alarm are no such silence.

use std::time::{Duration, Instant};

use headstock_config::event::{Cause, Check};

use super::Grbl;
use super::integrity::Finding;
use super::modal::Modal;
use super::poll::{HOMING, SILENCE};
use super::protocol::State;
use super::stream::What;
use crate::Outbox;

/// Rest with an answer missing for this long, plus what the line itself may take.
const MISSING: Duration = Duration::from_secs(1);
/// A dwell may last this many times what the line says: pretend controllers run slower than real,
/// and boards differ in what they count.
const DWELLS_LONG: f64 = 6.0;
/// Without traffic for this long, every byte must have arrived.
const SETTLED: Duration = Duration::from_millis(350);

impl Grbl {
    /// Every byte that was sent must have arrived.
    pub(super) fn is_settled(&self, now: Instant) -> bool {
        self.stream.last_traffic().is_none_or(|then| SETTLED <= now - then)
    }

    /// The machine rests, nothing travels, and yet a line has no answer.
    pub(super) fn look_for_missing_answer(&mut self, now: Instant, out: &mut Outbox) {
        let plain = matches!(self.sight.state, State::Idle | State::Check | State::Alarm);
        let rests = plain && self.sight.at_rest(self.it.quiet_planner) && self.homing.is_none();
        let long_ago = self.stream.last_traffic().is_some_and(|then| self.patience() < now - then);
        if self.stream.is_empty() || !rests || !long_ago || self.stopping.is_some() {
            self.answer_missing = 0;
            return;
        }
        self.answer_missing += 1;
        if 2 <= self.answer_missing {
            self.answer_missing = 0;
            self.answer_lost(now, out);
        }
    }

    /// How long the line being worked on may take without moving anything.
    fn patience(&self) -> Duration {
        let dwell_s = match self.stream.iter().next() {
            Some(What::Program(sent)) => {
                let spindle = if sent.drains && !self.it.buffer_exact { 10.0 } else { 0.0 };
                sent.point.dwell_s * DWELLS_LONG + spindle
            }
            Some(What::Errand(errand)) => Modal::default().take(&errand.text).dwell_s * DWELLS_LONG,
            _ => 0.0,
        };
        MISSING + Duration::from_secs_f64(dwell_s.clamp(0.0, 86_400.0))
    }

    fn answer_lost(&mut self, now: Instant, out: &mut Outbox) {
        let head = match self.stream.iter().next() {
            Some(What::Program(sent)) => sent.text.clone(),
            Some(What::Errand(errand)) => errand.text.clone(),
            Some(What::Jog(line)) => line.clone(),
            Some(What::Stale) | None => String::new(),
        };
        if self.program.is_some() {
            let expected = format!("an answer to `{head}`");
            let found = "none, with the machine at rest".into();
            return self.mismatch(now, Finding { check: Check::LostAnswer, expected, found }, out);
        }
        self.stream.clear();
        self.dirty = true;
        if self.is_known() {
            self.command_failed(head, None, out);
        } else {
            self.introduction_stuck(now);
        }
    }

    /// Reports that were asked for do not come.
    pub(super) fn notice_silence(&mut self, now: Instant, out: &mut Outbox) {
        self.tell_of_silence(now, out);
        let homing = self.homing.is_some_and(|since| now < since + HOMING);
        let silent = SILENCE < self.poll.silence(now) && self.sight.reports > 0;
        if !silent || homing || self.locked_silent || self.silent {
            return;
        }
        self.silent = true;
        self.homing = None;
        let reason = "the controller does not answer any more".to_owned();
        let stops = self.stopping.is_some();
        if self.program.is_some() {
            self.lose_program(Cause::Link, reason, false, out);
            self.halt_when_back(now, out);
        } else if !stops {
            self.answer_missing = 0;
        }
    }
}
