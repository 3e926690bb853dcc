//! One move: where from, where to, along what and how fast.

use super::Known;
use super::arc::Arc;
use super::block::{Block, bit};
use super::modal::Motion;
use super::words::Error;

/// How fast a move is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Feed {
    /// As fast as the machine can.
    Rapid,
    /// mm/min.
    PerMinute(f64),
    /// Moves per minute.
    Inverse(f64),
}

/// One move, straight or along a circle, in work coordinates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Path {
    /// How fast.
    pub feed: Feed,
    /// Where it begins.
    pub from: Known,
    /// Where it ends.
    pub to: Known,
    /// How far each axis goes; known for relative moves also where `from` and `to` are not.
    pub delta: Known,
    /// It is G2 or G3.
    pub is_arc: bool,
    /// The circle, seen from the start; `None` for a straight move, and for an arc whose start is
    /// unknown.
    pub arc: Option<Arc>,
    /// First and second axis of the plane, and the axis across it.
    pub axes: [usize; 3],
}

impl Path {
    /// A straight move to the axis words of the block.
    pub(super) fn straight(block: &Block, from: &Known, feed: Feed) -> Self {
        let mut path = Self {
            feed,
            from: *from,
            to: *from,
            delta: [Some(0.0); 3],
            is_arc: false,
            arc: None,
            axes: block.modal.plane.axes(),
        };
        for (axis, from) in from.iter().enumerate() {
            let Some(value) = block.axis(axis).map(|it| it * block.unit()) else { continue };
            if block.modal.relative {
                path.to[axis] = from.map(|it| it + value);
                path.delta[axis] = Some(value);
            } else {
                path.to[axis] = Some(value);
                path.delta[axis] = from.map(|it| value - it);
            }
        }
        path
    }

    /// A G2 or G3. Errors 26 and 32 to 35; takes note of the letters that it uses.
    pub(super) fn arc(
        block: &Block,
        from: &Known,
        feed: Feed,
        used: &mut u32,
    ) -> Result<Self, Error> {
        let straight = Self::straight(block, from, feed);
        let [first, second, _] = straight.axes;
        if block.axis_words() == 0 {
            return Err(Error(26));
        }
        if block.axis(first).is_none() && block.axis(second).is_none() {
            return Err(Error(32));
        }
        let end = straight.delta[first].zip(straight.delta[second]).map(|(x, y)| [x, y]);
        let clockwise = block.modal.motion == Motion::ArcCw;
        let arc = if let Some(radius) = block.value(b'R') {
            *used |= bit(b'R');
            end.map(|end| match end {
                [0.0, 0.0] => Err(Error(33)),
                _ => Arc::with_radius(radius * block.unit(), end, clockwise),
            })
        } else {
            *used |= bit(b'I') | bit(b'J') | bit(b'K');
            if !block.has(bit(b"IJK"[first]) | bit(b"IJK"[second])) {
                return Err(Error(35));
            }
            let centre = [first, second].map(|it| block.offset(it) * block.unit());
            end.map(|end| Arc::around(centre, end, clockwise))
        };
        Ok(Self { is_arc: true, arc: arc.transpose()?, ..straight })
    }

    /// Length of the move, mm; axes that are not known count as resting.
    pub fn length(&self) -> f64 {
        let [x, y, z] = self.delta.map(|it| it.unwrap_or(0.0));
        match self.arc {
            None => (x * x + y * y + z * z).sqrt(),
            Some(arc) => arc.length().hypot([x, y, z][self.axes[2]]),
        }
    }
}
