//! How long moves take: speed planning with look-ahead, as GRBL plans.
//!
//! ```text
//!         ______            each block: speed up from entry speed, cruise, slow down to the
//!        /      \____       entry speed of the next; the last block that is planned ends at rest
//!   ____/        |   \___
//! ```
//!
//! The corner between two blocks may be taken as fast as a circle would allow that touches both
//! and leaves the corner by the junction deviation. Rates and accelerations are limited per axis.
//! Method: GRBL's public description of its planner; the code is our own.
//!
//! Invariant: no more than `lookahead` blocks are kept, however long the program is.
//! Not here: overrides, holds, and what the controller loses by rounding to steps.

use std::collections::VecDeque;
use std::f64::consts::FRAC_PI_2;
use std::fmt;

use headstock_config::machine::{Controller, Xyz};

use super::arc::Arc;
use super::path::{Feed, Path};

/// More chords than this are not planned one by one for an arc.
const CHORDS_MAX: f64 = 500.0;
/// GRBL: no move is slower, mm/s.
const SLOWEST: f64 = 1.0 / 60.0;

/// What a machine can do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// mm/min per axis.
    pub max_rate: Xyz,
    /// mm/s² per axis.
    pub acceleration: Xyz,
    /// mm.
    pub junction_deviation: f64,
    /// mm between an arc and its chords.
    pub arc_tolerance: f64,
    /// Blocks that are planned together, with the one that is carried out.
    pub lookahead: usize,
}

impl Default for Limits {
    /// A brisk machine with a controller that looks far ahead: what to expect of a program before
    /// anybody knows where it will run.
    fn default() -> Self {
        Self {
            max_rate: [6000.0; 3],
            acceleration: [1500.0; 3],
            junction_deviation: 0.02,
            arc_tolerance: 0.002,
            lookahead: 64,
        }
    }
}

impl Limits {
    /// A usual printer: firmware does not tell its own (M503 does, in a form of each fork's own).
    pub fn printer() -> Self {
        Self {
            max_rate: [18_000.0, 18_000.0, 720.0],
            acceleration: [1500.0, 1500.0, 200.0],
            lookahead: 16,
            ..Self::default()
        }
    }

    /// The limits of a controller, as far as it has told them (`$11`, `$12`, `$110`…, `$120`…).
    pub fn of(controller: &Controller) -> Self {
        let usual = Self::default();
        let positive = |given: Option<Xyz>, usual: Xyz| match given {
            Some(values) if values.iter().all(|it| *it > 0.0) => values,
            _ => usual,
        };
        Self {
            max_rate: positive(controller.max_rate, usual.max_rate),
            acceleration: positive(controller.acceleration, usual.acceleration),
            junction_deviation: controller
                .junction_deviation
                .map_or(usual.junction_deviation, |it| it.max(0.0)),
            arc_tolerance: controller
                .arc_tolerance
                .filter(|it| *it > 0.0)
                .unwrap_or(usual.arc_tolerance),
            lookahead: if controller.planner_blocks == 0 { 15 } else { controller.planner_blocks },
        }
    }
}

impl fmt::Display for Limits {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per_axis = |values: &Xyz| {
            let [x, y, z] = values;
            if x == y && y == z { format!("{x}") } else { format!("{x}/{y}/{z}") }
        };
        write!(
            out,
            "{} mm/min, {} mm/s², junction deviation {} mm, {} blocks of look-ahead",
            per_axis(&self.max_rate),
            per_axis(&self.acceleration),
            self.junction_deviation,
            self.lookahead
        )
    }
}

/// A straight piece that is planned.
#[derive(Clone, Copy, Debug)]
struct Block {
    mm: f64,
    /// mm/s².
    acceleration: f64,
    /// mm/s.
    nominal: f64,
    /// The highest speed that its beginning may have, squared.
    entry_max: f64,
}

/// Direction and speed at the end of what has been planned.
#[derive(Clone, Copy, Debug)]
struct Tail {
    direction: Xyz,
    nominal: f64,
}

/// Adds up the time of moves.
#[derive(Clone, Debug)]
pub struct Planner {
    limits: Limits,
    blocks: VecDeque<Block>,
    tail: Option<Tail>,
    /// Speed at the beginning of the first block, squared.
    entry: f64,
    time_s: f64,
}

impl Planner {
    /// Begins at rest.
    pub fn new(limits: Limits) -> Self {
        let limits = Limits { lookahead: limits.lookahead.clamp(1, 4096), ..limits };
        let blocks = VecDeque::with_capacity(limits.lookahead);
        Self { limits, blocks, tail: None, entry: 0.0, time_s: 0.0 }
    }

    /// Seconds of all that has been planned to its end.
    pub fn time_s(&self) -> f64 {
        self.time_s
    }

    /// The machine comes to rest, then waits.
    pub fn rest(&mut self, wait_s: f64) {
        while !self.blocks.is_empty() {
            self.carry_out_first();
        }
        (self.tail, self.entry) = (None, 0.0);
        self.time_s += wait_s;
    }

    /// One more move.
    pub fn add(&mut self, path: &Path) {
        let delta = path.delta.map(|it| it.unwrap_or(0.0));
        match path.arc.and_then(|arc| Chords::of(&arc, path.axes, &delta, &self.limits)) {
            Some(chords) => self.add_arc(&chords, path.feed),
            None => self.add_piece(&delta, None, path.feed, length(&delta)),
        }
    }

    /// Corners are those of the real chords, also where one piece stands for several.
    fn add_arc(&mut self, chords: &Chords, feed: Feed) {
        let pieces = chords.count.min(CHORDS_MAX);
        let each = chords.count / pieces;
        let whole = chords.count * length(&chords.at(0.0));
        for piece in 0..pieces as u32 {
            let first = f64::from(piece) * each;
            let before = (piece > 0).then(|| unit(&chords.at(first - 1.0)));
            let delta = chords.at(first).map(|it| it * each);
            self.add_piece(&delta, before, feed, whole);
        }
    }

    /// One straight piece of a move that is `whole` mm long. The corner before it is with
    /// `before`, or else with the latest piece.
    fn add_piece(&mut self, delta: &Xyz, before: Option<Xyz>, feed: Feed, whole: f64) {
        let mm = length(delta);
        if !(mm > 0.0 && mm.is_finite()) {
            return;
        }
        let direction = unit(delta);
        let rapid = along(&self.limits.max_rate, &direction) / 60.0;
        let nominal = match feed {
            Feed::Rapid => rapid,
            Feed::PerMinute(feed) => (feed / 60.0).min(rapid),
            Feed::Inverse(per_minute) => (whole * per_minute / 60.0).min(rapid),
        }
        .max(SLOWEST);
        let entry_max = self.tail.map_or(0.0, |tail| {
            let slower = nominal.min(tail.nominal);
            self.corner(&before.unwrap_or(tail.direction), &direction).min(slower * slower)
        });
        if self.blocks.len() >= self.limits.lookahead {
            self.carry_out_first();
        }
        let acceleration = along(&self.limits.acceleration, &direction);
        self.blocks.push_back(Block { mm, acceleration, nominal, entry_max });
        self.tail = Some(Tail { direction, nominal });
    }

    /// The highest speed between two directions, squared.
    fn corner(&self, before: &Xyz, after: &Xyz) -> f64 {
        let cosine: f64 = -(0..3).map(|it| before[it] * after[it]).sum::<f64>();
        if cosine > 0.999_999 {
            return 0.0;
        }
        if cosine < -0.999_999 {
            return f64::INFINITY;
        }
        let inward = unit(&std::array::from_fn(|it| after[it] - before[it]));
        let half = (0.5 * (1.0 - cosine)).sqrt();
        let acceleration = along(&self.limits.acceleration, &inward);
        acceleration * self.limits.junction_deviation * half / (1.0 - half)
    }

    /// The first block is done; what follows it, as far as it is known, decides how fast it ends.
    fn carry_out_first(&mut self) {
        let (mut exit_max, mut braking) = (f64::INFINITY, 0.0);
        for block in self.blocks.iter().skip(1) {
            exit_max = exit_max.min(braking + block.entry_max);
            // Blocks so far away that they cannot slow this one any more.
            if braking >= exit_max {
                break;
            }
            braking += 2.0 * block.acceleration * block.mm;
        }
        let exit_max = exit_max.min(braking);
        let Some(block) = self.blocks.pop_front() else { return };
        let exit = exit_max.min(self.entry + 2.0 * block.acceleration * block.mm);
        self.time_s += block.seconds(self.entry, exit);
        self.entry = exit;
    }
}

impl Block {
    /// Time from one speed to another (both squared, mm²/s²).
    fn seconds(&self, entry: f64, exit: f64) -> f64 {
        let Self { mm, acceleration, nominal, .. } = *self;
        let top = ((entry + exit) / 2.0 + acceleration * mm).sqrt().min(nominal);
        let ramps = (2.0 * top * top - entry - exit) / (2.0 * acceleration);
        let ramp_s = (2.0 * top - entry.sqrt() - exit.sqrt()) / acceleration;
        ramp_s.max(0.0) + (mm - ramps).max(0.0) / top
    }
}

/// An arc as the controller carries it out: equal chords.
struct Chords {
    count: f64,
    axes: [usize; 3],
    /// Direction of the first chord, radians, and turn from chord to chord.
    first: f64,
    turn: f64,
    /// Length of a chord in the plane and across it, mm.
    plane: f64,
    rise: f64,
}

impl Chords {
    /// `None`: the arc is so small that the controller moves straight to its end.
    fn of(arc: &Arc, axes: [usize; 3], delta: &Xyz, limits: &Limits) -> Option<Self> {
        let half = limits.arc_tolerance * (2.0 * arc.radius - limits.arc_tolerance);
        let count = (0.5 * arc.length() / half.sqrt()).floor();
        if !(1.0..1e12).contains(&count) {
            return None;
        }
        let turn = arc.sweep / count;
        let first = arc.start_angle() + turn / 2.0 + FRAC_PI_2.copysign(turn);
        let plane = 2.0 * arc.radius * (turn / 2.0).sin().abs();
        Some(Self { count, axes, first, turn, plane, rise: delta[axes[2]] / count })
    }

    /// The chord with this number, from 0.
    fn at(&self, number: f64) -> Xyz {
        let (sin, cos) = (self.first + self.turn * number).sin_cos();
        let mut chord = [0.0; 3];
        chord[self.axes[0]] = cos * self.plane;
        chord[self.axes[1]] = sin * self.plane;
        chord[self.axes[2]] = self.rise;
        chord
    }
}

fn length(delta: &Xyz) -> f64 {
    delta.iter().map(|it| it * it).sum::<f64>().sqrt()
}

fn unit(delta: &Xyz) -> Xyz {
    let length = length(delta);
    delta.map(|it| it / length)
}

/// The most that a direction may have so that no axis has more than its own most.
fn along(most: &Xyz, direction: &Xyz) -> f64 {
    (0..3).fold(f64::INFINITY, |least, axis| match direction[axis].abs() {
        0.0 => least,
        share => least.min(most[axis] / share),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gcode::interpreter::Interpreter;
    use crate::gcode::modal::Modal;

    const LIMITS: Limits = Limits {
        max_rate: [6000.0; 3],
        acceleration: [500.0; 3],
        junction_deviation: 0.01,
        arc_tolerance: 0.002,
        lookahead: 64,
    };

    fn seconds(program: &str, limits: Limits) -> f64 {
        let mut interpreter = Interpreter::new(Modal::default(), [Some(0.0); 3]);
        let mut planner = Planner::new(limits);
        for line in program.split_whitespace() {
            if let Some(path) = interpreter.step(line).unwrap().path {
                planner.add(&path);
            }
        }
        planner.rest(0.0);
        planner.time_s()
    }

    fn close(ours: f64, exact: f64) {
        assert!((ours - exact).abs() < 1e-6 * exact.max(1.0), "{ours} instead of {exact}");
    }

    #[test]
    fn a_long_move_is_a_trapezoid() {
        // 50 mm/s: ramps of 0.1 s and 2.5 mm each, 95 mm at full speed.
        close(seconds("G1X100F3000", LIMITS), 0.2 + 95.0 / 50.0);
    }

    #[test]
    fn a_short_move_is_a_triangle() {
        // 1 mm from rest to rest: 2 sqrt(s/a).
        close(seconds("G1X1F6000", LIMITS), 2.0 * (1.0f64 / 500.0).sqrt());
    }

    #[test]
    fn a_straight_line_in_pieces_takes_as_long_as_in_one() {
        let pieces: String =
            (1..=40).map(|it| format!("G1X{}F3000 ", f64::from(it) * 0.5)).collect();
        let one = seconds("G1X20F3000", LIMITS);
        close(seconds(&pieces, LIMITS), one);
    }

    #[test]
    fn a_short_look_ahead_slows_short_pieces() {
        let pieces: String =
            (1..=100).map(|it| format!("G1X{}F6000 ", f64::from(it) * 0.1)).collect();
        let short = seconds(&pieces, Limits { lookahead: 15, ..LIMITS });
        let long = seconds(&pieces, LIMITS);
        // 14 blocks of 0.1 mm to stop in: sqrt(2 · 500 · 1.4) = 37.4 mm/s.
        assert!(long < short && short > 10.0 / 37.5, "{long} {short}");
    }

    #[test]
    fn a_right_angle_is_taken_at_junction_speed() {
        // Inward direction (-1, 1)/√2: acceleration 500·√2; half angle 45°.
        let half = 0.5f64.sqrt();
        let corner = (500.0 / half * 0.01 * half / (1.0 - half)).sqrt();
        let ramp = |v: f64| v / 500.0;
        let part = ramp(50.0) + ramp(50.0 - corner);
        let way = (50.0 * 50.0 + 50.0 * 50.0 - corner * corner) / 1000.0;
        let exact = 2.0 * (part + (100.0 - way) / 50.0);
        close(seconds("G1X100F3000 Y100", LIMITS), exact);
    }

    #[test]
    fn turning_back_stops_first() {
        let there = seconds("G1X30F3000", LIMITS);
        close(seconds("G1X30F3000 X0", LIMITS), 2.0 * there);
    }

    #[test]
    fn axes_have_their_own_limits() {
        let slow_z = Limits { max_rate: [6000.0, 6000.0, 600.0], ..LIMITS };
        close(seconds("G0Z10", slow_z), 10.0 / 10.0 + 10.0 / 500.0);
        // At 45° Z goes at 10 mm/s, so the tool goes √2 times as fast.
        let v = 200f64.sqrt();
        let a = 500.0 * 2f64.sqrt();
        close(seconds("G0X10Z10", slow_z), v / v + v / a);
    }

    #[test]
    fn inverse_time_says_how_long_a_move_takes() {
        let exact = 10.0 / (10.0 / 6.0) + 10.0 / 6.0 / 500.0;
        close(seconds("G93G1X10F10", LIMITS), exact);
    }

    #[test]
    fn a_circle_takes_about_its_length_at_its_feed() {
        let time = seconds("G2X0Y0I20F1200", LIMITS);
        close(time.round(), (std::f64::consts::TAU * 20.0 / 20.0f64).round());
        // A small one at high speed is slowed by its curvature: v² = a·r·(deviation / tolerance).
        let time = seconds("G2X0Y0I0.05F6000", LIMITS);
        assert!(time > std::f64::consts::TAU * 0.05 / 11.2, "{time}");
    }

    #[test]
    fn an_arc_of_many_chords_takes_as_long_as_one_of_few() {
        let few = seconds("G2X0Y0I100F6000", Limits { arc_tolerance: 0.05, ..LIMITS });
        let many = seconds("G2X0Y0I100F6000", Limits { arc_tolerance: 1e-6, ..LIMITS });
        assert!((few - many).abs() < 0.05 * few, "{few} {many}");
    }

    #[test]
    fn resting_and_waiting_add_up() {
        let mut planner = Planner::new(LIMITS);
        planner.rest(1.5);
        planner.rest(0.5);
        close(planner.time_s(), 2.0);
    }

    #[test]
    fn a_controller_is_taken_at_its_word_where_it_makes_sense() {
        let controller = Controller {
            planner_blocks: 15,
            max_rate: Some([5000.0, 5000.0, 500.0]),
            acceleration: Some([0.0; 3]),
            ..Controller::default()
        };
        let limits = Limits::of(&controller);
        assert_eq!(limits.max_rate, [5000.0, 5000.0, 500.0]);
        assert_eq!(limits.acceleration, Limits::default().acceleration);
        assert_eq!(limits.lookahead, 15);
        assert!(limits.to_string().starts_with("5000/5000/500 mm/min, 1500 mm/s²"), "{limits}");
    }
}
