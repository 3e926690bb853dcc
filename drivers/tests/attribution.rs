//! Whether a value is ever attributed to a register that it is not from, when answers come late, come
//! from somebody else, come broken or do not come, and when requests are given up halfway, called
//! back for stops, and overtaken by them.
//!
//! Every register holds its own place, so that a swap is seen. The seed decides what is asked and
//! what goes wrong. A few hundred requests for each way of travelling are made by default; all of
//! them, with figures, by
//!
//! ```sh
//! HEADSTOCK_REQUESTS=100000 cargo test --release -p headstock-drivers --test attribution -- --nocapture
//! ```

#![allow(clippy::unwrap_used, reason = "a test may say what it expects with unwrap")]
#![allow(clippy::print_stdout, reason = "it is a measurement as well")]

use std::pin::pin;
use std::time::{Duration, Instant};

use headstock_config::machine::Machine;
use headstock_config::tag::{Area, Kind, Order, Register, Source, Tag};
use headstock_drivers::bus::{Carrier, Errand, Fault, Haste};
use headstock_drivers::link::modbus::Wire;
use headstock_drivers::modbus::pdu::Ask;
use headstock_drivers::modbus::sim::{self, Fault as Mishap, Options, What};
use headstock_drivers::modbus::{Answer, Modbus, Request};

/// How many requests are made where nothing else is said.
const REQUESTS: u64 = 400;
const UNITS: u8 = 3;
const REGISTERS: u16 = 300;
/// How long an answer may take. Late ones take half to one and a half times as long again.
const PATIENCE_MS: u64 = 20;

fn machines(driver: &str) -> Vec<Machine> {
    let tag = |address| {
        let (area, kind, order) = (Area::Holding, Kind::U16, Order::Abcd);
        let register = Register { area, address, kind, order, bit: 0, length: 1, read_back: true };
        Tag { source: Source::Register(register), ..Tag::default() }
    };
    let machine = |unit| {
        let tags = (0..REGISTERS).map(tag).collect();
        let mut machine =
            Machine { driver: driver.into(), baud: 115_200, tags, ..Machine::default() };
        (machine.bus.unit, machine.bus.timeout_ms) = (unit, PATIENCE_MS);
        machine
    };
    (1..=UNITS).map(machine).collect()
}

fn mark(unit: u8, address: u16) -> u16 {
    u16::from(unit) << 12 | address
}

/// The same row of numbers for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % most
    }
}

#[derive(Debug, Default)]
struct Came {
    right: u64,
    silent: u64,
    garbled: u64,
    lost: u64,
    refused: u64,
    given_up: u64,
    gave_way: u64,
    stopped: u64,
    wrong: u64,
}

/// Makes the requests over a bus on which this much goes wrong.
async fn run(driver: &str, network: bool, requests: u64) -> Came {
    let faults = vec![
        Mishap::new(What::Late).share(0.03),
        Mishap::new(What::Silence).share(0.02),
        Mishap::new(What::WrongUnit).share(0.01),
        Mishap::new(What::Corrupt).share(0.01),
        Mishap::new(What::Short).share(0.01),
    ];
    let late = Duration::from_millis(PATIENCE_MS);
    let options = Options { time_scale: 0.0, late, faults, seed: 7, ..Options::default() };
    let mut machines = machines(driver);
    let begin = if network { sim::network } else { sim::serial };
    let sim = begin(&machines, options).unwrap();
    for (unit, address) in (1..=UNITS).flat_map(|it| (0..REGISTERS).map(move |at| (it, at))) {
        assert!(sim.poke(unit, Area::Holding, address, mark(unit, address)));
    }
    machines.iter_mut().for_each(|it| it.port = sim.port().clone());
    let mut wire = Wire::new(&machines);
    let (mut dice, mut came) = (Dice(0x5EED), Came::default());
    for _ in 0..requests {
        let unit = dice.below(u64::from(UNITS)) as u8 + 1;
        // Few shapes, so that answers to other requests would fit.
        let count = [1, 2, 10][dice.below(3) as usize];
        let address = dice.below(u64::from(REGISTERS - count)) as u16;
        let stops = dice.below(20) == 0;
        let (haste, pdu) = match (stops, dice.below(8)) {
            // What is there already, so that what is read can be told from what is not there.
            (true, _) => (Haste::Stops, Ask::WriteRegister { address, value: mark(unit, address) }),
            (false, 0) => (Haste::Confirms, Ask::ReadHolding { address, count }),
            (false, _) => (Haste::Turn, Ask::ReadHolding { address, count }),
        };
        let request = Request { unit, pdu };
        let mut recall = pin!(tokio::time::sleep(match dice.below(20) {
            0 => Duration::from_micros(dice.below(5_000)),
            _ => Duration::from_secs(60),
        }));
        let errand = Errand { haste, recall: Some(recall.as_mut()), may: None };
        let asking = Carrier::<Modbus>::perform(&mut wire, usize::from(unit) - 1, &request, errand);
        let patience = match dice.below(25) {
            0 => Duration::from_micros(dice.below(5_000)),
            _ => Duration::from_secs(60),
        };
        match tokio::time::timeout(patience, asking).await {
            Err(_) => came.given_up += 1,
            Ok(Ok(Answer::Words(words))) => {
                let want = (address..address + count).map(|it| mark(unit, it));
                let right = words.iter().copied().eq(want);
                if !right {
                    println!("{request:?} was answered {words:X?}");
                    println!(
                        "{}",
                        wire.evidence()
                            .text()
                            .lines()
                            .rev()
                            .take(40)
                            .collect::<Vec<_>>()
                            .join("\n")
                    );
                }
                came.right += u64::from(right);
                came.wrong += u64::from(!right);
            }
            Ok(Ok(Answer::Done)) if stops => came.stopped += 1,
            Ok(Ok(_)) => came.wrong += 1,
            Ok(Err(Fault::GaveWay { .. })) => came.gave_way += 1,
            Ok(Err(Fault::Silence(_))) => came.silent += 1,
            Ok(Err(Fault::Garbled(_))) => came.garbled += 1,
            Ok(Err(Fault::Lost(_))) => came.lost += 1,
            Ok(Err(_)) => came.refused += 1,
        }
    }
    came
}

fn requests() -> u64 {
    let said = std::env::var("HEADSTOCK_REQUESTS").ok();
    said.and_then(|it| it.parse().ok()).unwrap_or(REQUESTS)
}

async fn nothing_is_swapped(name: &str, driver: &str, network: bool) {
    let (requests, began) = (requests(), Instant::now());
    let came = run(driver, network, requests).await;
    let seconds = began.elapsed().as_secs_f64();
    println!("{name}: {requests} requests in {seconds:.0} s: {came:?}");
    assert_eq!(came.wrong, 0, "{came:?}");
    assert!(requests / 2 < came.right, "{came:?}");
    let unlucky = [came.silent, came.given_up, came.gave_way, came.stopped];
    assert!(unlucky.iter().all(|it| 0 < *it), "nothing went wrong: {came:?}");
}

#[tokio::test]
async fn no_value_is_attributed_to_another_register_on_a_line() {
    nothing_is_swapped("RTU over a terminal", "modbus-rtu", false).await;
}

#[tokio::test]
async fn no_value_is_attributed_to_another_register_in_a_serial_servers_stream() {
    nothing_is_swapped("RTU over TCP", "modbus-rtu", true).await;
}

#[tokio::test]
async fn no_value_is_attributed_to_another_register_over_tcp() {
    nothing_is_swapped("Modbus TCP", "modbus-tcp", true).await;
}
