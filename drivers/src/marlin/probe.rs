//! One touch of the bed below the place where the nozzle is: G30.
//!
//! The firmware moves the probe there, down at its own speed and up again, and says where it met the
//! bed: `Bed X: 12.00 Y: 20.00 Z: 0.05`, X and Y being the probe's. It is asked for only where the
//! firmware tells that it has a probe, and only at a known place: below another there may be no bed.
//! Source: Marlin `src/gcode/probe/G30.cpp`; `Cap:Z_PROBE` of M115.

use headstock_config::event::Event;
use headstock_config::machine::Xyz;

use super::Marlin;
use super::errand::{Errand, Why};
use crate::{Outbox, Refusal};

const LINE: &str = "G30";

impl Marlin {
    /// Probes here.
    pub(super) fn probe(&mut self, by: [Option<f64>; 3]) -> Result<(), Refusal> {
        if !self.it.probe {
            return Err(Refusal::Unsupported("probe: its firmware tells of no probe (Z_PROBE)"));
        }
        if by.iter().any(Option::is_some) {
            let why = "a printer probes straight down where it is, at its own speed: name no axis";
            return Err(Refusal::BadCommand(why.into()));
        }
        if let Err(why) = self.knows([true; 3]) {
            return Err(Refusal::Unready(format!("{why}: home it before it probes")));
        }
        self.errands.push_back(Errand::new(LINE, Why::Probe));
        self.located();
        Ok(())
    }

    /// It has said where it met the bed.
    pub(super) fn touched(&mut self, at: Xyz, out: &mut Outbox) {
        self.touched = true;
        out.events.push_back(Event::Probed { at, touched: true });
    }

    /// G30 has been answered.
    pub(super) fn probe_over(&mut self, out: &mut Outbox) {
        if std::mem::take(&mut self.touched) {
            return;
        }
        out.events.push_back(Event::CommandFailed {
            sent: LINE.into(),
            number: None,
            means: "the firmware has not said where the probe met the bed".into(),
        });
    }
}
