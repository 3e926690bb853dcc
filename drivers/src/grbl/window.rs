//! Which lines the controller can be executing, and where the tool must then be.
//!
//! ```text
//!  answered lines, newest last          head
//!  ... L4  L3  L2  L1                    L0       `Bf` says b blocks are planned
//!          ^^ ----------- b blocks --------> so the tool is on the line that made the b-th last
//! ```
//!
//! A straight line makes one block; one shorter than a step makes none; an arc makes many; of a
//! line whose end is unknown nobody can tell. So each line has a least and a most number of
//! blocks, and the line being executed is any for which b lies between. Older lines are allowed
//! besides, since short blocks leave the planner before they are moved along, and two newer ones,
//! since position and buffer are read a few milliseconds apart.

use std::collections::VecDeque;

use headstock_config::machine::Xyz;

use crate::gcode::Known;

/// Lines beyond those that the planner's blocks tell: a report is made a few milliseconds away from
/// the count that it is compared with.
const NEWER: usize = 2;

/// Where one program line leads.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Point {
    /// File line number.
    pub(super) number: u64,
    /// N word.
    pub(super) n: Option<u64>,
    /// Work position before the line, as far as it can be relied upon.
    pub(super) from: Known,
    /// Work position after it.
    pub(super) end: Known,
    /// How far outside the box of its end points the way may lead, mm.
    pub(super) bulge: f64,
    /// Planner blocks that it makes, at least and at most.
    pub(super) blocks: (usize, usize),
    /// Seconds that it dwells.
    pub(super) dwell_s: f64,
}

impl Point {
    /// A place to begin at.
    pub(super) fn start(at: Known) -> Self {
        Self { from: at, end: at, ..Self::default() }
    }

    /// Blocks of a line that moves. `step` is the length of a step of the coarsest axis, mm.
    pub(super) fn count_blocks(&self, step: f64) -> (usize, usize) {
        let most = if self.bulge > 0.0 { usize::MAX } else { 1 };
        let mut long = false;
        for (from, end) in self.from.iter().zip(self.end) {
            match from.zip(end) {
                Some((from, end)) => long |= step * 1.01 <= (end - from).abs(),
                None => return (0, most),
            }
        }
        (usize::from(long), if self.from == self.end && self.bulge == 0.0 { 0 } else { most })
    }

    /// Whether the tool may be here while this line is executed.
    fn reaches(&self, at: Xyz, tolerance: Xyz) -> bool {
        if self.bulge.is_infinite() {
            return true;
        }
        let share = if self.bulge > 0.0 { None } else { Some(self.share(at)) };
        (0..3).all(|axis| {
            let Some((from, end)) = self.from[axis].zip(self.end[axis]) else { return true };
            match share {
                Some(share) => (from + (end - from) * share - at[axis]).abs() <= tolerance[axis],
                None => {
                    let slack = self.bulge + tolerance[axis];
                    (from.min(end) - slack..=from.max(end) + slack).contains(&at[axis])
                }
            }
        })
    }

    /// How far along the line the nearest place to `at` lies, 0 to 1.
    fn share(&self, at: Xyz) -> f64 {
        let (mut along, mut length) = (0.0, 0.0);
        for (axis, at) in at.into_iter().enumerate() {
            let Some((from, end)) = self.from[axis].zip(self.end[axis]) else { continue };
            along += (at - from) * (end - from);
            length += (end - from) * (end - from);
        }
        if length > 0.0 { (along / length).clamp(0.0, 1.0) } else { 0.0 }
    }
}

/// What is known of the lines sent lately.
#[derive(Clone, Debug, Default)]
pub(super) struct Recent {
    /// Answered lines that may have made blocks, oldest first.
    lines: VecDeque<Point>,
    /// Nothing older than these can be executing.
    whole: bool,
}

impl Recent {
    /// Nothing is planned, and the tool is here.
    pub(super) fn start(&mut self, at: Known, whole: bool) {
        self.lines.clear();
        self.lines.push_back(Point::start(at));
        self.whole = whole;
    }

    /// A line was answered.
    pub(super) fn push(&mut self, point: Point, planner_blocks: usize) {
        if point.blocks.1 == 0 && point.bulge == 0.0 {
            return;
        }
        self.lines.push_back(point);
        while 2 * planner_blocks + 8 < self.lines.len() {
            self.lines.pop_front();
            self.whole = false;
        }
    }

    /// The lines, oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Point> + Clone {
        self.lines.iter()
    }

    /// The lines that can be executing: `ahead` are the ones being worked on, `planned` the blocks
    /// in the planner (`None`: any number up to `planner_blocks`), `gone` those that may have left it
    /// and not been moved along. Empty where nobody can tell.
    pub(super) fn executing(
        &self,
        ahead: &[Point],
        planned: Option<usize>,
        planner_blocks: usize,
        gone: usize,
    ) -> Vec<Point> {
        let all: Vec<Point> = self.iter().chain(ahead).copied().collect();
        let answered = self.lines.len();
        let found = range(&all, answered, planned.unwrap_or(planner_blocks), self.whole);
        match (found, planned) {
            (Some((oldest, newest)), Some(_)) => {
                let newest = (newest + NEWER).min(all.len() - 1);
                all[oldest.saturating_sub(gone)..=newest].to_vec()
            }
            (Some((oldest, _)), None) => all[oldest.saturating_sub(gone)..].to_vec(),
            (None, None) if self.whole => all,
            (None, _) => Vec::new(),
        }
    }
}

/// Oldest and newest line that can have made the `planned`-th last block; the first `answered`
/// ones have been answered.
fn range(all: &[Point], answered: usize, planned: usize, whole: bool) -> Option<(usize, usize)> {
    let (mut least, mut most) = (0_usize, 0_usize);
    let mut found: Option<(usize, usize)> = None;
    for (at, point) in all.iter().enumerate().rev() {
        let (fewest, at_most) = point.blocks;
        // The head may have been planned in part, or not at all.
        let fewest = if at < answered { fewest } else { 0 };
        most = most.saturating_add(at_most);
        if least < planned && planned <= most {
            let newest = found.map_or(at, |(_, newest)| newest);
            found = Some((at, newest));
        }
        least += fewest;
        if planned <= least {
            return found.or(Some((at, at)));
        }
    }
    found.filter(|_| whole)
}

/// Whether the tool is where one of these lines leads.
pub(super) fn on_the_way(lines: &[Point], at: Xyz, tolerance: Xyz) -> bool {
    lines.iter().any(|line| line.reaches(at, tolerance))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOLERANCE: Xyz = [0.01; 3];

    /// Straight lines along X, 10 mm each.
    fn straight(count: u64) -> Vec<Point> {
        let end = |x: f64| [Some(x), Some(0.0), Some(0.0)];
        (0..count)
            .map(|at| {
                let from = at as f64 * 10.0;
                let mut point = Point {
                    number: at,
                    from: end(from),
                    end: end(from + 10.0),
                    ..Point::default()
                };
                point.blocks = point.count_blocks(0.004);
                point
            })
            .collect()
    }

    /// The numbers of the lines that can be executing.
    fn numbers(lines: &[Point], planned: usize) -> Vec<u64> {
        let recent = Recent { lines: lines.to_vec().into(), whole: true };
        let lines = recent.executing(&[], Some(planned), 15, 3);
        lines.iter().map(|line| line.number).collect()
    }

    #[test]
    fn the_line_that_made_the_oldest_planned_block_is_executing() {
        let lines = straight(20);
        assert_eq!(numbers(&lines, 5), [12, 13, 14, 15, 16, 17]);
        assert_eq!(numbers(&lines, 1), [16, 17, 18, 19]);
    }

    #[test]
    fn an_arc_may_have_made_any_number_of_blocks() {
        let mut lines = straight(20);
        lines[17].bulge = 3.0;
        lines[17].blocks = lines[17].count_blocks(0.004);
        assert_eq!(lines[17].blocks, (1, usize::MAX));
        assert_eq!(numbers(&lines, 5), [12, 13, 14, 15, 16, 17, 18, 19]);
        assert_eq!(numbers(&lines, 2), [15, 16, 17, 18, 19]);
    }

    #[test]
    fn more_blocks_than_the_lines_explain_say_nothing() {
        assert!(numbers(&straight(3), 9).is_empty());
    }

    #[test]
    fn a_move_shorter_than_a_step_may_make_no_block() {
        let at = |x| [Some(x), Some(0.0), Some(0.0)];
        let tiny = Point { from: at(1.0), end: at(1.001), ..Point::default() };
        assert_eq!(tiny.count_blocks(0.004), (0, 1));
        assert_eq!(Point::start(at(1.0)).count_blocks(0.004), (0, 0));
        let unknown = Point { from: [None; 3], end: at(5.0), ..Point::default() };
        assert_eq!(unknown.count_blocks(0.004), (0, 1));
    }

    #[test]
    fn the_tool_must_be_on_a_line_not_only_in_its_box() {
        let diagonal =
            Point { from: [Some(0.0); 3], end: [Some(10.0), Some(10.0), None], ..Point::default() };
        assert!(on_the_way(&[diagonal], [4.0, 4.005, 99.0], TOLERANCE));
        assert!(!on_the_way(&[diagonal], [4.0, 5.0, 0.0], TOLERANCE));
        assert!(!on_the_way(&[diagonal], [11.0, 11.0, 0.0], TOLERANCE));
        let arc = Point { bulge: 2.0, ..diagonal };
        assert!(on_the_way(&[arc], [4.0, 11.9, 0.0], TOLERANCE));
    }
}
