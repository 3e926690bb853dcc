//! What the lines that were sent have made of the firmware's modes, as far as a park needs it.
//!
//! Source: Marlin documentation, G90, G91, M82, M83, G92: G90 and G91 set the extruder as well.

use crate::gcode::print::words;

/// The modes that a park changes and puts back; at first those of a firmware that has just started.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Modal {
    /// G91.
    pub(super) relative: bool,
    /// M83.
    pub(super) e_relative: bool,
    /// mm/min; `None` before the first F.
    pub(super) feed: Option<f64>,
    /// G20.
    pub(super) inch: bool,
    /// Extruder, where lines that were sent say it.
    pub(super) tool: Option<u32>,
}

impl Modal {
    /// Takes note of a line.
    pub(super) fn follow(&mut self, text: &str) {
        let mut words = words(text);
        let Some((letter, Some(code))) = words.next() else { return };
        match (letter, code) {
            (b'G', 20.0) => self.inch = true,
            (b'G', 21.0) => self.inch = false,
            (b'G', 90.0) => (self.relative, self.e_relative) = (false, false),
            (b'G', 91.0) => (self.relative, self.e_relative) = (true, true),
            (b'M', 82.0) => self.e_relative = false,
            (b'M', 83.0) => self.e_relative = true,
            (b'T', tool) if (0.0..=32.0).contains(&tool) => self.tool = Some(tool as u32),
            (b'G', 0.0..=5.0) => {
                let feed = words.find(|word| word.0 == b'F').and_then(|word| word.1);
                self.feed = feed.filter(|it| 0.0 < *it).or(self.feed);
            }
            _ => (),
        }
    }

    /// The lines that bring back these modes, whatever they are now.
    pub(super) fn restore(&self) -> Vec<String> {
        let mut lines = vec![
            if self.inch { "G20" } else { "G21" }.to_owned(),
            if self.relative { "G91" } else { "G90" }.to_owned(),
            if self.e_relative { "M83" } else { "M82" }.to_owned(),
        ];
        if let Some(feed) = self.feed {
            lines.push(format!("G1 F{feed}"));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_park_puts_back_the_modes_that_the_program_had() {
        let mut modal = Modal::default();
        for line in ["G21", "G91", "M82", "G1 X1 E2 F1800", "G0 Y2", "M117 G90 F1", "T1"] {
            modal.follow(line);
        }
        assert_eq!(modal.tool, Some(1));
        assert_eq!(modal.restore(), ["G21", "G91", "M82", "G1 F1800"]);
        modal.follow("G90");
        assert_eq!(modal.restore()[1..3], ["G90", "M82"]);
    }
}
