//! Circles between two points, as GRBL 1.1 understands `G2` and `G3`.
//!
//! All coordinates are relative to the start of the arc and lie in its plane: first and second
//! axis of `Plane::axes`. What the axis across the plane does makes a helix and is not here.

use std::f64::consts::{FRAC_PI_2, TAU};

use super::words::Error;

/// A part of a circle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Arc {
    /// From the start to the centre, mm.
    pub centre: [f64; 2],
    /// mm.
    pub radius: f64,
    /// Radians; counter-clockwise is positive. Never 0: an arc back to its start is a full turn.
    pub sweep: f64,
}

/// GRBL: a smaller sweep than this is a full turn.
const SAME_PLACE: f64 = 5e-7;

impl Arc {
    /// The arc to `end` around `centre`. Error 33 if the end is not on the circle: off by more
    /// than 0.005 mm and by more than 0.1 % of the radius or 0.5 mm.
    pub fn around(centre: [f64; 2], end: [f64; 2], clockwise: bool) -> Result<Self, Error> {
        let radius = centre[0].hypot(centre[1]);
        let off = ((end[0] - centre[0]).hypot(end[1] - centre[1]) - radius).abs();
        if off > 0.005 && (off > 0.5 || off > 0.001 * radius) {
            return Err(Error(33));
        }
        Ok(Self { centre, radius, sweep: sweep(centre, end, clockwise) })
    }

    /// The arc to `end` with `radius`: at most half a turn, more if the radius is negative.
    /// Error 34 if the points are too far apart. `end` must not be the start.
    pub fn with_radius(radius: f64, end: [f64; 2], clockwise: bool) -> Result<Self, Error> {
        let [x, y] = end;
        let beyond = 4.0 * radius * radius - x * x - y * y;
        if beyond < 0.0 {
            return Err(Error(34));
        }
        // The centre lies on the perpendicular through the middle of the chord, at this multiple
        // of the chord; on its left for a short counter-clockwise arc.
        let aside = beyond.sqrt() / x.hypot(y) / 2.0;
        let aside = if clockwise == (radius > 0.0) { -aside } else { aside };
        let centre = [x / 2.0 - y * aside, y / 2.0 + x * aside];
        Ok(Self { centre, radius: radius.abs(), sweep: sweep(centre, end, clockwise) })
    }

    /// Length in the plane, mm.
    pub fn length(&self) -> f64 {
        (self.radius * self.sweep).abs()
    }

    /// The direction from the centre to the start, radians.
    pub fn start_angle(&self) -> f64 {
        (-self.centre[1]).atan2(-self.centre[0])
    }

    /// The extreme points (right, top, left, bottom) that lie inside the arc.
    pub fn extremes(&self) -> impl Iterator<Item = [f64; 2]> {
        let start = self.start_angle();
        (0u8..4).filter_map(move |quarter| {
            let angle = f64::from(quarter) * FRAC_PI_2;
            let turn = if self.sweep > 0.0 { angle - start } else { start - angle };
            let inside = turn.rem_euclid(TAU) < self.sweep.abs();
            let [x, y] = [[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]][usize::from(quarter)];
            inside.then_some([self.centre[0] + self.radius * x, self.centre[1] + self.radius * y])
        })
    }
}

fn sweep(centre: [f64; 2], end: [f64; 2], clockwise: bool) -> f64 {
    let from = [-centre[0], -centre[1]];
    let to = [end[0] - centre[0], end[1] - centre[1]];
    let turn = (from[0] * to[1] - from[1] * to[0]).atan2(from[0] * to[0] + from[1] * to[1]);
    if clockwise && turn >= -SAME_PLACE {
        turn - TAU
    } else if !clockwise && turn <= SAME_PLACE {
        turn + TAU
    } else {
        turn
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::PI;

    use proptest::prelude::*;

    use super::*;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn a_half_circle_either_way() {
        for clockwise in [false, true] {
            let arc = Arc::around([5.0, 0.0], [10.0, 0.0], clockwise).unwrap();
            assert!(close(arc.length(), 5.0 * PI), "{arc:?}");
            let touched: Vec<_> = arc.extremes().map(|it| it[1].round()).collect();
            assert!(touched.contains(&if clockwise { 5.0 } else { -5.0 }), "{touched:?}");
        }
    }

    #[test]
    fn back_to_the_start_is_a_full_turn() {
        let arc = Arc::around([-10.0, 0.0], [0.0, 0.0], true).unwrap();
        assert!(close(arc.sweep, -TAU));
        assert_eq!(arc.extremes().count(), 4);
    }

    #[test]
    fn a_negative_radius_goes_the_long_way() {
        let short = Arc::with_radius(10.0, [10.0, 10.0], false).unwrap();
        let long = Arc::with_radius(-10.0, [10.0, 10.0], false).unwrap();
        assert!(close(short.sweep, FRAC_PI_2), "{short:?}");
        assert!(close(long.sweep, 3.0 * FRAC_PI_2), "{long:?}");
        assert!(close(short.centre[0], 0.0) && close(short.centre[1], 10.0), "{short:?}");
    }

    #[test]
    fn impossible_arcs_have_grbls_numbers() {
        assert_eq!(Arc::with_radius(4.9, [10.0, 0.0], true), Err(Error(34)));
        assert_eq!(Arc::around([5.0, 0.0], [11.0, 0.0], true), Err(Error(33)));
        assert_eq!(Arc::around([5.0, 0.0], [10.02, 0.0], true), Err(Error(33)));
        // Off by 0.4 mm, but less than 0.1 % of the radius.
        assert!(Arc::around([500.0, 0.0], [1000.4, 0.0], true).is_ok());
    }

    proptest! {
        #[test]
        fn extremes_bound_every_point_of_the_arc(
            centre in [-50.0f64..50.0, -50.0f64..50.0],
            angle in 0.0f64..TAU,
            clockwise: bool,
        ) {
            let radius = centre[0].hypot(centre[1]);
            prop_assume!(radius > 0.1);
            let end = [centre[0] + radius * angle.cos(), centre[1] + radius * angle.sin()];
            let arc = Arc::around(centre, end, clockwise).unwrap();
            let mut corners: Vec<_> = arc.extremes().collect();
            corners.extend([[0.0, 0.0], end]);
            for axis in 0..2 {
                let low = corners.iter().map(|it| it[axis]).fold(f64::MAX, f64::min);
                let high = corners.iter().map(|it| it[axis]).fold(f64::MIN, f64::max);
                for step in 0..=100 {
                    let at = arc.start_angle() + arc.sweep * f64::from(step) / 100.0;
                    let point = centre[axis] + radius * [at.cos(), at.sin()][axis];
                    prop_assert!(point >= low - 1e-6 && point <= high + 1e-6);
                }
            }
        }
    }
}
