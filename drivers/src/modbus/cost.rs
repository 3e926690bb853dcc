//! How long a bus is busy with a request.
//!
//! Source: Modbus over Serial Line V1.02, 2.5.1.1: characters of 8 bits with start, parity and stop
//! bits; 3.5 characters of silence between frames, 1.75 ms above 19200 baud.

use std::time::Duration;

use headstock_config::machine::Machine;
use headstock_config::tag::Parity;

use super::pdu::Ask;

/// How long a device thinks before it answers on a serial line, where nothing else is known.
const TURNAROUND: Duration = Duration::from_millis(5);
/// The same on a network, with the way there and back.
const ROUND_TRIP: Duration = Duration::from_millis(2);
/// A byte on a network: next to nothing, so that of two equally short plans the one is taken that
/// reads less.
const NETWORK_BYTE: Duration = Duration::from_nanos(100);
/// Longest that one request may keep the bus from a stop.
pub const LONGEST: Duration = Duration::from_millis(100);
/// Above this speed the silence is the same for all.
const FAST: u32 = 19_200;
/// That silence.
const SILENCE_FAST: Duration = Duration::from_micros(1_750);
/// Bytes of a frame beside function and data: the device's number and the checksum.
const AROUND: usize = 3;

/// What a bus costs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wire {
    /// One character; `None`: a network.
    character: Option<Duration>,
    /// Silence before a request, beyond the standard's.
    pause: Duration,
}

impl Wire {
    /// The wire that a machine is on.
    pub fn of(machine: &Machine) -> Self {
        let pause = Duration::from_millis(machine.bus.pause_ms);
        if machine.driver == "modbus-tcp" {
            return Self { character: None, pause };
        }
        let parity = u32::from(machine.bus.parity != Parity::None);
        let bits = 1 + 8 + parity + u32::from(machine.bus.stop_bits.max(1));
        let character = Duration::from_secs(1) * bits / machine.baud.max(1);
        Self { character: Some(character), pause }
    }

    /// The silence between two frames.
    pub fn silence(machine: &Machine) -> Duration {
        match Self::of(machine).character {
            Some(_) if FAST < machine.baud => SILENCE_FAST,
            // Eleven bits to a character, whatever is declared: the standard's own.
            Some(_) => Duration::from_secs(1) * 11 * 7 / 2 / machine.baud.max(1),
            None => Duration::ZERO,
        }
    }

    /// Request, thinking, answer, and the silences around them.
    pub fn cost(&self, ask: &Ask) -> Duration {
        self.cost_of(ask.length(), ask.answer_length())
    }

    /// The same by lengths of what stands between the device's number and the checksum.
    fn cost_of(&self, asked: usize, answered: usize) -> Duration {
        let characters = u32::try_from(asked + answered + 2 * AROUND).unwrap_or(u32::MAX);
        let Some(character) = self.character else {
            return ROUND_TRIP + NETWORK_BYTE * characters + self.pause;
        };
        // 3.5 characters on either side of the answer, at most as long as above 19200 baud or more.
        let silences = (character * 7).max(2 * SILENCE_FAST);
        character * characters + silences + TURNAROUND + self.pause
    }

    /// A read of so many registers.
    pub(super) fn words(&self, count: u16) -> Duration {
        self.cost_of(5, 2 + 2 * usize::from(count))
    }

    /// A read of so many coils.
    pub(super) fn bits(&self, count: u16) -> Duration {
        self.cost_of(5, 2 + usize::from(count).div_ceil(8))
    }

    /// Most registers that a read may have so that it takes no longer than [`LONGEST`].
    pub fn words_max(&self) -> u16 {
        let mut most = super::pdu::WORDS_MAX;
        while 1 < most && LONGEST < self.words(most) {
            most -= 1;
        }
        most
    }

    /// Most coils, likewise.
    pub fn bits_max(&self) -> u16 {
        let mut most = super::pdu::BITS_MAX;
        while 8 < most && LONGEST < self.bits(most) {
            most -= 8;
        }
        most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(baud: u32, parity: Parity) -> Machine {
        let mut machine = Machine { driver: "modbus-rtu".into(), baud, ..Machine::default() };
        machine.bus.parity = parity;
        machine
    }

    #[test]
    fn a_request_costs_what_its_characters_and_silences_take() {
        let ask = Ask::ReadHolding { address: 0, count: 1 };
        let wire = Wire::of(&machine(9_600, Parity::Even));
        // 8 characters there, 7 back, 7 of silence: 22 of 1.1458 ms; 5 ms of thinking.
        let cost = wire.cost(&ask).as_secs_f64() * 1000.0;
        assert!((cost - 30.2).abs() < 0.1, "{cost}");
        let fast = Wire::of(&machine(115_200, Parity::None)).cost(&ask).as_secs_f64() * 1000.0;
        assert!((fast - (15.0 * 10.0 / 115.2 + 3.5 + 5.0)).abs() < 0.01, "{fast}");
        let tcp = Machine { driver: "modbus-tcp".into(), ..Machine::default() };
        assert_eq!(Wire::of(&tcp).cost(&ask).as_millis(), 2);
    }

    #[test]
    fn silences_are_those_of_the_standard() {
        let silence = |baud| Wire::silence(&machine(baud, Parity::Even)).as_micros();
        assert_eq!([silence(1_200), silence(9_600), silence(19_200)], [32_083, 4_010, 2_005]);
        assert_eq!([silence(38_400), silence(115_200)], [1_750, 1_750]);
    }

    #[test]
    fn no_request_keeps_a_stop_waiting_for_long() {
        for (baud, most) in [(1_200, 1), (9_600, 31), (115_200, 125)] {
            let wire = Wire::of(&machine(baud, Parity::Even));
            assert_eq!(wire.words_max(), most, "{baud}");
        }
        assert_eq!(Wire::of(&machine(115_200, Parity::None)).bits_max(), 2_000);
    }
}
