//! The answer to `$#`: where the coordinate systems lie.
//!
//! ```text
//! [G54:x,y,z] … [G59:x,y,z] [G28:…] [G30:…] [G92:…] [TLO:z] [PRB:x,y,z:1]
//! ```
//!
//! It is asked when the controller introduces itself, and again when it is idle after anything
//! that can have changed it. Told is only what came in full: half an answer is none.

use headstock_config::event::Event;
use headstock_config::machine::{WorkOffsets, Xyz};

use super::Grbl;
use super::errand::{Errand, Why};
use super::protocol::{State, point};
use crate::Outbox;
use crate::gcode::MM_PER_INCH;

/// G54 to G59, G28, G30, G92 and TLO.
const ALL: u16 = 0x3ff;

/// What has been heard of an answer.
#[derive(Clone, Debug, Default)]
pub(super) struct Heard {
    offsets: Box<WorkOffsets>,
    seen: u16,
}

impl Heard {
    /// One line of the answer, without its brackets; others are passed over.
    pub(super) fn take(&mut self, text: &str, inches: bool) {
        let Some((name, value)) = text.split_once(':') else { return };
        let scale = if inches { MM_PER_INCH } else { 1.0 };
        let Some(at) = point(value).map(|at| at.map(|it| it * scale)) else { return };
        let it = &mut self.offsets;
        let (bit, place): (u16, &mut Xyz) = match name {
            "G54" => (0, &mut it.systems[0]),
            "G55" => (1, &mut it.systems[1]),
            "G56" => (2, &mut it.systems[2]),
            "G57" => (3, &mut it.systems[3]),
            "G58" => (4, &mut it.systems[4]),
            "G59" => (5, &mut it.systems[5]),
            "G28" => (6, &mut it.g28),
            "G30" => (7, &mut it.g30),
            "G92" => (8, &mut it.g92),
            "TLO" => {
                // GRBL says one number, grblHAL one for each axis.
                it.tool_length = if value.contains(',') { at[2] } else { at[0] };
                self.seen |= 1 << 9;
                return;
            }
            _ => return,
        };
        *place = at;
        self.seen |= 1 << bit;
    }

    /// `[PRB:…]`; not every build repeats it here.
    pub(super) fn take_probe(&mut self, at: Xyz, touched: bool) {
        (self.offsets.probe, self.offsets.probe_touched) = (at, touched);
    }

    fn whole(self) -> Option<Box<WorkOffsets>> {
        (self.seen == ALL).then_some(self.offsets)
    }
}

impl Grbl {
    /// Something may change the offsets: they are asked for when the controller is idle, as a
    /// report says that comes after the next, which may be on its way already.
    pub(super) fn offsets_may_differ(&mut self) {
        self.offsets_due = Some(self.sight.reports + 1);
    }

    /// Only the offsets are being asked for, which is in nobody's way.
    pub(super) fn only_asks_offsets(&self) -> bool {
        let asks = |errand: &Errand| errand.why == Why::Offsets;
        self.errands.iter().all(asks)
            && (self.stream.is_empty() || self.stream.errand().is_some_and(asks))
    }

    /// Asks for the offsets if that is due.
    pub(super) fn ask_offsets(&mut self) {
        let idle = self.sight.state == State::Idle && self.program.is_none();
        let free = self.stream.is_empty() && self.errands.is_empty() && self.stopping.is_none();
        let due = self.offsets_due.is_some_and(|reports| reports < self.sight.reports);
        if due && self.is_known() && idle && free {
            self.offsets_due = None;
            self.errands.push_back(Errand::new("$#", Why::Offsets));
        }
    }

    /// `$#` was answered.
    pub(super) fn offsets_answered(&mut self, refused: bool, out: &mut Outbox) {
        let heard = std::mem::take(&mut self.heard_offsets);
        self.offsets_due = self.offsets_due.filter(|_| self.is_known());
        let whole = heard.whole().filter(|_| !refused && !self.heard_damage);
        if whole == self.it.controller.work_offsets {
            return;
        }
        self.it.controller.work_offsets.clone_from(&whole);
        if let (Some(offsets), true) = (whole, self.is_known()) {
            out.events.push_back(Event::WorkOffsets { offsets });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: [&str; 10] = [
        "G54:-10.000,-20.000,-30.000",
        "G55:0.000,0.000,0.000",
        "G56:0.000,0.000,0.000",
        "G57:0.000,0.000,0.000",
        "G58:0.000,0.000,0.000",
        "G59:1.000,2.000,3.000",
        "G28:4.000,5.000,6.000",
        "G30:0.000,0.000,0.000",
        "G92:0.000,0.000,1.000",
        "TLO:2.500",
    ];

    fn heard(lines: &[&str], inches: bool) -> Heard {
        let mut heard = Heard::default();
        lines.iter().for_each(|line| heard.take(line, inches));
        heard
    }

    #[test]
    fn an_answer_tells_every_system() {
        let mut heard = heard(&ANSWER, false);
        heard.take_probe([7.0, 8.0, 9.0], true);
        let offsets = heard.whole().unwrap();
        assert_eq!(offsets.of(1), Some([-10.0, -20.0, -26.5]));
        assert_eq!((offsets.systems[5], offsets.g28), ([1.0, 2.0, 3.0], [4.0, 5.0, 6.0]));
        assert_eq!((offsets.probe, offsets.probe_touched), ([7.0, 8.0, 9.0], true));
    }

    #[test]
    fn inches_become_millimetres_and_a_length_may_have_three_axes() {
        let mut lines = ANSWER;
        lines[9] = "TLO:0.000,0.000,0.500";
        let offsets = heard(&lines, true).whole().unwrap();
        assert_eq!(offsets.tool_length, 12.7);
        assert!((offsets.systems[0][0] + 254.0).abs() < 1e-9);
    }

    #[test]
    fn half_an_answer_is_none() {
        for missing in 0..ANSWER.len() {
            let mut lines = ANSWER;
            lines[missing] = "G54:1.0,oops,2";
            assert!(heard(&lines, false).whole().is_none(), "{}", ANSWER[missing]);
        }
    }
}
