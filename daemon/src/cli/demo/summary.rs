//! What the demo has shown, in figures.

use std::time::Duration;

use headstock_tui::words::count;
use serde::Serialize;

/// Last line of `demo --json`.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Summary {
    /// Both programs were carried out, no byte was lost, no line was refused.
    pub(super) ok: bool,
    /// Program lines carried out, on all machines.
    pub(super) lines: u64,
    /// The same by second, holds included.
    pub(super) lines_per_s: f64,
    /// Times that a planner ran empty in mid-motion, as the pretend machines counted.
    pub(super) starved: u64,
    /// From a request for a hold until the controller has begun to slow down.
    pub(super) hold_ms: Percentiles,
    /// From the edge of the door's switch until the mill has begun to slow down; the switch is
    /// debounced for 10 ms of it.
    pub(super) interlock_ms: Option<f64>,
    /// Points that can be believed at the end.
    pub(super) points: usize,
    /// From the first start to the last end.
    pub(super) seconds: f64,
}

/// Of some samples, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct Percentiles {
    pub(super) p50: f64,
    pub(super) p99: f64,
}

impl Percentiles {
    /// By nearest rank; 0 where there are no samples.
    pub(super) fn of(samples: &[Duration]) -> Self {
        let mut sorted = samples.to_vec();
        sorted.sort_unstable();
        let at = |share: f64| {
            let rank = (share * sorted.len() as f64).ceil() as usize;
            let sample = sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default();
            rounded(sample.as_secs_f64() * 1e3, 1e3)
        };
        Self { p50: at(0.50), p99: at(0.99) }
    }
}

/// To so many parts of one.
pub(super) fn rounded(value: f64, parts: f64) -> f64 {
    (value * parts).round() / parts
}

impl Summary {
    /// For a newcomer.
    pub(super) fn told(&self, holds: usize) -> String {
        let verdict = if self.ok { "Part and print are finished." } else { "NOT as it should be." };
        let starved = match self.starved {
            0 => "never: neither planner ran dry".to_owned(),
            times => format!("{} times a planner ran dry in mid-motion", count(times)),
        };
        format!(
            "{verdict}\n\n\
             streamed   {} lines of G-code in {} s, {} lines a second on two machines\n\
             starved    {starved}\n\
             interlock  {} from the edge of the door's switch until the mill slowed down\n\
             points     {} values from machines, buses and pins that can be believed\n\
             hold       {} ms from the request until the machine slowed down (median of {holds}; \
             {} ms at worst in 99 of 100)\n",
            count(self.lines),
            self.seconds,
            self.lines_per_s,
            self.interlock_ms.map_or("not seen".to_owned(), |ms| format!("{ms} ms")),
            self.points,
            self.hold_ms.p50,
            self.hold_ms.p99,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_samples_that_were_measured() {
        let samples: Vec<_> = (1..=200).rev().map(Duration::from_millis).collect();
        assert_eq!(Percentiles::of(&samples), Percentiles { p50: 100.0, p99: 198.0 });
        let one = [Duration::from_micros(1_234)];
        assert_eq!(Percentiles::of(&one), Percentiles { p50: 1.234, p99: 1.234 });
        assert_eq!(Percentiles::of(&[]), Percentiles::default());
    }
}
