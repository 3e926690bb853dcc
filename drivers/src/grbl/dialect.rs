//! The one record of what this controller is and can do.
//!
//! Nothing else in the driver asks which firmware it talks to: behaviour that differs has a field
//! here. Sources: `$I` of the three firmwares and the notes of their makers.

use headstock_config::machine::{Controller, Setting};

use super::words;

/// Which firmware speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// GRBL 1.1.
    #[default]
    Grbl,
    /// grblHAL.
    GrblHal,
    /// FluidNC.
    FluidNc,
}

/// What the driver may rely on.
#[derive(Clone, Debug, PartialEq)]
pub struct Capabilities {
    /// Which firmware speaks.
    pub dialect: Dialect,
    /// What the house is told about it.
    pub controller: Controller,
    /// Free receive bytes it showed when nothing was under way.
    pub quiet_rx: Option<usize>,
    /// Free planner blocks it showed when nothing was under way; 0 until then.
    pub quiet_planner: usize,
    /// 0x85 also throws away lines it has not read, and answers none of them.
    pub jog_cancel_flushes: bool,
    /// `?` is answered while it homes.
    pub homing_answers: bool,
    /// Free receive bytes can be predicted to the byte while it works on a line.
    pub buffer_exact: bool,
    /// `$G` shows F, S and T exactly as they were programmed.
    pub modal_exact: bool,
    /// Blocks that may have left the planner and are still moved along: their steps wait in the
    /// segment buffer (`SEGMENT_BUFFER_SIZE`: 6 in grbl, 10 in grblHAL).
    pub segment_blocks: usize,
    /// `$G` follows what lines set; unknown until it was doubted once.
    pub modal_follows: Option<bool>,
    /// After an error every further line is refused until it is woken.
    pub errors_stick: bool,
    /// It says things that are in no bracket.
    pub chatty: bool,
    /// The build reports `Ln`.
    pub line_numbers: bool,
    /// Axes can be homed one by one.
    pub single_axis_homing: bool,
    /// The buffer sizes are its own words, not our assumption.
    sizes_told: bool,
    /// `Bf` of the latest quiet report.
    quiet_buffer: Option<[usize; 2]>,
}

impl Default for Capabilities {
    fn default() -> Self {
        let controller = Controller {
            dialect: "grbl".into(),
            rx_bytes: 128,
            planner_blocks: 15,
            line_max: 79,
            ..Controller::default()
        };
        Self {
            dialect: Dialect::Grbl,
            controller,
            quiet_rx: None,
            quiet_planner: 0,
            jog_cancel_flushes: false,
            homing_answers: false,
            buffer_exact: true,
            modal_exact: true,
            segment_blocks: 6,
            modal_follows: None,
            errors_stick: false,
            chatty: false,
            line_numbers: false,
            single_axis_homing: false,
            sizes_told: false,
            quiet_buffer: None,
        }
    }
}

impl Capabilities {
    /// Bytes that may be unanswered. What the controller claims counts only as far as its own
    /// `Bf` bears it out; without that witness, no more than the dialect is known to have.
    pub fn window(&self) -> usize {
        let claimed = self.controller.rx_bytes;
        match self.quiet_rx {
            Some(shown) if 0 < shown => claimed.min(shown),
            _ => claimed.min(if self.dialect == Dialect::FluidNc { 255 } else { 128 }),
        }
    }

    /// Learns from `Bf` when nothing is under way. It counts when it was said twice in a row, since
    /// one damaged report would spoil every later comparison.
    pub fn take_quiet_buffer(&mut self, buffer: Option<[usize; 2]>) {
        if let Some([planner, rx]) = buffer.filter(|_| buffer == self.quiet_buffer) {
            self.quiet_planner = planner;
            self.quiet_rx = Some(rx);
        }
        self.quiet_buffer = buffer;
    }

    /// Learns from a banner.
    pub fn take_banner(&mut self, text: &str) {
        if text.contains("FluidNC") {
            self.become_dialect(Dialect::FluidNc);
        } else if text.to_ascii_lowercase().starts_with("grblhal") {
            self.become_dialect(Dialect::GrblHal);
        }
        if self.controller.version.is_empty() {
            self.controller.version = text.split_whitespace().nth(1).unwrap_or_default().into();
        }
    }

    /// Learns from `[VER:…]`.
    pub fn take_version(&mut self, text: &str) {
        self.controller.version = text.split(':').next().unwrap_or(text).trim().into();
        if text.contains("FluidNC") {
            self.become_dialect(Dialect::FluidNc);
        }
    }

    /// Learns from `[OPT:letters,blocks,rx,…]`; FluidNC gives letters only.
    pub fn take_options(&mut self, text: &str) {
        let mut parts = text.split(',');
        let letters = parts.next().unwrap_or_default();
        self.controller.options = letters.into();
        self.line_numbers = letters.contains('N');
        self.single_axis_homing |= letters.contains('H');
        let mut sane = |most| parts.next()?.trim().parse().ok().filter(|n| (1..=most).contains(n));
        if let Some(blocks) = sane(4096) {
            self.controller.planner_blocks = blocks;
        }
        if let Some(rx) = sane(65_536).filter(|&rx| 64 <= rx) {
            self.controller.rx_bytes = rx;
            self.sizes_told = true;
        }
    }

    /// Learns from any other bracketed line of `$I`.
    pub fn take_bracket(&mut self, text: &str) {
        if text.starts_with("FIRMWARE:grblHAL") {
            self.become_dialect(Dialect::GrblHal);
        }
    }

    /// Learns from one line of `$$`.
    pub fn take_setting(&mut self, number: u16, value: &str) {
        self.list_setting(number, value);
        // A number too large to be one could not be written down.
        let value = value.parse().ok().filter(|it: &f64| it.is_finite());
        let Some(value) = value else { return };
        let on = value != 0.0;
        let it = &mut self.controller;
        match number {
            11 => it.junction_deviation = Some(value),
            12 => it.arc_tolerance = Some(value),
            13 => it.reports_inches = on,
            20 => it.soft_limits = Some(on),
            22 => it.homing = Some((value as i64) & 1 == 1),
            30 => it.spindle_max = Some(value),
            32 => it.laser = Some(value == 1.0),
            100..=102 => it.steps_per_mm.get_or_insert_default()[usize::from(number - 100)] = value,
            110..=112 => it.max_rate.get_or_insert_default()[usize::from(number - 110)] = value,
            120..=122 => it.acceleration.get_or_insert_default()[usize::from(number - 120)] = value,
            130..=132 => it.travel.get_or_insert_default()[usize::from(number - 130)] = value,
            _ => (),
        }
    }

    fn list_setting(&mut self, number: u16, value: &str) {
        let (name, unit) = words::setting(number).unwrap_or_default();
        let (name, unit) = (name.to_owned(), unit.to_owned());
        let told = Setting { number, value: value.to_owned(), name, unit };
        let all = &mut self.controller.settings;
        match all.binary_search_by_key(&number, |it| it.number) {
            Ok(at) => all[at] = told,
            // No controller has as many.
            Err(at) if all.len() < 1000 => all.insert(at, told),
            Err(_) => (),
        }
    }

    fn become_dialect(&mut self, dialect: Dialect) {
        if self.dialect == dialect {
            return;
        }
        let hal = dialect == Dialect::GrblHal;
        self.dialect = dialect;
        self.controller.dialect = if hal { "grblhal" } else { "fluidnc" }.into();
        self.controller.line_max = if hal { 255 } else { 254 };
        if !self.sizes_told {
            self.controller.rx_bytes = if hal { 1024 } else { 255 };
            self.controller.planner_blocks = if hal { 100 } else { 15 };
        }
        self.jog_cancel_flushes = hal;
        self.homing_answers = true;
        self.buffer_exact = false;
        self.segment_blocks = 12;
        self.modal_exact = false;
        self.errors_stick = hal;
        self.chatty = !hal;
        self.single_axis_homing = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_tell_the_buffers_and_the_build() {
        let mut it = Capabilities::default();
        it.take_options("VNH,15,128");
        assert_eq!((it.controller.planner_blocks, it.controller.rx_bytes), (15, 128));
        assert!(it.line_numbers && it.single_axis_homing);
    }

    #[test]
    fn a_claimed_buffer_counts_only_as_far_as_the_reports_bear_it_out() {
        let mut it = Capabilities::default();
        it.take_options("V,15,4000");
        assert_eq!(it.window(), 128, "no witness");
        it.quiet_rx = Some(254);
        assert_eq!(it.window(), 254);
        it.quiet_rx = Some(127);
        assert_eq!(it.window(), 127);
    }

    #[test]
    fn nonsense_in_the_options_changes_nothing() {
        for text in ["", "V", "V,,", "V,x,y", "V,0,0", "V,15,3", "V,-1,99999999"] {
            let mut it = Capabilities::default();
            it.take_options(text);
            assert_eq!((it.controller.planner_blocks, it.window()), (15, 128), "{text}");
        }
    }

    #[test]
    fn the_dialect_is_known_by_banner_version_or_firmware_line() {
        let mut it = Capabilities::default();
        it.take_banner("GrblHAL 1.1f ['$' or '$HELP' for help]");
        assert_eq!((it.dialect, it.controller.line_max), (Dialect::GrblHal, 255));
        let mut it = Capabilities::default();
        it.take_version("3.7 FluidNC v3.7.8 (esp32-wifi) :");
        assert_eq!(it.dialect, Dialect::FluidNc);
        let mut it = Capabilities::default();
        it.take_bracket("FIRMWARE:grblHAL");
        assert!(it.jog_cancel_flushes);
    }

    #[test]
    fn settings_fill_the_controller() {
        let mut it = Capabilities::default();
        for (number, value) in [(100, "250.000"), (102, "400"), (13, "1"), (22, "1"), (32, "0")] {
            it.take_setting(number, value);
        }
        it.take_setting(13, "0");
        it.take_setting(395, "some.thing");
        let it = it.controller;
        let listed: Vec<_> = it.settings.iter().map(|it| (it.number, it.value.as_str())).collect();
        assert_eq!(
            listed,
            [(13, "0"), (22, "1"), (32, "0"), (100, "250.000"), (102, "400"), (395, "some.thing")]
        );
        assert_eq!((&*it.settings[3].name, &*it.settings[3].unit), ("X steps", "steps/mm"));
        assert_eq!(it.settings[5].name, "");
        assert_eq!(it.steps_per_mm, Some([250.0, 0.0, 400.0]));
        assert_eq!((it.reports_inches, it.homing, it.laser), (false, Some(true), Some(false)));
    }
}
