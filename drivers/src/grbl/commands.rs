//! What people ask for beside programs, as lines and realtime bytes.
//!
//! Each command is first judged by the mode: what the controller would refuse or misread is not
//! sent. Lines are errands; a command whose meaning depends on the units or the distance mode that
//! happen to be selected asks for them first, and puts back what it had to change.

use std::time::Instant;

use headstock_config::command::{Command, HoldWish};
use headstock_config::event::Cause;
use headstock_config::machine::Mode;

use super::Grbl;
use super::errand::{Errand, Wanted, Why};
use super::jog;
use super::modal::Modal;
use super::stop::Reason;
use crate::{Outbox, Refusal};

/// Commands that may wait for their turn.
const BACKLOG: usize = 8;
/// An interlock or a person held it before it could say what it is: it answers nothing until then.
const HELD_UNKNOWN: &str = "held and has not said yet what it is: `resume` or `reset` it first";

impl Grbl {
    /// `Driver::obey`.
    pub(super) fn command(
        &mut self,
        now: Instant,
        command: Command,
        out: &mut Outbox,
    ) -> Result<(), Refusal> {
        if !matches!(command, Command::JogHold { .. } | Command::Override { .. }) {
            self.jog_let_go(now, out);
        }
        self.permit(&command)?;
        match command {
            Command::Hold | Command::Stop | Command::Abort => {
                self.stop_by(now, command.as_stop().expect("these three are stops"), out);
            }
            Command::Resume => self.resume(now, out)?,
            Command::Reset => {
                let text = "the controller was reset on request".into();
                self.reset(now, Reason { cause: Cause::Asked, text, announce: false }, out);
            }
            Command::JogCancel | Command::JogEnd => self.jog_end(now, out),
            Command::JogHold { toward, feed, lease_ms } => {
                self.jog_hold(now, HoldWish { toward, feed, lease_ms }, out)?;
            }
            Command::Override { which, percent } => self.overrides.want(which, percent)?,
            Command::Jog { by, feed, absolute } => self.jog(by, feed, absolute)?,
            command => self.line_command(command)?,
        }
        Ok(())
    }

    fn line_command(&mut self, command: Command) -> Result<(), Refusal> {
        let moves_origin = moves_origin(&command);
        self.queue_command(command)?;
        if moves_origin {
            self.sight.forget_offset();
        }
        Ok(())
    }

    fn queue_command(&mut self, command: Command) -> Result<(), Refusal> {
        if BACKLOG <= self.errands.len() {
            return Err(Refusal::Backlog(self.errands.len()));
        }
        let errand = match command {
            Command::Unlock => Errand::new("$X", Why::Unlock),
            Command::Home { axes } => self.home(axes)?,
            Command::Probe { by, feed, .. } => {
                jog::targets(by)?;
                jog::feed_word(feed)?;
                Errand::modal(Wanted::Command(command))
            }
            Command::Zero { system, at } => {
                jog::targets(at)?;
                system.map_or(Ok(()), check_system)?;
                Errand::modal(Wanted::Command(command))
            }
            Command::WorkOffset { system } => {
                check_system(system)?;
                person(format!("G{}", 53 + u16::from(system)))
            }
            Command::Check { .. } => person("$C".into()),
            Command::Sleep => person("$SLP".into()),
            Command::Run { line } => self.typed(&line)?,
            Command::Setting { number, value } => return self.write_setting(number, &value),
            _ => return Err(Refusal::Unsupported("do that")),
        };
        self.errands.push_back(errand);
        Ok(())
    }

    fn home(&self, axes: Option<String>) -> Result<Errand, Refusal> {
        let Some(axes) = axes else { return Ok(Errand::new("$H", Why::Home(true))) };
        let axes = axes.to_ascii_uppercase();
        let known = |axis: char| matches!(axis, 'X' | 'Y' | 'Z' | 'A' | 'B' | 'C');
        if axes.is_empty() || !axes.chars().all(known) {
            return Err(Refusal::BadCommand(format!("`{axes}` names no axes")));
        }
        if !self.it.single_axis_homing {
            return Err(Refusal::Unsupported("home single axes"));
        }
        Ok(Errand::new(format!("$H{axes}"), Why::Home(false)))
    }

    fn typed(&self, line: &str) -> Result<Errand, Refusal> {
        let text = cleaned(line)?;
        if self.it.controller.line_max < text.len() {
            return Err(Refusal::TooLong(text.len(), self.it.controller.line_max));
        }
        match text.to_ascii_uppercase().as_str() {
            "" => Err(Refusal::BadCommand("the line holds no command".into())),
            "$H" => Ok(Errand::new("$H", Why::Home(true))),
            "$X" => Ok(Errand::new("$X", Why::Unlock)),
            upper if upper.starts_with("$J=") || upper == "$C" => {
                Err(Refusal::BadCommand(format!("`{text}` has a command of its own")))
            }
            // Settings are a maintainer's, and have to be read again afterwards.
            upper if upper.starts_with(['$', '[']) && upper.contains(['=', ']']) => {
                Err(Refusal::BadCommand(format!("`{text}` changes settings, which `setting` does")))
            }
            _ => Ok(person(text)),
        }
    }

    fn write_setting(&mut self, number: u16, value: &str) -> Result<(), Refusal> {
        let value = value.trim();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:/ ".contains(&byte);
        if value.is_empty() || !value.bytes().all(plain) || 60 < value.len() {
            return Err(Refusal::BadCommand(format!("`{value}` is no value for a setting")));
        }
        // Of several settings in a row, the questions after the last one do.
        let asks = |errand: &Errand| {
            matches!(errand.why, Why::Settings | Why::Modal(Wanted::Introduction))
        };
        self.errands.retain(|errand| !asks(errand));
        self.errands.extend([
            person(format!("${number}={value}")),
            Errand::new("$$", Why::Settings),
            Errand::modal(Wanted::Introduction),
        ]);
        Ok(())
    }

    /// The modal state is known: writes the lines of a command that had waited for it.
    pub(super) fn expand_command(&mut self, command: &Command, modal: &Modal) {
        let errands = match command {
            Command::Zero { system, at } => {
                let why = Why::Zero(at.iter().all(Option::is_some));
                vec![Errand::new(zero(*system, *at, modal), why)]
            }
            Command::Probe { by, feed, lenient } => {
                self.probe(*by, *feed, *lenient, modal).into_iter().map(person).collect()
            }
            _ => Vec::new(),
        };
        for errand in errands.into_iter().rev() {
            self.errands.push_front(errand);
        }
    }

    /// Absolute where the work position is known, so that an alarm in the middle of it leaves the
    /// controller in its ordinary distance mode.
    fn probe(&self, by: [Option<f64>; 3], feed: f64, lenient: bool, modal: &Modal) -> Vec<String> {
        let from = self.sight.live.work_position;
        let target = std::array::from_fn(|axis| Some(by[axis]? + from.map_or(0.0, |at| at[axis])));
        let distance = if from.is_some() { 900 } else { 910 };
        let cycle = if lenient { "G38.3" } else { "G38.2" };
        let (Ok(target), Ok(feed)) = (jog::targets(target), jog::feed_word(feed)) else {
            return Vec::new();
        };
        let modes = format!("G21G{}G94", distance / 10);
        let during = Modal {
            motion: Some(382),
            units: Some(210),
            distance: Some(distance),
            feed_mode: Some(940),
            ..modal.clone()
        };
        let mut lines = vec![format!("{modes}{cycle}{target}{feed}")];
        let back = Modal { motion: modal.motion.or(Some(0)), ..modal.clone() };
        lines.extend(back.restore(&during, 0.0));
        lines
    }

    /// Whether this may be sent in the present mode.
    fn permit(&self, command: &Command) -> Result<(), Refusal> {
        if !self.open {
            return Err(Refusal::NotOnline);
        }
        if matches!(command, Command::Hold | Command::Stop | Command::Abort | Command::Reset) {
            return Ok(());
        }
        if self.sight.reports == 0 || self.silent || self.locked_silent {
            return Err(self.unreachable());
        }
        if self.stopping.is_some() {
            return Err(Refusal::NotNow("stopping"));
        }
        if matches!(
            command,
            Command::Resume | Command::Override { .. } | Command::JogCancel | Command::JogEnd
        ) {
            return Ok(());
        }
        if !self.is_known() {
            let held = self.sight.state == super::protocol::State::Hold;
            return Err(Refusal::NotNow(if held { HELD_UNKNOWN } else { "connecting" }));
        }
        let mode = self.mode();
        let waits = self.program.as_ref().is_some_and(|program| program.asks().is_some());
        if self.program.is_some() && !waits {
            return Err(Refusal::NotNow(if mode == Mode::Idle { "running" } else { mode.word() }));
        }
        match permitted(command, mode, waits && self.sight_is_free()) {
            Some(true) => Ok(()),
            Some(false) => Err(Refusal::NotNow(mode.word())),
            None => Err(Refusal::Unsupported("do that: it has no such thing")),
        }
    }

    fn unreachable(&self) -> Refusal {
        if self.locked_silent { Refusal::NotNow("alarm") } else { Refusal::NotOnline }
    }

    /// The controller takes lines although the mode says held: the program only waits.
    fn sight_is_free(&self) -> bool {
        use super::protocol::State;
        matches!(self.sight.state, State::Idle | State::Run | State::Jog)
    }
}

/// The table: what may be sent in which mode. `waits`: a program waits for a person, and the
/// controller is free. `None`: no controller of this kind knows such a command.
fn permitted(command: &Command, mode: Mode, waits: bool) -> Option<bool> {
    use Mode::{Alarm, Checking, Held, Idle, Jogging, Running};
    let free = mode == Idle || waits && mode == Held;
    Some(match command {
        Command::Unlock => matches!(mode, Alarm | Idle),
        Command::Home { .. } => free || mode == Alarm,
        Command::Setting { .. } => matches!(mode, Idle | Alarm),
        // Whether there is one already is looked at where it is taken.
        Command::Jog { .. } | Command::JogHold { .. } => free || mode == Jogging,
        Command::Probe { .. } | Command::Zero { .. } | Command::WorkOffset { .. } => free,
        Command::Check { on } => mode == if *on { Idle } else { Checking },
        Command::Sleep => matches!(mode, Idle | Alarm),
        Command::Run { line } => {
            let asks = line.trim_start().starts_with('$');
            free || matches!(mode, Running | Checking) || asks && mode == Alarm
        }
        _ => return None,
    })
}

/// Whether work coordinates mean something else once this is carried out.
fn moves_origin(command: &Command) -> bool {
    match command {
        Command::Zero { .. } | Command::WorkOffset { .. } => true,
        Command::Run { line } => {
            let line = line.to_ascii_uppercase();
            let moves = |value| {
                let ranges = [10.0..11.0, 43.0..50.0, 54.0..60.0, 92.0..93.0];
                ranges.iter().any(|range| range.contains(&value))
            };
            super::modal::words(&line).any(|(letter, value)| letter == b'G' && moves(value))
        }
        _ => false,
    }
}

fn person(line: String) -> Errand {
    Errand::new(line, Why::Person)
}

fn check_system(system: u8) -> Result<(), Refusal> {
    if (1..=6).contains(&system) {
        return Ok(());
    }
    Err(Refusal::BadCommand(format!("there is no work coordinate system {system}")))
}

/// `G10 L20` in the units that are selected.
fn zero(system: Option<u8>, at: [Option<f64>; 3], modal: &Modal) -> String {
    let scale = if modal.units == Some(200) { 25.4 } else { 1.0 };
    let at = at.map(|value| value.map(|value| value / scale));
    let targets = jog::targets(at).unwrap_or_default();
    format!("G10L20P{}{targets}", system.unwrap_or(0))
}

/// A typed line as it may be sent: no comments, no realtime characters, plain ASCII.
fn cleaned(line: &str) -> Result<String, Refusal> {
    let line = line.trim();
    if let Some(odd) = line.chars().find(|&it| !(' '..='~').contains(&it) || "?!~".contains(it)) {
        return Err(Refusal::BadCommand(format!("`{odd}` cannot be sent in a line")));
    }
    if line.starts_with('$') {
        return Ok(line.to_owned());
    }
    let mut depth = 0;
    let mut text = String::new();
    for letter in line.chars().take_while(|&letter| letter != ';') {
        match letter {
            '(' => depth += 1,
            ')' if depth > 0 => depth -= 1,
            ' ' => (),
            _ if depth > 0 => (),
            letter => text.push(letter.to_ascii_uppercase()),
        }
    }
    let moves_tool = super::modal::words(&text).any(|word| word == (b'M', 6.0));
    if moves_tool {
        return Err(Refusal::Unsupported("change tools"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typed_line_is_cleaned_and_never_holds_a_realtime_character() {
        let rows = [("g1 x10 (left) f100 ; go", "G1X10F100"), ("$G", "$G"), ("(all comment)", "")];
        for (line, sent) in rows {
            assert_eq!(cleaned(line).unwrap(), sent);
        }
        for line in ["G1 X1 (what?)", "G1 X1!", "G1 X1 ~", "G1\nX1", "G1 Xé", "G1\u{18}", "M6"] {
            assert!(cleaned(line).is_err(), "{line:?}");
        }
    }

    #[test]
    fn zero_is_written_in_the_units_that_are_selected() {
        let inch = Modal { units: Some(200), ..Modal::default() };
        let at = [Some(0.0), None, Some(25.4)];
        assert_eq!(zero(None, at, &Modal::default()), "G10L20P0X0Z25.4");
        assert_eq!(zero(Some(2), at, &inch), "G10L20P2X0Z1");
    }

    #[test]
    fn what_may_be_sent_depends_on_the_mode() {
        let run = |line: &str| Command::Run { line: line.into() };
        let rows = [
            (run("G0X1"), Mode::Idle, false, true),
            (run("G0X1"), Mode::Alarm, false, false),
            (run("$$"), Mode::Alarm, false, true),
            (run("G0X1"), Mode::Held, false, false),
            (run("G0X1"), Mode::Held, true, true),
            (Command::Unlock, Mode::Alarm, false, true),
            (Command::Unlock, Mode::Running, false, false),
            (Command::Check { on: true }, Mode::Idle, false, true),
            (Command::Check { on: false }, Mode::Idle, false, false),
            (Command::WorkOffset { system: 1 }, Mode::Sleeping, false, false),
        ];
        for (command, mode, waits, may) in rows {
            assert_eq!(permitted(&command, mode, waits), Some(may), "{command:?} while {mode:?}");
        }
    }
}
