//! The Bosch formulas in whole numbers, as the datasheets give them for small processors.
//!
//! The driver uses those in floating point; that the two agree is what makes one a check of the
//! other. Source: BST-BME280-DS002-15, 4.2.3.

/// The calibration as whole numbers: T1 to T3, P1 to P9, H1 to H6.
#[derive(Clone, Copy, Debug)]
pub(super) struct Whole {
    pub(super) t: [i64; 3],
    pub(super) p: [i64; 9],
    pub(super) h: [i64; 6],
}

impl Whole {
    /// `t_fine`.
    pub(super) fn fine(&self, raw: i64) -> i64 {
        let [t1, t2, t3] = self.t;
        let one = (((raw >> 3) - (t1 << 1)) * t2) >> 11;
        let off = (raw >> 4) - t1;
        let two = (((off * off) >> 12) * t3) >> 14;
        one + two
    }

    /// Hundredths of a degree Celsius.
    pub(super) fn temperature(&self, raw: i64) -> i64 {
        (self.fine(raw) * 5 + 128) >> 8
    }

    /// 256ths of a pascal.
    pub(super) fn pressure(&self, raw: i64, fine: i64) -> i64 {
        let p = self.p;
        let one = fine - 128_000;
        let two = one * one * p[5];
        let two = two + ((one * p[4]) << 17);
        let two = two + (p[3] << 35);
        let one = ((one * one * p[2]) >> 8) + ((one * p[1]) << 12);
        let one = (((1_i64 << 47) + one) * p[0]) >> 33;
        if one == 0 {
            return 0;
        }
        let it = 1_048_576 - raw;
        let it = ((it << 31) - two) * 3_125 / one;
        let one = (p[8] * (it >> 13) * (it >> 13)) >> 25;
        let two = (p[7] * it) >> 19;
        ((it + one + two) >> 8) + (p[6] << 4)
    }

    /// 1024ths of a per cent.
    pub(super) fn humidity(&self, raw: i64, fine: i64) -> i64 {
        let h = self.h;
        let it = fine - 76_800;
        let left = ((raw << 14) - (h[3] << 20) - h[4] * it + 16_384) >> 15;
        let right = (((it * h[5]) >> 10) * (((it * h[2]) >> 11) + 32_768)) >> 10;
        let right = right + 2_097_152;
        let it = left * ((right * h[1] + 8_192) >> 14);
        let square = ((it >> 15) * (it >> 15)) >> 7;
        let it = it - ((square * h[0]) >> 4);
        it.clamp(0, 419_430_400) >> 12
    }
}

/// The raw number for which `say` comes to `wanted`, where that grows (`rises`) or falls with it.
pub(super) fn raw_for(wanted: i64, most: i64, rises: bool, say: impl Fn(i64) -> i64) -> i64 {
    let (mut low, mut high) = (0, most);
    while low < high {
        let middle = (low + high) / 2;
        if (say(middle) < wanted) == rises { low = middle + 1 } else { high = middle }
    }
    low
}
