//! What the pretend controller does at a realtime byte, and how its motion begins and ends.
//!
//! Source: `commands.md` of GRBL 1.1, and what the firmware was seen to do.

use std::mem::take;

use super::controller::{Controller, Door, STARVED_WITHIN_S, State};
use super::planner::{Kind, Move};

/// What a spindle is given to turn again after a door, and a coolant pump.
const DOOR_SPINDLE_S: f64 = 4.0;
const DOOR_COOLANT_S: f64 = 1.0;

impl Controller {
    pub(super) fn motion(&mut self) {
        let was_moving = self.planner.moving();
        if let Some(at) = self.planner.advance(self.machine_time()) {
            self.emptied = Some(at / self.options.time_scale);
        }
        if was_moving && !self.planner.moving() {
            self.rested();
        }
    }

    /// It has come to rest: at the end of all blocks, or in a hold.
    pub(super) fn rested(&mut self) {
        if self.soft_limit {
            self.soft_limit_hit();
            return;
        }
        if take(&mut self.jog_cancelled) {
            self.forget_motion();
        }
        match self.state {
            State::Run | State::Jog => self.state = State::Idle,
            State::Hold { .. } => self.state = State::Hold { rest: true },
            State::Door(_) => self.park(),
            _ => (),
        }
    }

    /// Drops all blocks; parser and planner agree again on where it stands.
    pub(super) fn forget_motion(&mut self) {
        let position = self.planner.flush(self.machine_time());
        self.program.modes.position = position;
    }

    pub(super) fn soft_limit_hit(&mut self) {
        self.soft_limit = false;
        self.forget_motion();
        self.alarm(2);
    }

    pub(super) fn add(&mut self, wish: &Move) {
        if !self.planner.moving()
            && let Some(at) = self.emptied.take()
            && self.now - at < STARVED_WITHIN_S
        {
            self.counters.starved += 1;
        }
        if !self.planner.add(self.machine_time(), wish) {
            return;
        }
        self.counters.blocks += 1;
        if self.instant() && self.state != (State::Hold { rest: false }) {
            self.planner.finish();
        } else if self.state == State::Idle {
            self.state = if wish.kind == Kind::Jog { State::Jog } else { State::Run };
        }
    }

    pub(super) fn obey(&mut self, byte: u8) {
        match byte {
            0x18 => self.soft_reset(),
            b'?' => self.status(),
            b'!' => self.feed_hold(),
            b'~' => self.cycle_start(),
            0x84 => self.door(),
            0x85 if self.state == State::Jog => self.cancel_jog(),
            0x9E if matches!(self.state, State::Hold { .. }) => {
                self.spindle_stopped = !self.spindle_stopped && self.spindle.0 != 0;
                self.due[1] = 0;
            }
            0xA0 if matches!(self.state, State::Idle | State::Run | State::Hold { .. }) => {
                self.flood = !self.flood;
                self.program.modes.flood = self.flood;
                self.due[1] = 0;
            }
            0x90..=0x9D => self.override_by(byte),
            _ => (),
        }
    }

    pub(super) fn override_by(&mut self, byte: u8) {
        let [feed, rapid, spindle] = &mut self.overrides;
        let stepped = |value: u16, by: i16| value.saturating_add_signed(by).clamp(10, 200);
        match byte {
            0x90 => *feed = 100,
            0x91 => *feed = stepped(*feed, 10),
            0x92 => *feed = stepped(*feed, -10),
            0x93 => *feed = stepped(*feed, 1),
            0x94 => *feed = stepped(*feed, -1),
            0x95 => *rapid = 100,
            0x96 => *rapid = 50,
            0x97 => *rapid = 25,
            0x99 => *spindle = 100,
            0x9A => *spindle = stepped(*spindle, 10),
            0x9B => *spindle = stepped(*spindle, -10),
            0x9C => *spindle = stepped(*spindle, 1),
            0x9D => *spindle = stepped(*spindle, -1),
            _ => return,
        }
        self.due[1] = 0;
        self.use_overrides();
    }

    pub(super) fn use_overrides(&mut self) {
        let factors = [self.overrides[0], self.overrides[1]].map(|it| f64::from(it) / 100.0);
        self.planner.set_overrides(self.machine_time(), factors);
    }

    pub(super) fn feed_hold(&mut self) {
        match self.state {
            State::Run => {
                self.counters.holds += 1;
                self.state = State::Hold { rest: false };
                self.slow_down();
            }
            State::Jog => self.cancel_jog(),
            State::Idle => self.state = State::Hold { rest: true },
            _ => (),
        }
    }

    pub(super) fn slow_down(&mut self) {
        self.planner.hold(self.machine_time());
        if !self.planner.moving() {
            self.rested();
        }
    }

    pub(super) fn cancel_jog(&mut self) {
        self.jog_cancelled = true;
        self.slow_down();
    }

    pub(super) fn cycle_start(&mut self) {
        match self.state {
            State::Hold { rest: true } => self.go_on(),
            State::Door(Door::Parked) if !self.door_pin => {
                let spindle = if self.spindle.0 == 0 { 0.0 } else { DOOR_SPINDLE_S };
                let coolant = if self.flood { DOOR_COOLANT_S } else { 0.0 };
                let until = self.now + self.scaled(spindle + coolant);
                if spindle > 0.0 {
                    self.say("[MSG:Restoring spindle]");
                }
                self.state = State::Door(Door::Restoring(until));
            }
            _ => (),
        }
    }

    pub(super) fn go_on(&mut self) {
        self.spindle_stopped = false;
        self.due[1] = 0;
        self.planner.resume(self.machine_time());
        self.state = if self.planner.moving() { State::Run } else { State::Idle };
    }

    pub(super) fn door(&mut self) {
        match self.state {
            State::Alarm | State::Check | State::Sleep | State::Home(_) => return,
            State::Jog => self.jog_cancelled = true,
            _ => (),
        }
        self.say("[MSG:Check Door]");
        match self.state {
            State::Run | State::Jog | State::Hold { rest: false } => {
                self.state = State::Door(Door::Slowing);
                self.slow_down();
            }
            State::Door(Door::Slowing) => (),
            _ => self.park(),
        }
    }

    pub(super) fn park(&mut self) {
        self.due[1] = 0;
        self.state = State::Door(Door::Parked);
    }

    pub(super) fn door_over(&mut self) {
        if self.door_pin {
            self.park();
        } else {
            self.go_on();
        }
    }

    /// Whether spindle and coolant are really on: a door stop and a spindle stop switch them off.
    pub(super) fn accessories_run(&self) -> bool {
        !matches!(self.state, State::Door(Door::Parked) | State::Sleep)
    }
}
