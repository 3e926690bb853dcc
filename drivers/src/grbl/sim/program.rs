//! The pretend controller's own reading of G-code: a line in, things to do out.
//!
//! Deliberately not the interpreter that Headstock checks programs with: driver and pretender
//! must not share a mistake. It knows what GRBL 1.1 knows, refuses with GRBL's numbers, and
//! splits arcs into chords by `$12`. A refused line changes nothing.
//!
//! Sources: NIST RS274/NGC as far as GRBL follows it; the error table of GRBL 1.1.
//! Pure. Not here: how long anything takes, and the `$` commands.

use std::collections::VecDeque;

use headstock_config::machine::Xyz;

use super::planner::{Kind, Move};
use super::words::{
    DISTANCE, FEED_MODE, MOTION, NON_MODAL, PLANE, SYSTEM, TOOL_LENGTH, UNITS, Words, check_jog,
};

/// One thing to do, in order; the next begins when this one is over.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Act {
    /// Wait until nothing moves.
    Drain,
    Move(Move),
    /// Seconds.
    Dwell(f64),
    /// -1 counter-clockwise, 0 off, 1 clockwise; rev/min.
    Spindle(i8, f64),
    Flood(bool),
    /// The work offset is now this.
    Offset(Xyz),
    /// Writes this many bytes of EEPROM.
    Store(usize),
    /// Move until the probe changes. `away`: until it lets go.
    Probe {
        wish: Move,
        away: bool,
        lenient: bool,
    },
    /// M0: hold until a person says go on.
    Pause,
    /// M2 and M30.
    End,
}

/// What lines leave behind.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Modes {
    /// Tenfold: 0, 10, 20, 30, 382…385, 800.
    pub(super) motion: u16,
    /// 17, 18 or 19.
    pub(super) plane: u16,
    pub(super) inches: bool,
    pub(super) incremental: bool,
    pub(super) inverse_time: bool,
    /// 0 to 5 for G54 to G59.
    pub(super) system: usize,
    /// mm/min (or per minute, with G93).
    pub(super) feed: f64,
    pub(super) speed: f64,
    pub(super) spindle: i8,
    pub(super) flood: bool,
    pub(super) tool: u32,
    pub(super) tool_length: f64,
    /// Where the parser believes to be, machine coordinates.
    pub(super) position: Xyz,
}

impl Modes {
    /// As after a reset.
    pub(super) fn at(position: Xyz) -> Self {
        Self {
            motion: 0,
            plane: 17,
            inches: false,
            incremental: false,
            inverse_time: false,
            system: 0,
            feed: 0.0,
            speed: 0.0,
            spindle: 0,
            flood: false,
            tool: 0,
            tool_length: 0.0,
            position,
        }
    }
}

/// Stored positions. All but `g92` survive a reset.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Offsets {
    pub(super) systems: [Xyz; 6],
    pub(super) g28: Xyz,
    pub(super) g30: Xyz,
    pub(super) g92: Xyz,
}

/// Settings that the meaning of a line depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// mm.
    pub(super) arc_tolerance: f64,
    pub(super) laser: bool,
    /// The line follows `$J=`.
    pub(super) jog: bool,
}

/// Parser state.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Program {
    pub(super) modes: Modes,
    pub(super) offsets: Offsets,
}

impl Program {
    pub(super) fn new(position: Xyz, offsets: Offsets) -> Self {
        Self { modes: Modes::at(position), offsets }
    }

    /// Machine minus work position.
    pub(super) fn offset(&self) -> Xyz {
        let system = self.offsets.systems[self.modes.system];
        let mut sum: Xyz = std::array::from_fn(|axis| system[axis] + self.offsets.g92[axis]);
        sum[2] += self.modes.tool_length;
        sum
    }

    /// Reads a stripped upper-case line. `Err` is GRBL's number.
    pub(super) fn read(&mut self, text: &str, rules: Rules) -> Result<VecDeque<Act>, u8> {
        let words = Words::read(text)?;
        let mut next = self.clone();
        let acts = next.carry_out(words, rules)?;
        if rules.jog {
            // A jog leaves nothing behind but the place.
            self.modes.position = next.modes.position;
        } else {
            *self = next;
        }
        Ok(acts)
    }

    fn carry_out(&mut self, mut words: Words, rules: Rules) -> Result<VecDeque<Act>, u8> {
        let mut acts = VecDeque::new();
        if rules.jog {
            check_jog(&words)?;
        }
        let number = words.take(b'N').unwrap_or_default();
        if number > 9_999_999.0 {
            return Err(27);
        }
        self.units_and_feed(&mut words, rules)?;
        self.spindle_and_tool(&mut words, rules, &mut acts)?;
        if words.g[NON_MODAL] == Some(40) {
            let seconds = words.take(b'P').ok_or(28)?;
            acts.extend([Act::Drain, Act::Dwell(seconds)]);
        }
        self.plane_and_offsets(&mut words, &mut acts)?;
        self.stored_places(&mut words, &mut acts)?;
        self.motion(&mut words, rules, number as u32, &mut acts)?;
        if words.values.iter().any(Option::is_some) {
            let axes = words.axes().iter().any(Option::is_some);
            return Err(if axes { 31 } else { 36 });
        }
        self.flow(words.stop, &mut acts);
        Ok(acts)
    }

    fn units_and_feed(&mut self, words: &mut Words, rules: Rules) -> Result<(), u8> {
        let modes = &mut self.modes;
        if let Some(units) = words.g[UNITS] {
            modes.inches = units == 200;
        }
        if let Some(mode) = words.g[FEED_MODE] {
            if modes.inverse_time != (mode == 930) {
                modes.feed = 0.0;
            }
            modes.inverse_time = mode == 930;
        }
        let given = words.take(b'F');
        if rules.jog {
            modes.inverse_time = false;
            modes.feed = 0.0;
        }
        if let Some(feed) = given {
            let unit = if modes.inches && !modes.inverse_time { 25.4 } else { 1.0 };
            modes.feed = feed * unit;
        } else if modes.inverse_time {
            modes.feed = 0.0;
        }
        Ok(())
    }

    fn spindle_and_tool(
        &mut self,
        words: &mut Words,
        rules: Rules,
        acts: &mut VecDeque<Act>,
    ) -> Result<(), u8> {
        let before = (self.modes.spindle, self.modes.speed);
        if let Some(speed) = words.take(b'S') {
            self.modes.speed = speed;
        }
        if let Some(tool) = words.take(b'T') {
            if tool > 255.0 {
                return Err(38);
            }
            self.modes.tool = tool as u32;
        }
        if let Some(spindle) = words.spindle {
            self.modes.spindle = spindle;
        }
        let after = (self.modes.spindle, self.modes.speed);
        let turned = before.0 != after.0;
        let faster = before.1 != after.1 && after.0 != 0;
        if turned || (faster && !rules.laser) {
            acts.extend([Act::Drain, Act::Spindle(after.0, after.1)]);
        } else if faster {
            acts.push_back(Act::Spindle(after.0, after.1));
        }
        if let Some(flood) = words.flood
            && flood != std::mem::replace(&mut self.modes.flood, flood)
        {
            acts.extend([Act::Drain, Act::Flood(flood)]);
        }
        Ok(())
    }

    fn plane_and_offsets(&mut self, words: &mut Words, acts: &mut VecDeque<Act>) -> Result<(), u8> {
        let before = self.offset();
        if let Some(plane) = words.g[PLANE] {
            self.modes.plane = plane / 10;
        }
        match words.g[TOOL_LENGTH] {
            Some(431) => {
                if words.value(b'X').is_some() || words.value(b'Y').is_some() {
                    return Err(37);
                }
                self.modes.tool_length = words.take(b'Z').ok_or(37)? * self.unit();
            }
            Some(_) => self.modes.tool_length = 0.0,
            None => (),
        }
        if let Some(system) = words.g[SYSTEM] {
            self.modes.system = usize::from(system / 10 - 54);
        }
        if let Some(distance) = words.g[DISTANCE] {
            self.modes.incremental = distance == 910;
        }
        if self.offset() != before {
            acts.extend([Act::Drain, Act::Offset(self.offset())]);
        }
        Ok(())
    }

    pub(super) fn unit(&self) -> f64 {
        if self.modes.inches { 25.4 } else { 1.0 }
    }

    fn stored_places(&mut self, words: &mut Words, acts: &mut VecDeque<Act>) -> Result<(), u8> {
        let here = self.modes.position;
        match words.g[NON_MODAL] {
            Some(100) => return self.write_system(words, acts),
            Some(281) => self.offsets.g28 = here,
            Some(301) => self.offsets.g30 = here,
            Some(920) => {
                let axes = self.take_axes(words).ok_or(26)?;
                let system = self.offsets.systems[self.modes.system];
                for axis in 0..3 {
                    let length = if axis == 2 { self.modes.tool_length } else { 0.0 };
                    if let Some(value) = axes[axis] {
                        self.offsets.g92[axis] = here[axis] - system[axis] - value - length;
                    }
                }
                acts.extend([Act::Drain, Act::Offset(self.offset())]);
                return Ok(());
            }
            Some(921) => {
                self.offsets.g92 = [0.0; 3];
                acts.extend([Act::Drain, Act::Offset(self.offset())]);
                return Ok(());
            }
            _ => return Ok(()),
        }
        acts.extend([Act::Drain, Act::Store(13)]);
        Ok(())
    }

    /// Takes the axis words, in mm; `None` if there are none.
    fn take_axes(&self, words: &mut Words) -> Option<[Option<f64>; 3]> {
        let unit = self.unit();
        let axes = [b'X', b'Y', b'Z'].map(|letter| words.take(letter).map(|value| value * unit));
        axes.iter().any(Option::is_some).then_some(axes)
    }

    fn write_system(&mut self, words: &mut Words, acts: &mut VecDeque<Act>) -> Result<(), u8> {
        let axes = self.take_axes(words).ok_or(26)?;
        let (Some(system), Some(how)) = (words.take(b'P'), words.take(b'L')) else {
            return Err(28);
        };
        if system > 6.0 {
            return Err(29);
        }
        if how != 2.0 && how != 20.0 {
            return Err(20);
        }
        let system = match system as usize {
            0 => self.modes.system,
            number => number - 1,
        };
        for (axis, value) in axes.into_iter().enumerate() {
            let Some(value) = value else { continue };
            let length = if axis == 2 { self.modes.tool_length } else { 0.0 };
            self.offsets.systems[system][axis] = if how == 20.0 {
                self.modes.position[axis] - self.offsets.g92[axis] - length - value
            } else {
                value
            };
        }
        acts.extend([Act::Drain, Act::Store(13), Act::Offset(self.offset())]);
        Ok(())
    }

    fn motion(
        &mut self,
        words: &mut Words,
        rules: Rules,
        number: u32,
        acts: &mut VecDeque<Act>,
    ) -> Result<(), u8> {
        let to_store = words.g[NON_MODAL];
        if let Some(motion) = words.g[MOTION] {
            self.modes.motion = motion;
        }
        let direct = to_store == Some(530);
        if direct && !rules.jog && !matches!(self.modes.motion, 0 | 10) {
            return Err(30);
        }
        let arc_words = [b'I', b'J', b'K', b'R'].map(|letter| words.value(letter));
        let axes = words.axes();
        let named = axes.iter().any(Option::is_some);
        let target = if named { self.target(words, direct) } else { self.modes.position };
        if matches!(to_store, Some(280 | 300)) {
            return self.go_to_stored(to_store, target, axes, named, number, acts);
        }
        if rules.jog {
            return self.jog(target, named, number, acts);
        }
        if !named && arc_words.iter().all(Option::is_none) && words.g[MOTION].is_none() {
            return Ok(());
        }
        match self.modes.motion {
            800 if named => Err(31),
            0 | 10 if !named => Ok(()),
            0 => {
                self.go(Kind::Rapid, target, 0.0, number, acts);
                Ok(())
            }
            800 => Ok(()),
            _ if self.modes.feed == 0.0 => Err(22),
            10 => {
                let feed = self.speed_over(distance(self.modes.position, target));
                self.go(Kind::Feed, target, feed, number, acts);
                Ok(())
            }
            20 | 30 if !named => Err(26),
            20 | 30 => self.arc(words, target, axes, rules.arc_tolerance, number, acts),
            _ => self.probe(target, named, number, acts),
        }
    }

    /// mm/s over this distance.
    pub(super) fn speed_over(&self, distance: f64) -> f64 {
        if self.modes.inverse_time {
            distance * self.modes.feed / 60.0
        } else {
            self.modes.feed / 60.0
        }
    }

    fn target(&self, words: &mut Words, direct: bool) -> Xyz {
        let axes = self.take_axes(words).unwrap_or_default();
        let (here, offset) = (self.modes.position, self.offset());
        std::array::from_fn(|axis| match axes[axis] {
            None => here[axis],
            Some(value) if direct => value,
            Some(value) if self.modes.incremental => here[axis] + value,
            Some(value) => value + offset[axis],
        })
    }

    pub(super) fn go(
        &mut self,
        kind: Kind,
        target: Xyz,
        feed: f64,
        number: u32,
        acts: &mut VecDeque<Act>,
    ) {
        acts.push_back(Act::Move(Move { target, kind, feed, number }));
        self.modes.position = target;
    }

    fn go_to_stored(
        &mut self,
        which: Option<u16>,
        target: Xyz,
        axes: [Option<f64>; 3],
        named: bool,
        number: u32,
        acts: &mut VecDeque<Act>,
    ) -> Result<(), u8> {
        let stored = if which == Some(280) { self.offsets.g28 } else { self.offsets.g30 };
        let mut end = stored;
        if named {
            self.go(Kind::Rapid, target, 0.0, number, acts);
            for axis in 0..3 {
                end[axis] = if axes[axis].is_some() { stored[axis] } else { target[axis] };
            }
        }
        self.go(Kind::Rapid, end, 0.0, number, acts);
        Ok(())
    }

    fn jog(
        &mut self,
        target: Xyz,
        named: bool,
        number: u32,
        acts: &mut VecDeque<Act>,
    ) -> Result<(), u8> {
        if !named {
            return Err(26);
        }
        if self.modes.feed == 0.0 {
            return Err(22);
        }
        self.go(Kind::Jog, target, self.modes.feed / 60.0, number, acts);
        Ok(())
    }

    fn probe(
        &mut self,
        target: Xyz,
        named: bool,
        number: u32,
        acts: &mut VecDeque<Act>,
    ) -> Result<(), u8> {
        if !named {
            return Err(26);
        }
        if distance(self.modes.position, target) < 1e-9 {
            return Err(33);
        }
        let feed = self.speed_over(distance(self.modes.position, target));
        let wish = Move { target, kind: Kind::Feed, feed, number };
        let (away, lenient) = (self.modes.motion >= 384, self.modes.motion % 2 == 1);
        acts.extend([Act::Drain, Act::Probe { wish, away, lenient }]);
        self.modes.position = target;
        Ok(())
    }

    fn flow(&mut self, stop: Option<u16>, acts: &mut VecDeque<Act>) {
        match stop {
            Some(0) => acts.extend([Act::Drain, Act::Pause]),
            Some(2 | 30) => {
                let modes = &mut self.modes;
                (modes.motion, modes.plane, modes.system) = (10, 17, 0);
                (modes.incremental, modes.inverse_time) = (false, false);
                (modes.spindle, modes.flood) = (0, false);
                let offset = self.offset();
                acts.extend([Act::Drain, Act::Spindle(0, 0.0), Act::Flood(false)]);
                acts.extend([Act::Offset(offset), Act::End]);
            }
            // M1 is ignored: there is no switch for it.
            _ => (),
        }
    }
}

fn distance(from: Xyz, to: Xyz) -> f64 {
    (0..3).map(|axis| (to[axis] - from[axis]).powi(2)).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules { arc_tolerance: 0.002, laser: false, jog: false };

    fn program() -> Program {
        Program::new([0.0; 3], Offsets::default())
    }

    fn ends(lines: &[&str]) -> Xyz {
        let mut program = program();
        for line in lines {
            program.read(line, RULES).unwrap();
        }
        program.modes.position
    }

    #[test]
    fn lines_are_refused_with_the_numbers_of_the_controller() {
        let table = [
            ("G1X", 2),
            ("X1", 0),
            ("*5", 1),
            ("G1X1", 22),
            ("G1G2X1F1", 24),
            ("G17G18", 21),
            ("G0X1X2", 25),
            ("M6", 20),
            ("G5", 20),
            ("G59.1", 29),
            ("M3.1", 23),
            ("G1F-1X1", 4),
            ("G4", 28),
            ("G53G2X1I1F10", 30),
            ("G80X1", 31),
            ("G2F100", 26),
            ("G2F100Z1I1", 32),
            ("G2F100X1I5J5", 33),
            ("G2F100X10R1", 34),
            ("G2F100X10K1", 35),
            ("G0X1P5", 36),
            ("G43.1X1", 37),
            ("T300", 38),
            ("N99999999G0", 27),
            ("G10X1", 28),
            ("G10L2P9X1", 29),
            ("G38.2F10", 26),
        ];
        for (line, number) in table {
            let mut program = program();
            let read = program.read(line, RULES);
            assert_eq!(read.as_ref().err().copied().unwrap_or(0), number, "{line}: {read:?}");
            if number != 0 {
                assert_eq!(program, super::tests::program(), "{line} changed something");
            }
        }
    }

    #[test]
    fn coordinates_follow_units_distance_mode_and_offsets() {
        assert_eq!(ends(&["G20G0X1", "G21X2"]), [2.0, 0.0, 0.0]);
        assert_eq!(ends(&["G91G0X1Y2", "X1Z-1"]), [2.0, 2.0, -1.0]);
        assert_eq!(ends(&["G10L2P2X10Y5", "G55G0X1Y1"]), [11.0, 6.0, 0.0]);
        assert_eq!(ends(&["G0X5", "G10L20P0X0", "G0X1"]), [6.0, 0.0, 0.0]);
        assert_eq!(ends(&["G0X5", "G92X0", "G0X1", "G92.1", "G0Y1"]), [6.0, 1.0, 0.0]);
        assert_eq!(ends(&["G92X3", "G53G0X1"]), [1.0, 0.0, 0.0]);
        assert_eq!(ends(&["G0X9Y9", "G28.1", "G0X1Y1Z1", "G28X0"]), [9.0, 1.0, 1.0]);
    }

    #[test]
    fn arcs_keep_their_length_and_end_where_they_should() {
        for (lines, length, end) in [
            ("G3X10Y0I5F600", 15.70, [10.0, 0.0]),
            ("G2X10R5F600", 15.70, [10.0, 0.0]),
            ("G2X0Y0I-10F600", 62.83, [0.0, 0.0]),
            ("G3X10Y10R-10F600", 47.12, [10.0, 10.0]),
        ] {
            let mut program = program();
            let acts = program.read(lines, RULES).unwrap();
            let mut at = [0.0; 3];
            let mut sum = 0.0;
            for act in acts {
                let Act::Move(wish) = act else { panic!("{act:?}") };
                sum += distance(at, wish.target);
                at = wish.target;
            }
            assert!((sum - length).abs() < 0.05, "{lines}: {sum}");
            assert_eq!(at[..2], end, "{lines}");
        }
    }

    #[test]
    fn a_jog_leaves_nothing_behind_but_the_place() {
        let jog = Rules { jog: true, ..RULES };
        let mut program = program();
        let acts = program.read("G91G20X1F10", jog).unwrap();
        assert_eq!(acts.len(), 1);
        assert_eq!(program.modes, Modes::at([25.4, 0.0, 0.0]));
        assert_eq!(program.read("X1", jog).unwrap_err(), 22);
        assert_eq!(program.read("G1X1F10", jog).unwrap_err(), 16);
        assert_eq!(program.read("F10", jog).unwrap_err(), 26);
    }

    #[test]
    fn the_end_of_a_program_sets_back_what_it_should_and_no_more() {
        let mut program = program();
        for line in ["G20G91G55M3S100M8F5", "G43.1Z1", "M30"] {
            program.read(line, RULES).unwrap();
        }
        let modes = &program.modes;
        assert_eq!((modes.motion, modes.system, modes.spindle, modes.flood), (10, 0, 0, false));
        assert!(modes.inches && !modes.incremental && modes.tool_length == 25.4);
    }
}
