//! A heater that takes its time: full power until it is warm enough, and a room that cools it.

/// °C of the workshop.
pub(super) const ROOM: f64 = 21.0;

/// One heater. Time is given in seconds of the printer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heater {
    pub(super) celsius: f64,
    pub(super) target: f64,
    /// °C a second at full power.
    heats: f64,
    /// °C a second that it loses when it is 100 °C warmer than the room.
    cools: f64,
    /// It does not heat although it is switched on.
    pub(super) broken: bool,
}

impl Heater {
    pub(super) fn nozzle(celsius: f64, target: f64) -> Self {
        Self { celsius, target, heats: 3.0, cools: 0.8, broken: false }
    }

    pub(super) fn bed(celsius: f64, target: f64) -> Self {
        Self { celsius, target, heats: 0.8, cools: 0.15, broken: false }
    }

    /// Lets so much time pass; infinite: until nothing changes any more.
    pub(super) fn pass(&mut self, seconds: f64) {
        let works = !self.broken && ROOM < self.target;
        if seconds.is_infinite() {
            self.celsius = if works { self.target } else { ROOM };
            return;
        }
        let loss = (self.celsius - ROOM) / 100.0 * self.cools;
        if works && self.celsius < self.target {
            self.celsius = (self.celsius + (self.heats - loss) * seconds).min(self.target);
        } else {
            let floor = if works { self.target } else { ROOM };
            self.celsius = (self.celsius - loss * seconds).max(floor.min(self.celsius));
        }
    }

    /// Warm enough for M109 and M190.
    pub(super) fn is_ready(&self) -> bool {
        self.target <= 0.0 || self.target - 1.0 <= self.celsius
    }

    /// 0 to 127, as Marlin reports it.
    pub(super) fn power(&self) -> u8 {
        match self.target {
            target if target <= 0.0 => 0,
            target if self.celsius < target - 0.5 => 127,
            _ => 40,
        }
    }
}
