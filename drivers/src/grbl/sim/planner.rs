//! The pretend planner: blocks with trapezoidal speed profiles and look-ahead.
//!
//! ```text
//! add -> [ b0 | b1 | … | b14 ]      entry speeds: backwards from rest, then forwards from now
//!          ^ runs: profile = speed up, cruise, slow down
//! ```
//!
//! Time is the machine's own, in seconds, and only grows; a block begins at the moment the one
//! before it ended, not when somebody looks. Lengths in mm, speeds in mm/s. Junction speeds follow
//! the rule of junction deviation: the speed at which a circle that misses the corner by `$11`
//! could be driven at the acceleration available there.
//!
//! Pure. Not here: what a line of G-code means, and the states of the controller.

use std::collections::VecDeque;

use headstock_config::machine::Xyz;

use super::profile::Profile;

/// Axis limits that planning needs, from the settings.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// mm/s per axis.
    pub(super) rate: Xyz,
    /// mm/s² per axis.
    pub(super) acceleration: Xyz,
    /// mm.
    pub(super) junction_deviation: f64,
}

/// What kind of motion a block is; decides which override applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Feed,
    Rapid,
    Jog,
}

/// A wish to move.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Move {
    /// Machine coordinates.
    pub(super) target: Xyz,
    pub(super) kind: Kind,
    /// mm/s; ignored for rapids.
    pub(super) feed: f64,
    /// N word, 0 if none.
    pub(super) number: u32,
}

#[derive(Clone, Debug)]
struct Block {
    from: Xyz,
    unit: Xyz,
    length: f64,
    kind: Kind,
    feed: f64,
    /// The speed that no axis limit forbids in this direction.
    fastest: f64,
    acceleration: f64,
    /// The speed that the corner at its beginning allows.
    corner: f64,
    entry: f64,
    number: u32,
}

impl Block {
    fn nominal(&self, overrides: [f64; 2]) -> f64 {
        match self.kind {
            Kind::Feed => (self.feed * overrides[0]).min(self.fastest),
            Kind::Rapid => self.fastest * overrides[1],
            Kind::Jog => self.feed.min(self.fastest),
        }
    }

    fn at(&self, done: f64) -> Xyz {
        std::array::from_fn(|axis| self.from[axis] + self.unit[axis] * done.min(self.length))
    }
}

/// The planner and the motion that comes out of it.
#[derive(Clone, Debug)]
pub(super) struct Planner {
    limits: Limits,
    /// Feed and rapid override, 1.0 = as programmed.
    overrides: [f64; 2],
    blocks: VecDeque<Block>,
    /// Where it stands when no block is left.
    position: Xyz,
    /// Of the running block: mm done and speed at `since`, and what follows from there.
    done: f64,
    speed: f64,
    since: f64,
    profile: Profile,
    moving: bool,
    holding: bool,
}

impl Planner {
    pub(super) fn new(limits: Limits, position: Xyz) -> Self {
        Self {
            limits,
            overrides: [1.0; 2],
            blocks: VecDeque::new(),
            position,
            done: 0.0,
            speed: 0.0,
            since: 0.0,
            profile: Profile::default(),
            moving: false,
            holding: false,
        }
    }

    pub(super) fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Blocks in it, the running one included.
    pub(super) fn depth(&self) -> usize {
        self.blocks.len()
    }

    pub(super) fn moving(&self) -> bool {
        self.moving
    }

    /// Where the last block ends.
    pub(super) fn end(&self) -> Xyz {
        self.blocks.back().map_or(self.position, |block| block.at(block.length))
    }

    /// The N word of the running block.
    pub(super) fn number(&self) -> u32 {
        self.blocks.front().map_or(0, |block| block.number)
    }

    /// Position and speed (mm/s) now.
    pub(super) fn now(&self, now: f64) -> (Xyz, f64) {
        let Some(block) = self.blocks.front() else { return (self.position, 0.0) };
        if !self.moving {
            return (block.at(self.done), 0.0);
        }
        let (distance, speed) = self.profile.after(now - self.since);
        (block.at(self.done + distance), speed)
    }

    /// Adds a block; one of no length is left out. Returns whether it was added.
    pub(super) fn add(&mut self, now: f64, wish: &Move) -> bool {
        let from = self.end();
        let way: Xyz = std::array::from_fn(|axis| wish.target[axis] - from[axis]);
        let length = way.iter().map(|it| it * it).sum::<f64>().sqrt();
        if length < 1e-6 {
            return false;
        }
        let unit = way.map(|it| it / length);
        let along = |limit: &Xyz| along(limit, &unit);
        self.blocks.push_back(Block {
            from,
            unit,
            length,
            kind: wish.kind,
            feed: wish.feed,
            fastest: along(&self.limits.rate),
            acceleration: along(&self.limits.acceleration),
            corner: self.blocks.back().map_or(0.0, |last| self.corner(last, &unit)),
            entry: 0.0,
            number: wish.number,
        });
        if self.holding {
            return true;
        }
        if self.moving {
            self.replan(now);
        } else {
            self.start(now);
        }
        true
    }

    /// The speed at which the corner between two directions may be taken.
    fn corner(&self, last: &Block, unit: &Xyz) -> f64 {
        let cosine: f64 = -(0..3).map(|axis| last.unit[axis] * unit[axis]).sum::<f64>();
        if cosine > 0.999_999 {
            return 0.0;
        }
        if cosine < -0.999_999 {
            return f64::INFINITY;
        }
        let turn: Xyz = std::array::from_fn(|axis| unit[axis] - last.unit[axis]);
        let size = turn.iter().map(|it| it * it).sum::<f64>().sqrt();
        let a = along(&self.limits.acceleration, &turn.map(|it| it / size));
        let half_sine = ((1.0 - cosine) / 2.0).sqrt();
        (a * self.limits.junction_deviation * half_sine / (1.0 - half_sine)).sqrt()
    }

    fn start(&mut self, now: f64) {
        (self.moving, self.since) = (true, now);
        self.plan();
    }

    fn replan(&mut self, now: f64) {
        let (distance, speed) = self.profile.after(now - self.since);
        (self.done, self.speed, self.since) = (self.done + distance, speed, now);
        self.plan();
    }

    /// Entry speeds of all blocks and the profile of the running one, from `done` and `speed`.
    fn plan(&mut self) {
        let mut next = 0.0_f64;
        for at in (1..self.blocks.len()).rev() {
            let before = self.blocks[at - 1].nominal(self.overrides);
            let block = &mut self.blocks[at];
            let most = block.corner.min(before).min(block.nominal(self.overrides));
            let reachable = (next * next + 2.0 * block.acceleration * block.length).sqrt();
            block.entry = most.min(reachable);
            next = block.entry;
        }
        let (mut speed, mut gone) = (self.speed, self.done);
        for at in 1..self.blocks.len() {
            let block = &self.blocks[at - 1];
            let left = (block.length - gone).max(0.0);
            let reachable = (speed * speed + 2.0 * block.acceleration * left).sqrt();
            let block = &mut self.blocks[at];
            block.entry = block.entry.min(reachable);
            (speed, gone) = (block.entry, 0.0);
        }
        self.set_profile();
    }

    fn set_profile(&mut self) {
        let Some(block) = self.blocks.front() else { return };
        let left = (block.length - self.done).max(0.0);
        self.profile = if self.holding {
            Profile::to_rest(left, self.speed, block.acceleration)
        } else {
            let exit = self.blocks.get(1).map_or(0.0, |next| next.entry);
            let nominal = block.nominal(self.overrides).max(1e-3);
            Profile::over(left, self.speed, nominal, exit, block.acceleration)
        };
    }

    /// Lets everything happen that is due. Returns when it ran empty, if it did.
    pub(super) fn advance(&mut self, now: f64) -> Option<f64> {
        while self.moving {
            let duration = self.profile.duration();
            if now < self.since + duration {
                return None;
            }
            let (distance, _) = self.profile.after(duration);
            self.since += duration;
            self.speed = self.profile.exit;
            if self.holding && self.speed < 1e-9 {
                self.done += distance;
                (self.moving, self.speed) = (false, 0.0);
                self.drop_finished();
                return None;
            }
            self.next_block();
            if !self.moving {
                return Some(self.since);
            }
        }
        None
    }

    fn next_block(&mut self) {
        if let Some(block) = self.blocks.pop_front() {
            self.position = block.at(block.length);
        }
        self.done = 0.0;
        if self.blocks.is_empty() {
            (self.moving, self.speed) = (false, 0.0);
        } else {
            self.set_profile();
        }
    }

    /// A hold may come to rest exactly at the end of a block.
    fn drop_finished(&mut self) {
        if self.blocks.front().is_some_and(|block| block.length - self.done < 1e-9) {
            if let Some(block) = self.blocks.pop_front() {
                self.position = block.at(block.length);
            }
            self.done = 0.0;
        }
    }

    /// When `advance` has something to do.
    pub(super) fn next_event(&self) -> Option<f64> {
        self.moving.then(|| self.since + self.profile.duration())
    }

    /// Begins to slow down; at rest when it no longer moves. What is left of the blocks stays.
    pub(super) fn hold(&mut self, now: f64) {
        self.holding = true;
        if self.moving {
            self.replan(now);
        }
    }

    /// Goes on after a hold.
    pub(super) fn resume(&mut self, now: f64) {
        self.holding = false;
        if self.moving {
            self.replan(now);
        } else if !self.blocks.is_empty() {
            self.start(now);
        }
    }

    /// Sets feed and rapid override (1.0 = as programmed); they act at once.
    pub(super) fn set_overrides(&mut self, now: f64, overrides: [f64; 2]) {
        self.overrides = overrides;
        if self.moving {
            self.replan(now);
        }
    }

    /// Forgets all blocks and stands where it is. Returns that place.
    pub(super) fn flush(&mut self, now: f64) -> Xyz {
        self.position = self.now(now).0;
        self.blocks.clear();
        (self.moving, self.holding) = (false, false);
        (self.done, self.speed) = (0.0, 0.0);
        self.position
    }

    /// Carries out all blocks in no time.
    pub(super) fn finish(&mut self) {
        self.position = self.end();
        self.blocks.clear();
        self.moving = false;
        (self.done, self.speed) = (0.0, 0.0);
    }

    /// Says that it stands somewhere else now (homing).
    pub(super) fn set_position(&mut self, position: Xyz) {
        self.position = position;
    }
}

/// The size along a direction that exceeds no axis' limit.
fn along(limit: &Xyz, unit: &Xyz) -> f64 {
    (0..3)
        .filter(|&axis| unit[axis].abs() > 1e-12)
        .map(|axis| limit[axis] / unit[axis].abs())
        .fold(f64::INFINITY, f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planner() -> Planner {
        let limits =
            Limits { rate: [100.0; 3], acceleration: [500.0; 3], junction_deviation: 0.01 };
        Planner::new(limits, [0.0; 3])
    }

    fn feed(x: f64, y: f64, feed: f64) -> Move {
        Move { target: [x, y, 0.0], kind: Kind::Feed, feed, number: 0 }
    }

    /// Seconds until it stands still.
    fn run(planner: &mut Planner) -> f64 {
        let mut last = 0.0;
        while let Some(at) = planner.next_event() {
            last = at;
            planner.advance(at);
        }
        last
    }

    #[test]
    fn one_block_takes_its_length_over_its_feed_and_one_ramp() {
        let mut planner = planner();
        planner.add(0.0, &feed(100.0, 0.0, 50.0));
        // 2 s of way, and 0.05 s for each of two ramps at half speed.
        assert!((run(&mut planner) - 2.1).abs() < 1e-6);
        assert_eq!(planner.now(9.0).0, [100.0, 0.0, 0.0]);
    }

    #[test]
    fn straight_blocks_are_driven_through() {
        let mut planner = planner();
        for x in 1..=10 {
            planner.add(0.0, &feed(f64::from(x), 0.0, 10.0));
        }
        assert!((run(&mut planner) - 1.02).abs() < 1e-6);
    }

    #[test]
    fn a_corner_is_taken_slowly_and_a_reversal_from_rest() {
        let time = |second: Move| {
            let mut planner = planner();
            planner.add(0.0, &feed(10.0, 0.0, 50.0));
            planner.add(0.0, &second);
            run(&mut planner)
        };
        let (straight, corner, back) =
            (time(feed(20.0, 0.0, 50.0)), time(feed(10.0, 10.0, 50.0)), time(feed(0.0, 0.0, 50.0)));
        assert!(straight < corner && corner < back, "{straight} {corner} {back}");
        assert!((back - 0.6).abs() < 1e-6, "{back}");
    }

    #[test]
    fn a_hold_slows_down_through_blocks_and_the_rest_is_driven_later() {
        let mut planner = planner();
        for x in 1..=15 {
            planner.add(0.0, &feed(f64::from(x), 0.0, 50.0));
        }
        planner.advance(0.15);
        let (before, speed) = planner.now(0.15);
        planner.hold(0.15);
        assert!((speed - 50.0).abs() < 1e-6, "{speed}");
        while let Some(at) = planner.next_event() {
            planner.advance(at);
        }
        let (rest, speed) = planner.now(5.0);
        assert_eq!(speed, 0.0);
        assert!((rest[0] - before[0] - 2.5).abs() < 1e-6, "{rest:?} {before:?}");
        planner.resume(5.0);
        run(&mut planner);
        assert_eq!(planner.now(99.0).0, [15.0, 0.0, 0.0]);
    }

    #[test]
    fn overrides_change_the_speed_in_the_middle_of_a_block() {
        let mut planner = planner();
        planner.add(0.0, &feed(50.0, 0.0, 50.0));
        planner.advance(0.5);
        planner.set_overrides(0.5, [0.5, 1.0]);
        planner.advance(0.8);
        assert!((planner.now(0.8).1 - 25.0).abs() < 1e-6);
        run(&mut planner);
        assert_eq!(planner.now(99.0).0, [50.0, 0.0, 0.0]);
    }

    #[test]
    fn position_never_jumps() {
        let mut planner = planner();
        let mut last = [0.0; 3];
        let corners = [(5.0, 0.0), (5.0, 5.0), (0.0, 0.1), (0.0, 0.0), (30.0, 40.0), (31.0, 40.0)];
        for (x, y) in corners {
            planner.add(0.0, &feed(x, y, 80.0));
        }
        for step in 0..20_000 {
            let now = f64::from(step) / 10_000.0;
            match step {
                2_000 => planner.set_overrides(now, [0.1, 1.0]),
                4_000 => planner.set_overrides(now, [2.0, 1.0]),
                6_000 => planner.hold(now),
                9_000 => planner.resume(now),
                _ => (),
            }
            planner.advance(now);
            let at = planner.now(now).0;
            let moved: f64 = (0..3).map(|axis| (at[axis] - last[axis]).abs()).sum();
            assert!(moved < 0.02, "{moved} mm in 0.1 ms at {now}");
            last = at;
        }
        assert_eq!(last, [31.0, 40.0, 0.0]);
    }
}
