//! A board's edges and levels that have been recorded, told again to a new dialect.
//!
//! `traces/gpio_run.trace` has, with their times, what the kernel told of lines, what was asked of
//! tags, and what was made of it: the same readings must come of the same edges. It was recorded by
//! the carrier of the product against a pretend board, with an ear in between that writes down all that
//! passes; `HEADSTOCK_RECORD=1 cargo test -p headstock-drivers --test gpio_trace` records it anew,
//! before it is told again. Look at the difference before it is kept.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use headstock_config::load;
use headstock_config::machine::{Machine, Port};
use headstock_config::point::Value;
use headstock_drivers::bus::{Carrier, Dialect, Errand, Place, Reading};
use headstock_drivers::gpio::{Board, Edge, Gpio, Request, Seen, sim};
use headstock_drivers::link::os;
use headstock_drivers::link::pins::{Heart, PinCarrier};
use headstock_drivers::sim::say;
use tokio::sync::{mpsc, oneshot};

/// A door whose bounces the kernel keeps away, a gate where nobody does, a loose wire, a lamp, and two
/// meters.
const TAGS: &[(&str, &str, &str)] = &[
    ("door", "gpiochip0/17", "pin = \"!^gpiochip0/17\"\nrole = \"door\"\ndebounce_ms = 10"),
    ("gate", "gpiochip0/27", "pin = \"gpiochip0/27\"\ndebounce_ms = 12"),
    ("loose", "gpiochip0/5", "pin = \"gpiochip0/5\"\ndebounce_ms = 0"),
    ("red", "gpiochip0/22", "pin = \"!gpiochip0/22\"\nmode = \"out\"\nsafe = false"),
    (
        "flow",
        "gpiochip0/4",
        "pin = \"gpiochip0/4\"\nmode = \"count\"\ndebounce_ms = 0\nscale = 0.5\nunit = \"l\"",
    ),
    ("turns", "gpiochip0/6", "pin = \"gpiochip0/6\"\nmode = \"frequency\"\ndebounce_ms = 0"),
];
/// How far a moment may be off: what waited for a deadline came a little after it.
const WAITED: Duration = Duration::from_millis(20);

fn machines() -> Vec<Machine> {
    let tags: String = TAGS
        .iter()
        .map(|(name, _, it)| format!("[[machine.tag]]\nname = \"{name}\"\n{it}\n"))
        .collect();
    let text =
        format!("[[machine]]\nid = \"pins\"\ndriver = \"gpio\"\nport = \"sim:gpio\"\n{tags}");
    load::parse(&text, "t.toml", &["gpio"]).expect("it is correct").machines
}

fn trace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/traces/gpio_run.trace")
}

fn tag(name: &str) -> Place {
    let tag = TAGS.iter().position(|(it, ..)| *it == name).expect("a tag of these");
    Place { machine: 0, tag }
}

fn line(name: &str) -> usize {
    TAGS.iter().position(|(_, it, _)| *it == name).expect("a line of these")
}

/// What a reading says, but for its moment.
fn words(reading: &Reading) -> String {
    let value = match &reading.value {
        // What is worked out of times differs by the clocks' last digits.
        Some(Value::Number(number)) => format!("{number:.2}"),
        Some(value) => value.to_string(),
        None => "-".into(),
    };
    let why = reading.why.as_ref().map(|it| format!(" ({it})")).unwrap_or_default();
    format!("{} {value} {:?}{why}", TAGS[reading.place.tag].0, reading.quality)
}

/// Readings: when, and what.
type Told = Vec<(Duration, String)>;

/// Told again: every step of the trace, and the readings that come of it.
fn again(text: &str) -> (Told, Told) {
    let (machines, start) = (machines(), Instant::now());
    let (gpio, mut board) = (Gpio::new(&machines), Board::new(&machines));
    let (mut recorded, mut come) = (Vec::new(), Vec::<Reading>::new());
    let mut filtered = vec![true; TAGS.len()];
    let (mut wanted, mut open) = (BTreeMap::new(), false);
    for step in text.lines().filter(|it| !it.is_empty() && !it.starts_with('#')) {
        let (at, step) = step.split_once(' ').expect("a time, and what");
        let since = Duration::from_nanos(at.parse().expect("nanoseconds"));
        let at = start + since;
        let said: Vec<&str> = step.split(' ').collect();
        if said[0] != "reserve" && !std::mem::replace(&mut open, true) {
            board.opened(&filtered);
        }
        while let Some(due) = board.deadline().filter(|due| *due <= at) {
            board.tick(due, &mut come);
        }
        match said[..] {
            ["reserve", name, .., bare] => filtered[line(name)] = bare != "bare",
            ["edge", name, level, number] => {
                let number = Some(number.parse().expect("a number"));
                let edge = Edge { line: line(name), rising: level == "1", at, number };
                assert!(!board.edge(edge, &mut come), "no edge was lost");
            }
            ["level", name, level] => {
                let seen = board.look(line(name), level == "1", at);
                let place = Place { machine: 0, tag: line(name) };
                come.extend(gpio.told(place, at, &seen));
            }
            ["ask", _, "look"] => (),
            ["ask", name, ..] => {
                let value = step.splitn(3, ' ').nth(2).expect("a value");
                let write = gpio.write(tag(name), &Value::typed(value)).expect("it was taken then");
                wanted.insert(tag(name).tag, write.requests[0].clone());
            }
            ["drive", name, level] => {
                let index = line(name);
                let ended = wanted.remove(&index);
                let share = match &ended {
                    Some(Request::Set(_, share)) => *share,
                    Some(Request::Pulse(..)) => 1.0,
                    // The end of a pulse: nobody has asked for it.
                    Some(Request::Look(_)) | None => 0.0,
                };
                board.driven(index, share);
                assert_eq!(board.uses()[index].level(share != 0.0), level == "1", "{step}");
                if ended.is_none() {
                    come.extend(board.told(index, at, &Seen::good(0.0)));
                }
            }
            ["told", ..] => recorded.push((since, step["told ".len()..].to_owned())),
            _ => panic!("{step}"),
        }
    }
    let come = come.iter().map(|it| (it.at.saturating_duration_since(start), words(it)));
    (recorded, come.collect())
}

#[test]
fn recorded_edges_come_to_exactly_the_readings_that_were_recorded() {
    if std::env::var_os("HEADSTOCK_RECORD").is_some() {
        fs::write(trace(), record::run()).expect("the trace can be written");
    }
    let text = fs::read_to_string(trace()).expect("it ships with the tests");
    let (recorded, come) = again(&text);
    let what = |all: &[(Duration, String)]| all.iter().map(|it| it.1.clone()).collect::<Vec<_>>();
    assert_eq!(what(&come), what(&recorded));
    for ((at, said), (then, _)) in come.iter().zip(&recorded) {
        assert!(at.abs_diff(*then) <= WAITED, "{said}: at {at:?} instead of {then:?}");
    }
    for part in ["door on Good", "gate on Good", "loose - Bad", "red off Good", "flow 3.50 Good"] {
        assert!(recorded.iter().any(|(_, it)| it.starts_with(part)), "{part}: {recorded:?}");
    }
    let gate = recorded.iter().filter(|(_, it)| it.starts_with("gate")).count();
    let edges = text.lines().filter(|it| it.contains(" edge gpiochip0/27")).count();
    assert!(gate < edges, "the gate has bounced: {edges} edges, {gate} readings");
}

/// The recording.
mod record {
    use super::*;

    type Log = Arc<Mutex<Vec<(u128, String)>>>;

    /// Something that is asked of a tag, and who waits until it is done.
    type Wish = (&'static str, String, oneshot::Sender<()>);

    fn nanos() -> u128 {
        os::monotonic().expect("there is a clock").as_nanos()
    }

    fn note(log: &Log, at: u128, what: String) {
        log.lock().unwrap_or_else(PoisonError::into_inner).push((at, what));
    }

    pub(super) fn run() -> String {
        let folder = tempfile::tempdir().expect("a folder");
        let (board, ear) = (folder.path().join("board"), folder.path().join("ear"));
        let _board = sim::Board::open(&board).expect("a board");
        say(&board, "bare gpiochip0/27").expect("it is heard");
        let log = Log::default();
        listen(&ear, &board, &log);
        let (wish, wishes) = mpsc::channel(1);
        let world = thread::spawn(move || world(&board, &wish));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(house(&ear, &log, wishes));
        world.join().expect("the world goes on");
        let log = log.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = log.iter().map(|(at, _)| *at).min().unwrap_or_default();
        // Outputs are made safe by whoever opens and closes a board, which is not the dialect.
        let first = log.iter().position(|(_, it)| it.starts_with("ask")).unwrap_or_default();
        let last = log.iter().rposition(|(_, it)| it.starts_with("told")).unwrap_or_default();
        let of_dialect = |(index, (_, it)): &(usize, &(u128, String))| {
            (first..=last).contains(index) || it.starts_with("reserve")
        };
        let mut text = String::from(
            "# Pins of a pretend board and what the carrier of the product made of them: a door, a gate that bounces, a wire\n\
             # that is loose, a lamp that is switched and pulsed, and two meters. Nanoseconds since the first line. Recorded by\n\
             # HEADSTOCK_RECORD=1 cargo test -p headstock-drivers --test gpio_trace\n",
        );
        for (_, (at, what)) in log.iter().enumerate().filter(of_dialect) {
            text += &format!("{} {what}\n", at - begun);
        }
        text
    }

    /// Passes everything on between carrier and board, and writes down what matters.
    fn listen(ear: &Path, board: &Path, log: &Log) {
        let door = UnixListener::bind(ear).expect("a door");
        let (board, log) = (board.to_owned(), log.clone());
        thread::spawn(move || {
            for visitor in door.incoming().take(2) {
                let house = visitor.expect("a visitor");
                let there = UnixStream::connect(&board).expect("the board is there");
                let (board, log) = (there, log.clone());
                thread::spawn(move || pass(&house, &board, &log));
            }
        });
    }

    fn pass(mut house: &UnixStream, mut board: &UnixStream, log: &Log) {
        let mut asks = BufReader::new(house).lines();
        let mut answers = BufReader::new(board).lines();
        while let Some(Ok(ask)) = asks.next() {
            writeln!(board, "{ask}").expect("the board hears");
            let Some(Ok(answer)) = answers.next() else { return };
            let said = answer.trim_start_matches("ok").trim();
            match ask.split(' ').next() {
                Some("reserve") => note(log, nanos(), format!("{ask} {said}")),
                Some("level") => note(log, nanos(), format!("{ask} {said}")),
                Some("drive") => note(log, nanos(), ask.clone()),
                _ => (),
            }
            if writeln!(house, "{answer}").is_err() {
                return;
            }
            // Who says this is only told of edges from then on.
            if ask == "edges" {
                for edge in answers.by_ref().map_while(Result::ok) {
                    let said: Vec<&str> = edge.split(' ').collect();
                    let at = said[3].parse().expect("nanoseconds");
                    note(log, at, format!("edge {} {} {}", said[1], said[2], said[4]));
                    if writeln!(house, "{edge}").is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// The carrier, asked and listened to.
    async fn house(ear: &Path, log: &Log, mut wishes: mpsc::Receiver<Wish>) {
        let mut machines = machines();
        machines[0].port = Port::Path(ear.to_owned());
        let gpio = Gpio::new(&machines);
        let mut carrier = PinCarrier::new(&machines, Heart::new(Duration::from_secs(3_600)));
        carrier.open().await.expect("the board is there");
        let (begun, clock) = (Instant::now(), nanos());
        let tell = |reading: &Reading| {
            let since = reading.at.saturating_duration_since(begun).as_nanos();
            note(log, clock + since, format!("told {}", words(reading)));
        };
        loop {
            tokio::select! {
                told = carrier.unasked() => {
                    told.expect("the board stays").iter().for_each(&tell);
                }
                wish = wishes.recv() => {
                    let Some((name, what, done)) = wish else { return };
                    note(log, nanos(), format!("ask {name} {what}"));
                    let place = tag(name);
                    let request = match what.as_str() {
                        "look" => Request::Look(vec![place]),
                        value => gpio.write(place, &Value::typed(value)).expect("good").requests.remove(0),
                    };
                    let answer = carrier.perform(0, &request, Errand::default()).await.expect("the board stays");
                    let mut told = Vec::new();
                    gpio.read(Instant::now(), &request, &answer, &mut told);
                    told.iter().for_each(&tell);
                    done.send(()).expect("somebody waits");
                }
            }
        }
    }

    /// What happens at the lines, and what is asked meanwhile.
    fn world(board: &Path, wish: &mpsc::Sender<Wish>) {
        let set = |line: &str, level: u8| {
            say(board, &format!("set {line} {level}")).expect("it is heard");
        };
        let pause = |ms: u64| thread::sleep(Duration::from_millis(ms));
        let ask = |name: &'static str, what: &str| {
            let (done, over) = oneshot::channel();
            wish.blocking_send((name, what.to_owned(), done)).expect("the house is there");
            over.blocking_recv().expect("it is done");
        };
        let look = |name| ask(name, "look");
        for (name, ..) in TAGS {
            look(name);
        }
        for level in [0, 1] {
            set("gpiochip0/17", level);
            pause(40);
            look("door");
        }
        // It closes with bounces, is knocked against and stays, and opens.
        for level in [1, 0, 1, 0, 1] {
            set("gpiochip0/27", level);
            pause(2);
        }
        pause(40);
        for level in [0, 1] {
            set("gpiochip0/27", level);
            pause(3);
        }
        pause(40);
        set("gpiochip0/27", 0);
        pause(40);
        look("gate");
        for value in ["on", "off", "pulse 20ms"] {
            ask("red", value);
            look("red");
        }
        pause(50);
        look("red");
        for level in [1, 0].repeat(7) {
            set("gpiochip0/4", level);
            pause(1);
        }
        look("flow");
        for _ in 0..2 {
            for level in [1, 0].repeat(10) {
                set("gpiochip0/6", level);
                pause(5);
            }
            look("turns");
        }
        for level in [1, 0].repeat(30) {
            set("gpiochip0/5", level);
            pause(6);
        }
        look("loose");
        pause(2_500);
        look("loose");
    }
}
