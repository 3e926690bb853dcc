//! Arcs of the pretend controller, split into chords.

use std::collections::VecDeque;
use std::f64::consts::TAU;

use headstock_config::machine::Xyz;

use super::planner::Kind;
use super::program::{Act, Program};
use super::words::Words;

impl Program {
    /// From where it is to `target`; centre or radius are still among the words.
    pub(super) fn arc(
        &mut self,
        words: &mut Words,
        target: Xyz,
        axes: [Option<f64>; 3],
        tolerance: f64,
        number: u32,
        acts: &mut VecDeque<Act>,
    ) -> Result<(), u8> {
        let (a, b, up) = match self.modes.plane {
            18 => (2, 0, 1),
            19 => (1, 2, 0),
            _ => (0, 1, 2),
        };
        if axes[a].is_none() && axes[b].is_none() {
            return Err(32);
        }
        let unit = self.unit();
        let from = self.modes.position;
        let clockwise = self.modes.motion == 20;
        let way = [target[a] - from[a], target[b] - from[b]];
        let centre = match words.take(b'R') {
            Some(radius) => centre_of(way, radius * unit, clockwise)?,
            None => {
                let offset = [b'I', b'J', b'K'].map(|letter| words.take(letter));
                if offset[a].is_none() && offset[b].is_none() {
                    return Err(35);
                }
                let centre = [a, b].map(|axis| offset[axis].unwrap_or_default() * unit);
                check_radius(way, centre)?;
                centre
            }
        };
        let radius = centre[0].hypot(centre[1]);
        let start = (-centre[1]).atan2(-centre[0]);
        let end = (way[1] - centre[1]).atan2(way[0] - centre[0]);
        let mut sweep = end - start;
        if clockwise && sweep >= -5e-7 {
            sweep -= TAU;
        } else if !clockwise && sweep <= 5e-7 {
            sweep += TAU;
        }
        let length = (sweep * radius).hypot(target[up] - from[up]);
        let feed = self.speed_over(length);
        let chord = (tolerance * (2.0 * radius - tolerance)).max(1e-12).sqrt();
        // A circle of an absurd size must not fill the memory.
        let chords = ((sweep * radius).abs() / 2.0 / chord).floor().clamp(1.0, 100_000.0) as usize;
        for at in 1..chords {
            let share = at as f64 / chords as f64;
            let angle = start + sweep * share;
            let mut point = from;
            point[a] += centre[0] + radius * angle.cos();
            point[b] += centre[1] + radius * angle.sin();
            point[up] += (target[up] - from[up]) * share;
            self.go(Kind::Feed, point, feed, number, acts);
        }
        self.go(Kind::Feed, target, feed, number, acts);
        Ok(())
    }
}

/// The centre of an arc over `way`, from its start. A negative radius takes the longer way.
fn centre_of(way: [f64; 2], radius: f64, clockwise: bool) -> Result<[f64; 2], u8> {
    let chord = way[0].hypot(way[1]);
    if chord == 0.0 {
        return Err(33);
    }
    let height = radius * radius - chord * chord / 4.0;
    if height < -1e-9 {
        return Err(34);
    }
    let mut side = height.max(0.0).sqrt() / chord;
    if clockwise {
        side = -side;
    }
    if radius < 0.0 {
        side = -side;
    }
    Ok([way[0] / 2.0 - way[1] * side, way[1] / 2.0 + way[0] * side])
}

/// Start and end must be equally far from the centre.
fn check_radius(way: [f64; 2], centre: [f64; 2]) -> Result<(), u8> {
    let start = centre[0].hypot(centre[1]);
    let end = (way[0] - centre[0]).hypot(way[1] - centre[1]);
    let off = (start - end).abs();
    if off > 0.005 && (off > 0.5 || off > 0.001 * start) { Err(33) } else { Ok(()) }
}
