//! What the controller says, and where it goes.
//!
//! Bytes become lines (`\n` or `\r` ends one), lines become replies, and each reply reaches the
//! part that waits for it. What is unreadable is dropped and counted against the question being
//! answered; what looks like a damaged *answer* while a program runs stops the program, for
//! nobody can tell whether a line was accepted. A controller that should answer and does not is
//! noticed here too.

use std::time::{Duration, Instant};

use headstock_config::event::{Cause, Check, Event};

use super::Grbl;
use super::integrity::Finding;
use super::introduce::Phase;
use super::modal::Modal;
use super::protocol::{self, Reply, Report, State};
use super::stream::What;
use super::verify::extra_answer;
use super::words;
use crate::Outbox;

/// Longer lines are no controller's; what came of one is dropped.
const LONGEST: usize = 512;
/// Answers to what was on the wire when a controller started come within this time.
const STRAY: Duration = Duration::from_millis(300);
/// Messages passed on within ten seconds; a chatty controller shall not fill the journal.
const MESSAGES: u32 = 20;

/// How many messages were passed on lately.
#[derive(Debug, Default)]
pub(super) struct Messages {
    since: Option<Instant>,
    count: u32,
}

impl Messages {
    fn may(&mut self, now: Instant) -> bool {
        if self.since.is_none_or(|since| since + Duration::from_secs(10) < now) {
            (self.since, self.count) = (Some(now), 0);
        }
        self.count += 1;
        self.count <= MESSAGES
    }
}

impl Grbl {
    /// Cuts bytes into lines.
    pub(super) fn take_bytes(&mut self, now: Instant, bytes: &[u8], out: &mut Outbox) {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n' || byte == b'\r') {
            let (last, start) = piece.split_last().expect("a piece holds at least its end");
            if !matches!(last, b'\n' | b'\r') {
                self.partial.extend_from_slice(piece);
                self.partial.truncate(LONGEST);
            } else if self.partial.is_empty() {
                self.take(now, protocol::parse(start), out);
            } else {
                let mut line = std::mem::take(&mut self.partial);
                line.extend_from_slice(start);
                line.truncate(LONGEST);
                self.take(now, protocol::parse(&line), out);
                line.clear();
                self.partial = line;
            }
        }
    }

    fn take(&mut self, now: Instant, reply: Reply<'_>, out: &mut Outbox) {
        match reply {
            Reply::Empty | Reply::StartUp => (),
            Reply::Ok => self.answered(now, None, out),
            Reply::Error(number) => self.answered(now, Some(number), out),
            Reply::Alarm(number) => self.alarmed(now, number, out),
            Reply::Status(report) => self.reported(now, &report, out),
            Reply::BadStatus => self.poll.answered(),
            Reply::Banner(text) => self.greeted(now, text, out),
            Reply::Message(text) => self.said(now, text, out),
            Reply::Modal(text) => {
                self.heard_modal = Some(Modal::of_report(text, self.it.controller.reports_inches));
            }
            Reply::Probe(at, touched) => self.probed(at, touched, out),
            Reply::Version(text) => self.it.take_version(text),
            Reply::Options(text) => self.it.take_options(text),
            Reply::Bracket(text) => {
                self.heard_offsets.take(text, self.it.controller.reports_inches);
                self.it.take_bracket(text);
            }
            Reply::Setting(number, value) => self.it.take_setting(number, value),
            Reply::Unknown(line) => self.not_understood(now, line, out),
        }
    }

    fn answered(&mut self, now: Instant, refused: Option<u16>, out: &mut Outbox) {
        self.answer_missing = 0;
        let Some(sent) = self.stream.answered(now) else {
            return self.not_asked_for(now, refused, out);
        };
        self.stirred_by(&sent.what);
        match (sent.what, refused) {
            (What::Program(sent), None) => self.line_accepted(sent),
            (What::Program(sent), Some(number)) => {
                self.line_refused(now, sent.point.number, sent.text, number, out);
            }
            (What::Stale, _) => (),
            (What::Jog(line), refused) => self.jog_answered(line, refused, out),
            (What::Errand(errand), refused) => self.errand_answered(now, errand, refused, out),
        }
    }

    fn not_asked_for(&mut self, now: Instant, refused: Option<u16>, out: &mut Outbox) {
        let resets = self.stopping.as_ref().is_some_and(super::Stopping::resets);
        // A starting controller may complain about its memory without being asked.
        if resets || !self.is_known() {
            return;
        }
        let found = refused.map_or("`ok` to nothing".into(), |number| format!("error:{number}"));
        self.mismatch(now, extra_answer(&found), out);
    }

    fn reported(&mut self, now: Instant, report: &Report<'_>, out: &mut Outbox) {
        self.poll.answered();
        self.silent = false;
        let offset_counts = !self.origin_moves();
        self.sight.take(now, report, self.it.controller.reports_inches, offset_counts);
        let quiet = report.state == State::Idle && self.stream.is_empty();
        let before_lines = self.program.as_ref().is_none_or(|it| it.is_preparing());
        if quiet && before_lines && self.stopping.is_none() {
            self.it.take_quiet_buffer(report.buffer);
        }
        self.jog_saw(now, out);
        self.stop_saw(now, out);
        self.program_saw(now, out);
        self.settle();
        self.look_for_missing_answer(now, out);
        self.sight.live.progress = self.progress.filter(|_| self.program.is_some());
    }

    /// `ALARM:N`, or a report that says so (0).
    pub(super) fn alarmed(&mut self, now: Instant, number: u16, out: &mut Outbox) {
        let alarm =
            if number == 0 { words::locked() } else { words::alarm(self.it.dialect, number) };
        let (kept, means) = (alarm.position_kept, alarm.means.clone());
        self.home_failed = true;
        self.locked_silent = words::silent_until_reset(self.it.dialect, number);
        self.lock_lost_position = !kept;
        self.sight.state = State::Alarm;
        self.overrides.clear();
        self.jogs.clear();
        self.hold.clear();
        if self.is_known() {
            self.errands.clear();
        }
        out.events.push_back(Event::Alarm(alarm));
        if !kept {
            self.doubt(&means);
        }
        self.stop_heard_alarm(now, kept, out);
        self.show_mode(out);
        self.lose_program(Cause::Alarm, means, kept, out);
    }

    fn greeted(&mut self, now: Instant, text: &str, out: &mut Outbox) {
        self.it.take_banner(text);
        let fresh = self.sight.reports == 0 || !self.is_known() && self.stopping.is_none();
        let ours = self.stop_heard_banner(now, out)
            || self.program_heard_banner(now)
            || self.restart_expected;
        self.restart_expected = false;
        if !ours && !fresh && self.stopping.is_none() {
            self.settle_after_restart(now, out);
        }
        // What the link has not taken yet was meant for a controller that knew more.
        out.bytes.clear();
        let on_the_wire = !self.stream.is_empty();
        self.stream.clear();
        self.errands.clear();
        self.jogs.clear();
        self.overrides.clear();
        self.sight.forget_modes();
        self.homing = None;
        self.stirred = self.stirred.min(1);
        self.dirty = false;
        self.silent = false;
        self.locked_silent = false;
        self.lock_lost_position = false;
        // A stop may come in the middle of the introduction: what had been asked is not answered.
        if ours && self.intro.phase == Phase::Done {
            // A reset forgets G92 and the tool length.
            self.offsets_may_differ();
        } else {
            self.introduce_again(!on_the_wire, on_the_wire.then(|| now + STRAY));
        }
        self.intro.reports_before = self.sight.reports;
        if !fresh {
            out.events.push_back(Event::Restarted { asked: ours });
        }
        if !ours && fresh {
            self.poll.ask(now, &[], out);
        }
    }

    fn said(&mut self, now: Instant, text: &str, out: &mut Outbox) {
        const KNOWN: [&str; 5] =
            ["Enabled", "Disabled", "Pgm End", "Caution: Unlocked", "'$H'|'$X' to unlock"];
        let chatter = text.starts_with("DBG") || text.starts_with("INFO");
        if !KNOWN.contains(&text) && !chatter && self.messages.may(now) {
            out.events.push_back(Event::Message { text: text.into() });
        }
    }

    fn probed(&mut self, at: [f64; 3], touched: bool, out: &mut Outbox) {
        // `$#` repeats the last probe; that is no news.
        let asked = self.stream.errand().is_some_and(|errand| errand.text == "$#");
        let scale = if self.it.controller.reports_inches { 25.4 } else { 1.0 };
        let at = at.map(|value| value * scale);
        if asked {
            self.heard_offsets.take_probe(at, touched);
        } else {
            out.events.push_back(Event::Probed { at, touched });
        }
    }

    fn not_understood(&mut self, now: Instant, line: &[u8], out: &mut Outbox) {
        self.heard_damage = true;
        let text = String::from_utf8_lossy(line);
        if self.it.chatty && self.messages.may(now) {
            out.events.push_back(Event::Message { text: text.into() });
        } else if self.program.is_some() && self.stopping.is_none() && may_be_an_answer(line) {
            let expected = "`ok` or `error:` and a number".into();
            let found = format!("`{}`", text.escape_debug());
            self.mismatch(now, Finding { check: Check::Garbled, expected, found }, out);
        }
    }
}

/// Short, and not in any bracket: it may have been `ok` or `error:N`.
fn may_be_an_answer(line: &[u8]) -> bool {
    let framed = matches!(line.first(), Some(b'<' | b'[' | b'$' | b'>'))
        || matches!(line.last(), Some(b'>' | b']'));
    line.len() <= 16 && !framed
}
