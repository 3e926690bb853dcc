//! M0, M1 and M6: the program waits for a person.
//!
//! M0 and M1 are sent, and nothing after them until the person says go on. GRBL carries out M0 as
//! a hold; it ignores M1, and so do many builds M0, so our own waiting is what counts. M6 is not
//! sent, since GRBL refuses it: when everything before it is done, the modal state is asked for
//! and kept, and spindle and coolant are switched off before a person is asked to reach in. They
//! may move, probe and zero as they like, and before the program goes on, what was changed is put
//! back: modes first, then the spindle with its time to get up to speed. Other words of an M6 line
//! (`T2`) are sent after it; a spindle that they stop is not started for them.

use std::time::Instant;

use headstock_config::event::Event;

use super::Grbl;
use super::errand::{Errand, Wanted, Why};
use super::modal::Modal;
use super::program::Stage;
use super::protocol::State;
use super::stop::CYCLE_START;
use super::verify::extra_answer;
use crate::gcode::{Pause, ProgramLine};
use crate::{Outbox, Refusal};

/// Why and where a program waits.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) why: String,
    pub(super) line: u64,
    /// M6: what is left of the line.
    rest: Option<ProgramLine>,
    /// M6: modal state to come back to.
    saved: Option<Modal>,
    change: bool,
    /// The person used the machine meanwhile.
    pub(super) touched: bool,
}

impl Ask {
    pub(super) fn new(pause: Pause, line: u64) -> Self {
        let (why, change) = match pause {
            Pause::Stop => ("M0".to_owned(), false),
            Pause::OptionalStop => ("M1".to_owned(), false),
            Pause::ToolChange(tool) => (format!("M6 T{tool}"), true),
        };
        Self { why, line, rest: None, saved: None, change, touched: false }
    }
}

impl Grbl {
    /// The next line is a tool change: stops feeding. In check mode it is passed over.
    pub(super) fn meet_tool_change(&mut self) {
        let (Some(program), Some(progress)) = (&mut self.program, &mut self.progress) else {
            return;
        };
        let Some(mut line) = program.queue.pop_front() else { return };
        let pause = line.traits.pause.take().unwrap_or(Pause::ToolChange(0));
        let mut ask = Ask::new(pause, line.number);
        line.text = without_m6(&line.text);
        if line.text.is_empty() {
            progress.lines_sent += 1;
            progress.lines_acked += 1;
            progress.line = line.number;
        } else {
            ask.rest = Some(line);
        }
        if program.dry_run {
            if let Some(rest) = ask.rest.take() {
                program.queue.push_front(rest);
            }
        } else {
            program.stage = Stage::Reaching(ask);
        }
    }

    /// Whether everything before the pause is done; then asks.
    pub(super) fn perhaps_reached(&mut self, now: Instant, quiet: bool, out: &mut Outbox) {
        let empty = self.sight.at_rest(self.it.quiet_planner)
            && self.sight.live.buffer.is_none_or(|[free, _]| self.it.quiet_planner <= free);
        let held = self.sight.state == State::Hold && self.stream.len() == 1 && empty;
        let Some(program) = &mut self.program else { return };
        let Stage::Reaching(ask) = &program.stage else { return };
        // A hold that a person asked for looks the same as M0.
        let reached = quiet || held && !program.paused && !ask.change;
        if !reached {
            return;
        }
        let Stage::Reaching(ask) = std::mem::replace(&mut program.stage, Stage::Flowing) else {
            return;
        };
        if ask.change {
            program.stage = Stage::Saving(ask);
            self.errands.push_back(Errand::modal(Wanted::ToolOut));
            self.send_errand(now, out);
        } else {
            self.ask(ask, out);
        }
    }

    fn ask(&mut self, ask: Ask, out: &mut Outbox) {
        let (why, line) = (ask.why.clone(), ask.line);
        self.sight.live.asks = Some(why.clone());
        if let Some(program) = &mut self.program {
            program.paused = false;
            program.stage = Stage::Asking(ask);
        }
        self.hold.clear();
        self.show_mode(out);
        out.events.push_back(Event::Asks { why, line });
    }

    /// `$G` before a tool change was answered.
    pub(super) fn tool_change_begins(
        &mut self,
        now: Instant,
        heard: Option<Modal>,
        out: &mut Outbox,
    ) {
        let Some(program) = &mut self.program else { return };
        let Stage::Saving(ask) = &mut program.stage else { return };
        let Some(heard) = heard else {
            return self.not_told(now, out);
        };
        if let Some(difference) = program.watch.modes_differ(&heard, &program.said_before, &self.it)
        {
            return self.modes_differ(now, difference, &heard, Wanted::ToolOut, out);
        }
        let saved = program.watch.modal.clone().over(heard);
        if saved.runs_tools() {
            let off = ["M5", "M9"].map(|line| Errand::new(line, Why::ToolOut));
            self.errands.extend(off);
        }
        ask.saved = Some(saved);
        self.tool_is_still(out);
    }

    /// One more of the lines that switch off was accepted; after the last, asks.
    pub(super) fn tool_is_still(&mut self, out: &mut Outbox) {
        let Some(program) = &mut self.program else { return };
        if !self.errands.is_empty() || !matches!(program.stage, Stage::Saving(_)) {
            return;
        }
        if let Stage::Saving(ask) = std::mem::replace(&mut program.stage, Stage::Flowing) {
            self.ask(ask, out);
        }
    }

    fn not_told(&mut self, now: Instant, out: &mut Outbox) {
        self.mismatch(now, extra_answer("`$G` was answered without its text"), out);
    }

    /// A person lets the program go on.
    pub(super) fn resume(&mut self, now: Instant, out: &mut Outbox) -> Result<(), Refusal> {
        if self.stopping.is_some() {
            return Err(Refusal::NotNow("stopping"));
        }
        let asks = self.program.as_ref().is_some_and(|program| program.asks().is_some());
        let paused = self.program.as_ref().is_some_and(|program| program.paused);
        match (self.sight.state, self.sight.sub) {
            // Cycle start has no effect before it has come to rest.
            _ if self.hold.is_pending() => return Err(Refusal::NotNow("holding")),
            (State::Hold, Some(1)) => return Err(Refusal::NotNow("holding")),
            (State::Door, Some(1..=3)) => return Err(Refusal::NotNow("door")),
            (State::Hold | State::Door | State::Tool, _) => (),
            _ if asks || paused => (),
            _ => return Err(Refusal::NotNow(self.mode().word())),
        }
        if self.sight.state == State::Jog {
            return Err(Refusal::NotNow("jogging"));
        }
        if asks && (!self.stream.is_empty() && self.sight.state != State::Hold || self.jogs.busy())
        {
            return Err(Refusal::NotNow("carrying out a command"));
        }
        self.hold.clear();
        self.sight.live.asks = None;
        self.poll.ask(now, &[CYCLE_START], out);
        self.go_on();
        Ok(())
    }

    fn go_on(&mut self) {
        let Some(program) = &mut self.program else { return };
        program.paused = false;
        let Stage::Asking(_) = &program.stage else { return };
        let Stage::Asking(ask) = std::mem::replace(&mut program.stage, Stage::Flowing) else {
            return;
        };
        if ask.change || ask.touched {
            program.stage = Stage::Returning(ask);
            self.errands.push_back(Errand::modal(Wanted::ToolBack));
        }
    }

    /// `$G` after a tool change was answered: puts back what differs.
    pub(super) fn tool_change_ends(
        &mut self,
        now: Instant,
        heard: Option<Modal>,
        out: &mut Outbox,
    ) {
        let Some(program) = &mut self.program else { return };
        let Stage::Returning(ask) = &program.stage else { return };
        let Some(heard) = heard else { return self.not_told(now, out) };
        if ask.touched {
            let modal = std::mem::take(&mut program.watch.modal);
            program.watch.lose_track();
            program.watch.modal = modal;
        }
        let mut wanted = ask.saved.clone().unwrap_or_else(|| program.watch.modal.clone());
        if let Some(rest) = &ask.rest {
            wanted.take(&rest.text);
        }
        // Where `$G` is no witness, everything is said again.
        let told = self.it.modal_follows != Some(false);
        let is = if told { heard } else { Modal::default() };
        let lines = wanted.restore(&is, self.setup.spinup_s);
        self.errands.extend(lines.into_iter().map(|line| Errand::new(line, Why::Restore)));
        self.restored();
    }

    /// One line of the restoring was accepted; after the last, the program flows again.
    pub(super) fn restored(&mut self) {
        if !self.errands.is_empty() {
            return;
        }
        let Some(program) = &mut self.program else { return };
        let Stage::Returning(ask) = &mut program.stage else { return };
        let rest = ask.rest.take();
        program.stage = Stage::Flowing;
        if let Some(rest) = rest {
            program.queue.push_front(rest);
        }
    }

    /// A person uses the machine while the program waits.
    pub(super) fn note_touched(&mut self) {
        if let Some(program) = &mut self.program
            && let Stage::Asking(ask) = &mut program.stage
        {
            ask.touched = true;
        }
    }
}

/// The line without its M6 word.
fn without_m6(text: &str) -> String {
    if !text.is_ascii() {
        return text.to_owned();
    }
    let mut rest = String::with_capacity(text.len());
    let mut at = 0;
    let bytes = text.as_bytes();
    while at < bytes.len() {
        let digits = bytes[at + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let word = &text[at..at + 1 + digits];
        let is_m6 = word.starts_with('M') && word[1..].trim_start_matches('0') == "6";
        if !is_m6 {
            rest.push_str(word);
        }
        at += 1 + digits;
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_m6_word_is_taken_from_a_line() {
        let rows =
            [("M6", ""), ("T2M6", "T2"), ("M06T12", "T12"), ("M60", "M60"), ("G1X6M6", "G1X6")];
        for (line, rest) in rows {
            assert_eq!(without_m6(line), rest);
        }
    }
}
