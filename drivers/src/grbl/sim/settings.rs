//! The pretend controller's `$` settings: what it keeps when the power goes.
//!
//! Source: the settings table of GRBL 1.1. The defaults are those of a small mill, not the
//! factory's (which move at 500 mm/min).

use std::collections::BTreeMap;

use headstock_config::machine::Xyz;

use super::planner::Limits;

/// Number, default, decimals as listed by `$$`.
const TABLE: [(u16, f64, usize); 34] = [
    (0, 10.0, 0),
    (1, 25.0, 0),
    (2, 0.0, 0),
    (3, 0.0, 0),
    (4, 0.0, 0),
    (5, 0.0, 0),
    (6, 0.0, 0),
    (10, 3.0, 0),
    (11, 0.01, 3),
    (12, 0.002, 3),
    (13, 0.0, 0),
    (20, 0.0, 0),
    (21, 0.0, 0),
    (22, 0.0, 0),
    (23, 0.0, 0),
    (24, 100.0, 3),
    (25, 1_000.0, 3),
    (26, 250.0, 0),
    (27, 1.0, 3),
    (30, 24_000.0, 0),
    (31, 0.0, 0),
    (32, 0.0, 0),
    (100, 250.0, 3),
    (101, 250.0, 3),
    (102, 250.0, 3),
    (110, 6_000.0, 3),
    (111, 6_000.0, 3),
    (112, 6_000.0, 3),
    (120, 500.0, 3),
    (121, 500.0, 3),
    (122, 500.0, 3),
    (130, 500.0, 3),
    (131, 500.0, 3),
    (132, 150.0, 3),
];

/// The settings by number.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    values: BTreeMap<u16, f64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { values: TABLE.iter().map(|&(number, value, _)| (number, value)).collect() }
    }
}

impl Settings {
    pub(super) fn get(&self, number: u16) -> f64 {
        self.values.get(&number).copied().unwrap_or_default()
    }

    pub(super) fn is(&self, number: u16) -> bool {
        self.get(number) != 0.0
    }

    pub(super) fn bit(&self, number: u16, bit: u32) -> bool {
        (self.get(number) as u32) & (1 << bit) != 0
    }

    pub(super) fn xyz(&self, first: u16) -> Xyz {
        [self.get(first), self.get(first + 1), self.get(first + 2)]
    }

    /// Writes one, or says why not by GRBL's number.
    pub(super) fn set(&mut self, number: u16, value: f64) -> Result<(), u8> {
        let known = TABLE.iter().find(|row| row.0 == number).ok_or(3)?;
        if value < 0.0 {
            return Err(4);
        }
        if number == 0 && value < 3.0 {
            return Err(6);
        }
        if number == 20 && value != 0.0 && !self.is(22) {
            return Err(10);
        }
        if number == 22 && value == 0.0 {
            self.values.insert(20, 0.0);
        }
        let kept = if known.2 == 0 && number != 30 && number != 31 { value.trunc() } else { value };
        self.values.insert(number, kept);
        Ok(())
    }

    /// Lines of `$$`.
    pub(super) fn list(&self) -> impl Iterator<Item = String> {
        TABLE
            .iter()
            .map(|&(number, _, decimals)| format!("${number}={:.decimals$}", self.get(number)))
    }

    pub(super) fn limits(&self) -> Limits {
        Limits {
            rate: self.xyz(110).map(|rate| (rate / 60.0).max(0.01)),
            acceleration: self.xyz(120).map(|acceleration| acceleration.max(0.1)),
            junction_deviation: self.get(11).max(0.0),
        }
    }

    /// Rounded to whole steps, as the position counters have it.
    pub(super) fn stepped(&self, position: Xyz) -> Xyz {
        let steps = self.xyz(100);
        std::array::from_fn(|axis| {
            if steps[axis] > 0.0 {
                (position[axis] * steps[axis]).round() / steps[axis]
            } else {
                position[axis]
            }
        })
    }

    /// Whether a target is inside the travel, which lies on the negative side.
    pub(super) fn within_travel(&self, target: Xyz) -> bool {
        let travel = self.xyz(130);
        (0..3).all(|axis| target[axis] <= 1e-9 && target[axis] >= -travel[axis] - 1e-9)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_refused_by_the_controllers_own_numbers() {
        let mut settings = Settings::default();
        assert_eq!(settings.set(7, 1.0), Err(3));
        assert_eq!(settings.set(110, -1.0), Err(4));
        assert_eq!(settings.set(0, 2.0), Err(6));
        assert_eq!(settings.set(20, 1.0), Err(10));
        assert_eq!(settings.set(22, 1.0), Ok(()));
        assert_eq!(settings.set(20, 1.0), Ok(()));
        assert!(settings.list().any(|line| line == "$20=1"));
        assert!(settings.list().any(|line| line == "$11=0.010"));
    }
}
