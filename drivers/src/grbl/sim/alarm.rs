//! How the pretend controller locks itself, and how it begins anew.
//!
//! An alarm is said and then half a second passes before anything else happens. After the first
//! two nothing but a reset is heard. A reset in motion is an alarm itself.

use std::mem::take;

use super::controller::{After, Controller, State};
use super::line::LineBuffer;
use super::program::Program;

impl Controller {
    /// The soft reset, asked for or by itself.
    pub(super) fn soft_reset(&mut self) {
        self.counters.resets += 1;
        let homing = matches!(self.state, State::Home(_));
        let moving = self.planner.moving() || homing;
        self.forget_motion();
        if moving && !self.locked_up {
            self.homed = false;
            self.alarm(if homing { 6 } else { 3 });
            self.after = Some(After::Reboot);
        } else {
            self.reboot();
        }
    }

    pub(super) fn alarm(&mut self, number: u8) {
        self.say(&format!("ALARM:{number}"));
        self.state = State::Alarm;
        self.work = if number <= 2 { None } else { self.work.take() };
        self.switch_off();
        self.busy_until = self.now + self.options.alarm_pause.as_secs_f64();
        self.after = (number <= 2).then_some(After::LockUp);
    }

    /// A switch at the end of an axis was hit: steps are lost, nothing slows down.
    pub(super) fn hard_limit(&mut self) {
        self.forget_motion();
        self.homed = false;
        self.jog_cancelled = false;
        self.alarm(1);
    }

    /// The supply failed for a moment: only EEPROM is left.
    pub(super) fn restart(&mut self) {
        self.counters.resets += 1;
        self.planner.flush(self.machine_time());
        self.planner.set_position([0.0; 3]);
        self.homed = false;
        (self.after, self.busy_until, self.deaf_until) = (None, 0.0, 0.0);
        self.state = if self.settings.is(22) { State::Alarm } else { State::Idle };
        self.reboot();
    }

    pub(super) fn switch_off(&mut self) {
        (self.spindle, self.flood, self.spindle_stopped) = ((0, 0.0), false, false);
    }

    /// Everything but position and EEPROM begins anew.
    pub(super) fn reboot(&mut self) {
        self.rx.clear();
        self.realtime.clear();
        self.line = LineBuffer::default();
        (self.reading, self.work) = (None, None);
        (self.dwell_until, self.probing) = (None, None);
        (self.locked_up, self.jog_cancelled, self.soft_limit) = (false, false, false);
        self.emptied = None;
        self.switch_off();
        self.overrides = [100; 3];
        self.use_overrides();
        let position = self.planner.end();
        let mut offsets = take(&mut self.program.offsets);
        offsets.g92 = [0.0; 3];
        self.program = Program::new(position, offsets);
        self.offset = self.program.offset();
        self.due = [0; 2];
        self.say("");
        self.say("Grbl 1.1h ['$' for help]");
        if matches!(self.state, State::Alarm | State::Sleep) {
            self.state = State::Alarm;
            self.say("[MSG:'$H'|'$X' to unlock]");
        } else {
            self.state = State::Idle;
            self.run_startup();
        }
    }

    pub(super) fn run_startup(&mut self) {
        let lines = self.startup.iter().filter(|line| !line.is_empty()).cloned();
        self.startup_lines = lines.collect();
    }
}
