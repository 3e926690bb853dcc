//! What people ask for beside programs, as lines.
//!
//! Each command is first judged by the mode: what the firmware would misread, or what would get in
//! the way of a print, is not sent.

use std::time::Instant;

use headstock_config::command::{Command, HoldWish};
use headstock_config::event::Event;
use headstock_config::machine::Mode;

use super::Marlin;
use super::errand::{Errand, Rest, Why};
use super::introduce::Introduction;
use super::line::TEXT_MAX;
use super::reach::homed_by;
use super::stop::Halt;
use super::temperature::COLD;
use crate::gcode::print;
use crate::{Outbox, Refusal};

/// Commands that may wait for their turn.
const BACKLOG: usize = 24;
/// Filament moved at once, mm (`EXTRUDE_MAXLENGTH` as shipped).
const LONGEST: f64 = 200.0;

impl Marlin {
    /// `Driver::obey`.
    pub(super) fn command(
        &mut self,
        now: Instant,
        command: Command,
        out: &mut Outbox,
    ) -> Result<(), Refusal> {
        let held = self.jogs.is_held();
        if !matches!(command, Command::JogHold { .. } | Command::Override { .. }) {
            self.jog_let_go();
        }
        self.permit(&command)?;
        match command {
            Command::Hold | Command::Stop | Command::Abort => {
                self.stop_by(now, command.as_stop().expect("these three are stops"), out);
                Ok(())
            }
            Command::Resume => self.resume(now, out),
            Command::JogHold { toward, feed, lease_ms } => {
                self.jog_hold(now, HoldWish { toward, feed, lease_ms })
            }
            Command::JogCancel if !held => {
                Err(Refusal::Unsupported("break a single move off; stop it"))
            }
            Command::JogCancel | Command::JogEnd => {
                self.jog_end();
                Ok(())
            }
            Command::Answer { choice } => self.answer(choice, out),
            Command::Unlock | Command::Reset => self.unlock(now, out),
            command => {
                if BACKLOG <= self.errands.len() {
                    return Err(Refusal::Backlog(self.errands.len()));
                }
                self.line_command(command)
            }
        }
    }

    fn line_command(&mut self, command: Command) -> Result<(), Refusal> {
        match command {
            Command::Home { axes } => self.home(axes),
            Command::Jog { by, feed, absolute } => self.jog(by, feed, absolute),
            Command::Override { which, percent } => self.override_to(which, percent),
            Command::Run { line } => self.typed(&line),
            Command::Preheat { heater, celsius } => self.preheat(&heater, celsius),
            Command::Extrude { mm, feed } => self.extrude(mm, feed),
            Command::Fan { percent } => self.fan(percent),
            Command::Motors { on } => {
                if !on {
                    self.doubt("its motors were let go");
                }
                self.person(if on { "M17" } else { "M84" });
                Ok(())
            }
            Command::Probe { by, .. } => self.probe(by),
            Command::Zero { .. } => Err(Refusal::Unsupported(
                "be zeroed where it stands: its zero is where its switches are; home it",
            )),
            Command::WorkOffset { .. } => Err(Refusal::Unsupported(
                "choose a work offset: programs for it are in its own coordinates; home it",
            )),
            Command::Check { .. } => Err(Refusal::Unsupported("check a program without moving")),
            Command::Setting { .. } => Err(Refusal::Unsupported("be set by number; run an M code")),
            _ => Err(Refusal::Unsupported("do that")),
        }
    }

    fn person(&mut self, line: &str) {
        self.errands.push_back(Errand::new(line, Why::Person(line.into())));
    }

    fn home(&mut self, axes: Option<String>) -> Result<(), Refusal> {
        let Some(axes) = axes else {
            self.home_by("G28".into());
            return Ok(());
        };
        let axes = axes.to_ascii_uppercase();
        if axes.is_empty() || !axes.bytes().all(|axis| b"XYZ".contains(&axis)) {
            return Err(Refusal::BadCommand(format!("`{axes}` names no axes")));
        }
        let words: String = axes.chars().map(|axis| format!(" {axis}")).collect();
        self.home_by(format!("G28{words}"));
        Ok(())
    }

    fn home_by(&mut self, line: String) {
        let axes = homed_by(&line);
        self.errands.push_back(Errand::new(line, Why::Home(axes)));
        self.errands.push_back(Errand::new("M114", Why::Rest(Rest::Home)));
    }

    fn typed(&mut self, line: &str) -> Result<(), Refusal> {
        let text = line.split(';').next().unwrap_or_default().trim();
        if let Some(odd) = text.chars().find(|&it| !(' '..='~').contains(&it) || it == '*') {
            return Err(Refusal::BadCommand(format!("`{odd}` cannot be sent in a line")));
        }
        if TEXT_MAX < text.len() {
            return Err(Refusal::TooLong(text.len(), TEXT_MAX));
        }
        self.judge_heat(text)?;
        let code = print::words(text).next();
        let moves = matches!(code, Some((b'G' | b'T', _)));
        if moves && self.program.is_some() {
            // The program would go on from elsewhere than it believes.
            return Err(Refusal::NotNow("printing"));
        }
        match code {
            None => return Err(Refusal::BadCommand("the line holds no command".into())),
            Some((b'N', _)) => return Err(Refusal::BadCommand("line numbers are ours".into())),
            Some((b'M', Some(110.0 | 112.0 | 410.0 | 108.0 | 876.0 | 999.0))) => {
                return Err(Refusal::BadCommand(format!("`{text}` has a command of its own")));
            }
            Some((b'G', Some(28.0))) => {
                self.home_by(text.to_owned());
                return Ok(());
            }
            Some((b'M', Some(18.0 | 84.0))) => self.doubt("its motors were let go"),
            _ => (),
        }
        self.person(text);
        if moves {
            self.located();
        }
        Ok(())
    }

    /// Typed or chosen, a heater gets no hotter than is declared.
    fn judge_heat(&self, text: &str) -> Result<(), Refusal> {
        let mut words = print::words(text);
        let most = match words.next() {
            Some((b'M', Some(104.0 | 109.0))) => self.setup.printer.max_hotend,
            Some((b'M', Some(140.0 | 141.0 | 190.0 | 191.0))) => self.setup.printer.max_bed,
            Some((b'M', Some(303.0))) => {
                let heater = print::words(text).find(|it| it.0 == b'E').and_then(|it| it.1);
                // Bed and chamber are -1 and -2.
                let bed = heater.is_some_and(|it| it < 0.0);
                if bed { self.setup.printer.max_bed } else { self.setup.printer.max_hotend }
            }
            _ => return Ok(()),
        };
        for (letter, celsius) in words {
            if let (b'S' | b'R', Some(celsius)) = (letter, celsius) {
                within(celsius, 0.0, most, "temperature")?;
            }
        }
        Ok(())
    }

    fn preheat(&mut self, heater: &str, celsius: f64) -> Result<(), Refusal> {
        let number = heater.strip_prefix("hotend").map(|it| if it.is_empty() { "0" } else { it });
        let number = number.and_then(|it| it.parse::<u32>().ok());
        let (line, most) = match (heater, number) {
            (_, Some(tool)) if tool < self.it.extruders.max(1) => {
                let tool = if self.it.extruders <= 1 { String::new() } else { format!(" T{tool}") };
                (format!("M104{tool} S"), self.setup.printer.max_hotend)
            }
            ("bed", _) => ("M140 S".into(), self.setup.printer.max_bed),
            ("chamber", _) if self.it.chamber => ("M141 S".into(), self.setup.printer.max_bed),
            _ => return Err(Refusal::BadCommand(format!("there is no heater `{heater}`"))),
        };
        let celsius = within(celsius, 0.0, most, "temperature")?;
        self.person(&format!("{line}{celsius:.0}"));
        Ok(())
    }

    fn extrude(&mut self, mm: f64, feed: f64) -> Result<(), Refusal> {
        let feed = within(feed, 1.0, 6000.0, "feed")?;
        let mm = within(mm, -LONGEST, LONGEST, "length")?;
        let warm = self.hotend().map_or(0.0, |it| it.celsius);
        if warm < COLD {
            let text = format!("the nozzle has {warm:.0} °C; filament moves from {COLD} °C on");
            return Err(Refusal::Unready(text));
        }
        self.errands.push_back(Errand::new("M114", Why::Extrude(mm, feed)));
        self.located();
        Ok(())
    }

    /// It is known what the extruder's count is.
    pub(super) fn extrude_now(&mut self, mm: f64, feed: f64, out: &mut Outbox) {
        if self.place.is_none() && self.program.is_some() {
            let text = "no filament was moved: the printer did not say what its extruder counts, \
                        and the print could not have gone on from there; try again";
            out.events.push_back(Event::Remark { text: text.into() });
            return;
        }
        let modal = self.modal;
        let mut lines = vec!["G21".to_owned(), "M83".into(), format!("G1 E{mm:.3} F{feed:.0}")];
        if let Some(place) = self.place {
            // What the program believes of its extruder shall stay true.
            lines.push(format!("G92 E{:.5}", place[3]));
        }
        lines.extend(modal.restore());
        for line in lines.into_iter().rev() {
            self.errands.push_front(Errand::new(line, Why::Hand));
        }
    }

    fn fan(&mut self, percent: f64) -> Result<(), Refusal> {
        let percent = within(percent, 0.0, 100.0, "percentage")?;
        let line = if percent == 0.0 {
            "M107".into()
        } else {
            format!("M106 S{:.0}", percent / 100.0 * 255.0)
        };
        self.person(&line);
        Ok(())
    }

    fn unlock(&mut self, now: Instant, out: &mut Outbox) -> Result<(), Refusal> {
        match self.halt {
            None => Ok(()),
            Some(Halt::Stopped) => {
                out.bytes.extend_from_slice(b"M999\n");
                self.unhalt(out);
                self.introduce(now, out);
                Ok(())
            }
            Some(_) => Err(Refusal::Unsupported(
                "be woken by a command after it has halted: switch it off and on",
            )),
        }
    }

    /// Whether this may be sent in the present mode.
    fn permit(&self, command: &Command) -> Result<(), Refusal> {
        if !self.open {
            return Err(Refusal::NotOnline);
        }
        if command.as_stop().is_some() {
            return Ok(());
        }
        let mode = self.mode();
        if mode == Mode::Connecting || self.intro != Introduction::Known && self.halt.is_none() {
            return Err(Refusal::NotOnline);
        }
        if permitted(command, mode, self.program.is_some()) {
            Ok(())
        } else {
            Err(Refusal::NotNow(mode.word()))
        }
    }
}

/// The table: what may be sent in which mode. `program`: one is under way.
fn permitted(command: &Command, mode: Mode, program: bool) -> bool {
    use Mode::{Alarm, Held, Holding, Idle, Jogging, Running};
    match command {
        Command::Unlock | Command::Reset => matches!(mode, Alarm | Idle),
        Command::Resume => matches!(mode, Held | Holding),
        Command::Answer { .. } => matches!(mode, Held | Running | Idle),
        // By hand, in the middle of a print: its nozzle would be elsewhere than it believes.
        Command::Home { .. } | Command::Motors { .. } | Command::Probe { .. } => mode == Idle,
        // What is held looks for itself.
        Command::JogHold { .. } | Command::JogEnd | Command::JogCancel => true,
        // One press, one step.
        Command::Jog { .. } => mode == Idle,
        Command::Extrude { .. } => matches!(mode, Idle | Jogging) || mode == Held && program,
        Command::Run { .. } => matches!(mode, Idle | Jogging | Running | Held),
        _ => matches!(mode, Idle | Jogging | Running | Held),
    }
}

pub(super) fn within(value: f64, low: f64, high: f64, what: &str) -> Result<f64, Refusal> {
    if (low..=high).contains(&value) {
        return Ok(value);
    }
    Err(Refusal::BadCommand(format!("a {what} from {low} to {high} is accepted")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_sent_depends_on_the_mode() {
        let jog = Command::Jog { by: [Some(1.0), None, None], feed: 600.0, absolute: false };
        let warm = Command::Preheat { heater: "bed".into(), celsius: 60.0 };
        let rows = [
            (&jog, Mode::Idle, false, true),
            (&jog, Mode::Running, true, false),
            (&jog, Mode::Held, true, false),
            (&warm, Mode::Running, true, true),
            (&warm, Mode::Alarm, false, false),
            (&Command::Extrude { mm: 5.0, feed: 100.0 }, Mode::Held, true, true),
            (&Command::Motors { on: false }, Mode::Running, true, false),
            (&Command::Resume, Mode::Idle, false, false),
            (&Command::Unlock, Mode::Alarm, false, true),
        ];
        for (command, mode, program, may) in rows {
            assert_eq!(permitted(command, mode, program), may, "{command:?} while {mode:?}");
        }
    }
}
