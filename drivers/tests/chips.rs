//! The drivers of I2C chips against conversations worked out from the makers' datasheets, so that
//! they and the pretend chips cannot share a mistake; and against chips that say anything.
#![allow(clippy::unwrap_used, reason = "a test may say what it expects with unwrap")]

use embedded_hal::i2c::{ErrorType, I2c, Operation};
use headstock_drivers::i2c::chips::{ina219, sht31};
use headstock_drivers::i2c::{Chip, KINDS, Kind, Setup, Step, Trouble, WireError, find};
use proptest::prelude::*;

/// A bus on which exactly this is said: `> 76 w d0 r 1`, and then `< 60` or `< nack`.
struct Replay<'a> {
    lines: Vec<&'a str>,
    at: usize,
}

impl<'a> Replay<'a> {
    fn new(text: &'a str) -> Self {
        Self { lines: text.lines().filter(|it| !it.starts_with('#')).collect(), at: 0 }
    }

    fn next(&mut self) -> &'a str {
        self.at += 1;
        self.lines.get(self.at - 1).unwrap_or_else(|| panic!("more is said than is written down"))
    }
}

impl ErrorType for Replay<'_> {
    type Error = WireError;
}

impl I2c for Replay<'_> {
    fn transaction(
        &mut self,
        address: u8,
        operations: &mut [Operation<'_>],
    ) -> Result<(), WireError> {
        let mut said = format!("> {address:02x}");
        for operation in operations.iter() {
            match operation {
                Operation::Write(bytes) => {
                    said.push_str(" w");
                    bytes.iter().for_each(|byte| said.push_str(&format!(" {byte:02x}")));
                }
                Operation::Read(into) => said.push_str(&format!(" r {}", into.len())),
            }
        }
        assert_eq!(said, self.next(), "line {} of the conversation", self.at);
        let answer = self.next().strip_prefix('<').expect("an answer").trim();
        if answer == "nack" {
            return Err(WireError::Nack);
        }
        let mut bytes = answer.split_whitespace().map(|it| u8::from_str_radix(it, 16).unwrap());
        for operation in operations {
            if let Operation::Read(into) = operation {
                into.iter_mut().for_each(|byte| *byte = bytes.next().expect("enough bytes"));
            }
        }
        assert_eq!(bytes.next(), None, "line {} of the conversation", self.at);
        Ok(())
    }
}

/// What the channels say at the end of a conversation.
fn led(chip: &str, setup: Setup, text: &str, channels: &[u8]) -> Vec<Result<f64, &'static str>> {
    let mut wire = Replay::new(text);
    let mut chip = (find(chip).unwrap().build)(setup);
    chip.set_up(&mut wire).unwrap();
    chip.begin(&mut wire, channels).unwrap();
    let said = loop {
        match chip.finish(&mut wire, channels).unwrap() {
            Step::Later(_) => (),
            Step::Done(said) => break said,
        }
    };
    assert_eq!(wire.at, wire.lines.len(), "less is said than is written down");
    let asked: Vec<u8> = said.iter().map(|(channel, _)| *channel).collect();
    assert_eq!(asked, channels);
    said.into_iter().map(|(_, said)| said).collect()
}

fn at(address: u8) -> Setup {
    Setup { address, outputs: Vec::new() }
}

fn near(said: Result<f64, &'static str>, wanted: f64, by: f64) {
    let said = said.unwrap();
    assert!((said - wanted).abs() <= by, "{said} is not {wanted}");
}

#[test]
fn a_bmp280_says_what_its_datasheet_works_out_and_that_it_has_no_humidity() {
    let said = led("bme280", at(0x76), include_str!("i2c/bme280.txt"), &[0, 1, 2]);
    near(said[0], 25.08, 0.005);
    assert_eq!(said[1], Err("this is a BMP280: it has no humidity"));
    near(said[2], 1_006.532_7, 0.000_2);
}

#[test]
fn an_sht31_is_believed_by_its_checksums() {
    assert_eq!(sht31::checksum(&[0xbe, 0xef]), 0x92);
    let said = led("sht31", at(0x44), include_str!("i2c/sht31.txt"), &[0, 1]);
    near(said[0], 85.523, 0.001);
    near(said[1], 74.585, 0.001);
    let mut wrong = Replay::new("> 44 w f3 2d r 3\n< 80 10 e0");
    let mut chip = (find("sht31").unwrap().build)(at(0x44));
    assert_eq!(chip.set_up(&mut wrong), Err(Trouble::Checksum));
    assert_eq!((sht31::temperature(0), sht31::temperature(0xffff)), (-45.0, 130.0));
    assert_eq!((sht31::humidity(0), sht31::humidity(0xffff)), (0.0, 100.0));
}

#[test]
fn an_ina219_says_what_its_register_maps_say() {
    let said = led("ina219", at(0x40), include_str!("i2c/ina219.txt"), &[0, 1, 2]);
    near(said[0], 32.0, 1e-9);
    near(said[1], -3.2, 1e-9);
    near(said[2], -102.4, 1e-9);
    let millivolts = |register| (ina219::shunt(register) * 1e5).round() / 100.0;
    assert_eq!([0x7d00, 0x8300, 0x0001, 0xffff].map(millivolts), [320.0, -320.0, 0.01, -0.01]);
}

#[test]
fn an_ads1115_says_the_volts_of_the_input_that_was_asked_for() {
    let said = led("ads1115", at(0x48), include_str!("i2c/ads1115.txt"), &[1]);
    near(said[0], 3.072, 1e-9);
    // The settings are those of another input: nothing is told.
    let text = "> 48 w 01 c1 83\n<\n> 48 w 01 r 2\n< d1 83";
    let (mut wire, mut chip) = (Replay::new(text), (find("ads1115").unwrap().build)(at(0x48)));
    chip.begin(&mut wire, &[0]).unwrap();
    assert_eq!(chip.finish(&mut wire, &[0]), Err(Trouble::Reset));
}

#[test]
fn an_mcp23017_drives_nothing_before_it_knows_what() {
    let setup = Setup { address: 0x20, outputs: vec![(0, 1.0)] };
    let said = led("mcp23017", setup, include_str!("i2c/mcp23017.txt"), &[0, 1, 15]);
    assert_eq!(said, [Ok(1.0), Ok(0.0), Ok(1.0)]);
}

#[test]
fn a_pcf8574_lets_its_inputs_go() {
    let setup = Setup { address: 0x38, outputs: vec![(1, 0.0)] };
    let said = led("pcf8574", setup, include_str!("i2c/pcf8574.txt"), &[0, 1, 7]);
    assert_eq!(said, [Ok(1.0), Ok(0.0), Ok(0.0)]);
}

#[test]
fn a_pcf8591_throws_the_old_byte_away() {
    let setup = Setup { address: 0x48, outputs: vec![(4, 128.0)] };
    let said = led("pcf8591", setup, include_str!("i2c/pcf8591.txt"), &[0, 3, 4]);
    assert_eq!(said, [Ok(16.0), Ok(255.0), Ok(128.0)]);
}

#[test]
fn a_vl53l0x_is_calibrated_and_then_asked_for_one_shot() {
    let said = led("vl53l0x", at(0x29), include_str!("i2c/vl53l0x.txt"), &[0]);
    assert_eq!(said, [Ok(420.0)]);
}

#[test]
fn a_chip_that_is_another_one_is_not_believed() {
    let rows = [
        ("bme280", "> 76 w d0 r 1\n< 61", 0x76),
        ("vl53l0x", "> 29 w c0 r 2\n< ea cc", 0x29),
        ("ina219", "> 40 w 00 80 00\n<\n> 40 w 00 r 2\n< 41 27", 0x40),
        ("ads1115", "> 48 w 01 41 83\n<\n> 48 w 01 r 2\n< 00 00", 0x48),
    ];
    for (chip, text, address) in rows {
        let mut wire = Replay::new(text);
        let said = (find(chip).unwrap().build)(at(address)).set_up(&mut wire);
        assert!(matches!(said, Err(Trouble::Stranger(_))), "{chip}: {said:?}");
    }
}

/// A bus on which anything is answered; at the end of the bytes it begins again, turned round.
struct Anything<'a> {
    bytes: &'a [u8],
    at: usize,
    transfers: usize,
}

impl ErrorType for Anything<'_> {
    type Error = WireError;
}

impl I2c for Anything<'_> {
    fn transaction(&mut self, _: u8, operations: &mut [Operation<'_>]) -> Result<(), WireError> {
        self.transfers += 1;
        for operation in operations {
            let Operation::Read(into) = operation else { continue };
            for byte in into.iter_mut() {
                let turned = self.at / self.bytes.len() % 2 == 1;
                *byte = self.bytes[self.at % self.bytes.len()] ^ if turned { 0xff } else { 0 };
                self.at += 1;
            }
        }
        Ok(())
    }
}

/// Leads one chip through its life. Whatever comes, it panics at nothing, tells no number that is
/// not finite, and asks a bounded number of times.
fn live(kind: &Kind, bytes: &[u8]) -> Result<(), TestCaseError> {
    let mut wire = Anything { bytes, at: 0, transfers: 0 };
    let channels: Vec<u8> = (0..kind.chip.channels.len() as u8).collect();
    let mut chip: Box<dyn Chip> = (kind.build)(at(kind.chip.addresses[0]));
    drop(chip.set_up(&mut wire));
    for _ in 0..3 {
        drop(chip.begin(&mut wire, &channels));
        if let Ok(Step::Done(said)) = chip.finish(&mut wire, &channels) {
            for (channel, said) in said {
                prop_assert!(channels.contains(&channel));
                prop_assert!(said.is_err() || said.is_ok_and(f64::is_finite));
            }
        }
    }
    prop_assert!(wire.transfers < 2_000, "{} transfers", wire.transfers);
    Ok(())
}

proptest! {
    #[test]
    fn chips_may_say_anything(bytes in prop::collection::vec(any::<u8>(), 1..120)) {
        for kind in KINDS {
            live(kind, &bytes)?;
        }
    }

    /// The same for a chip that says rightly who it is, and has any calibration and any numbers.
    #[test]
    fn a_bme280_of_any_calibration_tells_finite_numbers_or_none(
        dry in prop::collection::vec(any::<u8>(), 26),
        wet in prop::collection::vec(any::<u8>(), 7),
        data in prop::collection::vec(any::<u8>(), 8),
    ) {
        let mut bytes = vec![0x60];
        bytes.extend(dry.iter().chain(&wet));
        bytes.extend([0x00, 0x24]);
        bytes.extend(data);
        live(find("bme280").unwrap(), &bytes)?;
    }
}
