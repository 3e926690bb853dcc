//! The pretend printer as a device at the far end of a cable.

use super::fault::What;
use super::firmware::{Counters, Firmware};
use crate::link::far_end::Device;

impl Device for Firmware {
    type What = What;
    type Counters = Counters;

    fn receive(&mut self, now: f64, byte: u8) {
        self.receive(now, byte);
    }

    fn advance(&mut self, now: f64) {
        self.advance(now);
    }

    fn take_output(&mut self) -> Vec<u8> {
        self.take_output()
    }

    fn next_event(&self) -> Option<f64> {
        self.next_event()
    }

    fn lines(&self) -> u64 {
        self.counters.lines
    }

    fn tell(&self, counters: &mut Counters) {
        let mut text = std::mem::take(&mut counters.text);
        text.extend_from_slice(&self.counters.text[text.len()..]);
        *counters = Counters { text, ..self.figures() };
    }

    fn strike(&mut self, now: f64, what: What) {
        match what {
            What::Reset => self.restart(),
            What::Runaway => self.run_away(now),
            What::Runout => self.run_out(),
            What::Kill => self.kill(),
            What::Unplug | What::Power | What::Garbage | What::Mute => (),
        }
    }

    fn relieve(&mut self, what: What) {
        if what == What::Power {
            self.restart();
        }
    }
}
