//! The ways to a standstill.
//!
//! ```text
//!        M108 M410, past the queue         M410, heaters off, motors off    M105 answered
//! stop --------------------------> Numbering ----------------------------> Off -----------> over
//!                                      ^ no sign that it halted, or asked for once more
//! abort ---- M112, past the queue ---> Killing --------- "Printer halted" ----------------> over
//! ```
//!
//! Where the firmware has no EMERGENCY_PARSER, the same lines wait for the command that is being
//! carried out: the house says so ([`Live::stop_waits`](headstock_config::machine::Live)) and
//! nobody calls this an emergency stop. M410 forgets what is planned in the middle of a move, and
//! motors that are off can be pushed about: position is lost by every stop. Lines that stood in the
//! firmware's queue behind an M410 are carried out after it; so it is said once more when the queue
//! has been seen empty. One M108 breaks off one wait: until the queue is empty both are repeated,
//! so that an M109 behind another does not heat up. Source: Marlin `src/feature/e_parser.h`,
//! `src/gcode/control/M108_M112_M410.cpp`.

use std::time::{Duration, Instant};

use headstock_config::command::Stop;
use headstock_config::event::{Alarm, Cause, Event};
use headstock_config::machine::Mode;

use super::Marlin;
use super::errand::{Errand, Proof, Rest, Why};
use super::introduce::Introduction;
use crate::Outbox;

/// A firmware that can be halted at once says that it has within this time.
const HALTS: Duration = Duration::from_secs(3);
/// One that cannot is waited for as long as it says that it is busy, and this long after that.
const WAITS: Duration = Duration::from_secs(20);
/// How often what goes past the queue is said until the queue has been seen empty.
const AGAIN: Duration = Duration::from_secs(1);
/// Proofs that are asked for before the answers alone are believed.
const PROOFS: u32 = 5;

/// A stop on its way.
#[derive(Debug)]
pub(super) struct Stopping {
    phase: Phase,
    /// The program that is lost by it, to be declared in the end.
    lost: Option<(Cause, String)>,
    /// `Event::AtRest` is expected.
    announce: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    Killing { since: Instant },
    Numbering { said: Instant },
    Off { proofs: u32 },
}

/// It has halted itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Halt {
    /// `kill() called`: only a reset helps.
    Killed,
    /// M999 lets it go on.
    Stopped,
    /// A heater or its thermometer is not to be trusted; it halts by itself.
    Heater(String),
}

/// Why a stop is wanted.
pub(super) struct Reason {
    /// What ends the program, if one runs.
    pub(super) cause: Cause,
    /// For people.
    pub(super) text: String,
    /// `Event::AtRest` is expected.
    pub(super) announce: bool,
}

impl Marlin {
    /// `Driver::stop`.
    pub(super) fn stop_by(&mut self, now: Instant, how: Stop, out: &mut Outbox) {
        let reason = |text: &str| Reason { cause: Cause::Asked, text: text.into(), announce: true };
        match how {
            Stop::Hold => self.hold_all(now, out),
            Stop::Stop => self.halt_for(now, reason("stopped on request"), out),
            Stop::Abort => self.kill(now, reason("aborted on request"), out),
        }
    }

    /// What was sent by hand is finished; nothing that moves follows it.
    fn hold_all(&mut self, now: Instant, out: &mut Outbox) {
        self.jog_let_go();
        let printing = self.program.is_some() && self.mode() == Mode::Running;
        self.errands.retain(|errand| !errand.moves_by_hand());
        if !printing {
            // What was sent by hand is finished; nothing follows it.
            self.errands.retain(|errand| !matches!(errand.why, Why::Person(_)));
        }
        if self.program.is_some() {
            self.hold_program(now, out);
        }
    }

    /// Quick stop, then heaters and motors off.
    pub(super) fn halt_for(&mut self, now: Instant, reason: Reason, out: &mut Outbox) {
        if self.halt == Some(Halt::Killed) {
            self.speak_past(&["M108", "M410"], out);
            return self.halted_already(reason, out);
        }
        self.join_stopping(Phase::Numbering { said: now }, reason);
        self.quick_stop(now, out);
    }

    /// Whatever of a stop has been said before is said from the beginning: nothing of it is lost by
    /// asking twice.
    fn quick_stop(&mut self, now: Instant, out: &mut Outbox) {
        if let Some(Stopping { phase, .. }) = &mut self.stopping
            && !matches!(phase, Phase::Killing { .. })
        {
            *phase = Phase::Numbering { said: now };
        }
        self.speak_past(&["M108", "M410"], out);
        self.stream.renumber(now, &mut out.bytes);
    }

    /// Halts the firmware at once.
    fn kill(&mut self, now: Instant, reason: Reason, out: &mut Outbox) {
        if self.halt == Some(Halt::Killed) {
            self.speak_past(&["M112"], out);
            return self.halted_already(reason, out);
        }
        self.join_stopping(Phase::Killing { since: now }, reason);
        if let Some(stopping) = &mut self.stopping {
            stopping.phase = Phase::Killing { since: now };
        }
        self.speak_past(&["M112"], out);
        self.stream.forget();
    }

    /// It has said that it rests. Whatever else it complains of, it may be alive and at work, and is
    /// stopped like any other.
    fn halted_already(&mut self, reason: Reason, out: &mut Outbox) {
        self.lose_program(reason.cause, reason.text, false, out);
        if reason.announce {
            out.events.push_back(Event::AtRest { position: None, position_kept: false });
        }
    }

    /// What the link has not taken yet would only be carried out after the stop. Half a line may
    /// have gone: the line end spoils it, since its checksum is missing.
    fn speak_past(&self, lines: &[&str], out: &mut Outbox) {
        out.bytes.clear();
        for line in lines {
            out.urgent.extend_from_slice(format!("\n{line}\n").as_bytes());
        }
    }

    fn join_stopping(&mut self, phase: Phase, reason: Reason) {
        let lost = self.drop_program().then_some((reason.cause, reason.text));
        self.errands.clear();
        self.jogs.clear();
        self.hold.clear();
        self.prompt_over();
        let stopping = self.stopping.get_or_insert(Stopping { phase, lost: None, announce: false });
        stopping.lost = stopping.lost.take().or(lost);
        stopping.announce |= reason.announce;
    }

    /// The numbers have begun anew: the queue has been seen empty.
    pub(super) fn stop_numbered(&mut self, _now: Instant) {
        let Some(stopping) = &mut self.stopping else { return };
        if !matches!(stopping.phase, Phase::Numbering { .. }) {
            return;
        }
        stopping.phase = Phase::Off { proofs: 0 };
        self.errands.push_back(Errand::new("M410", Why::Step));
        self.heaters_off();
        self.errands.push_back(Errand::new("M84", Why::Step));
        // What was to put modes back was dropped with all that waited.
        self.plain_modes();
        self.errands.push_back(Errand::new("M105", Why::Proof(Proof::Stop)));
    }

    fn heaters_off(&mut self) {
        let several = 1 < self.it.extruders;
        let nozzle = |tool| if several { format!("M104 T{tool} S0") } else { "M104 S0".into() };
        let mut lines: Vec<String> = (0..self.it.extruders.max(1)).map(nozzle).collect();
        lines.push("M140 S0".into());
        if self.it.chamber {
            lines.push("M141 S0".into());
        }
        lines.push("M107".into());
        self.errands.extend(lines.into_iter().map(|line| Errand::new(line, Why::Step)));
    }

    /// Nobody will be here to feed the print, and nobody can go on with it later: what is planned is
    /// finished, and nothing stays hot in an empty house.
    pub(super) fn leave_cold(&mut self) {
        self.heaters_off();
        self.errands.push_back(Errand::new("M400", Why::Rest(Rest::Hand)));
    }

    /// The last line of a stop has been answered, or an answer has been counted for it.
    pub(super) fn stop_proved(&mut self, good: bool, out: &mut Outbox) {
        let Some(Stopping { phase: Phase::Off { proofs }, .. }) = &mut self.stopping else {
            return;
        };
        *proofs += 1;
        if good || PROOFS <= *proofs {
            self.doubt("it was stopped, and its motors let go");
            self.stop_over(out);
        } else {
            self.errands.push_back(Errand::new("M105", Why::Proof(Proof::Stop)));
        }
    }

    fn stop_over(&mut self, out: &mut Outbox) {
        let Some(stopping) = self.stopping.take() else { return };
        self.show_mode(out);
        if let Some((cause, reason)) = stopping.lost {
            out.events.push_back(Event::ProgramLost { cause, reason, position_kept: false });
        }
        if stopping.announce {
            out.events.push_back(Event::AtRest { position: None, position_kept: false });
        }
        if self.intro != Introduction::Known && self.halt.is_none() && self.stream.is_numbered() {
            // It was stopped before it was known.
            self.intro = Introduction::Numbering;
            self.numbered();
        }
    }

    /// A stop that the link did not survive.
    pub(super) fn stop_cut_off(&mut self, out: &mut Outbox) {
        self.stop_loses(out);
        self.stopping = None;
    }

    /// Its program is lost in any case; who waits for that need not wait for the stop.
    pub(super) fn stop_loses(&mut self, out: &mut Outbox) {
        if let Some((cause, reason)) = self.stopping.as_mut().and_then(|it| it.lost.take()) {
            out.events.push_back(Event::ProgramLost { cause, reason, position_kept: false });
        }
    }

    /// Nothing is answered: what of the stop has been taken, nobody knows.
    pub(super) fn stop_unheard(&mut self, now: Instant) {
        if let Some(stopping) = &mut self.stopping {
            stopping.phase = Phase::Numbering { said: now };
        }
    }

    /// It answers again, and has been told to stop meanwhile: it is told from the beginning. If it has
    /// only lost its print, it still is as hot as that wanted it, and in modes that nobody will undo.
    pub(super) fn stop_heard_again(&mut self, now: Instant, out: &mut Outbox) {
        let hot = self.poll.left_hot();
        match &mut self.stopping {
            Some(Stopping { phase: Phase::Killing { since }, .. }) => {
                *since = now;
                self.speak_past(&["M112"], out);
            }
            Some(_) => {
                self.errands.clear();
                self.quick_stop(now, out);
            }
            None if self.intro == Introduction::Known => {
                self.plain_modes();
                if hot {
                    self.cool(out);
                }
            }
            None => (),
        }
    }

    fn cool(&mut self, out: &mut Outbox) {
        let text = "the firmware answers again: the heaters of the print that was lost are \
                    switched off";
        out.events.push_back(Event::Remark { text: text.into() });
        if self.it.emergency_parser {
            self.speak_past_the_queue("M108", out);
        }
        self.leave_cold();
    }

    /// It restarted: nothing moves and nothing heats.
    pub(super) fn stop_over_by_restart(&mut self, out: &mut Outbox) {
        if self.stopping.is_some() {
            self.stop_over(out);
        }
    }

    /// It says that it is at work: it will come to what was asked.
    pub(super) fn stop_hears(&mut self, now: Instant) {
        if let Some(Stopping { phase: Phase::Killing { since }, .. }) = &mut self.stopping {
            *since = now;
        }
    }

    /// When a firmware that should have halted is given up on, or is told once more to stop.
    pub(super) fn stop_due(&self) -> Option<Instant> {
        let patience = if self.it.emergency_parser { HALTS } else { WAITS };
        match self.stopping.as_ref()?.phase {
            Phase::Killing { since } => Some(since + patience),
            // Elsewhere they would wait in the queue like all lines.
            Phase::Numbering { said } if self.heeds_at_once() => Some(said + AGAIN),
            Phase::Numbering { .. } | Phase::Off { .. } => None,
        }
    }

    /// It takes some commands as soon as they are received, or may: it has not said yet.
    fn heeds_at_once(&self) -> bool {
        self.it.emergency_parser || self.intro != Introduction::Known
    }

    /// It did not halt: then at least quick stop, heaters and motors off.
    pub(super) fn stop_in_time(&mut self, now: Instant, out: &mut Outbox) {
        if self.stop_due().is_none_or(|due| now < due) {
            return;
        }
        if let Some(Stopping { phase: Phase::Numbering { said }, .. }) = &mut self.stopping {
            *said = now;
            // As long as the link takes nothing, more would only pile up.
            if out.urgent.is_empty() {
                out.urgent.extend_from_slice(b"\nM108\n\nM410\n");
            }
            return;
        }
        let text = "the firmware gave no sign that it has halted: cut the printer's power";
        out.events.push_back(Event::Remark { text: text.into() });
        if let Some(stopping) = &mut self.stopping {
            stopping.phase = Phase::Numbering { said: now };
        }
        self.quick_stop(now, out);
    }

    /// Nothing of ours is for it: it has halted, and is not being stopped all the same.
    pub(super) fn is_dead(&self) -> bool {
        self.halt.is_some() && self.stopping.is_none()
    }

    /// Whether an error means that a heater cannot be trusted.
    pub(super) fn broke(&self, said: &str) -> bool {
        let signs = ["Thermal Runaway", "Heating failed", "Heating Failed", "MAXTEMP", "MINTEMP"];
        signs.iter().any(|sign| said.contains(sign))
    }

    /// It has halted itself, or was halted.
    pub(super) fn halted(&mut self, halt: Halt, out: &mut Outbox) {
        let heater = matches!(self.halt, Some(Halt::Heater(_)));
        let killed = halt == Halt::Killed;
        if self.halt.as_ref() == Some(&halt) || heater && !killed {
            // It says so again and again.
            return;
        }
        if killed || self.stopping.is_none() {
            self.errands.clear();
            self.stream.abandon();
        }
        if heater {
            // The reason came first, and has been told.
            self.halt = Some(Halt::Killed);
            return self.stop_over(out);
        }
        self.jogs.clear();
        let (means, remedy) = told(&halt);
        self.halt = Some(halt);
        self.prompt_over();
        self.doubt("the firmware has halted");
        let (number, position_kept) = (0, false);
        out.events.push_back(Event::Alarm(Alarm {
            number,
            means: means.clone(),
            remedy,
            position_kept,
        }));
        self.show_mode(out);
        if killed {
            self.stop_over(out);
        }
        self.lose_program(Cause::Alarm, means, false, out);
    }

    /// M999 was sent, or a reset is expected.
    pub(super) fn unhalt(&mut self, out: &mut Outbox) {
        self.halt = None;
        out.events.push_back(Event::Unlocked);
    }
}

fn told(halt: &Halt) -> (String, String) {
    let power = "look at the printer, switch it off and on again, then home it";
    match halt {
        Halt::Killed => {
            ("the firmware has halted; heaters and motors are off".into(), power.into())
        }
        Halt::Stopped => (
            "the firmware has stopped because of an error".into(),
            "look at the printer, then unlock it".into(),
        ),
        Halt::Heater(said) => (
            format!("a heater cannot be trusted: {said}"),
            format!("look for a loose heater or thermometer before anything else; then {power}"),
        ),
    }
}
