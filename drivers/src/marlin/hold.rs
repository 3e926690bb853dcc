//! Resting in the middle of a print, away from it if a place is declared, and going on.
//!
//! ```text
//!          M400            at rest, no park
//!  wanted ------> resting -------------------------------------> reached
//!                    | M105, M114          M400 answered            |  resume
//!                    v          moves                               v
//!                 locating ---------------> parking -----------> moves back, modes back
//! ```
//!
//! What the firmware has planned is finished: there is no feed hold. Heaters stay as they are.
//! The lift and all filament are relative; afterwards G92 makes the extruder's count what the program
//! believes that it is. The nozzle returns to the height that it was at: a firmware makes less of a
//! lift that ends above its limits, and says nothing of that. A hold on the way back keeps what has
//! not been sent of it: each step is made once.

use std::collections::VecDeque;
use std::time::Instant;

use super::Marlin;
use super::errand::{Errand, Rest, Why};
use super::modal::Modal;
use crate::{Outbox, Refusal};

/// mm/min: travel, Z, and filament; slow enough for any printer.
const TRAVEL: u32 = 6000;
const LIFT: u32 = 600;
const FILAMENT: u32 = 1800;
const PURGE: u32 = 300;

/// See the file's head.
#[derive(Debug, Default)]
pub(super) struct Hold {
    phase: Phase,
    /// Where the print was left, and in which modes, once it has been.
    left: Option<Left>,
    /// What remains of a way back that was held, modes first.
    rest: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    None,
    Resting,
    Locating,
    Parking,
    Reached,
}

#[derive(Clone, Copy, Debug)]
struct Left {
    at: [f64; 4],
    modal: Modal,
    /// It was hot enough to move filament.
    filament: bool,
}

impl Hold {
    /// On the way to rest.
    pub(super) fn is_pending(&self) -> bool {
        !matches!(self.phase, Phase::None | Phase::Reached)
    }

    /// It is asked where it is, to come back to.
    pub(super) fn locates(&self) -> bool {
        self.phase == Phase::Locating
    }

    /// At rest.
    pub(super) fn is_reached(&self) -> bool {
        self.phase == Phase::Reached
    }

    /// The park has been reached.
    pub(super) fn parked(&mut self) {
        if self.phase == Phase::Parking {
            self.phase = Phase::Reached;
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Marlin {
    /// Rests after what has been sent.
    pub(super) fn hold_program(&mut self, _now: Instant, _out: &mut Outbox) {
        let Some(program) = &mut self.program else { return };
        program.paused = true;
        if self.hold.phase != Phase::None {
            return;
        }
        if self.errands.iter().any(|errand| errand.why == Why::Back) {
            self.hold_return();
        } else {
            self.hold.left = None;
            self.hold.phase = Phase::Resting;
            self.errands.push_back(Errand::new("M400", Why::Rest(Rest::Hold)));
        }
    }

    /// The way back ends where it is.
    fn hold_return(&mut self) {
        let (back, others) =
            self.errands.drain(..).partition::<VecDeque<_>, _>(|errand| errand.why == Why::Back);
        self.errands = others;
        self.hold.rest = self.modal.restore();
        self.hold.rest.extend(back.into_iter().map(|errand| errand.text));
        self.hold.phase = Phase::Parking;
        self.errands.push_back(Errand::new("M400", Why::Rest(Rest::Park)));
    }

    /// All motion is over.
    pub(super) fn hold_rests(&mut self) {
        if self.hold.phase != Phase::Resting {
            return;
        }
        let knows = self.live.homed == Some(true) && self.live.position_doubt.is_none();
        if self.setup.printer.park.is_some() && knows && !self.prompt.waits() {
            self.hold.phase = Phase::Locating;
            self.errands.push_back(Errand::new("M105", Why::Temperatures));
            self.errands.push_back(Errand::new("M114", Why::Place));
        } else {
            self.hold.phase = Phase::Reached;
        }
    }

    /// A position has been told.
    pub(super) fn hold_placed(&mut self) {
        if self.hold.phase != Phase::Locating {
            return;
        }
        let (Some(at), Some(park)) = (self.place, self.setup.printer.park) else {
            // Without a place to come back to it stays.
            self.hold.phase = Phase::Reached;
            return;
        };
        let filament = self.hotend().is_some_and(|it| super::temperature::COLD <= it.celsius);
        self.hold.left = Some(Left { at, modal: self.modal, filament });
        self.hold.phase = Phase::Parking;
        let Printing { retract, lift, .. } = self.moves(filament, at[2]);
        let [x, y] = park;
        self.step("G21");
        self.step("G91");
        self.step("M83");
        if 0.0 < retract {
            self.step(&format!("G1 E{:.3} F{FILAMENT}", -retract));
        }
        if 0.0 < lift {
            self.step(&format!("G1 Z{lift:.3} F{LIFT}"));
        }
        self.step("G90");
        self.step(&format!("G1 X{x:.3} Y{y:.3} F{TRAVEL}"));
        self.errands.push_back(Errand::new("M400", Why::Rest(Rest::Park)));
    }

    fn step(&mut self, line: &str) {
        self.errands.push_back(Errand::new(line, Why::Step));
    }

    fn back(&mut self, line: &str) {
        self.errands.push_back(Errand::new(line, Why::Back));
    }

    /// From this height.
    fn moves(&self, filament: bool, z: f64) -> Printing {
        let it = &self.setup.printer;
        let only = |mm: f64| if filament { mm } else { 0.0 };
        let above = self.limits().map_or(it.lift_mm, |it| (it.max[2] - z).max(0.0));
        let lift = it.lift_mm.min(above);
        Printing { retract: only(it.retract_mm), purge: only(it.purge_mm), lift }
    }

    /// Goes on after a hold, or lets the firmware go on that waits for a person.
    pub(super) fn resume(&mut self, _now: Instant, out: &mut Outbox) -> Result<(), Refusal> {
        if self.hold.phase == Phase::None && !self.prompt.waits() {
            return Err(Refusal::NotNow(self.mode().word()));
        }
        if matches!(self.hold.phase, Phase::Locating | Phase::Parking) {
            return Err(Refusal::NotNow("on the way to its park"));
        }
        if self.prompt.waits() {
            self.wake(out)?;
        }
        let left = self.hold.left;
        if let (Some(left), Phase::Reached) = (&left, self.hold.phase) {
            self.return_to(left)?;
        }
        // It is needed once more if it is held on the way.
        self.hold = Hold { left, ..Hold::default() };
        self.live.asks = None;
        if let Some(program) = &mut self.program {
            program.paused = false;
        }
        Ok(())
    }

    fn return_to(&mut self, left: &Left) -> Result<(), Refusal> {
        let cold = !self.hotend().is_some_and(|it| super::temperature::COLD <= it.celsius);
        if left.filament && cold {
            return Err(Refusal::Unready("the nozzle is cold; preheat it first".into()));
        }
        if !self.hold.rest.is_empty() {
            let rest = std::mem::take(&mut self.hold.rest);
            rest.iter().for_each(|line| self.back(line));
            return Ok(());
        }
        let [x, y, z, e] = left.at;
        let Printing { retract, purge, lift } = self.moves(left.filament, z);
        self.back("G21");
        self.back("G90");
        self.back("M83");
        if 0.0 < retract + purge {
            self.back(&format!("G1 E{:.3} F{PURGE}", retract + purge));
            self.back(&format!("G1 E{:.3} F{FILAMENT}", -retract));
        }
        self.back(&format!("G1 X{x:.3} Y{y:.3} F{TRAVEL}"));
        if 0.0 < lift {
            self.back(&format!("G1 Z{z:.3} F{LIFT}"));
        }
        if 0.0 < retract {
            self.back(&format!("G1 E{retract:.3} F{FILAMENT}"));
        }
        self.back(&format!("G92 E{e:.5}"));
        for line in left.modal.restore() {
            self.back(&line);
        }
        Ok(())
    }
}

struct Printing {
    retract: f64,
    purge: f64,
    lift: f64,
}
