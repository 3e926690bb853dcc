//! Lines that are ours: what each is driven at, and what is due on it.
//!
//! Invariant: dropped, every output is put into its safe state first.

use std::io;
use std::task::{Context, Poll};
use std::time::Instant;

use headstock_config::tag::PinMode;

use super::super::failure::Why;
use super::dim::Dim;
use super::{Line, PinError, Pins};
use crate::gpio::{Board, Edge, Seen, Use, spelled};

pub(super) struct Open {
    pins: Box<dyn Pins>,
    lines: Vec<Ours>,
    /// The outputs are in their safe state because nobody is there to switch them.
    pub(super) heart_stopped: bool,
}

struct Ours {
    line: Line,
    /// Switched on and off by us.
    dim: Option<Dim>,
    /// When a pulse ends.
    pulse: Option<Instant>,
    /// The share of the time that it is on while nothing may happen.
    safe: f64,
    inverted: bool,
}

impl Open {
    /// Takes all lines, or says which one could not be had.
    pub(super) fn reserve(mut pins: Box<dyn Pins>, uses: &[Use]) -> Result<Self, (String, Why)> {
        let mut lines = Vec::with_capacity(uses.len());
        for (index, it) in uses.iter().enumerate() {
            let named = |why| (spelled(&it.pin.line), why);
            let line = pins.reserve(index, it).map_err(named)?;
            let soft = it.pin.mode == PinMode::Pwm && matches!(line, Line::Out(_));
            let dim = soft.then(|| Dim::new(it.pin.hertz)).transpose().map_err(named)?;
            let inverted = it.pin.line.inverted;
            lines.push(Ours { line, dim, pulse: None, safe: it.safe, inverted });
        }
        let mut open = Self { pins, lines, heart_stopped: false };
        // The requests themselves hold full levels only; a share begins here.
        open.all_safe().map_err(|error| (String::new(), error.0.into()))?;
        Ok(open)
    }

    /// Of which lines bounces are kept away by somebody else.
    pub(super) fn filtered(&self) -> Vec<bool> {
        (0..self.lines.len()).map(|index| self.pins.filters(index)).collect()
    }

    pub(super) fn outputs(&self) -> Vec<usize> {
        let outputs = self.lines.iter().enumerate();
        outputs.filter(|(_, it)| !matches!(it.line, Line::In(_))).map(|(line, _)| line).collect()
    }

    pub(super) fn safe(&self, line: usize) -> f64 {
        self.lines[line].safe
    }

    pub(super) fn poll_edges(
        &mut self,
        context: &mut Context<'_>,
        edges: &mut Vec<Edge>,
    ) -> Poll<io::Result<()>> {
        self.pins.poll_edges(context, edges)
    }

    pub(super) fn look(&mut self, line: usize, board: &mut Board) -> Seen {
        let high = match &mut self.lines[line].line {
            Line::In(pin) => pin.is_high(),
            Line::Out(pin) => pin.is_high(),
            // It is what it was set to: there is nothing to look at.
            Line::Dimmed(_) => Ok(false),
        };
        match high {
            Ok(high) => board.look(line, high, Instant::now()),
            Err(error) => Seen::bad(error.to_string()),
        }
    }

    pub(super) fn drive(&mut self, line: usize, share: f64) -> Result<(), PinError> {
        self.lines[line].drive(share, Instant::now())
    }

    pub(super) fn pulse(&mut self, line: usize, until: Option<Instant>) {
        self.lines[line].pulse = until;
    }

    /// Ends the pulses that are over, and says of which lines.
    pub(super) fn over(&mut self, now: Instant) -> Result<Vec<usize>, PinError> {
        let mut over = Vec::new();
        for (line, it) in self.lines.iter_mut().enumerate() {
            if it.pulse.is_some_and(|until| until <= now) {
                it.drive(0.0, now)?;
                it.pulse = None;
                over.push(line);
            }
        }
        Ok(over)
    }

    /// The next step of the lines that are switched on and off by us.
    pub(super) fn flicker(&mut self, now: Instant) -> Result<(), PinError> {
        for it in &mut self.lines {
            let (Some(dim), Line::Out(pin)) = (&mut it.dim, &mut it.line) else { continue };
            if let Some(on) = dim.step(now) {
                pin.set_state((on != it.inverted).into())?;
            }
        }
        Ok(())
    }

    pub(super) fn deadlines(&self) -> impl Iterator<Item = Instant> {
        let due = |it: &Ours| [it.pulse, it.dim.as_ref().and_then(Dim::deadline)];
        self.lines.iter().flat_map(due).flatten()
    }

    /// Every output to its safe state; the first that would not tells why, the others go on.
    pub(super) fn all_safe(&mut self) -> Result<(), PinError> {
        let mut result = Ok(());
        let now = Instant::now();
        for it in &mut self.lines {
            it.pulse = None;
            result = result.and(it.drive(it.safe, now));
        }
        result
    }
}

impl Ours {
    fn drive(&mut self, share: f64, now: Instant) -> Result<(), PinError> {
        match (&mut self.line, &mut self.dim) {
            (Line::In(_), _) => Ok(()),
            (Line::Dimmed(pin), _) => {
                let share = if self.inverted { 1.0 - share } else { share };
                let most = pin.max_duty_cycle();
                pin.set_duty_cycle((share * f64::from(most)).round() as u16)
            }
            (Line::Out(pin), Some(dim)) => {
                pin.set_state((dim.set(share, now) != self.inverted).into())
            }
            (Line::Out(pin), None) => pin.set_state(((share != 0.0) != self.inverted).into()),
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Err(error) = self.all_safe() {
            tracing::error!(%error, "an output could not be put into its safe state");
        }
    }
}
