//! Where the pretend printer is, and how long its moves take: distance by feed, no ramps. M220 and
//! M221 scale feeds and filament. Moves end where an axis ends (M211), once it has been homed.

use std::collections::VecDeque;

use crate::gcode::print::words;

/// What its axes reach from their switches, mm.
const REACH: [f64; 3] = [220.0, 220.0, 250.0];

/// Modes, position and planner. Times are seconds since the start.
#[derive(Clone, Debug)]
pub(super) struct Motion {
    /// Where the program believes it is: X, Y, Z, E in mm.
    pub(super) at: [f64; 4],
    relative: bool,
    e_relative: bool,
    inch: bool,
    /// mm/min.
    feed: f64,
    blocks: VecDeque<Block>,
    /// Where the latest block that is over has led.
    pub(super) reached: [f64; 4],
    /// Per cent: M220 and M221.
    pub(super) percent: [f64; 2],
    /// mm of filament moved.
    pub(super) extruded: f64,
    scale: f64,
    /// What has been homed has ends.
    homed: [bool; 3],
    /// M211 S0: it has none.
    pub(super) endless: bool,
}

/// A planned move.
#[derive(Clone, Copy, Debug)]
struct Block {
    begins: f64,
    ends: f64,
    to: [f64; 4],
    /// mm of filament, as far as it is pushed.
    pushes: f64,
}

impl Motion {
    pub(super) fn new(scale: f64) -> Self {
        Self {
            at: [0.0; 4],
            relative: false,
            e_relative: false,
            inch: false,
            feed: 1500.0,
            blocks: VecDeque::new(),
            reached: [0.0; 4],
            percent: [100.0; 2],
            extruded: 0.0,
            scale,
            homed: [false; 3],
            endless: false,
        }
    }

    /// Blocks that have not been carried out.
    pub(super) fn depth(&self) -> usize {
        self.blocks.len()
    }

    /// When the next block ends.
    pub(super) fn next_end(&self) -> Option<f64> {
        self.blocks.front().map(|block| block.ends)
    }

    /// Carries out what is due.
    pub(super) fn pass(&mut self, now: f64) {
        while let Some(block) = self.blocks.front().copied().filter(|block| block.ends <= now) {
            self.extruded += block.pushes;
            self.reached = block.to;
            self.blocks.pop_front();
        }
    }

    /// Where the nozzle is at this moment.
    pub(super) fn here(&self, now: f64) -> [f64; 4] {
        let Some(block) = self.blocks.front() else { return self.reached };
        let whole = (block.ends - block.begins).max(1e-12);
        let share = ((now - block.begins) / whole).clamp(0.0, 1.0);
        std::array::from_fn(|axis| {
            self.reached[axis] + (block.to[axis] - self.reached[axis]) * share
        })
    }

    /// Forgets what is planned: the nozzle stays somewhere on the way.
    pub(super) fn quick_stop(&mut self, now: f64) {
        self.reached = self.here(now);
        self.blocks.clear();
        self.at = self.reached;
    }

    /// These axes are at their switches.
    pub(super) fn home(&mut self, axes: [bool; 3]) {
        for (axis, homed) in axes.into_iter().enumerate() {
            if homed {
                self.at[axis] = 0.0;
                self.homed[axis] = true;
            }
        }
        self.reached = self.at;
    }

    /// At rest: the nozzle is lifted, or lowered, to this height.
    pub(super) fn lift(&mut self, z: f64) {
        self.at[2] = z;
        self.reached = self.at;
    }

    /// Takes a G or M code that changes modes or moves. Whether it is one of those.
    /// `cold`: filament does not move.
    pub(super) fn take(&mut self, now: f64, text: &str, cold: bool) -> bool {
        let mut all = words(text);
        let Some((letter, Some(code))) = all.next() else { return false };
        match (letter, code) {
            (b'G', 0.0 | 1.0 | 2.0 | 3.0 | 5.0) => self.go(now, all, cold),
            (b'G', 20.0) => self.inch = true,
            (b'G', 21.0) => self.inch = false,
            (b'G', 90.0) => (self.relative, self.e_relative) = (false, false),
            (b'G', 91.0) => (self.relative, self.e_relative) = (true, true),
            (b'M', 82.0) => self.e_relative = false,
            (b'M', 83.0) => self.e_relative = true,
            (b'G', 92.0) => {
                for (axis, value) in axes(all) {
                    self.at[axis] = value * self.unit();
                    if self.blocks.is_empty() {
                        self.reached[axis] = self.at[axis];
                    }
                }
            }
            _ => return false,
        }
        true
    }

    fn unit(&self) -> f64 {
        if self.inch { 25.4 } else { 1.0 }
    }

    fn go(&mut self, now: f64, words: impl Iterator<Item = (u8, Option<f64>)>, cold: bool) {
        let words: Vec<_> = words.collect();
        let feed = words.iter().find(|word| word.0 == b'F').and_then(|word| word.1);
        if let Some(feed) = feed.filter(|it| 0.0 < *it) {
            self.feed = feed * self.unit();
        }
        let from = self.at;
        for (axis, value) in axes(words.into_iter()) {
            let relative = if axis == 3 { self.e_relative } else { self.relative };
            let value = value * self.unit();
            self.at[axis] = if relative { self.at[axis] + value } else { value };
        }
        self.stay();
        let mut to = self.at;
        if cold {
            // `prevent cold extrusion`: the count goes on, the filament stays.
            to[3] = from[3];
        }
        let way = |axis: usize| (self.at[axis] - from[axis]).powi(2);
        let mut length = (way(0) + way(1) + way(2)).sqrt();
        if length == 0.0 {
            length = (self.at[3] - from[3]).abs();
        }
        if length == 0.0 {
            return;
        }
        let [feed, flow] = self.percent.map(|it| it / 100.0);
        let seconds = length / (self.feed / 60.0 * feed);
        let begins = self.blocks.back().map_or(now, |block| block.ends).max(now);
        let takes = if self.scale <= 0.0 { 0.0 } else { seconds / self.scale };
        let pushes = (to[3] - from[3]).max(0.0) * flow;
        self.blocks.push_back(Block { begins, ends: begins + takes, to, pushes });
    }

    /// Goes no farther than its axes do, and says nothing of it.
    fn stay(&mut self) {
        for (axis, end) in REACH.into_iter().enumerate() {
            if self.homed[axis] && !self.endless {
                self.at[axis] = self.at[axis].clamp(0.0, end);
            }
        }
    }
}

fn axes(words: impl Iterator<Item = (u8, Option<f64>)>) -> impl Iterator<Item = (usize, f64)> {
    words.filter_map(|(letter, value)| {
        let axis = b"XYZE".iter().position(|it| *it == letter)?;
        Some((axis, value?))
    })
}
