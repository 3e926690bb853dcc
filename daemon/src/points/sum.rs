//! What a point was over a stretch of time, in a few figures.

use headstock_config::point::{Quality, Span, Value};

/// A stretch of a point's history. Merged in the order of time, it is the same as if everything
/// had been added to one.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sum {
    /// Values in it.
    pub(super) count: u64,
    /// The figures over those of them that are numbers; a flag counts as 0 or 1.
    pub(super) figures: Option<Figures>,
    /// The last value.
    pub(super) last: Option<Value>,
    /// The worst quality.
    pub(super) quality: Quality,
}

/// Figures over a few numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Figures {
    pub(super) min: f64,
    pub(super) max: f64,
    pub(super) mean: f64,
    /// How many numbers.
    pub(super) of: u64,
}

impl Default for Sum {
    fn default() -> Self {
        Self { count: 0, figures: None, last: None, quality: Quality::Good }
    }
}

impl Sum {
    /// Adds a change; without a value only the quality is news.
    pub(super) fn add(&mut self, value: Option<Value>, quality: Quality) {
        self.quality = self.quality.max(quality);
        let Some(value) = value else { return };
        if let Some(number) = value.number() {
            self.add_figures(Figures { min: number, max: number, mean: number, of: 1 });
        }
        self.last = Some(value);
        self.count = self.count.saturating_add(1);
    }

    /// Adds what came after it.
    pub(super) fn merge(&mut self, later: Self) {
        self.quality = self.quality.max(later.quality);
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
        let of = so_far.of.saturating_add(later.of);
        let share = later.of as f64 / of as f64;
        // By shares, so that no sum of large numbers is too large to be one.
        so_far.mean = so_far.mean * (1.0 - share) + later.mean * share;
        so_far.min = so_far.min.min(later.min);
        so_far.max = so_far.max.max(later.max);
        so_far.of = of;
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
