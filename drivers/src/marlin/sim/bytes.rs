//! From bytes to commands in the queue: the ring, comments, line numbers, checksums, and the
//! parser that looks at bytes before all of them.
//!
//! Source: Marlin `src/gcode/queue.cpp` (`get_serial_commands`, `gcode_line_error`) and
//! `src/feature/e_parser.h`.

use super::firmware::{Firmware, Taken, Wait};
use crate::marlin::line::{WIRE_MAX, checksum};

impl Firmware {
    /// A byte arrives at the UART.
    pub fn receive(&mut self, now: f64, byte: u8) {
        if self.killed {
            return;
        }
        self.advance(now);
        if self.options.emergency_parser {
            self.look_for_emergency(byte);
        }
        if self.killed {
            return;
        }
        if self.options.rx <= self.rx.len() {
            self.counters.overflowed += 1;
        } else {
            self.rx.push_back(byte);
        }
    }

    fn look_for_emergency(&mut self, byte: u8) {
        if byte != b'\n' && byte != b'\r' {
            if self.emergency.len() < WIRE_MAX {
                self.emergency.push(byte);
            }
            return;
        }
        let line = String::from_utf8_lossy(&std::mem::take(&mut self.emergency)).into_owned();
        let line = line.trim_start();
        let line = match line.strip_prefix('N') {
            Some(rest) => rest.trim_start_matches(|it: char| it.is_ascii_digit() || it == ' '),
            None => line,
        };
        let command = line.split('*').next().unwrap_or_default().trim();
        match command {
            "M112" => self.kill(),
            "M410" => self.quick_stop(),
            "M108" => self.go_on(),
            _ if command.starts_with("M876 S") => self.go_on(),
            _ => (),
        }
    }

    /// M410: what is planned is forgotten.
    pub(super) fn quick_stop(&mut self) {
        self.counters.quick_stops += 1;
        self.motion.quick_stop(self.now);
    }

    /// M108: waits for nobody and for no heater any more.
    fn go_on(&mut self) {
        let waits = matches!(&self.doing, Some((_, Wait::Person | Wait::Heat(_))));
        if let Some((_, wait)) = self.doing.as_mut().filter(|_| waits) {
            if *wait == Wait::Person && self.options.prompts {
                self.out.extend_from_slice(b"//action:prompt_end\n");
            }
            *wait = Wait::Until(self.now);
        }
    }

    /// Takes lines out of the ring while the queue has room for their commands.
    pub(super) fn read_lines(&mut self, _now: f64) {
        while self.queue.len() < self.options.queue {
            let Some(byte) = self.rx.pop_front() else { return };
            if byte != b'\n' && byte != b'\r' {
                if self.line.len() < WIRE_MAX {
                    self.line.push(byte);
                }
                continue;
            }
            let line = std::mem::take(&mut self.line);
            self.take_line(&line);
        }
    }

    fn take_line(&mut self, line: &[u8]) {
        let line = line.split(|byte| *byte == b';').next().unwrap_or_default();
        let line = line.trim_ascii_start();
        if line.is_empty() {
            return;
        }
        let number = match line.strip_prefix(b"N") {
            None => None,
            Some(rest) => match self.numbered(line, rest) {
                Ok(number) => Some(number),
                Err(why) => return self.ask_again(why),
            },
        };
        let body = line.split(|byte| *byte == b'*').next().unwrap_or_default();
        let text = String::from_utf8_lossy(body).into_owned();
        let text = match number {
            Some(_) => text[1..].trim_start_matches(|it: char| it.is_ascii_digit() || it == '-'),
            None => &text,
        };
        self.queue.push_back(Taken { text: text.trim().to_owned(), number });
    }

    /// The number of a line that is in order and whole; it is the last one from now on.
    fn numbered(&mut self, line: &[u8], rest: &[u8]) -> Result<i64, &'static str> {
        let renumbers = line.windows(4).position(|it| it == b"M110");
        let named = renumbers.and_then(|at| {
            let from = line[at + 4..].iter().position(|byte| *byte == b'N')?;
            Some(leading(&line[at + 4 + from + 1..]))
        });
        let number = named.unwrap_or_else(|| leading(rest));
        if number != self.last + 1 && renumbers.is_none() {
            return Err("Line Number is not Last Line Number+1");
        }
        let Some(star) = line.iter().rposition(|byte| *byte == b'*') else {
            return Err("No Checksum with line number");
        };
        if leading(&line[star + 1..]) != i64::from(checksum(&line[..star])) {
            return Err("checksum mismatch");
        }
        self.last = number;
        Ok(number)
    }

    fn ask_again(&mut self, why: &str) {
        self.counters.resends += 1;
        let last = self.last;
        self.say(&format!("Error:{why}, Last Line: {last}"));
        if self.options.flush_on_error {
            self.rx.clear();
            self.line.clear();
        }
        self.say(&format!("Resend: {}", last + 1));
        if self.options.ok_after_resend {
            self.say("ok");
        }
    }
}

/// The whole number at the beginning, as `strtol` reads it.
fn leading(bytes: &[u8]) -> i64 {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_start();
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let end = digits.find(|it: char| !it.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse::<i64>().unwrap_or(0).saturating_mul(sign)
}
