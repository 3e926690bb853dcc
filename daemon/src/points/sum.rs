//! What a point was over a stretch of time, in a few figures.
//!
//! A point is a step function of time: what is told of it holds until the next is told. Its figures
//! speak of the time in which it could be believed; a mean is weighted with that time.

use headstock_config::point::{Quality, Span, Value};

/// A stretch of a point's history. Merged in the order of time, it is the same as if everything
/// had been added to one.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sum {
    /// Values that came in it.
    pub(super) count: u64,
    /// The figures over those numbers that were believed in it; a flag counts as 0 or 1.
    pub(super) figures: Option<Figures>,
    /// The last value that came or was believed in it.
    pub(super) last: Option<Value>,
    /// The worst quality.
    pub(super) quality: Quality,
}

/// Figures over a few numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Figures {
    pub(super) min: f64,
    pub(super) max: f64,
    /// By time; where no time is known, the last number.
    pub(super) mean: f64,
    /// How long a number was believed, in milliseconds: the weight of the mean.
    pub(super) ms: u64,
}

impl Figures {
    /// The same number all the time.
    pub(super) fn steady(number: f64, ms: u64) -> Self {
        Self { min: number, max: number, mean: number, ms }
    }
}

impl Default for Sum {
    fn default() -> Self {
        Self { count: 0, figures: None, last: None, quality: Quality::Good }
    }
}

impl Sum {
    /// Adds a change; without a value only the quality is news. How long it holds is to be added
    /// when that is known.
    pub(super) fn add(&mut self, value: Option<Value>, quality: Quality) {
        self.doubt(quality);
        let Some(value) = value else { return };
        if let Some(number) = value.number().filter(|_| quality.believable()) {
            self.add_figures(Figures::steady(number, 0));
        }
        self.last = Some(value);
        self.count = self.count.saturating_add(1);
    }

    /// Adds that a value, which can be believed, held for so many milliseconds.
    pub(super) fn hold(&mut self, value: &Value, quality: Quality, ms: u64) {
        self.doubt(quality);
        if let Some(number) = value.number() {
            self.add_figures(Figures::steady(number, ms));
        }
        if self.last.as_ref() != Some(value) {
            self.last = Some(value.clone());
        }
    }

    /// Adds that it was of this quality for a while.
    pub(super) fn doubt(&mut self, quality: Quality) {
        self.quality = self.quality.max(quality);
    }

    /// Adds what came after it.
    pub(super) fn merge(&mut self, later: Self) {
        self.doubt(later.quality);
        self.count = self.count.saturating_add(later.count);
        self.last = later.last.or(self.last.take());
        if let Some(figures) = later.figures {
            self.add_figures(figures);
        }
    }

    fn add_figures(&mut self, later: Figures) {
        let Some(so_far) = &mut self.figures else {
            self.figures = Some(later);
            return;
        };
        let ms = so_far.ms.saturating_add(later.ms);
        let share = if ms == 0 { 1.0 } else { later.ms as f64 / ms as f64 };
        // By shares, so that no sum of large numbers is too large to be one.
        so_far.mean = so_far.mean * (1.0 - share) + later.mean * share;
        so_far.min = so_far.min.min(later.min);
        so_far.max = so_far.max.max(later.max);
        so_far.ms = ms;
    }

    /// As the doors show it.
    pub(super) fn span(self, at_ms: u64) -> Span {
        let figures = self.figures;
        Span {
            at_ms,
            min: figures.map(|it| it.min),
            max: figures.map(|it| it.max),
            mean: figures.map(|it| it.mean),
            last: self.last,
            count: self.count,
            quality: self.quality,
        }
    }
}
