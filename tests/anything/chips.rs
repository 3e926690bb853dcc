//! I2C chips that say anything, to a bus that asks them what they are.
//!
//! The first byte chooses the chip, the others are what it answers, in order; at their end it
//! begins again with every bit turned round. 0xff, twice in a row at the start of an answer, means
//! that it does not answer this time.
//!
//! Promises: whatever is answered, nothing panics; no value that is told is anything but finite;
//! the chip is asked a bounded number of times.

use std::time::Instant;

use embedded_hal::i2c::{ErrorType, I2c, Operation};
use headstock_config::load;
use headstock_config::machine::Machine;
use headstock_config::point::{Quality, Value};
use headstock_drivers::bus::Dialect;
use headstock_drivers::i2c::{Ask, Chips, KINDS, Step, WireError, declared};

/// More transfers than this and a chip that says nonsense would keep the bus from the others.
const TRANSFERS_MAX: usize = 3_000;
/// How often everything is measured.
const ROUNDS: usize = 3;

/// A bus with nothing on it but these bytes.
struct Wire<'a> {
    bytes: &'a [u8],
    at: usize,
    transfers: usize,
}

impl Wire<'_> {
    fn next(&mut self) -> u8 {
        let Some(byte) = self.bytes.get(self.at % self.bytes.len().max(1)) else { return 0 };
        let turned = self.at / self.bytes.len() % 2 == 1;
        self.at += 1;
        if turned { !byte } else { *byte }
    }
}

impl ErrorType for Wire<'_> {
    type Error = WireError;
}

impl I2c for Wire<'_> {
    fn transaction(&mut self, _: u8, operations: &mut [Operation<'_>]) -> Result<(), WireError> {
        self.transfers += 1;
        for operation in operations {
            let Operation::Read(into) = operation else { continue };
            into.iter_mut().for_each(|byte| *byte = self.next());
            if into.starts_with(&[0xff, 0xff]) {
                return Err(WireError::Nack);
            }
        }
        Ok(())
    }
}

/// Plays the bytes.
pub fn chips(bytes: &[u8]) {
    let Some((first, answers)) = bytes.split_first() else { return };
    let kind = &KINDS[usize::from(*first) % KINDS.len()];
    let machine = machine(kind.chip.name);
    let (_, setup) = declared(&machine).expect("it declares a chip");
    let mut chip = (kind.build)(setup);
    let mut wire = Wire { bytes: answers, at: 0, transfers: 0 };
    let dialect = Chips::new(std::slice::from_ref(&machine));
    // Not believed, it is asked nevertheless.
    chip.set_up(&mut wire).ok();
    for poll in std::iter::repeat_n(dialect.polls(), ROUNDS).flatten() {
        let Ask::Measure(channels) = &poll.request.ask else { continue };
        chip.begin(&mut wire, channels).ok();
        if let Ok(Step::Done(answer)) = chip.finish(&mut wire, channels) {
            let mut told = Vec::new();
            dialect.read(Instant::now(), &poll.request, &answer, &mut told);
            for it in told {
                assert!(it.place.tag < machine.tags.len());
                match it.value {
                    Some(Value::Number(number)) => assert!(number.is_finite()),
                    Some(_) => (),
                    None => assert_eq!(it.quality, Quality::Bad),
                }
            }
        }
    }
    assert!(wire.transfers < TRANSFERS_MAX, "{} transfers", wire.transfers);
}

fn machine(chip: &str) -> Machine {
    let text = format!(
        "[[machine]]\nid = \"it\"\ndriver = \"i2c\"\nport = \"/dev/i2c-1\"\nchip = \"{chip}\"\n"
    );
    let settings = load::parse(&text, "it.toml", &["i2c"]).expect("it is right");
    settings.machines.into_iter().next().expect("there is one")
}
