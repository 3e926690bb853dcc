//! Prints on a wire that loses and changes bytes: every line is carried out once, in order.
//!
//! Each run is seeded and repeats exactly. What is compared is what the firmware has carried out,
//! not what the driver believes.

mod bench;

use headstock_config::command::{Command, Stop};
use headstock_config::event::Event;
use headstock_config::machine::{Machine, Mode, Printer};
use headstock_drivers::marlin::sim::{Firmware, Options};

use bench::{Bench, Fault, Hit, machine, print};

/// Bytes lost, and bytes changed, of all bytes in each direction.
const RATE: f64 = 1e-4;
const RUNS: u64 = 200;

/// xorshift64*: the same runs every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

fn printer() -> Machine {
    Machine { driver: "marlin".into(), id: "printer".into(), ..machine() }
}

/// Lines as a slicer writes them, no two of them alike.
fn invent(dice: &mut Dice, lines: usize) -> String {
    let mut text = String::from("G28\nG21\nG90\nM82\nG92 E0\n;LAYER:0\n");
    for at in 0..lines {
        let (x, y) = (dice.roll() * 200.0, dice.roll() * 200.0);
        match at % 40 {
            7 => text += &format!("G1 E{:.5} F2400\n", at as f64 - 0.5),
            19 => text += &format!("G92 E0\nM106 S{}\n;LAYER:{at}\n", at % 255),
            31 => text += &format!("G2 X{x:.3} Y{y:.3} I{:.3} J-1.5 E{at}.25\n", x / 7.0),
            _ => text += &format!("G1 X{x:.3} Y{y:.3} E{:.5}\n", at as f64 / 3.0),
        }
    }
    text + "M104 S0\nM107\nM84\n"
}

fn strike(dice: &mut Dice, bytes: u64) -> Vec<Fault> {
    let mut faults = Vec::new();
    for to_device in [true, false] {
        for byte in 0..bytes {
            let hit = match dice.roll() {
                roll if roll < RATE => Hit::Drop,
                roll if roll < 2.0 * RATE => Hit::Flip((roll * 8e7) as u8 % 8),
                _ => continue,
            };
            faults.push(Fault { to_device, byte, hit });
        }
    }
    faults
}

/// What the firmware has carried out of the program.
fn carried_out(bench: &Bench<Firmware>) -> Vec<&str> {
    let ours = ["M105", "M114", "M115", "M155 S2", "M154 S2", "M876 P1", "M400", "M110 N0"];
    let text = bench.device.counters.text.iter().map(String::as_str);
    let text: Vec<&str> = text.filter(|line| !ours.contains(line)).collect();
    assert_eq!(text[..3], ["G21", "G90", "M82"], "in which it is judged");
    text[3..].to_vec()
}

/// Runs one program; the seconds that it took.
fn run(seed: u64, options: Options, lines: usize) -> f64 {
    let mut dice = Dice(seed * 2 + 1);
    let text = invent(&mut dice, lines);
    let mut bench = Bench::printer(&printer(), options).connect();
    bench.take_events();
    let program = print(&text);
    let expected: Vec<String> = program.iter().map(|line| line.text.clone()).collect();
    bench.start_lines(program, false);
    bench.faults = strike(&mut dice, 60 * lines as u64);
    let began = bench.seconds;
    assert_eq!(bench.ended(3600.0), Event::ProgramDone, "seed {seed}");
    let got = carried_out(&bench);
    let differs = expected.iter().zip(&got).position(|(one, other)| one != other);
    let around = |at: usize| got[at.saturating_sub(2)..got.len().min(at + 3)].to_vec();
    assert_eq!(differs.map(around), None, "seed {seed}");
    assert_eq!(got.len(), expected.len(), "seed {seed}");
    bench.seconds - began
}

fn options() -> Options {
    Options { keep_lines: true, time_scale: 0.0, ..Options::default() }
}

/// As a board with ADVANCED_OK, and as three that have less.
fn boards() -> [Options; 4] {
    let plain = Options { advanced_ok: false, ..options() };
    [
        options(),
        Options { flush_on_error: false, time_scale: 30.0, ..options() },
        plain.clone(),
        Options { ok_after_resend: false, reports: false, keepalive: false, ..plain },
    ]
}

fn runs(seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let board = boards()[seed as usize % 4].clone();
        run(seed, board, 250);
    }
}

#[test]
fn a_wire_that_loses_and_changes_bytes_neither_loses_nor_doubles_a_line() {
    runs(0..RUNS / 2);
}

#[test]
fn nor_does_it_in_a_hundred_other_runs() {
    runs(RUNS / 2..RUNS);
}

/// Two bytes of one line that change in the same bit have the old checksum; ten times as many
/// faults make that a hundred times likelier. All else must hold.
#[test]
fn on_a_wire_ten_times_worse_lines_stay_in_order_or_the_print_is_given_up() {
    let mut changed = 0;
    for seed in 0..40 {
        let mut dice = Dice(seed * 2 + 1);
        let text = invent(&mut dice, 100);
        let mut bench = Bench::printer(&printer(), boards()[seed as usize % 4].clone()).connect();
        bench.take_events();
        let program = print(&text);
        let expected: Vec<String> = program.iter().map(|line| line.text.clone()).collect();
        bench.start_lines(program, false);
        bench.faults = (0..10).flat_map(|_| strike(&mut dice, 6000)).collect();
        let end = bench.ended(3600.0);
        let got = carried_out(&bench);
        let wrong: Vec<_> = expected.iter().zip(&got).filter(|(one, other)| one != other).collect();
        changed += wrong.len();
        assert!(wrong.len() <= 2, "seed {seed}: {wrong:?}");
        assert!(
            wrong.iter().all(|(one, other)| one.chars().count() == other.chars().count()),
            "{wrong:?}"
        );
        if end == Event::ProgramDone {
            assert_eq!(got.len(), expected.len(), "seed {seed}");
        }
    }
    assert!(changed <= 4, "{changed}");
}

#[test]
fn a_print_that_is_held_near_the_top_goes_on_at_its_own_height() {
    let printer = Printer { park: Some([5.0, 190.0]), ..Printer::default() };
    let machine = Machine { printer, ..self::printer() };
    let mut bench = Bench::printer(&machine, Options { time_scale: 10.0, ..options() }).connect();
    let sides = "G1 X50 Y20 F3000\nG1 X20 Y20\n".repeat(200);
    bench.start_lines(print(&format!("G28\nG21\nG90\nM82\nG1 Z245 F3000\n{sides}")), false);
    bench.until(60.0, "the top", |it| it.device.figures().position[2] == 245.0);
    bench.stop(Stop::Hold);
    bench.until_mode(Mode::Held);
    let parked = bench.device.figures().position;
    assert_eq!(parked[..3], [5.0, 190.0, 250.0], "no higher than the firmware lets it");
    bench.obey(Command::Resume).unwrap();
    assert_eq!(bench.ended(600.0), Event::ProgramDone);
    assert_eq!(bench.device.figures().position[2], 245.0);
}
