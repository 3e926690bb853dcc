//! The box around moves, and the lines where each side of it is touched first.

use headstock_config::file::Bounds;

use super::Known;
use super::path::Path;

/// A box that grows; each axis by itself, since a program need not say where all axes are.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Extent {
    sides: [Option<Side>; 3],
}

/// Smallest and largest coordinate of an axis, with line numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Side {
    min: f64,
    max: f64,
    min_line: u64,
    max_line: u64,
}

impl Extent {
    /// Takes in the whole of a move but its start.
    pub(super) fn add(&mut self, line: u64, path: &Path) {
        self.add_point(line, &path.to);
        let Some(arc) = path.arc else { return };
        for point in arc.extremes() {
            for (axis, offset) in path.axes.into_iter().zip(point) {
                if let Some(start) = path.from[axis] {
                    self.add_coordinate(line, axis, start + offset);
                }
            }
        }
    }

    /// Takes in a point as far as it is known.
    pub(super) fn add_point(&mut self, line: u64, point: &Known) {
        for (axis, coordinate) in point.iter().enumerate() {
            if let Some(coordinate) = coordinate {
                self.add_coordinate(line, axis, *coordinate);
            }
        }
    }

    fn add_coordinate(&mut self, line: u64, axis: usize, at: f64) {
        let first = Side { min: at, max: at, min_line: line, max_line: line };
        let side = self.sides[axis].get_or_insert(first);
        if at < side.min {
            (side.min, side.min_line) = (at, line);
        }
        if at > side.max {
            (side.max, side.max_line) = (at, line);
        }
    }

    /// The box; `None` if nothing was ever taken in. An axis that is not known is 0 with line 0.
    pub(super) fn bounds(&self) -> Option<Bounds> {
        if self.sides == [None; 3] {
            return None;
        }
        let nowhere = Side { min: 0.0, max: 0.0, min_line: 0, max_line: 0 };
        let sides = self.sides.map(|it| it.unwrap_or(nowhere));
        Some(Bounds {
            min: sides.map(|it| it.min),
            max: sides.map(|it| it.max),
            min_line: sides.map(|it| it.min_line),
            max_line: sides.map(|it| it.max_line),
        })
    }
}
