//! The checks that stand in for the checksum which a GRBL link does not have.
//!
//! A program line that is sent leaves a [`Point`]: where the interpreter says it leads. From the
//! points, four things are predicted and compared with what the controller reports:
//!
//! * at rest with nothing unanswered: the work position, to half a step, and a free receive ring;
//! * in motion: a position on the way of the lines that can be executing (`window`);
//! * in motion, where the build has it: an N number among those lines;
//! * after a while without traffic: the free receive bytes, to the byte.
//!
//! A finding must show in two reports, since one report may itself have been damaged; a position
//! at rest also needs a fresh work offset. What cannot be seen this way: words that change no position
//! and no lasting mode, and a detour that is over before the next report.
//!
//! An axis is compared only while the program alone decides where it is: after a person moved the
//! machine in the middle of a program, it must first be named in an absolute line again.

use headstock_config::event::Check;
use headstock_config::machine::Xyz;

use super::dialect::Capabilities;
use super::modal::{Effect, Modal};
use super::status::Sight;
use super::window::{Point, Recent, on_the_way};
use crate::gcode::{Known, ProgramLine};

/// Reports after which a suspicion about position is decided even without a fresh work offset.
const PATIENCE_REPORTS: u64 = 40;

/// A difference, before it is known at which line.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Finding {
    /// Which check found it.
    pub(super) check: Check,
    /// What should have been.
    pub(super) expected: String,
    /// What was.
    pub(super) found: String,
}

/// What a comparison came to.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Verdict {
    /// As it should be, or nothing to compare.
    Good,
    /// Looks wrong; ask once more.
    Unsure,
    /// Wrong.
    Wrong(Finding),
}

/// The predictions for one program.
#[derive(Clone, Debug, Default)]
pub(super) struct Watch {
    /// Modal state after the last line sent.
    pub(super) modal: Modal,
    trusted: [bool; 3],
    last_sent: Known,
    last_answered: Known,
    recent: Recent,
    drift: f64,
    suspicions: [Option<Suspicion>; 3],
}

/// Which comparison a suspicion belongs to.
#[derive(Clone, Copy, Debug)]
enum Scene {
    Rest,
    Motion,
    Ring,
}

#[derive(Clone, Copy, Debug)]
struct Suspicion {
    check: Check,
    reports: u64,
    offset_reports: u64,
}

impl Watch {
    /// A program begins at this work position and in these modes.
    pub(super) fn begin(start: Option<Xyz>, modal: Modal) -> Self {
        let start = start.map_or([None; 3], |at| at.map(Some));
        let trusted = [true; 3];
        let mut watch = Self { modal, trusted, last_sent: start, ..Self::default() };
        watch.recent.start(start, true);
        watch
    }

    /// A line is sent.
    pub(super) fn follow(&mut self, line: &ProgramLine, it: &Capabilities) -> Point {
        let effect = self.modal.take(&line.text);
        for axis in 0..3 {
            self.trusted[axis] |= effect.axes[axis] && effect.absolute;
        }
        let end = std::array::from_fn(|axis| {
            let said = line.end[axis].filter(|_| self.trusted[axis]);
            // An axis that the line does not name stays where it was; at the beginning we know
            // better where that is than whoever read the program ahead.
            let stays = !effect.axes[axis] && effect.bulge.is_finite();
            self.last_sent[axis].filter(|_| stays).or(said)
        });
        if effect.absolute && line.traits.moves {
            self.drift = 0.0;
        } else {
            // The controller adds up in single precision.
            let far = end.iter().flatten().fold(0.0_f64, |far, at| far.max(at.abs()));
            self.drift += far * 6e-8;
        }
        let from = std::mem::replace(&mut self.last_sent, end);
        let Effect { bulge, n, dwell_s, .. } = effect;
        let bulge = if line.traits.moves || bulge.is_infinite() { bulge } else { 0.0 };
        let mut point =
            Point { number: line.number, n, from, end, bulge, dwell_s, ..Point::default() };
        if bulge.is_infinite() {
            point.blocks = (0, usize::MAX);
        } else if line.traits.moves {
            point.blocks = point.count_blocks(longest_step(it));
        }
        point
    }

    /// A line was accepted. `drained`: all motion before it had ended by then.
    pub(super) fn answered(&mut self, point: Point, drained: bool, planner_blocks: usize) {
        self.last_answered = point.end;
        if drained {
            self.recent.start(point.end, true);
        } else {
            self.recent.push(point, planner_blocks);
        }
    }

    /// The first mode that is not what the lines made it: (expected, found), and whether it counts.
    /// Where `$G` may be no witness, only what it says otherwise than before the program does.
    pub(super) fn modes_differ(
        &self,
        reported: &Modal,
        said_before: &Modal,
        it: &Capabilities,
    ) -> Option<((String, String), bool)> {
        let exact = it.modal_exact;
        if it.modal_follows != Some(true) {
            let moved = self.modal.only_where(reported, said_before);
            if let Some(difference) = moved.differs(reported, exact) {
                return Some((difference, true));
            }
        }
        let difference = self.modal.differs(reported, exact)?;
        match it.modal_follows {
            Some(true) => Some((difference, true)),
            Some(false) => None,
            None => Some((difference, false)),
        }
    }

    /// A line was refused and the program goes on without it, or a person used the machine: modes
    /// and positions are what the controller says until lines name them again.
    pub(super) fn lose_track(&mut self) {
        self.modal = Modal::default();
        self.trusted = [false; 3];
        self.last_sent = [None; 3];
        self.last_answered = [None; 3];
        self.recent.start([None; 3], false);
        self.suspicions = [None; 3];
    }

    /// The machine rests and nothing is unanswered.
    pub(super) fn at_rest(&mut self, sight: &Sight, it: &Capabilities, moved: bool) -> Verdict {
        let finding = Self::free_ring(sight, it)
            .or_else(|| moved.then(|| self.rest_position(sight, it)).flatten());
        self.weigh(Scene::Rest, finding, sight)
    }

    fn free_ring(sight: &Sight, it: &Capabilities) -> Option<Finding> {
        let ([_, free], quiet) = sight.live.buffer.zip(it.quiet_rx)?;
        let slack = if it.buffer_exact { 0 } else { 2 };
        (slack < free.abs_diff(quiet)).then(|| Finding {
            check: Check::Buffer,
            expected: format!("{quiet} free receive bytes"),
            found: format!("{free}"),
        })
    }

    fn rest_position(&self, sight: &Sight, it: &Capabilities) -> Option<Finding> {
        let at = sight.live.work_position?;
        let far = |axis: usize| {
            let end = self.last_answered[axis]?;
            (self.tolerance(it, axis) < (at[axis] - end).abs()).then_some((axis, end))
        };
        let (axis, end) = (0..3).find_map(far)?;
        Some(position_finding(axis, format!("{end:.3}"), at[axis]))
    }

    /// Half a step, what the report rounds away, and what single precision loses.
    fn tolerance(&self, it: &Capabilities, axis: usize) -> f64 {
        let rounding = if it.controller.reports_inches { 0.003 } else { 0.0011 };
        let steps = it.controller.steps_per_mm.map_or(0.0, |steps| steps[axis]);
        let step = if steps > 0.0 { 0.5 / steps } else { 0.01 };
        step + rounding + self.drift
    }

    /// The machine moves: `ahead` are the lines it may be working on beyond the answered ones.
    pub(super) fn in_motion(
        &mut self,
        sight: &Sight,
        it: &Capabilities,
        ahead: &[Point],
    ) -> Verdict {
        let finding =
            self.off_the_way(sight, it, ahead).or_else(|| self.line_number(sight, it, ahead));
        self.weigh(Scene::Motion, finding, sight)
    }

    fn off_the_way(&self, sight: &Sight, it: &Capabilities, ahead: &[Point]) -> Option<Finding> {
        let at = sight.live.work_position?;
        let planned = if it.buffer_exact {
            let [free, _] = sight.live.buffer?;
            // An empty planner in motion: the last block ended while the report was written.
            Some(it.quiet_planner.checked_sub(free).filter(|&planned| 0 < planned)?)
        } else {
            None
        };
        let (blocks, gone) = (it.controller.planner_blocks, it.segment_blocks + 2);
        let lines = self.recent.executing(ahead, planned, blocks, gone);
        let tolerance = std::array::from_fn(|axis| self.tolerance(it, axis) + 0.01);
        if lines.is_empty() || on_the_way(&lines, at, tolerance) {
            return None;
        }
        let (first, last) = (lines.first()?.number, lines.last()?.number);
        Some(Finding {
            check: Check::Position,
            expected: format!("a place on the way of lines {first} to {last}"),
            found: format!("X {:.3} Y {:.3} Z {:.3}", at[0], at[1], at[2]),
        })
    }

    fn line_number(&self, sight: &Sight, it: &Capabilities, ahead: &[Point]) -> Option<Finding> {
        let reported = sight.line.filter(|&line| it.line_numbers && 0 < line)?;
        let lines = self.recent.iter().chain(ahead);
        // A program numbered only in part, or one that only just began, predicts nothing.
        let all: Option<Vec<u64>> = lines.clone().skip(1).map(|point| point.n).collect();
        let known = all.filter(|known| 1 < known.len() && !known.contains(&reported))?;
        if lines.clone().next()?.n == Some(reported) {
            return None;
        }
        let (low, high) = (known.iter().min()?, known.iter().max()?);
        Some(Finding {
            check: Check::LineNumber,
            expected: format!("N{low} to N{high}"),
            found: format!("N{reported}"),
        })
    }

    /// The file line number of a reported N number.
    pub(super) fn executing(&self, reported: u64) -> Option<u64> {
        self.recent.iter().find(|point| point.n == Some(reported)).map(|point| point.number)
    }

    /// The receive ring while lines are unanswered. `unanswered` and `head` are our count and the
    /// part of it that belongs to the line being worked on; `settled`: nothing was sent or heard
    /// for so long that every byte must have arrived.
    pub(super) fn ring(
        &mut self,
        sight: &Sight,
        it: &Capabilities,
        (unanswered, head): (usize, usize),
        settled: bool,
    ) -> Verdict {
        use super::protocol::State;
        let Some(([_, free], quiet)) = sight.live.buffer.zip(it.quiet_rx) else {
            return Verdict::Good;
        };
        let used = quiet.saturating_sub(free);
        let working = matches!(sight.state, State::Run | State::Idle | State::Jog);
        let least = if settled && it.buffer_exact { unanswered - head } else { 0 };
        let most =
            if settled && it.buffer_exact && working { unanswered - head } else { unanswered };
        let wrong = it.buffer_exact && quiet < free || used < least || most < used;
        let finding = wrong.then(|| Finding {
            check: Check::Buffer,
            expected: format!("{least} to {most} bytes in the receive buffer"),
            found: format!("{used}"),
        });
        self.weigh(Scene::Ring, finding, sight)
    }

    /// Believes a finding when it has shown twice (at rest: with a fresh work offset).
    fn weigh(&mut self, scene: Scene, finding: Option<Finding>, sight: &Sight) -> Verdict {
        let slot = &mut self.suspicions[scene as usize];
        let Some(finding) = finding else {
            *slot = None;
            return Verdict::Good;
        };
        let Some(old) = slot.filter(|old| old.check == finding.check) else {
            let (reports, offset_reports) = (sight.reports, sight.offset_reports);
            *slot = Some(Suspicion { check: finding.check, reports, offset_reports });
            return Verdict::Unsure;
        };
        let offset_is_new = old.offset_reports < sight.offset_reports
            || old.reports + PATIENCE_REPORTS < sight.reports;
        // In motion there is no time to wait for it.
        let needs_offset = matches!(scene, Scene::Rest) && finding.check == Check::Position;
        let sure = !needs_offset || offset_is_new;
        if old.reports < sight.reports && sure { Verdict::Wrong(finding) } else { Verdict::Unsure }
    }

    /// Something looks wrong; reports are wanted quickly.
    pub(super) fn suspects(&self) -> bool {
        self.suspicions.iter().any(Option::is_some)
    }
}

/// The length of a step of the coarsest axis, mm; a guess on the long side if unknown.
fn longest_step(it: &Capabilities) -> f64 {
    let steps =
        it.controller.steps_per_mm.map_or(0.0, |steps| steps[0].min(steps[1]).min(steps[2]));
    if steps > 0.0 { 1.0 / steps } else { 0.05 }
}

fn position_finding(axis: usize, expected: String, found: f64) -> Finding {
    let axis = ["X", "Y", "Z"][axis];
    Finding {
        check: Check::Position,
        expected: format!("{axis} {expected}"),
        found: format!("{axis} {found:.3}"),
    }
}
