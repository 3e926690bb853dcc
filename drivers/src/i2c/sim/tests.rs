//! The pretend bus, and its formulas against the datasheet's.

use super::integer::{Whole, raw_for};
use super::*;
use crate::i2c::chips::bme280::Calibration;
use crate::sim::say;

/// The worked example of BST-BMP280-DS001-26, 3.12, with a plausible humidity.
const EXAMPLE: Whole = Whole {
    t: [27_504, 26_435, -1_000],
    p: [36_477, -10_685, 3_024, 2_855, 140, -7, 15_500, -14_600, 6_000],
    h: [75, 362, 0, 318, 50, 30],
};

#[test]
fn the_whole_numbers_are_those_of_the_datasheet() {
    assert_eq!(EXAMPLE.fine(519_888), 128_422);
    assert_eq!(EXAMPLE.temperature(519_888), 2_508);
    let pascal = EXAMPLE.pressure(415_148, 128_422) as f64 / 256.0;
    assert!((pascal - 100_653.27).abs() < 0.05, "{pascal}");
    assert_eq!(raw_for(2_508, 0xfffff, true, |it| EXAMPLE.temperature(it)) / 32, 519_888 / 32);
}

#[test]
fn both_formulas_of_the_datasheet_say_the_same() {
    let float = |it: [i64; 9]| it.map(|it| it as f64);
    let [t1, t2, t3] = EXAMPLE.t.map(|it| it as f64);
    let h = EXAMPLE.h.map(|it| it as f64);
    let calibration = Calibration { t: [t1, t2, t3], p: float(EXAMPLE.p), h };
    for temp in (400_000..650_000_u32).step_by(9_001) {
        let (fine, whole) = (calibration.fine(temp), EXAMPLE.fine(temp.into()));
        // Half of the hundredth of a degree that the whole numbers tell.
        assert!((fine - whole as f64).abs() < 26.0, "{fine} {whole}");
        for press in (250_000..500_000_u32).step_by(30_011) {
            let one = calibration.pressure(press, fine).unwrap();
            let other = EXAMPLE.pressure(press.into(), whole) as f64 / 256.0;
            assert!((one - other).abs() < 1.0, "{one} {other}");
        }
        for wet in (10_000..50_000_u32).step_by(3_001) {
            let one = calibration.humidity(wet, fine);
            let other = EXAMPLE.humidity(wet.into(), whole) as f64 / 1_024.0;
            assert!((one - other).abs() < 0.05, "{one} {other}");
        }
    }
}

#[test]
fn a_person_can_look_at_the_bus_and_change_its_world() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bus");
    let _bus = Bus::open(&path, 1.0, &[("bme280", 0x76), ("pcf8574", 0x38)]).unwrap();
    let rows = [
        ("chips", "38=pcf8574 76=bme280"),
        ("set 76 temperature 30", ""),
        ("get 0x76 temperature", "30"),
        ("xfer 76 w d0 r 1", "60"),
        ("xfer 38 w f0 r 1", "f0"),
        ("get 38 p4", "1"),
        ("fault 76 nack 1", ""),
    ];
    for (words, answer) in rows {
        assert_eq!(say(&path, words).unwrap(), answer, "{words}");
    }
    let refused = |words| say(&path, words).unwrap_err().to_string();
    assert_eq!(refused("xfer 76 w d0 r 1"), "error nack");
    assert_eq!(say(&path, "xfer 76 w d0 r 1").unwrap(), "60", "once and no more");
    for words in
        ["xfer 77 r 1", "xfer zz", "xfer 76 r 9999", "set 76 mood 1", "fault 76 gremlins", "hm"]
    {
        assert!(refused(words).starts_with("error "), "{words}");
    }
    assert!(Bus::open(&folder.path().join("other"), 1.0, &[("abacus", 1)]).is_err());
}
