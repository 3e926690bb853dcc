//! The checks that stand in for the checksum which a GRBL link does not have.
//!
//! A program line that is sent leaves a [`Point`]: where the interpreter says it leads. From the
//! points, four things are predicted and compared with what the controller reports:
//!
//! * at rest with nothing unanswered: the work position, to half a step, and a free receive ring;
//! * in motion: a position within the box of the lines that can be executing;
//! * in motion, where the build has it: an N number among those lines;
//! * after a while without traffic: the free receive bytes, to the byte.
//!
//! A finding must show in two reports, since one report may itself have been damaged; a position
//! also needs a fresh work offset. What cannot be seen this way: words that change no position
//! and no lasting mode, and a detour that is over before the next report.
//!
//! An axis is compared only while the program alone decides where it is: after a person moved the
//! machine in the middle of a program, it must first be named in an absolute line again.

use std::collections::VecDeque;
use std::time::Duration;

use headstock_config::event::Check;
use headstock_config::machine::Xyz;

use super::dialect::Capabilities;
use super::modal::{Effect, Modal};
use super::status::Sight;
use crate::gcode::{Known, ProgramLine};

/// Reports after which a suspicion about position is decided even without a fresh work offset.
const PATIENCE_REPORTS: u64 = 40;
/// A window of points longer than this is cut; the checks then see less, never too much.
const RING: usize = 2048;

/// Where one program line leads.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Point {
    /// File line number.
    pub(super) number: u64,
    /// N word.
    pub(super) n: Option<u64>,
    /// Work position after the line, as far as it can be relied upon.
    pub(super) end: Known,
    /// How far outside the box of end points the way may lead, mm.
    pub(super) bulge: f64,
    /// It may take a planner block.
    pub(super) block: bool,
    /// Seconds that it dwells.
    pub(super) dwell_s: f64,
}

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
    recent: VecDeque<Point>,
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
    /// A program begins at this work position.
    pub(super) fn begin(start: Option<Xyz>) -> Self {
        let start = start.map_or([None; 3], |at| at.map(Some));
        let mut watch = Self { trusted: [true; 3], last_sent: start, ..Self::default() };
        watch.recent.push_back(Point { end: start, block: true, ..Point::default() });
        watch
    }

    /// A line is sent.
    pub(super) fn follow(&mut self, line: &ProgramLine) -> Point {
        let effect = self.modal.take(&line.text);
        for axis in 0..3 {
            self.trusted[axis] |= effect.axes[axis] && effect.absolute;
        }
        let end = std::array::from_fn(|axis| line.end[axis].filter(|_| self.trusted[axis]));
        let block = line.traits.moves && (end != self.last_sent || end.contains(&None));
        if effect.absolute && line.traits.moves {
            self.drift = 0.0;
        } else {
            // The controller adds up in single precision.
            let far = end.iter().flatten().fold(0.0_f64, |far, at| far.max(at.abs()));
            self.drift += far * 6e-8;
        }
        self.last_sent = end;
        let Effect { bulge, n, dwell_s, .. } = effect;
        let bulge = if line.traits.moves || bulge.is_infinite() { bulge } else { 0.0 };
        Point { number: line.number, n, end, bulge, block, dwell_s }
    }

    /// A line was accepted. `drained`: all motion before it had ended by then.
    pub(super) fn answered(&mut self, point: Point, drained: bool, planner_blocks: usize) {
        self.last_answered = point.end;
        if drained {
            self.recent.clear();
            self.recent.push_back(Point { bulge: 0.0, block: true, ..point });
        } else if point.block || point.bulge.is_infinite() {
            self.recent.push_back(point);
        }
        let most = (planner_blocks + 3).min(RING);
        while most < self.recent.len() {
            self.recent.pop_front();
        }
    }

    /// A line was refused and the program goes on without it, or a person used the machine: modes
    /// and positions are what the controller says until lines name them again.
    pub(super) fn lose_track(&mut self, position: Option<Xyz>) {
        self.modal = Modal::default();
        self.trusted = [false; 3];
        self.last_sent = [None; 3];
        self.last_answered = [None; 3];
        self.recent.clear();
        let end = position.map_or([None; 3], |at| at.map(Some));
        self.recent.push_back(Point { end, block: true, ..Point::default() });
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
        (free != quiet).then(|| Finding {
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
        ahead: impl Iterator<Item = Point>,
    ) -> Verdict {
        let points: Vec<Point> = self.recent.iter().copied().chain(ahead).collect();
        let finding = self.inside(sight, it, &points).or_else(|| line_number(sight, it, &points));
        // A place that could be reached since the last report needs no second look.
        match finding {
            Some(finding) if finding.check == Check::Position && !leapt(sight, it) => {
                Verdict::Wrong(finding)
            }
            finding => self.weigh(Scene::Motion, finding, sight),
        }
    }

    fn inside(&self, sight: &Sight, it: &Capabilities, points: &[Point]) -> Option<Finding> {
        let at = sight.live.work_position?;
        let bulge = points.iter().fold(0.0_f64, |most, point| most.max(point.bulge));
        for (axis, at) in at.into_iter().enumerate() {
            let ends = points.iter().map(|point| point.end[axis]);
            let Some((low, high)) = span(ends) else { continue };
            let slack = self.tolerance(it, axis) + bulge + 0.01;
            if at < low - slack || high + slack < at {
                return Some(position_finding(axis, format!("{low:.3} to {high:.3}"), at));
            }
        }
        None
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
        let wrong = quiet < free || used < least || most < used;
        let finding = wrong.then(|| Finding {
            check: Check::Buffer,
            expected: format!("{least} to {most} bytes in the receive buffer"),
            found: format!("{used}"),
        });
        self.weigh(Scene::Ring, finding, sight)
    }

    /// Believes a finding when it has shown twice (a position: with a fresh work offset).
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
        let sure = finding.check != Check::Position || offset_is_new;
        if old.reports < sight.reports && sure { Verdict::Wrong(finding) } else { Verdict::Unsure }
    }

    /// Something looks wrong; reports are wanted quickly.
    pub(super) fn suspects(&self) -> bool {
        self.suspicions.iter().any(Option::is_some)
    }
}

fn line_number(sight: &Sight, it: &Capabilities, points: &[Point]) -> Option<Finding> {
    let reported = sight.line.filter(|&line| it.line_numbers && 0 < line)?;
    // A program numbered only in part, or one that only just began, predicts nothing.
    let all: Option<Vec<u64>> = points.iter().skip(1).map(|point| point.n).collect();
    let known = all.filter(|known| 1 < known.len() && !known.contains(&reported))?;
    if points[0].n == Some(reported) {
        return None;
    }
    let (low, high) = (known.iter().min()?, known.iter().max()?);
    Some(Finding {
        check: Check::LineNumber,
        expected: format!("N{low} to N{high}"),
        found: format!("N{reported}"),
    })
}

fn position_finding(axis: usize, expected: String, found: f64) -> Finding {
    let axis = ["X", "Y", "Z"][axis];
    Finding {
        check: Check::Position,
        expected: format!("{axis} {expected}"),
        found: format!("{axis} {found:.3}"),
    }
}

/// The smallest and largest of values that are all known.
fn span(values: impl Iterator<Item = Option<f64>>) -> Option<(f64, f64)> {
    let mut range = (f64::INFINITY, f64::NEG_INFINITY);
    for value in values {
        let value = value?;
        range = (range.0.min(value), range.1.max(value));
    }
    (range.0 <= range.1).then_some(range)
}

/// Whether it moved further since the last report than it can: then the report is at fault.
fn leapt(sight: &Sight, it: &Capabilities) -> bool {
    let (Some((then, from)), Some(now), Some(to), Some(rate)) =
        (sight.before, sight.at, sight.live.machine_position, it.controller.max_rate)
    else {
        return true;
    };
    let minutes =
        (now.saturating_duration_since(then) + Duration::from_millis(50)).as_secs_f64() / 60.0;
    (0..3).any(|axis| rate[axis] * minutes * 1.2 < (to[axis] - from[axis]).abs())
}
