//! From the raw lines of a file to the lines that go to a controller.
//!
//! The streamer's feeder reads a program through this, line by line, with the same cleaning and
//! the same interpreter as the analysis before the start.
//!
//! Invariant: a line that the interpreter would refuse is handed on all the same (another build
//! of the controller may take it, and the machine's rule for `error:N` decides), but positions
//! are unknown after it.

use headstock_config::explain::Explain;

use super::clean::{Fault, clean};
use super::interpreter::Interpreter;
use super::modal::Modal;
use super::print;
use super::print::clean::Layer;
use super::print::state::State;
use super::{Known, Language, LineTraits, ProgramLine};

/// A line that must not go to a controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {number}: {fault}")]
pub struct BadLine {
    /// File line number.
    pub number: u64,
    /// Why.
    pub fault: Fault,
}

impl Explain for BadLine {
    fn code(&self) -> &'static str {
        self.fault.code()
    }

    fn means(&self) -> String {
        "the line is not sent; a program that contains it is not started".to_owned()
    }

    fn remedy(&self) -> String {
        match self.fault {
            Fault::NotAscii(_) => "export the program as plain ASCII; umlauts may stay in comments",
            Fault::Realtime(_) | Fault::Control(_) => "take the character out of the line",
            Fault::ControllerCommand(_) => "take the line out and give the command by hand",
            Fault::TooLong { .. } => "let the post processor write fewer decimals or no N words",
            Fault::Endless(_) => "check that the file is a G-code program",
        }
        .to_owned()
    }
}

/// Reads a program for a controller.
#[derive(Clone, Debug)]
pub struct Reader {
    interpreter: Interpreter,
    line_max: usize,
    text: String,
    language: Language,
    print: State,
    /// Layer that the next line begins, and the one that is being read.
    begins: Option<u32>,
    layer: u32,
}

impl Reader {
    /// For a controller that takes lines of at most `line_max` characters (79 for GRBL), in the
    /// modes of power-up and at an unknown position.
    pub fn new(line_max: usize) -> Self {
        Self {
            interpreter: Interpreter::default(),
            line_max,
            text: String::new(),
            language: Language::default(),
            print: State::default(),
            begins: None,
            layer: 0,
        }
    }

    /// Reads this language.
    pub fn speaking(self, language: Language) -> Self {
        Self { language, ..self }
    }

    /// Begins in the modes and at the work position that the controller reports, in laser mode
    /// or not.
    pub fn beginning(self, modal: Modal, position: Known, laser: bool) -> Self {
        Self { interpreter: Interpreter::new(modal, position).with_laser(laser), ..self }
    }

    /// Modes and position after the latest line.
    pub fn interpreter(&self) -> &Interpreter {
        &self.interpreter
    }

    /// The next raw line of the file, with or without its line end. `None`: the line vanishes.
    pub fn read(&mut self, number: u64, raw: &[u8]) -> Result<Option<ProgramLine>, BadLine> {
        match self.language {
            Language::Mill => self.read_mill(number, raw),
            Language::Print => self.read_print(number, raw),
        }
    }

    fn read_print(&mut self, number: u64, raw: &[u8]) -> Result<Option<ProgramLine>, BadLine> {
        let layer = print::clean::clean(raw, number == 1, self.line_max, &mut self.text)
            .map_err(|fault| BadLine { number, fault })?;
        match layer {
            Some(Layer::Next) => (self.layer, self.begins) = (self.layer + 1, Some(self.layer + 1)),
            Some(Layer::This(layer)) => (self.layer, self.begins) = (layer, Some(layer)),
            Some(Layer::All(_)) | None => (),
        }
        if self.text.is_empty() {
            return Ok(None);
        }
        let mut traits = self.print.step(&self.text).traits;
        traits.layer = self.begins.take();
        let text = self.text.clone();
        Ok(Some(ProgramLine { number, text, traits, end: self.print.position() }))
    }

    fn read_mill(&mut self, number: u64, raw: &[u8]) -> Result<Option<ProgramLine>, BadLine> {
        clean(raw, number == 1, self.line_max, &mut self.text)
            .map_err(|fault| BadLine { number, fault })?;
        if self.text.is_empty() {
            return Ok(None);
        }
        let traits = match self.interpreter.step(&self.text) {
            Ok(step) => step.traits,
            Err(_) => {
                self.interpreter.forget_position();
                LineTraits { drains: true, moves: true, ..LineTraits::default() }
            }
        };
        let text = self.text.clone();
        Ok(Some(ProgramLine { number, text, traits, end: self.interpreter.position() }))
    }
}

/// Reads anything whatsoever; for tests that throw bytes at the language.
pub fn read_anything(bytes: &[u8]) {
    for language in [Language::Mill, Language::Print] {
        let mut reader = Reader::new(79).speaking(language);
        let mut lines = super::lines::Lines::default();
        let mut read = |number, raw: &[u8]| {
            if let Ok(Some(line)) = reader.read(number, raw) {
                assert!(!line.text.is_empty() && line.text.len() <= 79);
            }
        };
        lines.push(bytes, &mut read);
        lines.end(&mut read);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::gcode::Pause;

    fn read(program: &str) -> Vec<ProgramLine> {
        let mut reader = Reader::new(79);
        let lines = program.lines().enumerate();
        lines.filter_map(|(at, raw)| reader.read(at as u64 + 1, raw.as_bytes()).unwrap()).collect()
    }

    #[test]
    fn lines_keep_their_numbers_in_the_file() {
        let lines = read("%\nO1\n(a part)\ng21 g90\n\nG0 X1 Y2\n");
        let seen: Vec<_> = lines.iter().map(|it| (it.number, it.text.as_str())).collect();
        assert_eq!(seen, [(4, "G21G90"), (6, "G0X1Y2")]);
        assert_eq!(lines[1].end, [Some(1.0), Some(2.0), None]);
        assert!(lines[1].traits.moves && !lines[0].traits.moves);
    }

    #[test]
    fn a_streamer_is_told_what_it_must_know() {
        let lines = read("G10L20P1Z0\nM3S1000\nS900\nT2M6\nM0\nG4P1\nG1X1F100\nM5");
        let traits: Vec<_> = lines.iter().map(|it| it.traits).collect();
        assert!(traits[0].writes_eeprom && traits[0].drains);
        assert!(traits[1].drains && traits[2].drains && traits[5].drains && traits[7].drains);
        assert_eq!(traits[3].pause, Some(Pause::ToolChange(2)));
        assert_eq!(traits[4].pause, Some(Pause::Stop));
        assert_eq!(traits[6], LineTraits { moves: true, ..LineTraits::default() });
    }

    #[test]
    fn a_laser_changes_power_in_motion() {
        let mut reader = Reader::new(79).beginning(Modal::default(), [Some(0.0); 3], true);
        for (line, drains) in [("M4S0", true), ("G1X1S500F1000", false), ("S0", true)] {
            let read = reader.read(2, line.as_bytes()).unwrap().unwrap();
            assert_eq!(read.traits.drains, drains, "{line}");
        }
    }

    #[test]
    fn a_line_that_may_be_refused_is_handed_on_and_position_is_unknown_after_it() {
        let lines = read("G0X1Y1Z1\nG43H2\nG0X3");
        assert_eq!(lines[1].text, "G43H2");
        assert_eq!(lines[1].end, [None; 3]);
        assert_eq!(lines[2].end, [Some(3.0), None, None]);
    }

    #[test]
    fn a_bad_line_says_where_and_why() {
        let bad = Reader::new(79).read(12, b"G1 X1!").unwrap_err();
        assert_eq!(bad.code(), "gcode.realtime_character");
        assert_eq!(bad.to_string(), "line 12: `!` would be acted upon at once by the controller");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            read_anything(&bytes);
        }

        #[test]
        fn no_words_make_it_panic(
            words in proptest::collection::vec(("[A-Z]", -300.0f64..300.0, 0usize..4), 0..40)
        ) {
            let mut text = String::new();
            for (at, (letter, value, decimals)) in words.iter().enumerate() {
                text += &format!("{letter}{value:.decimals$}");
                text += if at % 4 == 3 { "\n" } else { "" };
            }
            read_anything(text.as_bytes());
        }
    }
}
