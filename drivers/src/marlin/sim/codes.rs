//! What each command does.

use super::firmware::{Firmware, Taken, Wait};
use crate::gcode::print::words;

/// Homing takes so long, s of the printer.
const HOMING: f64 = 5.0;
/// A single touch of the probe, s of the printer, and the height that it leaves, mm.
const PROBING: f64 = 3.0;
const CLEARANCE: f64 = 5.0;
/// Where the probe is, from the nozzle, mm.
const PROBE_AT: [f64; 2] = [-40.0, -10.0];
/// A colder nozzle moves no filament, °C.
const COLD: f64 = 170.0;

impl Firmware {
    /// Begins a command that has been read. What it waits for; `None`: it is through.
    pub(super) fn begin(&mut self, now: f64, taken: &Taken) -> Option<Wait> {
        // Whatever stands before the letter makes it another command (a number that lost its `N`).
        let code = words(&taken.text).next().filter(|it| taken.text.as_bytes()[0] == it.0);
        let value = |wanted: u8| words(&taken.text).find(|it| it.0 == wanted).and_then(|it| it.1);
        match code {
            Some((b'G', Some(0.0..=3.0 | 5.0))) => return Some(Wait::Room),
            Some((b'G', Some(4.0 | 28.0 | 29.0)) | (b'M', Some(303.0 | 400.0))) => {
                return Some(Wait::Rest);
            }
            Some((b'G', Some(30.0))) if self.options.probe => return Some(Wait::Rest),
            Some((b'G', Some(20.0 | 21.0 | 90.0 | 91.0 | 92.0)) | (b'M', Some(82.0 | 83.0))) => {
                self.motion.take(now, &taken.text, false);
            }
            Some((b'M', Some(code))) => return self.m_code(taken, code, value(b'S')),
            Some((b'T', Some(_))) | Some((b'G', Some(17.0))) => (),
            _ => self.unknown(taken),
        }
        None
    }

    fn unknown(&mut self, taken: &Taken) {
        self.counters.unknown += 1;
        self.known = false;
        self.say(&format!("echo:Unknown command: \"{}\"", taken.text));
    }

    fn m_code(&mut self, taken: &Taken, code: f64, s: Option<f64>) -> Option<Wait> {
        let code = code as u32;
        match code {
            0 | 1 => {
                self.ask(taken);
                return Some(Wait::Person);
            }
            17 => self.counters.motors = true,
            18 | 84 => return Some(Wait::Rest),
            104 | 109 => {
                self.heaters[0].target = s.unwrap_or(self.heaters[0].target);
                return (code == 109).then_some(Wait::Heat(false));
            }
            140 | 190 => {
                self.heaters[1].target = s.unwrap_or(self.heaters[1].target);
                return (code == 190).then_some(Wait::Heat(true));
            }
            106 => self.counters.fan = s.unwrap_or(255.0),
            107 => self.counters.fan = 0.0,
            112 => self.kill(),
            114 => {
                let text = self.place();
                self.say(&text);
            }
            115 => self.introduce(),
            154 if self.options.reports => self.place_every = s.unwrap_or(0.0),
            155 if self.options.reports => self.report_every = s.unwrap_or(0.0),
            211 => self.motion.endless = s == Some(0.0),
            220 => match s {
                Some(percent) => self.motion.percent[0] = percent,
                None => self.say(&format!("FR:{:.0}%", self.motion.percent[0])),
            },
            221 => match s {
                Some(percent) => self.motion.percent[1] = percent,
                None => self.say(&format!("echo:E0 Flow: {:.0}%", self.motion.percent[1])),
            },
            410 => self.quick_stop(),
            600 => {
                self.ask(taken);
                return Some(Wait::Person);
            }
            73
            | 75
            | 76
            | 77
            | 105
            | 108
            | 110
            | 111
            | 113
            | 117
            | 118
            | 141
            | 201..=205
            | 413
            | 486
            | 862
            | 876
            | 900
            | 999 => (),
            _ => self.unknown(taken),
        }
        None
    }

    fn introduce(&mut self) {
        self.say(
            "FIRMWARE_NAME:Marlin 2.1.2-pretend (Jan  1 2026 00:00:00) SOURCE_CODE_URL:none \
             PROTOCOL_VERSION:1.0 MACHINE_TYPE:Pretend Printer EXTRUDER_COUNT:1 \
             UUID:00000000-0000-0000-0000-000000000000",
        );
        let it = &self.options;
        let (reports, emergency, prompts) = (it.reports, it.emergency_parser, it.prompts);
        for (name, on) in [
            ("EEPROM", false),
            ("Z_PROBE", it.probe),
            ("AUTOREPORT_TEMP", reports),
            ("AUTOREPORT_POS", reports),
            ("EMERGENCY_PARSER", emergency),
            ("HOST_ACTION_COMMANDS", prompts),
            ("PROMPT_SUPPORT", prompts),
            ("THERMAL_PROTECTION", true),
            ("ARCS", true),
        ] {
            self.say(&format!("Cap:{name}:{}", u8::from(on)));
        }
        if let Some([x, y, z]) = self.options.area {
            let corners = format!(
                "{{min:{{x:0.0000,y:0.0000,z:0.0000}},max:{{x:{x:.4},y:{y:.4},z:{z:.4}}}}}"
            );
            self.say(&format!("area:{{full:{corners},work:{corners}}}"));
        }
    }

    /// The probe has met the bed, which is not quite level.
    pub(super) fn touched(&mut self) {
        let [x, y, ..] = self.motion.at;
        let (x, y) = (x + PROBE_AT[0], y + PROBE_AT[1]);
        let z = 0.05 + x / 1000.0 - y / 2000.0;
        self.say(&format!("Bed X: {x:.2} Y: {y:.2} Z: {z:.2}"));
        self.motion.lift(CLEARANCE);
    }

    fn ask(&mut self, taken: &Taken) {
        if self.options.prompts {
            let text = taken.text.split_once(' ').map_or("Stop", |it| it.1).to_owned();
            self.say(&format!("//action:prompt_begin {text}"));
            self.say("//action:prompt_button Continue");
            self.say("//action:prompt_show");
        }
        self.say("echo:busy: paused for user");
    }

    /// The planner has room for a move.
    pub(super) fn plan(&mut self, now: f64, taken: &Taken) -> Option<Wait> {
        let pulls = words(&taken.text).any(|word| word.0 == b'E' && word.1.is_some());
        let cold = pulls && self.heaters[0].celsius < COLD;
        if cold {
            self.counters.cold += 1;
            self.say("echo: cold extrusion prevented");
        }
        let depth = self.motion.depth();
        self.motion.take(now, &taken.text, cold);
        if depth < self.motion.depth() {
            self.note_planned(now);
        }
        None
    }

    /// All motion is over.
    pub(super) fn rested(&mut self, now: f64, taken: &Taken) -> Option<Wait> {
        let scale = self.options.time_scale;
        let takes = |seconds: f64| if scale <= 0.0 { now } else { now + seconds / scale };
        let value = |wanted: u8| words(&taken.text).find(|it| it.0 == wanted).and_then(|it| it.1);
        match words(&taken.text).next() {
            Some((b'G', Some(28.0 | 29.0))) => return Some(Wait::Homing(takes(HOMING))),
            Some((b'G', Some(30.0))) => return Some(Wait::Probing(takes(PROBING))),
            Some((b'M', Some(303.0))) => return Some(Wait::Until(takes(PROBING))),
            Some((b'G', Some(4.0))) => {
                let seconds = value(b'P').unwrap_or(0.0) / 1000.0 + value(b'S').unwrap_or(0.0);
                return Some(Wait::Until(takes(seconds.clamp(0.0, 86_400.0))));
            }
            Some((b'M', Some(18.0 | 84.0))) => self.counters.motors = false,
            _ => (),
        }
        None
    }
}
