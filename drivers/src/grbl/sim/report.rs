//! What the pretend controller says: status reports, modes, offsets.
//!
//! Source: `interface.md` of GRBL 1.1 and the order of fields in its reports.

use headstock_config::machine::Xyz;

use super::controller::{Controller, Door, State};

/// Reports between two that carry the work offset, and the overrides: in motion, at rest.
const OFFSET_EVERY: [u8; 2] = [30, 10];
const OVERRIDES_EVERY: [u8; 2] = [20, 10];

impl Controller {
    /// Says a line.
    pub(super) fn say(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
        self.out.extend_from_slice(b"\r\n");
    }

    fn inches(&self) -> bool {
        self.settings.is(13)
    }

    /// A position in the units of reports.
    pub(super) fn point(&self, at: Xyz) -> String {
        let [x, y, z] = if self.inches() { at.map(|it| it / 25.4) } else { at };
        let decimals = if self.inches() { 4 } else { 3 };
        // Adding zero keeps a rounded -0.000 from being said.
        let [x, y, z] = [x, y, z].map(|it| format!("{:.decimals$}", it + 0.0));
        let plain = |text: String| match text.strip_prefix('-') {
            Some(rest) if rest.bytes().all(|byte| matches!(byte, b'0' | b'.')) => rest.to_owned(),
            _ => text,
        };
        format!("{},{},{}", plain(x), plain(y), plain(z))
    }

    /// A rate (mm/min) in the units of reports.
    fn rate(&self, feed: f64) -> String {
        if self.inches() { format!("{:.1}", feed / 25.4) } else { format!("{feed:.0}") }
    }

    fn state_word(&self) -> &'static str {
        match self.state {
            State::Idle => "Idle",
            State::Run => "Run",
            State::Jog => "Jog",
            State::Hold { rest: true } => "Hold:0",
            State::Hold { rest: false } => "Hold:1",
            State::Door(Door::Parked) if self.door_pin => "Door:1",
            State::Door(Door::Parked) => "Door:0",
            State::Door(Door::Slowing) => "Door:2",
            State::Door(Door::Restoring(_)) => "Door:3",
            State::Alarm => "Alarm",
            State::Check => "Check",
            State::Home(_) => "Home",
            State::Sleep => "Sleep",
        }
    }

    fn pins(&self) -> String {
        let at = self.planner.now(self.machine_time()).0;
        let pins = [('X', self.limit_pin), ('P', self.touches(at)), ('D', self.door_pin)];
        pins.into_iter().filter_map(|(letter, on)| on.then_some(letter)).collect()
    }

    fn accessories(&self) -> String {
        if !self.accessories_run() {
            return String::new();
        }
        let spindle = if self.spindle_stopped { 0 } else { self.spindle.0 };
        let letters = [('S', spindle > 0), ('C', spindle < 0), ('F', self.flood)];
        letters.into_iter().filter_map(|(letter, on)| on.then_some(letter)).collect()
    }

    /// The status report.
    pub(super) fn status(&mut self) {
        self.counters.reports += 1;
        let (at, speed) = self.planner.now(self.machine_time());
        let at = self.settings.stepped(at);
        let mut text = format!("<{}|", self.state_word());
        if self.settings.bit(10, 0) {
            text += &format!("MPos:{}", self.point(at));
        } else {
            let work = std::array::from_fn(|axis| at[axis] - self.offset[axis]);
            text += &format!("WPos:{}", self.point(work));
        }
        if self.settings.bit(10, 1) {
            let free = self.options.planner_blocks.saturating_sub(self.planner.depth());
            text += &format!("|Bf:{free},{}", self.rx_free());
        }
        if self.options.line_numbers && self.planner.number() > 0 {
            text += &format!("|Ln:{}", self.planner.number());
        }
        text += &format!("|FS:{},{:.0}", self.rate(speed * 60.0), self.spindle_speed());
        let pins = self.pins();
        if !pins.is_empty() {
            text += &format!("|Pn:{pins}");
        }
        text += &self.due_fields();
        text.push('>');
        self.say(&text);
    }

    fn spindle_speed(&self) -> f64 {
        if self.spindle.0 == 0 || self.spindle_stopped || !self.accessories_run() {
            return 0.0;
        }
        let speed = self.spindle.1 * f64::from(self.overrides[2]) / 100.0;
        speed.min(self.settings.get(30))
    }

    /// The fields that come only now and then.
    fn due_fields(&mut self) -> String {
        let still = usize::from(matches!(
            self.state,
            State::Idle | State::Alarm | State::Check | State::Sleep
        ));
        let mut text = String::new();
        if self.due[0] > 0 {
            self.due[0] -= 1;
        } else {
            self.due[0] = OFFSET_EVERY[still] - 1;
            // Never both in one report.
            self.due[1] = self.due[1].max(1);
            text += &format!("|WCO:{}", self.point(self.offset));
        }
        if self.due[1] > 0 {
            self.due[1] -= 1;
        } else {
            self.due[1] = OVERRIDES_EVERY[still] - 1;
            let [feed, rapid, spindle] = self.overrides;
            text += &format!("|Ov:{feed},{rapid},{spindle}");
            let accessories = self.accessories();
            if !accessories.is_empty() {
                text += &format!("|A:{accessories}");
            }
        }
        text
    }

    /// `$G`.
    pub(super) fn say_modes(&mut self) {
        let modes = &self.program.modes;
        let motion = match modes.motion {
            code @ 382..=385 => format!("38.{}", code - 380),
            code => format!("{}", code / 10),
        };
        let text = format!(
            "[GC:G{motion} G{} G{} G{} G{} G{} M{} M{} T{} F{} S{:.0}]",
            54 + modes.system,
            modes.plane,
            if modes.inches { 20 } else { 21 },
            if modes.incremental { 91 } else { 90 },
            if modes.inverse_time { 93 } else { 94 },
            match modes.spindle {
                0 => 5,
                1 => 3,
                _ => 4,
            },
            if modes.flood { 8 } else { 9 },
            modes.tool,
            self.rate(modes.feed),
            modes.speed,
        );
        self.say(&text);
    }

    /// `$#`.
    pub(super) fn say_offsets(&mut self) {
        let offsets = self.program.offsets.clone();
        for (at, system) in offsets.systems.iter().enumerate() {
            self.say(&format!("[G{}:{}]", 54 + at, self.point(*system)));
        }
        for (name, place) in [("G28", offsets.g28), ("G30", offsets.g30), ("G92", offsets.g92)] {
            self.say(&format!("[{name}:{}]", self.point(place)));
        }
        let length = self.point([self.program.modes.tool_length, 0.0, 0.0]);
        let length = length.split(',').next().unwrap_or_default().to_owned();
        self.say(&format!("[TLO:{length}]"));
        self.say_probe();
    }

    /// The last probe.
    pub(super) fn say_probe(&mut self) {
        let (at, touched) = self.probed;
        self.say(&format!("[PRB:{}:{}]", self.point(at), u8::from(touched)));
    }
}
