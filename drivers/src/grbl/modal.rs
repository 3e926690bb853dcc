//! The modal state that the controller must be in, as far as the sent lines tell.
//!
//! A group that is `None` is not known and never compared with `[GC:…]`: feed and speed until a
//! line sets them, everything after the end of a program, which resets modes. It is not an
//! interpreter: it knows no positions (see `crate::gcode`).

use std::fmt::Write;

use headstock_config::machine::Units;

/// One value per modal group; G-codes times ten (`G38.2` is 382).
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Modal {
    /// G0, G1, G2, G3, G38.x, G80.
    pub(super) motion: Option<u16>,
    /// G17 to G19.
    pub(super) plane: Option<u16>,
    /// G20 or G21.
    pub(super) units: Option<u16>,
    /// G90 or G91.
    pub(super) distance: Option<u16>,
    /// G93 or G94.
    pub(super) feed_mode: Option<u16>,
    /// G54 to G59.
    pub(super) system: Option<u16>,
    /// M3, M4 or M5.
    pub(super) spindle: Option<u8>,
    /// M8.
    pub(super) flood: Option<bool>,
    /// M7.
    pub(super) mist: Option<bool>,
    /// Feed in mm/min; unknown under G93.
    pub(super) feed: Option<f64>,
    /// Programmed spindle speed.
    pub(super) speed: Option<f64>,
}

/// What one line does that the checks must know of.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Effect {
    /// Axes named in the line.
    pub(super) axes: [bool; 3],
    /// Its targets are absolute work coordinates, so a named axis is known afterwards.
    pub(super) absolute: bool,
    /// How far outside the box of its end points it may lead, mm; infinite where nobody can tell.
    pub(super) bulge: f64,
    /// Its N word.
    pub(super) n: Option<u64>,
    /// Seconds that it dwells.
    pub(super) dwell_s: f64,
}

impl Modal {
    /// The modes in which every program begins: those of a controller that was just switched on,
    /// and the declared units. The work coordinate system is the person's choice.
    pub(super) fn of_start(units: Units) -> Self {
        Self {
            motion: Some(0),
            plane: Some(170),
            units: Some(if units == Units::Inch { 200 } else { 210 }),
            distance: Some(900),
            feed_mode: Some(940),
            ..Self::default()
        }
    }

    /// These modes where they are known, else those of `below`, whose feed and speed are nobody's.
    pub(super) fn over(self, below: Self) -> Self {
        Self {
            motion: self.motion.or(below.motion),
            plane: self.plane.or(below.plane),
            units: self.units.or(below.units),
            distance: self.distance.or(below.distance),
            feed_mode: self.feed_mode.or(below.feed_mode),
            system: self.system.or(below.system),
            spindle: self.spindle.or(below.spindle),
            flood: self.flood.or(below.flood),
            mist: self.mist.or(below.mist),
            feed: self.feed,
            speed: self.speed,
        }
    }

    /// Follows a line that is sent. `text` is stripped and upper case.
    pub(super) fn take(&mut self, text: &str) -> Effect {
        let mut line = Line::default();
        for (letter, value) in words(text) {
            self.take_word(letter, value, &mut line);
        }
        if let Some(feed) = line.feed {
            self.feed = match (self.feed_mode, self.units) {
                (Some(930), _) | (_, None) => None,
                (_, Some(200)) => Some(feed * 25.4),
                _ => Some(feed),
            };
        }
        let scale = if self.units == Some(200) { 25.4 } else { 1.0 };
        let plain = matches!(self.motion, None | Some(0..=30 | 800)) && !line.unbounded;
        Effect {
            axes: line.axes,
            absolute: self.distance == Some(900) && !line.odd_target,
            bulge: if plain { 2.0 * scale * line.reach.sqrt() } else { f64::INFINITY },
            n: line.n,
            dwell_s: if line.dwells { line.p } else { 0.0 },
        }
    }

    fn take_word(&mut self, letter: u8, value: f64, line: &mut Line) {
        match letter {
            b'G' => self.take_g(code(value), line),
            b'M' => self.take_m(code(value) / 10, line),
            b'X' | b'Y' | b'Z' => line.axes[usize::from(letter - b'X')] = true,
            b'I' | b'J' | b'K' => line.reach += value * value,
            b'R' => line.reach += value * value,
            b'F' => line.feed = Some(value),
            b'S' => self.speed = Some(value),
            b'N' if value >= 0.0 => line.n = Some(value as u64),
            b'P' => line.p = value.max(0.0),
            _ => (),
        }
    }

    fn take_g(&mut self, code: u16, line: &mut Line) {
        match code {
            0 | 10 | 20 | 30 | 800 => self.motion = Some(code),
            380..=389 | 330 | 50 | 51 | 730 | 760 | 810..=890 => self.motion = Some(code),
            40 => line.dwells = true,
            170 | 180 | 190 => self.plane = Some(code),
            200 | 210 => self.units = Some(code),
            900 | 910 => self.distance = Some(code),
            930 | 940 => self.feed_mode = Some(code),
            540 | 550 | 560 | 570 | 580 | 590 => {
                self.system = Some(code);
                line.unbounded = true;
            }
            // Where these lead, or what they do to the work coordinates, is not in the line.
            100 | 280 | 300 | 281 | 301 | 430..=439 | 490 | 530 | 591..=593 | 920..=929 => {
                line.unbounded = true;
                line.odd_target = true;
            }
            _ => (),
        }
    }

    fn take_m(&mut self, code: u16, line: &mut Line) {
        match code {
            3..=5 => self.spindle = Some(code as u8),
            7 => self.mist = Some(true),
            8 => self.flood = Some(true),
            9 => (self.flood, self.mist) = (Some(false), Some(false)),
            // The end of a program resets modes, and not every firmware the same ones.
            2 | 30 => {
                *self = Self::default();
                line.odd_target = true;
            }
            _ => (),
        }
    }

    /// Reads the text of `[GC:…]`. Feeds are mm/min whatever the controller reports in.
    pub(super) fn of_report(text: &str, inches: bool) -> Self {
        let mut modal = Self { flood: Some(false), mist: Some(false), ..Self::default() };
        for word in text.split_whitespace() {
            let Some((letter, value)) = words(word).next() else { continue };
            match letter {
                b'F' => modal.feed = Some(if inches { value * 25.4 } else { value }),
                b'M' if value == 9.0 => (),
                b'M' if matches!(code(value), 0 | 10 | 20 | 300) => (),
                _ => modal.take_word(letter, value, &mut Line::default()),
            }
        }
        modal
    }

    /// These modes in the groups in which two reports differ.
    pub(super) fn only_where(&self, one: &Self, other: &Self) -> Self {
        fn kept<T: PartialEq + Copy>(
            mode: Option<T>,
            one: Option<T>,
            other: Option<T>,
        ) -> Option<T> {
            mode.filter(|_| one != other)
        }
        Self {
            motion: kept(self.motion, one.motion, other.motion),
            plane: kept(self.plane, one.plane, other.plane),
            units: kept(self.units, one.units, other.units),
            distance: kept(self.distance, one.distance, other.distance),
            feed_mode: kept(self.feed_mode, one.feed_mode, other.feed_mode),
            system: kept(self.system, one.system, other.system),
            spindle: kept(self.spindle, one.spindle, other.spindle),
            flood: kept(self.flood, one.flood, other.flood),
            mist: kept(self.mist, one.mist, other.mist),
            feed: kept(self.feed, one.feed, other.feed),
            speed: kept(self.speed, one.speed, other.speed),
        }
    }

    /// Something turns or flows.
    pub(super) fn runs_tools(&self) -> bool {
        matches!(self.spindle, Some(3 | 4)) || self.flood == Some(true) || self.mist == Some(true)
    }

    /// The first group in which the controller is not what the lines made it: (expected, found).
    pub(super) fn differs(&self, reported: &Self, exact: bool) -> Option<(String, String)> {
        let groups = [
            (self.motion, reported.motion),
            (self.plane, reported.plane),
            (self.units, reported.units),
            (self.distance, reported.distance),
            (self.feed_mode, reported.feed_mode),
            (self.system, reported.system),
        ];
        for (ours, theirs) in groups {
            // A probe may be reported by another of its numbers.
            let probe = |code| (380..390).contains(&code);
            if let (Some(ours), Some(theirs)) = (ours, theirs)
                && ours != theirs
                && !(probe(ours) && probe(theirs))
            {
                return Some((g_word(ours), g_word(theirs)));
            }
        }
        self.differs_in_tools(reported).or_else(|| {
            let far = |ours: Option<f64>, theirs: Option<f64>, by: f64| {
                exact.then_some(())?;
                ours.zip(theirs).filter(|(ours, theirs)| (ours - theirs).abs() > by)
            };
            let feed = far(self.feed, reported.feed, 3.0).map(|it| ('F', it));
            let speed = far(self.speed, reported.speed, 1.0).map(|it| ('S', it));
            // Not the tool: GRBL 1.1h forgets it with the next line that has no T word.
            let (letter, (ours, theirs)) = feed.or(speed)?;
            Some((format!("{letter}{ours}"), format!("{letter}{theirs}")))
        })
    }

    fn differs_in_tools(&self, reported: &Self) -> Option<(String, String)> {
        if let (Some(ours), Some(theirs)) = (self.spindle, reported.spindle)
            && ours != theirs
        {
            return Some((format!("M{ours}"), format!("M{theirs}")));
        }
        for (ours, theirs, on) in
            [(self.flood, reported.flood, "M8"), (self.mist, reported.mist, "M7")]
        {
            if let (Some(ours), Some(theirs)) = (ours, theirs)
                && ours != theirs
            {
                let word = |is: bool| if is { on } else { "M9" }.to_owned();
                return Some((word(ours), word(theirs)));
            }
        }
        None
    }

    /// The lines that bring a controller from `now` back to this state: modes first, then spindle
    /// (with its time to get up to speed) and coolant.
    pub(super) fn restore(&self, now: &Self, spinup_s: f64) -> Vec<String> {
        let mut modes = String::new();
        // An arc or probe mode cannot be set without a move; G1 makes a bare target refuse.
        let motion = self.motion.map(|code| if code > 10 && code != 800 { 10 } else { code });
        let groups = [
            (self.units, now.units),
            (motion.filter(|_| self.motion != now.motion), None),
            (self.system, now.system),
            (self.plane, now.plane),
            (self.distance, now.distance),
            (self.feed_mode, now.feed_mode),
        ];
        for (wanted, is) in groups {
            if let Some(code) = wanted.filter(|_| wanted != is) {
                modes.push_str(&g_word(code));
            }
        }
        let feed = self.feed.filter(|&feed| feed > 0.0 && self.feed != now.feed);
        if let Some(feed) = feed.or(self.feed.filter(|&feed| feed > 0.0 && !modes.is_empty())) {
            let scale = if self.units == Some(200) { 25.4 } else { 1.0 };
            let feed = format!("F{}", decimal(feed / scale));
            modes.push_str(if self.feed_mode == Some(930) { "" } else { &feed });
        }
        let mut lines = Vec::new();
        lines.extend((!modes.is_empty()).then_some(modes));
        lines.extend(self.restore_tools(now, spinup_s));
        lines
    }

    fn restore_tools(&self, now: &Self, spinup_s: f64) -> Vec<String> {
        let mut lines = Vec::new();
        let spindle_same = self.spindle == now.spindle && self.speed == now.speed;
        if let Some(spindle) = self.spindle.filter(|_| !spindle_same) {
            let speed = self.speed.map(|speed| format!("S{}", decimal(speed))).unwrap_or_default();
            lines.push(format!("M{spindle}{speed}"));
            if spindle != 5 && self.spindle != now.spindle && spinup_s > 0.0 {
                lines.push(format!("G4P{}", decimal(spinup_s)));
            }
        }
        let differs = |wanted: Option<bool>, is| wanted.is_some() && wanted != is;
        if differs(self.flood, now.flood) || differs(self.mist, now.mist) {
            lines.push("M9".into());
            lines.extend((self.flood == Some(true)).then(|| "M8".into()));
            lines.extend((self.mist == Some(true)).then(|| "M7".into()));
        }
        lines
    }
}

#[derive(Default)]
struct Line {
    axes: [bool; 3],
    reach: f64,
    feed: Option<f64>,
    p: f64,
    n: Option<u64>,
    dwells: bool,
    unbounded: bool,
    odd_target: bool,
}

/// A number of at most four decimals without needless ones: `G4P1.5`, `X-0.25`.
pub(super) fn decimal(value: f64) -> String {
    let mut text = format!("{value:.4}");
    text.truncate(text.trim_end_matches('0').trim_end_matches('.').len());
    if text == "-0" { "0".into() } else { text }
}

/// The words of a line that are well-formed, in order.
pub(super) fn words(text: &str) -> impl Iterator<Item = (u8, f64)> + '_ {
    let bytes = text.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < bytes.len() {
            let letter = bytes[at];
            at += 1;
            if !letter.is_ascii_uppercase() {
                continue;
            }
            let start = at;
            while at < bytes.len() && matches!(bytes[at], b'0'..=b'9' | b'.' | b'-' | b'+') {
                at += 1;
            }
            let value = text[start..at].parse().ok().filter(|it: &f64| it.is_finite());
            if let Some(value) = value {
                return Some((letter, value));
            }
        }
        None
    })
}

fn code(value: f64) -> u16 {
    (value * 10.0).round() as u16
}

fn g_word(code: u16) -> String {
    let mut word = format!("G{}", code / 10);
    if !code.is_multiple_of(10) {
        write!(word, ".{}", code % 10).expect("writing to a String cannot fail");
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(lines: &[&str]) -> Modal {
        let mut modal = Modal::default();
        for line in lines {
            modal.take(line);
        }
        modal
    }

    fn reported(text: &str) -> Modal {
        Modal::of_report(text, false)
    }

    #[test]
    fn only_what_a_program_said_itself_is_compared() {
        let default = reported("G0 G54 G17 G21 G90 G94 M5 M9 T0 F0 S0");
        assert_eq!(after(&[]).differs(&default, true), None);
        assert_eq!(after(&["G21G90", "G0X1"]).differs(&default, true), None);
        let differs = after(&["G20"]).differs(&default, true);
        assert_eq!(differs, Some(("G20".into(), "G21".into())));
    }

    #[test]
    fn a_feed_or_speed_that_changed_on_its_way_is_seen_in_the_end() {
        let ours = after(&["G21G94", "G1X1F1200", "M3S8000"]);
        let theirs =
            |feed, speed| reported(&format!("G1 G54 G17 G21 G90 G94 M3 M9 T0 {feed} {speed}"));
        assert_eq!(ours.differs(&theirs("F1200", "S8000"), true), None);
        assert!(ours.differs(&theirs("F1600", "S8000"), true).is_some());
        assert!(ours.differs(&theirs("F1200", "S0"), true).is_some());
        assert_eq!(
            ours.differs(&theirs("F1600", "S8000"), false),
            None,
            "not every build is exact"
        );
    }

    #[test]
    fn the_end_of_a_program_makes_everything_unknown() {
        assert_eq!(after(&["G20G91M3S100", "M30"]), Modal::default());
    }

    #[test]
    fn inches_and_coolants_are_understood() {
        let ours = after(&["G20", "G1X1F10", "M7M8"]);
        assert_eq!(ours.feed, Some(254.0));
        assert_eq!((ours.flood, ours.mist), (Some(true), Some(true)));
        let theirs = Modal::of_report("G1 G54 G17 G20 G90 G94 M5 M7 M8 T0 F10.0 S0", true);
        assert_eq!(ours.differs(&theirs, true), None);
    }

    #[test]
    fn lines_tell_how_far_they_may_lead() {
        let mut modal = after(&["G21G90G2"]);
        assert_eq!(modal.take("X1Y1I3J4").bulge, 10.0);
        assert_eq!(modal.take("G1X5").bulge, 0.0);
        assert!(modal.take("G28").bulge.is_infinite() && modal.take("G53G0Z0").bulge.is_infinite());
        assert!(modal.take("G38.2Z-5F50").bulge.is_infinite());
        assert!(modal.take("Z-6").bulge.is_infinite(), "the probe mode stays");
        let effect = modal.take("N12G1X5Z1");
        assert_eq!((effect.axes, effect.absolute, effect.n), ([true, false, true], true, Some(12)));
        assert_eq!(modal.take("G4P2.5").dwell_s, 2.5);
    }

    #[test]
    fn what_a_tool_change_disturbed_is_put_back_spindle_last() {
        let saved = reported("G2 G55 G17 G20 G90 G94 M3 M8 T1 F254 S9000");
        let now = reported("G38.2 G54 G17 G21 G91 G94 M5 M9 T1 F50 S0");
        assert_eq!(saved.restore(&now, 1.5), ["G20G1G55G90F10", "M3S9000", "G4P1.5", "M9", "M8"],);
        assert_eq!(saved.restore(&saved, 1.5), Vec::<String>::new());
    }

    #[test]
    fn numbers_are_written_short() {
        for (value, text) in [(10.0, "10"), (-0.25, "-0.25"), (0.00001, "0"), (-0.00001, "0")] {
            assert_eq!(decimal(value), text);
        }
        assert_eq!(decimal(1234.56789), "1234.5679");
    }
}
