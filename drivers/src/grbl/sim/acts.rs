//! The pretend controller carries out what a line asks for, act by act, probing and homing too.

use headstock_config::machine::Xyz;

use super::controller::{Controller, State};
use super::planner::Move;
use super::program::Act;

impl Controller {
    /// Carries an act on. Returns whether it is over.
    pub(super) fn act(&mut self, act: Act) -> bool {
        match act {
            Act::Drain => {
                let drained = !self.planner.moving() && self.planner.depth() == 0;
                self.emptied = if drained { None } else { self.emptied };
                return drained;
            }
            Act::Move(wish) => return self.act_move(&wish),
            Act::Dwell(seconds) => {
                let ends = self.now + self.scaled(seconds);
                let until = *self.dwell_until.get_or_insert(ends);
                if self.now < until {
                    return false;
                }
                self.dwell_until = None;
            }
            Act::Spindle(direction, speed) => {
                let speed = if direction == 0 { 0.0 } else { speed.min(self.settings.get(30)) };
                self.spindle = (direction, speed);
                self.due[1] = 0;
            }
            Act::Flood(on) => {
                self.flood = on;
                self.due[1] = 0;
            }
            Act::Offset(offset) => {
                self.offset = offset;
                self.due[0] = 0;
            }
            Act::Store(bytes) => {
                let span = self.options.eeprom_byte.as_secs_f64() * bytes as f64;
                self.busy_until = self.now + span;
                self.deaf_until = self.busy_until;
            }
            Act::Probe { wish, away, lenient } => return self.act_probe(&wish, away, lenient),
            Act::Pause => self.state = State::Hold { rest: true },
            Act::End => {
                self.overrides = [100; 3];
                self.use_overrides();
                self.due[1] = 0;
                self.say("[MSG:Pgm End]");
            }
        }
        true
    }

    pub(super) fn act_move(&mut self, wish: &Move) -> bool {
        if self.beyond(wish.target) {
            if self.planner.moving() {
                self.soft_limit = true;
                self.state = State::Hold { rest: false };
                self.slow_down();
            } else {
                self.soft_limit_hit();
            }
            return true;
        }
        if self.planner.depth() >= self.options.planner_blocks {
            return false;
        }
        self.add(wish);
        true
    }

    pub(super) fn act_probe(&mut self, wish: &Move, away: bool, lenient: bool) -> bool {
        match self.probing {
            None => {
                if self.touches(self.planner.end()) != away {
                    self.alarm(4);
                    self.forget_motion();
                    return true;
                }
                let (end, met) = self.contact(wish.target, away);
                self.probing = Some((met, lenient));
                self.add(&Move { target: end, ..*wish });
                false
            }
            Some(_) if self.planner.depth() > 0 => false,
            Some((met, lenient)) => {
                (self.probing, self.emptied) = (None, None);
                self.forget_motion();
                if !met && !lenient {
                    self.alarm(5);
                }
                let at = self.settings.stepped(self.planner.end());
                self.probed = (if met { at } else { self.probed.0 }, met);
                self.say_probe();
                true
            }
        }
    }

    /// Whether the probe touches the plate, which is a plane of constant Z.
    pub(super) fn touches(&self, at: Xyz) -> bool {
        self.options.probe_plane.is_some_and(|plane| at[2] <= plane + 1e-9)
    }

    /// Where a probe on its way to `target` changes, or the target, and whether it does.
    pub(super) fn contact(&self, target: Xyz, away: bool) -> (Xyz, bool) {
        let from = self.planner.end();
        let Some(plane) = self.options.probe_plane else { return (target, false) };
        if self.touches(target) == away {
            return (target, false);
        }
        let share = (plane - from[2]) / (target[2] - from[2]);
        let at = std::array::from_fn(|axis| from[axis] + (target[axis] - from[axis]) * share);
        (at, true)
    }

    pub(super) fn beyond(&self, target: Xyz) -> bool {
        self.settings.is(20) && !self.settings.within_travel(target)
    }

    /// Begins to look for the switches; they are at the far end of each axis.
    pub(super) fn begin_homing(&mut self) {
        let (seek, locate) = (self.settings.get(25) / 60.0, self.settings.get(24) / 60.0);
        let pull_off = self.settings.get(27);
        let travel = self.settings.xyz(130);
        let here = self.planner.end();
        let way: [f64; 3] = std::array::from_fn(|axis| {
            let edge = if self.settings.bit(23, axis as u32) { -travel[axis] } else { 0.0 };
            let known = (edge - here[axis]).abs();
            if self.homed { known } else { known.max(0.2 * travel[axis]) }
        });
        let twice = 2.0 * (pull_off / locate + pull_off / seek + self.settings.get(26) / 1e3);
        let seconds = way[2] / seek + way[0].max(way[1]) / seek + 2.0 * twice;
        self.state = State::Home(self.now + self.scaled(seconds));
    }

    pub(super) fn homed_now(&mut self) -> bool {
        let (pull_off, travel) = (self.settings.get(27), self.settings.xyz(130));
        let position: Xyz = std::array::from_fn(|axis| {
            if self.settings.bit(23, axis as u32) { pull_off - travel[axis] } else { -pull_off }
        });
        self.planner.set_position(position);
        self.program.modes.position = position;
        self.homed = true;
        self.state = State::Idle;
        self.say("ok");
        self.run_startup();
        true
    }
}
