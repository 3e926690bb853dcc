//! Bytes lost, changed and doubled on the wire, one in each run of a short program.
//!
//! A GRBL link has no checksum. What the driver makes up for it is measured here: a run either
//! ends as lost, with a reason, or it must have done what the program says, as far as a line that
//! is missing, merged or doubled, an answer that is missing or invented, and the place where the
//! tool ends up can tell. What no one can see from outside (a feed that changed on its way, a
//! detour that was over before the next report) is counted and printed.

mod bench;

use headstock_config::command::Command;
use headstock_config::event::{Cause, Event};
use headstock_config::machine::Mode;

use bench::{Bench, Fault, Hit, options, program};

/// xorshift64*: the same runs every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % sides
    }
}

/// Short programs of every flavour, most of them unlike each other.
fn invent(seed: u64) -> String {
    let mut dice = Dice(seed * 2 + 1);
    let mut text = String::from("G21G90G94\nG0X5Y5\nM3S1000\n");
    let number = |dice: &mut Dice| format!("{:.3}", dice.roll(60_000) as f64 / 1000.0 - 20.0);
    match seed % 4 {
        0 => {
            for _ in 0..12 {
                let (x, y) = (number(&mut dice), number(&mut dice));
                text += &format!("G1X{x}Y{y}F{}\n", 2000 + dice.roll(3000));
            }
        }
        1 => {
            text += "G91G1F3000\n";
            for _ in 0..12 {
                let (x, y) = (dice.roll(4000) as f64 / 1e3, dice.roll(4000) as f64 / 1e3 - 2.0);
                text += &format!("X{x:.3}Y{y:.3}\n");
            }
            text += "G90\n";
        }
        2 => {
            for at in 0..6 {
                text += &format!("G2X{}Y5I2J0F2500\nG1X{}Z-{}\n", 9 + at * 5, 10 + at * 5, at);
            }
        }
        _ => {
            for _ in 0..5 {
                text +=
                    &format!("G1X{}F2400\nG4P0.1\nS{}\n", number(&mut dice), 500 + dice.roll(900));
            }
            text += "G10L20P2X0\n";
        }
    }
    text + "M5\nG0X0Y0\nG1Z1F1500\n"
}

/// What one run came to.
struct Outcome {
    end: Event,
    lines: Vec<String>,
    position: [f64; 3],
    passed: [u64; 2],
    resumed: bool,
    bench: Bench,
}

fn run(lines: &[headstock_drivers::gcode::ProgramLine], faults: Vec<Fault>) -> Outcome {
    let mut bench = Bench::connected(options());
    let before = bench.device.lines().len();
    bench.take_events();
    bench.wire.clear();
    bench.faults = faults;
    bench.start_lines(lines.to_vec(), false);
    let over = |it: &Bench| {
        it.events.iter().any(|e| matches!(e, Event::ProgramDone | Event::ProgramLost { .. }))
    };
    let mut resumed = false;
    // A digit may become `!`, which holds the machine: a person then lets it go on.
    for _ in 0..400 {
        let until = bench.seconds + 15.0;
        bench.until(16.0, "end or hold", |it| {
            over(it) || it.driver.live().mode == Mode::Held || until < it.seconds + 0.01
        });
        if over(&bench) {
            break;
        }
        if bench.driver.live().mode == Mode::Held {
            bench.wait(0.5);
            resumed |= bench.obey(Command::Resume).is_ok();
            bench.wait(0.2);
        }
    }
    let passed = bench.passed;
    let position = bench.position();
    let lines = bench.device.lines()[before..].to_vec();
    bench.wait(1.0);
    let end = bench.ended(1.0);
    Outcome { end, lines, position, passed, resumed, bench }
}

#[derive(Debug, Default)]
struct Tally {
    runs: u32,
    /// Ended as lost, rightly: something had changed.
    caught: u32,
    /// Ended as lost although only a report or an answer was damaged on its way back.
    stopped_for_the_way_back: u32,
    /// Nothing that matters was hit.
    harmless: u32,
    /// A person had to let it go on after a `!` that nobody sent.
    held: u32,
    /// Cannot be seen: words that change no place.
    unseen_words: u32,
    /// Cannot be seen: a detour between two reports.
    unseen_detours: u32,
    causes: std::collections::BTreeMap<String, u32>,
}

fn words_of_place(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for letter in line.to_ascii_uppercase().chars().filter(|letter| *letter != ' ') {
        if letter.is_ascii_alphabetic() {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut() {
            word.push(letter);
        }
    }
    words.retain(|word| matches!(word.as_bytes()[0], b'X' | b'Y' | b'Z' | b'I' | b'J' | b'G'));
    words
}

/// Without what the house asks and sets before the first line, as it was or damaged (no program
/// here begins with so short a line), and without the motion mode that it changes before it asks
/// again at the end.
fn of_the_program(mut lines: &[String]) -> Vec<String> {
    let asked = |line: Option<&String>| line.is_some_and(|line| line == "$G");
    while lines.first().is_some_and(|line| line.len() <= 3) || asked(lines.get(1)) {
        lines = &lines[1..];
    }
    let set = |at: usize| lines[at].len() == 2 && asked(lines.get(at + 1));
    let of_the_program = |at: &usize| !lines[*at].contains('$') && !set(*at);
    (0..lines.len()).filter(of_the_program).map(|at| lines[at].clone()).collect()
}

fn judge(tally: &mut Tally, fault: Fault, expected: &Outcome, found: &Outcome) {
    tally.runs += 1;
    tally.held += u32::from(found.resumed);
    only_program_bytes(&found.bench.wire, expected);
    let (wanted, mut did) = (of_the_program(&expected.lines), of_the_program(&found.lines));
    let wanted_lines = wanted.len();
    // Our own question at the end may have been hit itself; it is asked again.
    did.retain({
        let mut at = 0;
        move |line| {
            at += 1;
            at <= wanted_lines || 3 < line.len()
        }
    });
    if let Event::ProgramLost { cause, .. } = &found.end {
        assert!(*cause != Cause::Asked);
        let named = found.bench.events.iter().find_map(|event| match event {
            Event::Mismatch(mismatch) => Some(format!("{:?}", mismatch.check)),
            _ => None,
        });
        *tally.causes.entry(named.unwrap_or(format!("{cause:?}"))).or_default() += 1;
        if wanted.starts_with(&did) && !fault.to_device {
            tally.stopped_for_the_way_back += 1;
        } else {
            tally.caught += 1;
        }
        return;
    }
    if did == wanted {
        tally.harmless += 1;
        return;
    }
    let far = (0..3).any(|axis| (found.position[axis] - expected.position[axis]).abs() > 0.003);
    assert!(
        did.len() == wanted.len() && !far,
        "{fault:?} went unseen: {did:?} instead of {wanted:?}, {:?}; {:?}",
        found.position,
        found.bench.events
    );
    let places = |lines: &[String]| lines.iter().map(|it| words_of_place(it)).collect::<Vec<_>>();
    if places(&did) == places(&wanted) {
        tally.unseen_words += 1;
    } else {
        tally.unseen_detours += 1;
    }
}

/// What went to the device is the program as far as it got, questions of ours, and bytes for stops.
fn only_program_bytes(wire: &[u8], expected: &Outcome) {
    let realtime = |byte: &u8| matches!(byte, b'?' | b'!' | b'~' | 0x18);
    let sent: Vec<u8> = wire.iter().copied().filter(|byte| !realtime(byte)).collect();
    let sent = String::from_utf8(sent).expect("lines are ASCII");
    let sent: Vec<String> = sent.lines().map(str::to_owned).collect();
    let wanted = of_the_program(&expected.lines);
    let mut wanted = wanted.iter();
    for line in of_the_program(&sent) {
        let wanted = wanted.next().expect("no more lines than the program has");
        // A reset may cut the last one short.
        assert!(wanted.starts_with(line.as_str()), "{line} instead of {wanted}");
    }
}

#[test]
fn one_byte_lost_changed_or_doubled_is_seen_or_does_no_harm() {
    let mut dice = Dice(20_261_120);
    let mut tally = Tally::default();
    for seed in 0..20 {
        let lines = program(&invent(seed));
        let expected = run(&lines, Vec::new());
        assert_eq!(expected.end, Event::ProgramDone, "{:?}", expected.bench.events);
        for _ in 0..52 {
            let to_device = dice.roll(5) < 3;
            let byte = dice.roll(expected.passed[usize::from(!to_device)]);
            let hit = match dice.roll(4) {
                0 => Hit::Drop,
                1 => Hit::Double,
                _ => Hit::Flip(dice.roll(8) as u8),
            };
            let fault = Fault { to_device, byte, hit };
            let found = run(&lines, vec![fault]);
            judge(&mut tally, fault, &expected, &found);
        }
    }
    let unseen = f64::from(tally.unseen_words + tally.unseen_detours) / f64::from(tally.runs);
    println!("{tally:#?}\nshare that a link without a checksum cannot show: {unseen:.4}");
    assert!(1000 <= tally.runs);
    assert!(unseen < 0.15, "the checks see less than they did");
}

#[test]
fn noise_never_leaves_a_program_without_an_end() {
    let mut dice = Dice(77);
    for seed in 0..60 {
        let lines = program(&invent(seed));
        let faults = (0..40).map(|_| Fault {
            to_device: dice.roll(2) == 0,
            byte: dice.roll(2500),
            hit: match dice.roll(3) {
                0 => Hit::Drop,
                1 => Hit::Double,
                _ => Hit::Flip(dice.roll(8) as u8),
            },
        });
        run(&lines, faults.collect());
    }
}
