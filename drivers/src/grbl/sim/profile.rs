//! How fast the pretend machine goes along one block. Pure arithmetic; mm, mm/s, mm/s², s.

/// Speed over time of what is left of a block: at most three pieces of constant acceleration.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Profile {
    /// Duration, speed at its beginning, acceleration.
    pieces: [(f64, f64, f64); 3],
    pub(super) exit: f64,
}

impl Profile {
    /// From `v0` to `v1` at the end of `length`, not above `nominal` where that can be helped.
    pub(super) fn over(length: f64, v0: f64, nominal: f64, v1: f64, a: f64) -> Self {
        let ramp = (v0 * v0 - nominal * nominal) / (2.0 * a);
        if ramp >= length {
            return Self::to_rest(length, v0, a);
        }
        if ramp > 0.0 {
            // An override has lowered the nominal speed below the speed it has.
            let tail = Self::over(length - ramp, nominal, nominal, v1, a);
            let ([_, cruise, down], exit) = (tail.pieces, tail.exit);
            return Self { pieces: [((v0 - nominal) / a, v0, -a), cruise, down], exit };
        }
        let slowest = (v0 * v0 - 2.0 * a * length).max(0.0).sqrt();
        let v1 = v1.min((v0 * v0 + 2.0 * a * length).sqrt()).max(slowest);
        let peak = (a * length + (v0 * v0 + v1 * v1) / 2.0).sqrt().min(nominal).max(v0).max(v1);
        let (up, down) = ((peak - v0) / a, (peak - v1) / a);
        let ramps = (v0 + peak) / 2.0 * up + (peak + v1) / 2.0 * down;
        let cruise = ((length - ramps) / peak).max(0.0);
        Self { pieces: [(up, v0, a), (cruise, peak, 0.0), (down, peak, -a)], exit: v1 }
    }

    /// Slows down to rest as soon as possible, or to the end of `length` if that comes first.
    pub(super) fn to_rest(length: f64, v0: f64, a: f64) -> Self {
        let exit = (v0 * v0 - 2.0 * a * length).max(0.0).sqrt();
        let pieces = [((v0 - exit) / a, v0, -a), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0)];
        Self { pieces, exit }
    }

    pub(super) fn duration(&self) -> f64 {
        self.pieces.iter().map(|piece| piece.0).sum()
    }

    /// Distance covered and speed after this time.
    pub(super) fn after(&self, mut time: f64) -> (f64, f64) {
        let (mut distance, mut speed) = (0.0, 0.0);
        for (duration, start, a) in self.pieces {
            let spent = time.clamp(0.0, duration);
            distance += start * spent + a * spent * spent / 2.0;
            if duration > 0.0 {
                speed = start + a * spent;
            }
            time -= duration;
            if time < 0.0 {
                break;
            }
        }
        (distance, speed.max(0.0))
    }
}
