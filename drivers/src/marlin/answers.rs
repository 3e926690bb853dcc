//! What the firmware says, and where it goes.
//!
//! Bytes become lines (`\n` or `\r` ends one), lines become replies, and each reply reaches the
//! part that waits for it. What is unreadable is dropped: line numbers make sure that nothing is
//! lost by it.

use std::time::{Duration, Instant};

use headstock_config::event::Event;

use super::Marlin;
use super::errand::Why;
use super::introduce::Introduction;
use super::protocol::{self, Answer, Reply};
use super::stop::Halt;
use super::stream::{Trouble, What};
use crate::Outbox;

/// Longer lines are no firmware's; what came of one is dropped.
const LONGEST: usize = 1024;
/// Messages passed on within ten seconds; a chatty firmware shall not fill the journal.
const MESSAGES: u32 = 10;

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

impl Marlin {
    /// Cuts bytes into lines.
    pub(super) fn take_bytes(&mut self, now: Instant, bytes: &[u8], out: &mut Outbox) {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n' || byte == b'\r') {
            let (last, start) = piece.split_last().expect("a piece holds at least its end");
            if !matches!(last, b'\n' | b'\r') {
                self.partial.extend_from_slice(piece);
                self.partial.truncate(LONGEST);
                continue;
            }
            let mut line = std::mem::take(&mut self.partial);
            line.extend_from_slice(start);
            line.truncate(LONGEST);
            self.take(now, protocol::parse(&line), out);
            line.clear();
            self.partial = line;
        }
    }

    fn take(&mut self, now: Instant, reply: Reply<'_>, out: &mut Outbox) {
        match reply {
            Reply::Empty => (),
            Reply::Ok(answer) => self.answered(now, &answer, out),
            Reply::Resend(number) => {
                let trouble = self.stream.resend(now, number);
                self.asked_again(now, trouble, out);
            }
            Reply::BadLine(last) => {
                let trouble = self.stream.bad_line(now, last);
                self.asked_again(now, trouble, out);
            }
            Reply::Start => self.restarted(now, out),
            Reply::Wait => self.stream.idle_said(now),
            Reply::Busy(why) => self.is_busy(now, why, out),
            Reply::Killed => self.halted(Halt::Killed, out),
            Reply::Stopped => self.halted(Halt::Stopped, out),
            Reply::Error(said) => self.complained(now, said, out),
            Reply::UnknownCommand(line) => self.not_known(now, line, out),
            Reply::Action(action) => self.acted(now, action, out),
            Reply::Temperatures(text) => {
                self.poll.warmed(now);
                self.warmed(text);
                if self.is_heating(text) {
                    self.works(now);
                }
            }
            Reply::Position(place) => self.placed(now, place),
            Reply::Firmware(text) => self.it.take_firmware(text),
            Reply::Capability(name, on) => self.it.take(name, on),
            Reply::Other(text) if text.starts_with("area:") => self.reach.take_area(text),
            Reply::Other(text) => self.said(now, text, out),
        }
    }

    fn answered(&mut self, now: Instant, answer: &Answer<'_>, out: &mut Outbox) {
        self.poll.answered();
        if let Some(free) = answer.planner {
            self.it.saw_planner(free);
            self.live.buffer = Some([free, answer.queue.unwrap_or(0)]);
            self.saw_planner(free);
        }
        match answer.temperatures {
            None => self.stream.ok(now, answer.number, answer.queue),
            Some(text) => {
                self.it.answers_temperatures = true;
                self.it.heard = true;
                self.poll.warmed(now);
                self.warmed(text);
                let proof = |what: &What| matches!(what, What::Errand(Why::Proof(_)));
                // Nothing is sent beside a proof, so this answers it and no other M105.
                self.proved = self.stream.open().next().is_some_and(proof);
                let asks = |what: &What| match what {
                    What::Errand(why) => matches!(why, Why::Temperatures | Why::Proof(_)),
                    _ => false,
                };
                match answer.number {
                    Some(_) => self.stream.ok(now, answer.number, answer.queue),
                    None => self.stream.ok_to(now, asks),
                }
            }
        }
        if let Some(free) = answer.planner {
            self.jog_told(free);
        }
        self.take_ended(now, out);
    }

    /// Lines that have come to their end reach whoever waits for it.
    pub(super) fn take_ended(&mut self, now: Instant, out: &mut Outbox) {
        for what in self.stream.ended() {
            // It answers again, so it does not wait for a person any more.
            if self.prompt.waits() {
                self.prompt_over();
            }
            match what {
                What::Renumber => self.renumbered(now),
                What::Program(line) => self.line_taken(&line),
                What::Errand(why) => self.errand_done(now, why, out),
            }
        }
    }

    fn renumbered(&mut self, now: Instant) {
        if self.stopping.is_some() {
            return self.stop_numbered(now);
        }
        self.numbered();
        self.program_numbered();
    }

    fn errand_done(&mut self, now: Instant, why: Why, out: &mut Outbox) {
        match why {
            Why::Who | Why::Temperatures | Why::Reporting | Why::Step => (),
            Why::Hand | Why::Back | Why::Person(_) | Why::Segment => (),
            Why::Unfinished => self.jog_rests(),
            Why::Place if self.intro == Introduction::Asking => {
                self.poll.warmed(now);
                self.poll.placed(now);
                self.introduced(out);
            }
            Why::Place => self.hold_placed(),
            Why::Home(axes) => {
                self.homed(axes);
                if self.live.homed == Some(true) {
                    out.events.push_back(Event::Homed);
                }
            }
            Why::Extrude(mm, feed) => self.extrude_now(mm, feed),
            Why::Rest(rest) => self.rests(rest),
            Why::Proof(proof) => self.proof_came(proof, out),
        }
    }

    fn asked_again(&mut self, now: Instant, trouble: Trouble, out: &mut Outbox) {
        self.poll.answered();
        match trouble {
            Trouble::None => self.watch_quality(out),
            Trouble::OutOfStep => self.out_of_step(now, out),
            Trouble::Hopeless => self.hopeless(now, out),
        }
    }

    fn is_busy(&mut self, now: Instant, why: &str, out: &mut Outbox) {
        self.it.keepalive = true;
        self.works(now);
        if why.starts_with("paused for") {
            self.waits_for_person(out);
        }
    }

    /// It carries out what it was sent, and will answer when it is through.
    fn works(&mut self, now: Instant) {
        self.poll.answered();
        self.stream.heard(now);
        self.stop_hears(now);
    }

    fn placed(&mut self, now: Instant, place: [f64; 4]) {
        self.poll.placed(now);
        self.place = Some(place);
        let [x, y, z, _] = place;
        // A printer has no work coordinates of its own: what a program calls X0 is X0.
        self.live.machine_position = Some([x, y, z]);
        self.live.work_position = Some([x, y, z]);
        self.live.work_offset = Some([0.0; 3]);
    }

    /// An error that is neither a bad line nor the end.
    fn complained(&mut self, now: Instant, said: &str, out: &mut Outbox) {
        self.stop_hears(now);
        if self.broke(said) {
            return self.halted(Halt::Heater(said.chars().take(120).collect()), out);
        }
        if said.starts_with("Homing") || said.starts_with("Probing") {
            self.not_homed();
        }
        self.said(now, said, out);
    }

    fn not_known(&mut self, now: Instant, line: &str, out: &mut Outbox) {
        let mine = self.stream.open().next().cloned();
        match mine {
            Some(What::Errand(Why::Person(sent))) => out.events.push_back(Event::CommandFailed {
                sent,
                number: None,
                means: "the firmware does not know this command".into(),
            }),
            // Forks differ in what they can report.
            Some(What::Errand(_)) => (),
            _ => self.said(now, &format!("unknown command: {line}"), out),
        }
    }

    /// A sentence of ours about something that the firmware may say again and again.
    pub(super) fn remark_in_time(&mut self, now: Instant, text: &str, out: &mut Outbox) {
        if self.messages.may(now) {
            out.events.push_back(Event::Remark { text: text.into() });
        }
    }

    fn said(&mut self, now: Instant, text: &str, out: &mut Outbox) {
        let text: String = text.chars().take(200).collect();
        if self.intro == Introduction::Known && !text.is_empty() && self.messages.may(now) {
            out.events.push_back(Event::Message { text });
        }
    }
}
