//! The pretend controller's `$` commands.
//!
//! Source: `commands.md` of GRBL 1.1.

use std::collections::VecDeque;

use super::controller::{Controller, State};
use super::program::{Act, Offsets};
use super::settings::Settings;

/// EEPROM bytes of a setting with its checksum, and of a stored text.
const SETTING_BYTES: usize = 5;
const TEXT_BYTES: usize = 81;

/// Acts to carry out before `ok`; `None`: the answer comes from elsewhere.
type Answer = Result<Option<VecDeque<Act>>, u8>;

impl Controller {
    /// Carries out what stood behind the `$`. `Err` is GRBL's number.
    pub(super) fn command(&mut self, command: &str) -> Answer {
        let resting = matches!(self.state, State::Idle | State::Alarm);
        match command {
            "" => {
                self.say("[HLP:$$ $# $G $I $N $x=val $Nx=line $J=line $SLP $C $X $H ~ ! ? ctrl-x]")
            }
            "G" => self.say_modes(),
            "$" => {
                if matches!(self.state, State::Run | State::Hold { .. }) {
                    return Err(8);
                }
                for line in self.settings.list().collect::<Vec<_>>() {
                    self.say(&line);
                }
            }
            "C" => return self.check_mode(),
            "X" => self.unlock(),
            _ if command.starts_with('J') => return self.jog(command),
            _ if !resting => return Err(8),
            "#" => self.say_offsets(),
            "H" => return self.home(),
            "SLP" => {
                self.say("ok");
                self.say("[MSG:Sleeping]");
                self.state = State::Sleep;
                return Ok(None);
            }
            "I" => self.say_build(),
            "N" => {
                for (at, line) in self.startup.clone().iter().enumerate() {
                    self.say(&format!("$N{at}={line}"));
                }
            }
            _ => return self.write(command),
        }
        done()
    }

    fn say_build(&mut self) {
        let letters = if self.options.line_numbers { "VN" } else { "V" };
        let (blocks, rx) = (self.options.planner_blocks, self.options.rx);
        self.say(&format!("[VER:1.1h.20190830:{}]", self.build_info));
        self.say(&format!("[OPT:{letters},{blocks},{rx}]"));
    }

    fn check_mode(&mut self) -> Answer {
        match self.state {
            State::Check => {
                self.say("[MSG:Disabled]");
                self.say("ok");
                self.soft_reset();
                return Ok(None);
            }
            State::Idle => {
                self.state = State::Check;
                self.say("[MSG:Enabled]");
            }
            _ => return Err(8),
        }
        done()
    }

    fn unlock(&mut self) {
        if self.state == State::Alarm {
            self.say("[MSG:Caution: Unlocked]");
            self.state = State::Idle;
        }
    }

    fn home(&mut self) -> Answer {
        if !self.settings.is(22) {
            return Err(5);
        }
        self.begin_homing();
        Ok(None)
    }

    fn jog(&mut self, command: &str) -> Answer {
        match self.state {
            State::Idle | State::Jog => (),
            State::Alarm => return Err(9),
            _ => return Err(8),
        }
        let line = command.strip_prefix("J=").ok_or(16)?;
        self.gcode(line, true, String::new());
        Ok(None)
    }

    /// Everything with an equals sign.
    fn write(&mut self, command: &str) -> Answer {
        let (name, value) = command.split_once('=').ok_or(3)?;
        match name {
            "RST" => return self.restore(value),
            "I" => {
                self.build_info = value.to_owned();
                return stored(TEXT_BYTES);
            }
            "N0" | "N1" => {
                let at = usize::from(name == "N1");
                self.startup[at] = value.to_owned();
                return stored(TEXT_BYTES);
            }
            _ => (),
        }
        let number = name.parse().map_err(|_| 3)?;
        let value = match super::words::number(value.as_bytes()) {
            Some((value, b"")) => value,
            _ => return Err(2),
        };
        self.settings.set(number, value)?;
        self.planner.set_limits(self.settings.limits());
        stored(SETTING_BYTES)
    }

    fn restore(&mut self, what: &str) -> Answer {
        if !matches!(what, "$" | "#" | "*") {
            return Err(3);
        }
        if matches!(what, "$" | "*") {
            self.settings = Settings::default();
            self.planner.set_limits(self.settings.limits());
        }
        if matches!(what, "#" | "*") {
            self.program.offsets = Offsets::default();
        }
        if what == "*" {
            self.startup = Default::default();
            self.build_info.clear();
        }
        self.say("[MSG:Restoring defaults]");
        self.say("ok");
        self.soft_reset();
        Ok(None)
    }
}

fn done() -> Answer {
    Ok(Some(VecDeque::new()))
}

fn stored(bytes: usize) -> Answer {
    Ok(Some(VecDeque::from([Act::Drain, Act::Store(bytes)])))
}
