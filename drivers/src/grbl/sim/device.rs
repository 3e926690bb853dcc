//! The pretend controller as a device at the far end of a cable.

use super::controller::{Controller, Counters};
use super::fault::What;
use crate::link::far_end::Device;

impl Device for Controller {
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

    fn strike(&mut self, _now: f64, what: What) {
        match what {
            What::Reset => self.restart(),
            What::Limit => {
                self.limit_pin = true;
                self.hard_limit();
            }
            What::Door => {
                self.door_pin = true;
                self.door();
            }
            What::Unplug | What::Power | What::Garbage | What::Mute => (),
        }
    }

    fn relieve(&mut self, what: What) {
        match what {
            What::Power => self.restart(),
            What::Limit => self.limit_pin = false,
            What::Door => self.door_pin = false,
            What::Unplug | What::Garbage | What::Reset | What::Mute => (),
        }
    }
}
