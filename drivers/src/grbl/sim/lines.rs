//! Lines of the pretend controller: from the ring to an answer, one at a time.

use std::collections::VecDeque;

use super::controller::{After, Controller, State, Work};
use super::program::{Act, Rules};

impl Controller {
    /// The next piece of work on lines. Returns whether there was one.
    pub(super) fn work(&mut self) -> bool {
        if let Some(mut work) = self.work.take() {
            let busy = work.acts.front().cloned();
            let Some(act) = busy else {
                self.say(&format!("{}ok", work.prefix));
                return true;
            };
            let over = self.act(act);
            if over {
                work.acts.pop_front();
            }
            // An alarm may have thrown the line away.
            if !self.locked_up && self.after != Some(After::LockUp) {
                self.work = Some(work);
            }
            return over;
        }
        if let Some(text) = self.startup_lines.pop_front() {
            self.gcode(&text, false, format!(">{text}:"));
            return true;
        }
        if let Some((line, at)) = self.reading.take() {
            if self.now < at {
                self.reading = Some((line, at));
                return false;
            }
            self.read(line);
            return true;
        }
        let Some(byte) = self.rx.pop_front() else { return false };
        if let Some(line) = self.line.take(byte) {
            let bytes = line.as_ref().map_or(80, String::len);
            let cost = self.options.line_time + self.options.byte_time * bytes as u32;
            self.reading = Some((line, self.now + cost.as_secs_f64()));
        }
        true
    }

    pub(super) fn read(&mut self, line: Result<String, u8>) {
        self.counters.lines += 1;
        let text = match line {
            Ok(text) => text,
            Err(number) => return self.refuse(number, ""),
        };
        if self.options.keep_lines {
            self.counters.text.push(text.clone());
        }
        if text.is_empty() {
            self.say("ok");
        } else if let Some(command) = text.strip_prefix('$') {
            match self.command(command) {
                Ok(Some(acts)) => self.begin(acts, String::new()),
                Ok(None) => (),
                Err(number) => self.refuse(number, ""),
            }
        } else if matches!(self.state, State::Alarm | State::Jog) {
            self.refuse(9, "");
        } else {
            self.gcode(&text, false, String::new());
        }
    }

    /// Reads G-code; `prefix` comes before the answer.
    pub(super) fn gcode(&mut self, text: &str, jog: bool, prefix: String) {
        let rules =
            Rules { arc_tolerance: self.settings.get(12), laser: self.settings.is(32), jog };
        let before = jog.then(|| self.program.clone());
        let mut acts = match self.program.read(text, rules) {
            Ok(acts) => acts,
            Err(number) => return self.refuse(number, &prefix),
        };
        let beyond = acts.iter().any(|act| matches!(act, Act::Move(it) if self.beyond(it.target)));
        if beyond && let Some(before) = before {
            self.program = before;
            return self.refuse(15, &prefix);
        }
        if self.state == State::Check {
            if beyond {
                return self.alarm(2);
            }
            acts.retain(|act| matches!(act, Act::Offset(_) | Act::End));
        }
        self.begin(acts, prefix);
    }

    pub(super) fn begin(&mut self, acts: VecDeque<Act>, prefix: String) {
        self.work = Some(Work { acts, prefix });
    }

    pub(super) fn refuse(&mut self, number: u8, prefix: &str) {
        self.counters.errors += 1;
        self.say(&format!("{prefix}error:{number}"));
    }
}
