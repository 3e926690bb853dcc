//! Moving by hand: steps, one at a time, and the driver's part of what is held down (`jog_hold`).
//!
//! Both end with M400 and M114: the next one begins where the firmware says that it rests. What is
//! held ends by not being fed any more; nothing that has been planned is taken back.

use std::time::Instant;

use headstock_config::command::HoldWish;
use headstock_config::machine::{JogNow, Mode, Xyz};

use super::Marlin;
use super::commands::within;
use super::errand::{Errand, Rest, Why};
use super::jog_hold::{Frame, HeldJog, Next, Style};
use super::modal::Modal;
use super::stream::What;
use crate::hand::{Lapse, Sign};
use crate::{Outbox, Refusal};

/// mm/min: faster is a slip of the pen.
const FASTEST: f64 = 60_000.0;
/// mm: further is, too.
const FARTHEST: f64 = 10_000.0;

/// What is held down.
#[derive(Debug, Default)]
pub(super) struct Jogs {
    held: Option<HeldJog>,
    lapse: Lapse,
    /// The modes that it found.
    modal: Modal,
}

impl Jogs {
    /// Nothing is fed any more, and nothing put back.
    pub(super) fn clear(&mut self) {
        self.held = None;
    }

    pub(super) fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// As everybody is shown it.
    pub(super) fn shown(&self) -> Option<JogNow> {
        self.held.as_ref().map(HeldJog::shown)
    }
}

impl Marlin {
    /// Takes a step.
    pub(super) fn jog(
        &mut self,
        by: [Option<f64>; 3],
        feed: f64,
        absolute: bool,
    ) -> Result<(), Refusal> {
        let feed = within(feed, 1.0, FASTEST, "feed")?;
        let mut words = String::new();
        for (letter, value) in ["X", "Y", "Z"].into_iter().zip(by) {
            if let Some(value) = value {
                words +=
                    &format!(" {letter}{:.3}", within(value, -FARTHEST, FARTHEST, "distance")?);
            }
        }
        if words.is_empty() {
            return Err(Refusal::BadCommand("no axis is given".into()));
        }
        self.judge_step(by, absolute)?;
        let modal = self.modal;
        let mode = if absolute { "G90" } else { "G91" };
        let lines = ["G21".to_owned(), mode.to_owned(), format!("G1{words} F{feed:.0}")];
        self.errands.extend(lines.map(|line| Errand::new(line, Why::Hand)));
        self.back_in(modal);
        Ok(())
    }

    /// The modes as they were, and where it rests.
    fn back_in(&mut self, modal: Modal) {
        self.errands.extend(modal.restore().into_iter().map(|line| Errand::new(line, Why::Hand)));
        self.located();
    }

    /// Behind lines that move something.
    pub(super) fn located(&mut self) {
        self.errands.push_back(Errand::new("M400", Why::Hand));
        self.errands.push_back(Errand::new("M114", Why::Rest(Rest::Hand)));
    }

    /// A sign of somebody who holds a key down: begins a jog or lets it go on.
    pub(super) fn jog_hold(&mut self, now: Instant, wish: HoldWish) -> Result<(), Refusal> {
        if let Some(held) = &mut self.jogs.held {
            if held.sign(now, &wish) == Sign::Renewed {
                return Ok(());
            }
            self.jog_let_go();
            return Err(Refusal::NotNow("ending a jog"));
        }
        if self.mode() != Mode::Idle {
            return Err(Refusal::NotNow(self.mode().word()));
        }
        if !self.jogs.lapse.may_begin(now) {
            return Err(Refusal::NotNow("held on: let go and press again"));
        }
        let (frame, from) = self.jog_frame(wish.toward)?;
        self.jogs.held = Some(HeldJog::begin(now, wish, &frame, from)?);
        self.jogs.modal = self.modal;
        self.errands.extend(["G21", "G90"].map(|line| Errand::new(line, Why::Hand)));
        Ok(())
    }

    /// What a jog that is held is bounded by, and where it begins.
    fn jog_frame(&self, toward: [i8; 3]) -> Result<(Frame, Xyz), Refusal> {
        self.knows(toward.map(|it| it != 0)).map_err(|why| {
            let text = format!("{why}: home it, or jog in steps of at most 10 mm");
            Refusal::Unready(text)
        })?;
        let Some(envelope) = self.limits() else {
            let why = "nobody knows the limits of the printer: jog in steps, or declare `envelope`";
            return Err(Refusal::Unready(why.into()));
        };
        let style = if self.it.tells_planner() { Style::Counted } else { Style::Waited };
        let frame = Frame { envelope, overrun: self.setup.jog_overrun, style };
        Ok((frame, self.told_place()?))
    }

    /// Anything but a sign of the operator ends what is held.
    pub(super) fn jog_let_go(&mut self) {
        if self.jogs.held.take().is_some() {
            self.back_in(self.jogs.modal);
        }
    }

    /// The operator says that the key was let go.
    pub(super) fn jog_end(&mut self) {
        self.jog_let_go();
        self.jogs.lapse.end();
    }

    /// Nothing goes before a segment.
    fn jog_is_free(&self) -> bool {
        self.errands.is_empty() && self.stream.is_idle() && self.stream.is_numbered()
    }

    /// Sends what is due of what is held.
    pub(super) fn send_jog(&mut self, now: Instant, out: &mut Outbox) {
        let free = self.jog_is_free();
        let percent = self.live.overrides[0];
        let Some(held) = &mut self.jogs.held else { return };
        if held.is_over(now) {
            self.jogs.lapse.begin(now);
            return self.jog_let_go();
        }
        if !free {
            return;
        }
        let (line, why) = match held.next(now, percent) {
            Some(Next::Segment(line)) => (line, Why::Segment),
            Some(Next::Ask(line)) => (line.to_owned(), Why::Unfinished),
            None => return,
        };
        self.follow(&line);
        self.stream.push(now, &line, What::Errand(why), &mut out.bytes);
    }

    /// When it wants to be looked at again.
    pub(super) fn jog_due(&self) -> Option<Instant> {
        Some(self.jogs.held.as_ref()?.deadline(self.jog_is_free()))
    }

    /// So many planner blocks are free.
    pub(super) fn jog_told(&mut self, free: usize) {
        // What is in flight may be planned or not.
        if self.stream.is_idle()
            && let Some(held) = &mut self.jogs.held
        {
            held.told(free);
            self.jog_shown();
        }
    }

    /// What asked whether anything is unfinished has been answered.
    pub(super) fn jog_rests(&mut self) {
        if let Some(held) = &mut self.jogs.held {
            held.rests();
            self.jog_shown();
        }
    }

    /// The firmware tells where it is going, not where it is.
    fn jog_shown(&mut self) {
        if let Some(held) = &self.jogs.held {
            self.live.machine_position = Some(held.place());
            self.live.work_position = self.live.machine_position;
        }
    }
}
