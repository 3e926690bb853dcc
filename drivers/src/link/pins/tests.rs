//! The carrier against a pretend board.

use std::collections::VecDeque;
use std::path::Path;

use headstock_config::load;
use headstock_config::point::Value;

use super::*;
use crate::bus::{Dialect, Errand};
use crate::gpio::sim;

/// Longest wait for something that takes a moment.
const MOMENT: Duration = Duration::from_secs(20);

struct Bench {
    board: Option<sim::Board>,
    carrier: PinCarrier,
    gpio: Gpio,
    told: VecDeque<Reading>,
    path: PathBuf,
    _folder: tempfile::TempDir,
}

const TAGS: &str = r#"
[[machine.tag]]
name = "door"
pin = "!^gpiochip0/17"
role = "door"
debounce_ms = 2
[[machine.tag]]
name = "red"
pin = "!gpiochip0/22"
mode = "out"
safe = false
[[machine.tag]]
name = "fan"
pin = "gpiochip0/18"
mode = "pwm"
safe = 0.0
[[machine.tag]]
name = "gate"
pin = "gpiochip0/27"
debounce_ms = 300
[[machine.tag]]
name = "flow"
pin = "gpiochip0/4"
mode = "count"
debounce_ms = 0
"#;
const DOOR: &str = "gpiochip0/17";
const RED: &str = "gpiochip0/22";
const FAN: &str = "gpiochip0/18";
const GATE: &str = "gpiochip0/27";
const FLOW: &str = "gpiochip0/4";

fn machines(path: &Path) -> Vec<Machine> {
    let text =
        format!("[[machine]]\nid = \"pins\"\ndriver = \"gpio\"\nport = \"sim:gpio\"\n{TAGS}");
    let mut machines = load::parse(&text, "t.toml", &["gpio"]).unwrap().machines;
    machines[0].port = Port::Path(path.to_owned());
    machines
}

impl Bench {
    async fn new(heart: Heart) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pins");
        let board = sim::Board::open(&path).unwrap();
        let machines = machines(&path);
        let mut carrier = PinCarrier::new(&machines, heart);
        carrier.open().await.unwrap();
        let gpio = Gpio::new(&machines);
        let told = VecDeque::new();
        Self { board: Some(board), carrier, gpio, told, path, _folder: folder }
    }

    fn say(&self, words: &str) -> String {
        crate::sim::say(&self.path, words).unwrap()
    }

    /// The next thing told without being asked.
    async fn told(&mut self) -> Reading {
        loop {
            if let Some(told) = self.told.pop_front() {
                return told;
            }
            let unasked = tokio::time::timeout(MOMENT, self.carrier.unasked()).await;
            self.told.extend(unasked.expect("something is told").unwrap());
        }
    }

    async fn look(&mut self, tag: usize) -> Option<Value> {
        let request = Request::Look(vec![place(tag)]);
        let answer = self.carrier.perform(0, &request, Errand::default()).await.unwrap();
        let mut out = Vec::new();
        self.gpio.read(Instant::now(), &request, &answer, &mut out);
        out.remove(0).value
    }

    async fn write(&mut self, tag: usize, value: Value) -> Result<(), Fault> {
        for request in self.gpio.write(place(tag), &value).unwrap().requests {
            self.carrier.perform(0, &request, Errand::default()).await?;
        }
        Ok(())
    }
}

fn place(tag: usize) -> Place {
    Place { machine: 0, tag }
}

#[tokio::test]
async fn an_edge_in_the_world_is_told_with_its_moment() {
    let mut bench = Bench::new(Heart::default()).await;
    assert_eq!(bench.look(0).await, Some(Value::Flag(false)), "pulled up, and inverted");
    let before = Instant::now();
    bench.say(&format!("set {DOOR} 0"));
    let told = bench.told().await;
    assert_eq!((told.place, told.value), (place(0), Some(Value::Flag(true))));
    assert!(before <= told.at && told.at <= Instant::now(), "{:?}", told.at);
    assert_eq!(bench.look(0).await, Some(Value::Flag(true)));
}

#[tokio::test]
async fn a_contact_that_bounces_is_told_once() {
    use std::io::Write;
    let mut bench = Bench::new(Heart::default()).await;
    assert_eq!(bench.look(3).await, Some(Value::Flag(false)));
    let bounces: String =
        [1, 0, 1, 0, 1].iter().map(|level| format!("set {GATE} {level}\n")).collect();
    let mut world = std::os::unix::net::UnixStream::connect(&bench.path).unwrap();
    world.write_all(bounces.as_bytes()).unwrap();
    assert_eq!(bench.told().await.value, Some(Value::Flag(true)));
    bench.say(&format!("set {GATE} 0"));
    assert_eq!(bench.told().await.value, Some(Value::Flag(false)), "and nothing in between");
}

#[tokio::test]
async fn an_output_is_safe_from_the_beginning_to_the_end() {
    let mut bench = Bench::new(Heart::default()).await;
    assert_eq!(bench.say(&format!("get {RED}")), "1 out", "off is high");
    bench.write(1, Value::Flag(true)).await.unwrap();
    assert_eq!(bench.say(&format!("get {RED}")), "0 out");
    assert_eq!(bench.look(1).await, Some(Value::Flag(true)));
    bench.carrier.close().await;
    assert!(bench.say(&format!("get {RED}")).starts_with('1'));
}

#[tokio::test]
async fn a_line_is_reserved_once() {
    let bench = Bench::new(Heart::default()).await;
    let mut second = PinCarrier::new(&machines(&bench.path), Heart::default());
    let refused = second.open().await.unwrap_err();
    assert!(matches!(refused.why, Why::InUse), "{refused:?}");
    assert_eq!(refused.port, DOOR);
}

#[tokio::test]
async fn a_pulse_ends_by_itself_and_a_later_write_ends_it_too() {
    let mut bench = Bench::new(Heart::default()).await;
    bench.write(1, Value::Text("pulse 20ms".into())).await.unwrap();
    assert_eq!(bench.say(&format!("get {RED}")), "0 out");
    let told = bench.told().await;
    assert_eq!((told.place, told.value), (place(1), Some(Value::Flag(false))));
    assert_eq!(bench.say(&format!("get {RED}")), "1 out");
    bench.write(1, Value::Text("pulse 60s".into())).await.unwrap();
    bench.write(1, Value::Flag(false)).await.unwrap();
    assert_eq!(bench.say(&format!("get {RED}")), "1 out");
}

#[tokio::test]
async fn outputs_go_safe_when_the_heart_of_the_house_stops() {
    let heart = Heart::new(Duration::from_millis(1_500));
    let mut bench = Bench::new(heart.clone()).await;
    heart.beats();
    bench.write(1, Value::Flag(true)).await.unwrap();
    let told = bench.told().await;
    assert_eq!((told.place, told.value), (place(1), Some(Value::Flag(false))));
    assert_eq!(told.why.as_deref(), Some("the house was silent for 1 s"));
    assert_eq!(bench.say(&format!("get {RED}")), "1 out");
    let refused = bench.write(1, Value::Flag(true)).await.unwrap_err();
    assert!(matches!(refused, Fault::Refused { later: true, .. }), "{refused:?}");
    bench.write(1, Value::Flag(false)).await.unwrap();
    heart.beats();
    bench.write(1, Value::Flag(true)).await.unwrap();
}

#[tokio::test]
async fn a_dimmed_line_is_switched_on_and_off_while_we_wait() {
    use std::io::{BufRead, BufReader, Write};
    let mut bench = Bench::new(Heart::default()).await;
    let mut watch = std::os::unix::net::UnixStream::connect(&bench.path).unwrap();
    watch.write_all(b"watch\n").unwrap();
    let mut lines = BufReader::new(watch).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "ok");
    bench.write(2, Value::Number(0.5)).await.unwrap();
    assert_eq!(bench.look(2).await, Some(Value::Number(0.5)));
    let seen = tokio::task::spawn_blocking(move || {
        lines.take(6).map(|line| line.unwrap()).collect::<Vec<_>>()
    });
    let seen = tokio::select! {
        seen = seen => seen.unwrap(),
        told = bench.carrier.unasked() => panic!("{told:?}"),
    };
    let wanted: Vec<String> = (0..6).map(|it| format!("{FAN} {}", (it + 1) % 2)).collect();
    assert_eq!(seen, wanted);
}

#[tokio::test]
async fn pulses_are_counted() {
    let mut bench = Bench::new(Heart::default()).await;
    for _ in 0..5 {
        bench.say(&format!("set {FLOW} 1"));
        bench.say(&format!("set {FLOW} 0"));
    }
    // Telling of the door comes after all of them.
    bench.look(0).await;
    bench.say(&format!("set {DOOR} 0"));
    bench.told().await;
    assert_eq!(bench.look(4).await, Some(Value::Number(5.0)));
}

#[tokio::test]
async fn a_board_that_has_gone_is_lost_and_found_again() {
    let mut bench = Bench::new(Heart::default()).await;
    drop(bench.board.take());
    let lost = tokio::time::timeout(MOMENT, bench.carrier.unasked()).await.unwrap();
    assert!(matches!(lost, Err(Fault::Lost(_))), "{lost:?}");
    let absent = bench.carrier.open().await.unwrap_err();
    assert!(matches!(absent.why, Why::Absent), "{absent:?}");
    bench.board = Some(sim::Board::open(&bench.path).unwrap());
    bench.carrier.open().await.unwrap();
}
