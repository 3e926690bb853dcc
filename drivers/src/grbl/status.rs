//! What the reports add up to: position both ways, overrides, accessories, buffers.
//!
//! Rules of the report (GRBL 1.1 interface): `WPos = MPos - WCO`, and WCO comes only now and then,
//! so the last one is kept; `Ov` likewise; `A` means something only beside `Ov`, where its absence
//! means everything off; a missing `Pn` means no active input. With `$13=1` lengths are inches.
//!
//! The mode that the house sees is decided elsewhere, since it also depends on our own work.

use std::time::Instant;

use headstock_config::machine::{Live, Xyz};

use super::protocol::{Report, State};

/// The latest reports, folded.
#[derive(Clone, Debug, Default)]
pub(super) struct Sight {
    /// What the house is shown.
    pub(super) live: Live,
    /// The controller's state.
    pub(super) state: State,
    /// Its sub-state.
    pub(super) sub: Option<u16>,
    /// When the latest report came.
    pub(super) at: Option<Instant>,
    /// Reports so far.
    pub(super) reports: u64,
    /// Reports that could show a new work offset, so far.
    pub(super) offset_reports: u64,
    /// Reports at the time when the work offset was last forgotten.
    pub(super) forgot_at: u64,
    /// Overrides have been reported.
    pub(super) overrides_known: bool,
    /// `Ln` of the latest report.
    pub(super) line: Option<u64>,
}

impl Sight {
    /// Folds a report in. `offset_counts`: no line that would change the work offset is on its way.
    pub(super) fn take(
        &mut self,
        now: Instant,
        report: &Report<'_>,
        inches: bool,
        offset_counts: bool,
    ) {
        self.at = Some(now);
        self.reports += 1;
        if report.state != State::Other {
            (self.state, self.sub) = (report.state, report.sub);
        }
        replace(&mut self.live.said, report.said);
        self.take_position(report, inches, offset_counts);
        let scale = if inches { 25.4 } else { 1.0 };
        self.live.feed = report.feed.map_or(self.live.feed, |feed| feed * scale);
        self.live.spindle = report.spindle.unwrap_or(self.live.spindle);
        replace(&mut self.live.pins, report.pins);
        if let Some(overrides) = report.overrides {
            self.live.overrides = overrides;
            self.overrides_known = true;
        }
        // GRBL tells what is on only beside the overrides; grblHAL at any time, and then all of it.
        if report.overrides.is_some() || report.accessory.is_some() {
            replace(&mut self.live.accessory, report.accessory.unwrap_or_default());
        }
        self.live.buffer = report.buffer;
        self.line = report.line;
        self.live.homed = report.homed.or(self.live.homed);
    }

    fn take_position(&mut self, report: &Report<'_>, inches: bool, offset_counts: bool) {
        let mm = |at: Xyz| if inches { at.map(|value| value * 25.4) } else { at };
        if let Some(offset) = report.offset.filter(|_| offset_counts) {
            self.live.work_offset = Some(mm(offset));
            self.offset_reports += 1;
        }
        let offset = self.live.work_offset;
        if let Some(machine) = report.machine.map(mm) {
            self.live.machine_position = Some(machine);
            self.live.work_position = offset.map(|offset| minus(machine, offset));
        } else if let Some(work) = report.work.map(mm) {
            self.live.work_position = Some(work);
            self.live.machine_position = offset.map(|offset| plus(work, offset));
            self.offset_reports += 1;
        }
    }

    /// The controller has started again: what it had in memory is not so any more.
    pub(super) fn forget_modes(&mut self) {
        self.overrides_known = false;
        self.live.accessory.clear();
        self.forget_offset();
    }

    /// Work coordinates are about to mean something else.
    pub(super) fn forget_offset(&mut self) {
        self.live.work_offset = None;
        self.live.work_position = None;
        self.forgot_at = self.reports;
    }

    /// Nothing moves and nothing planned is left to move. `quiet_planner` is the number of free
    /// planner blocks when it is empty; a report may say Idle just before it starts on a block.
    pub(super) fn at_rest(&self, quiet_planner: usize) -> bool {
        match self.state {
            State::Idle | State::Check | State::Tool => {
                self.live.buffer.is_none_or(|[planner, _]| quiet_planner <= planner)
            }
            State::Alarm | State::Sleep => true,
            State::Hold => self.sub == Some(0),
            State::Door => matches!(self.sub, Some(0 | 1)),
            State::Run | State::Jog | State::Home | State::Other => false,
        }
    }
}

/// Copies only what is different: ten reports a second mostly say the same.
fn replace(old: &mut String, new: &str) {
    if old != new {
        old.clear();
        old.push_str(new);
    }
}

fn minus(a: Xyz, b: Xyz) -> Xyz {
    std::array::from_fn(|axis| a[axis] - b[axis])
}

fn plus(a: Xyz, b: Xyz) -> Xyz {
    std::array::from_fn(|axis| a[axis] + b[axis])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grbl::protocol::{Reply, parse};

    fn sight(reports: &[&str], inches: bool) -> Sight {
        let mut sight = Sight::default();
        for text in reports {
            let Reply::Status(report) = parse(text.as_bytes()) else { panic!("{text}") };
            sight.take(Instant::now(), &report, inches, true);
        }
        sight
    }

    #[test]
    fn the_last_work_offset_is_kept() {
        let before = sight(&["<Idle|MPos:5.000,0.000,0.000|FS:0,0>"], false);
        assert_eq!(before.live.work_position, None, "unknown until the first offset");
        let after = sight(
            &["<Idle|MPos:0,0,0|FS:0,0|WCO:1.000,2.000,3.000>", "<Run|MPos:5,5,5|FS:0,0>"],
            false,
        );
        assert_eq!(after.live.work_position, Some([4.0, 3.0, 2.0]));
    }

    #[test]
    fn work_positions_are_turned_into_machine_positions() {
        let it = sight(&["<Idle|WPos:1,1,1|FS:0,0|WCO:10,0,-1>"], false);
        assert_eq!(it.live.machine_position, Some([11.0, 1.0, 0.0]));
    }

    #[test]
    fn inches_become_millimetres() {
        let it = sight(&["<Run|MPos:1.0000,0,0|FS:10.0,500|WCO:0.5000,0,0>"], true);
        assert_eq!(it.live.machine_position, Some([25.4, 0.0, 0.0]));
        assert_eq!(it.live.work_position, Some([12.7, 0.0, 0.0]));
        assert_eq!((it.live.feed, it.live.spindle), (254.0, 500.0));
    }

    #[test]
    fn accessories_go_off_with_overrides_and_pins_with_every_report() {
        let on = ["<Idle|MPos:0,0,0|Pn:XZ|Ov:100,100,100|A:SF>"];
        assert_eq!(sight(&on, false).live.accessory, "SF");
        let kept = sight(&[on[0], "<Idle|MPos:0,0,0>"], false);
        assert_eq!((kept.live.accessory.as_str(), kept.live.pins.as_str()), ("SF", ""));
        let told_off = sight(&[on[0], "<Idle|MPos:0,0,0|A:|H:0>"], false);
        assert_eq!(told_off.live.accessory, "", "as grblHAL does");
        let off = sight(&[on[0], "<Idle|MPos:0,0,0|Ov:100,100,100>"], false);
        assert_eq!(off.live.accessory, "");
    }

    #[test]
    fn rest_is_idle_with_nothing_planned_or_a_finished_hold() {
        let rest = |text| sight(&[text], false).at_rest(15);
        assert!(rest("<Idle|MPos:0,0,0|Bf:15,128>") && rest("<Hold:0|MPos:0,0,0|Bf:3,10>"));
        assert!(!rest("<Idle|MPos:0,0,0|Bf:14,128>") && !rest("<Hold:1|MPos:0,0,0>"));
        assert!(!rest("<Run|MPos:0,0,0|Bf:15,128>") && rest("<Door:1|MPos:0,0,0>"));
    }
}
