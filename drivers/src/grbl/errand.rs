//! Errands: single lines of ours beside the program, one at a time, each waiting for its answer.
//!
//! Questions (`$I`, `$G` …), commands of people, and what the program's own procedures need. The
//! next goes out only when nothing at all is unanswered, so that lines which write EEPROM (and
//! make an AVR deaf while they do) are always alone.

use std::time::Instant;

use headstock_config::command::Command;
use headstock_config::event::Event;

use super::Grbl;
use super::offsets::Heard;
use super::protocol::State;
use super::stream::What;
use super::words;
use crate::Outbox;

/// One line and why it is sent.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Errand {
    /// The line, without its end.
    pub(super) text: String,
    /// What its answer leads to.
    pub(super) why: Why,
}

/// Why an errand is sent.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Why {
    /// Ends a line that an earlier run may have left half sent; whatever the answer is, is right.
    Guard,
    /// `$I`.
    Info,
    /// `$$`.
    Settings,
    /// `$#`.
    Offsets,
    /// `$G`, and what the answer is wanted for.
    Modal(Wanted),
    /// `$C` on, for a dry run.
    CheckOn,
    /// `$C` off, after a dry run.
    CheckOff,
    /// `$H`; `true`: all axes.
    Home(bool),
    /// `$X`.
    Unlock,
    /// Puts a mode, the spindle or the coolant to what the program expects.
    Restore,
    /// Spindle or coolant off, for a tool change.
    ToolOut,
    /// A work offset is set; `true`: of all axes.
    Zero(bool),
    /// A line that a person asked for.
    Person,
}

/// What the modal state is wanted for.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Wanted {
    /// To get to know the controller.
    Introduction,
    /// To begin a program in the modes it was judged in.
    Start,
    /// To have it back after a tool change.
    ToolOut,
    /// To see what has become of it.
    ToolBack,
    /// To compare at the end of a program; tries so far.
    End(u8),
    /// To see whether it follows this motion mode, which was set on purpose.
    Witness(u16),
    /// A command that depends on the units or the distance mode.
    Command(Command),
}

impl Errand {
    /// A line and why it is sent.
    pub(super) fn new(text: impl Into<String>, why: Why) -> Self {
        Self { text: text.into(), why }
    }

    /// `$G`.
    pub(super) fn modal(wanted: Wanted) -> Self {
        Self::new("$G", Why::Modal(wanted))
    }
}

impl Grbl {
    /// Sends the next errand if it may go.
    pub(super) fn send_errand(&mut self, now: Instant, out: &mut Outbox) {
        let state_allows = !matches!(self.sight.state, State::Hold | State::Door | State::Home);
        if !self.stream.is_empty() || self.stopping.is_some() || !state_allows {
            return;
        }
        if self.dirty && !self.errands.is_empty() {
            self.dirty = false;
            self.errands.push_front(Errand::new("$", Why::Guard));
        }
        let Some(errand) = self.errands.pop_front() else { return };
        if matches!(errand.why, Why::Home(_)) {
            self.homing = Some(now);
            self.home_failed = false;
        }
        self.restart_expected = errand.text == "$C" && self.sight.state == State::Check;
        self.heard_modal = None;
        self.heard_offsets = Heard::default();
        self.heard_damage = false;
        let text = errand.text.clone();
        self.stream.send(now, &text, What::Errand(errand), &mut out.bytes);
    }

    /// An errand was answered; `refused` has the controller's number if it said no.
    pub(super) fn errand_answered(
        &mut self,
        now: Instant,
        errand: Errand,
        refused: Option<u16>,
        out: &mut Outbox,
    ) {
        self.restart_expected &= refused.is_none();
        match (errand.why, refused) {
            (Why::Guard | Why::Settings, _) => self.introduction_went_on(),
            (Why::Offsets, refused) => {
                self.offsets_answered(refused.is_some(), out);
                self.introduction_went_on();
            }
            (Why::Info, refused) => {
                self.intro.lacking = refused.is_some();
                self.introduction_went_on();
            }
            (Why::Modal(wanted), refused) => self.modal_answered(now, wanted, refused, out),
            (Why::CheckOn, None) => self.check_is_on(now, out),
            (Why::CheckOff, None) => self.program_left_check(now),
            (Why::Home(all), None) => self.homed(all, out),
            (Why::Unlock, None) => self.unlocked(out),
            (Why::Restore, None) => self.restored(),
            (Why::ToolOut, None) => self.tool_is_still(out),
            (Why::Zero(all), None) => {
                self.zeroed(all);
                self.look(now, out);
            }
            (Why::Person, None) => self.look(now, out),
            (Why::CheckOn | Why::CheckOff | Why::Restore | Why::ToolOut, Some(number)) => {
                self.procedure_refused(now, &errand.text, number, out);
            }
            (Why::Home(_) | Why::Unlock | Why::Zero(_) | Why::Person, Some(number)) => {
                self.homing = None;
                self.command_failed(errand.text, Some(number), out);
            }
        }
    }

    fn modal_answered(
        &mut self,
        now: Instant,
        wanted: Wanted,
        refused: Option<u16>,
        out: &mut Outbox,
    ) {
        let heard = self.heard_modal.take().filter(|_| refused.is_none());
        match wanted {
            Wanted::Introduction => {
                self.introduced(now, heard.is_some() || refused.is_some(), out);
            }
            Wanted::Start => self.start_modes_heard(now, heard, out),
            Wanted::ToolOut => self.tool_change_begins(now, heard, out),
            Wanted::ToolBack => self.tool_change_ends(now, heard, out),
            Wanted::End(tries) => self.program_compared(now, heard, tries, refused, out),
            Wanted::Witness(motion) => self.witness_heard(now, heard, motion, out),
            Wanted::Command(command) => {
                let modal = heard.unwrap_or_default();
                self.expand_command(&command, &modal);
            }
        }
    }

    /// The line was not accepted: says so.
    pub(super) fn command_failed(&mut self, sent: String, number: Option<u16>, out: &mut Outbox) {
        let means = number.map_or("the controller did not answer", |number| {
            words::error(self.it.dialect, number)
        });
        out.events.push_back(Event::CommandFailed { sent, number, means: means.into() });
    }

    fn homed(&mut self, all: bool, out: &mut Outbox) {
        self.homing = None;
        if self.home_failed {
            return;
        }
        if all {
            self.sight.live.homed = Some(true);
            self.sight.live.position_doubt = None;
        }
        out.events.push_back(Event::Homed);
    }

    /// A line of a person that may move the origin of the work coordinates is not done yet.
    pub(super) fn origin_moves(&self) -> bool {
        let sent = self.stream.iter().filter_map(|what| match what {
            What::Errand(errand) => Some(errand),
            _ => None,
        });
        self.errands.iter().chain(sent).any(|errand| {
            matches!(errand.why, Why::Person | Why::Zero(_) | Why::Modal(Wanted::Command(_)))
        })
    }

    /// What a person changed is wanted soon: a job may be started on it. A question that is still
    /// unanswered may have been lost while the controller wrote its memory.
    fn look(&mut self, now: Instant, out: &mut Outbox) {
        self.poll.ask(now, &[], out);
    }

    /// Where nothing can be homed, zeroing all axes is how a person says where the machine is.
    fn zeroed(&mut self, all: bool) {
        if all && self.it.controller.homing == Some(false) {
            self.sight.live.position_doubt = None;
        }
    }

    fn unlocked(&mut self, out: &mut Outbox) {
        if self.sight.state == State::Alarm {
            out.events.push_back(Event::Unlocked);
        }
    }
}
