//! Rules and alarms, from a pin of a pretend board to the wire of a pretend mill.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use headstock_config::alarm::AlarmState;
use headstock_config::command::Command;
use headstock_config::explain::Explain;
use headstock_config::job::JobState;
use headstock_config::ledger::Fact;
use headstock_config::load;
use headstock_config::machine::Mode;
use headstock_config::point::{Point, Value};
use headstock_config::rule::RuleEvent;
use headstock_drivers::grbl::sim::Options;
use headstock_drivers::modbus::sim as modbus;
use headstock_drivers::registry;

use super::start::{Mill, Open, squares};

/// A mill with a door, a stop chain, a dust collector that follows the spindle, and a lamp. A pin
/// that nothing is known of is low: door and chain are closed then.
const SHOP: &str = r#"driver = "grbl"
spinup_s = 0.1
[[machine]]
id = "pins"
driver = "gpio"
port = "sim:gpio"
[[machine.tag]]
name = "chain"
pin = "!gpiochip0/4"
role = "estop_chain"
[[machine.tag]]
name = "door"
pin = "!gpiochip0/17"
role = "door"
[[machine.tag]]
name = "dust"
pin = "gpiochip0/18"
mode = "out"
write = true
safe = false
[[machine.tag]]
name = "red"
pin = "gpiochip0/22"
role = "stack_red"
safe = false
[[interlock]]
name = "door-open"
when = { point = "pins.door", equals = false }
machine = "mill"
does = "hold"
[[follow]]
name = "dust"
when = { point = "mill.spindle", above = 0 }
write = "pins.dust"
on = true
off = false
"#;

/// Longest that anything here may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// The world around the board's pins.
struct World {
    door: BufReader<UnixStream>,
}

impl World {
    fn around(dir: &Path) -> Self {
        let socket = dir.join("state/sim/pins.pins");
        Self { door: BufReader::new(UnixStream::connect(socket).expect("the board is there")) }
    }

    fn say(&mut self, words: &str) -> String {
        writeln!(self.door.get_mut(), "{words}").unwrap();
        let mut answer = String::new();
        self.door.read_line(&mut answer).unwrap();
        assert!(answer.starts_with("ok"), "{words}: {answer}");
        answer
    }

    fn open(&mut self, line: u32) {
        self.say(&format!("set gpiochip0/{line} 1"));
    }

    fn close(&mut self, line: u32) {
        self.say(&format!("set gpiochip0/{line} 0"));
    }

    /// Waits until a line that the house drives is so.
    async fn is(&mut self, line: u32, high: bool) {
        let wanted = format!("ok {}", u8::from(high));
        let driven = async {
            while !self.say(&format!("get gpiochip0/{line}")).starts_with(&wanted) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, driven)
            .await
            .unwrap_or_else(|_| panic!("{line} is not {high}"));
    }
}

async fn open(mill: &Mill) -> (Open, World) {
    let open = Open::around(mill.dir.path(), "mill", SHOP).await;
    let world = World::around(mill.dir.path());
    open.ready().await;
    permitted(&open).await;
    (open, world)
}

/// Waits until nothing stands against a start but what the book remembers.
async fn permitted(open: &Open) {
    let known = async {
        while open.desk().rule_views().iter().any(|it| it.unknown) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, known).await.expect("the pins are read");
}

async fn alarm(open: &Open, id: &str, wanted: AlarmState) {
    let (_, mut entries) = open.desk().ledger().follow(|_| ());
    let waiting = async {
        while open.desk().one_alarm(id).unwrap().state != wanted {
            entries.recv().await.unwrap();
        }
    };
    let waited = tokio::time::timeout(PATIENCE, waiting).await;
    waited.unwrap_or_else(|_| panic!("{:?}", open.desk().one_alarm(id)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_door_switch_holds_the_mill_and_lights_the_lamp() {
    let mill = Mill::new(Options::default());
    let (open, mut world) = open(&mill).await;
    open.start(&squares(500)).await;
    open.moving().await;
    // The collector follows the spindle, as rule `dust`.
    world.is(18, true).await;
    world.is(22, false).await;

    world.open(17);
    open.mode(Mode::Held).await;
    alarm(&open, "door-open", AlarmState::Unacknowledged).await;
    world.is(22, true).await;
    let refused = open.desk().tell(&open.ada, "mill", Command::Resume).await.unwrap_err();
    assert_eq!(refused.code(), "rule.interlock");

    world.close(17);
    alarm(&open, "door-open", AlarmState::ReturnedUnacknowledged).await;
    open.desk().acknowledge(&open.ada, "door-open").await.unwrap();
    world.is(22, false).await;
    open.desk().tell(&open.ada, "mill", Command::Resume).await.unwrap();
    open.mode(Mode::Running).await;
    let trips = |fact: &Fact| matches!(fact, Fact::Rule { rule, happened: RuleEvent::Tripped { .. } } if rule == "door-open");
    assert_eq!(open.facts(trips).await, 1);
    open.house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_was_not_cleared_waits_for_a_person_in_the_next_house_too() {
    let mill = Mill::fast();
    let (first, mut world) = open(&mill).await;
    let job = first.start(&squares(500)).await;
    first.moving().await;
    world.open(4);
    first.until(&job, JobState::over).await;
    alarm(&first, "house.stop-chain", AlarmState::Unacknowledged).await;
    first.house.close().await;

    let (second, _world) = open(&mill).await;
    let home = || Command::Home { axes: None };
    let refused = second.desk().tell(&second.ada, "mill", home()).await.unwrap_err();
    assert_eq!(refused.code(), "rule.not_cleared");
    assert_eq!(second.desk().clear(&second.ada, Some("mill")).await.unwrap().machines, ["mill"]);
    second.desk().tell(&second.ada, "mill", home()).await.unwrap();
    second.house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_house_that_closes_trips_nothing_and_the_next_one_may_jog() {
    let mill = Mill::fast();
    let (first, _world) = open(&mill).await;
    first.house.close().await;

    let (second, _world) = open(&mill).await;
    let by_rules = |fact: &Fact| matches!(fact, Fact::Rule { .. } | Fact::StopChain { .. });
    assert_eq!(second.facts(by_rules).await, 0);
    let jog = Command::Jog { by: [Some(0.1), None, None], feed: 600.0, absolute: false };
    second.desk().tell(&second.ada, "mill", jog).await.unwrap();
    second.house.close().await;
}

/// A board that is not there yet.
const BOARD: &str = r#"
[[machine]]
id = "relays"
driver = "modbus-rtu"
port = "LINE"
baud = 115200
timeout_ms = 100
tag = [{ name = "dust", area = "coil", address = 0, write = true, period_ms = 100 }]
"#;
/// What its dust collector follows.
const FOLLOWS: &str = r#"
[[follow]]
name = "dust"
when = { point = "mill.spindle", above = 0 }
write = "relays.dust"
on = true
off = false
"#;

#[tokio::test(flavor = "multi_thread")]
async fn what_follows_the_spindle_is_put_on_when_its_board_comes_back_meanwhile() {
    let mill = Mill::new(Options::default());
    let line = mill.dir.path().join("bus.tty");
    let board = BOARD.replace("LINE", &line.display().to_string());
    let shop = format!("driver = \"grbl\"\nspinup_s = 0.1\n{board}{FOLLOWS}");
    let open = Open::around(mill.dir.path(), "mill", &shop).await;
    open.ready().await;
    open.start(&squares(500)).await;
    open.moving().await;
    let declined = |entry: &Fact| matches!(entry, Fact::Answered { refused: Some(_), .. });
    let asked = async {
        while open.facts(declined).await == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asked).await.expect("the rule asks in vain");
    let machines = load::parse(&board, "test.toml", &registry::names()).unwrap().machines;
    let there = modbus::Options { link: Some(line), ..modbus::Options::default() };
    let _board = modbus::serial(&machines, there).unwrap();
    let on = async {
        let is_on = |it: Point| it.value == Some(Value::Flag(true));
        while !open.desk().points().one("relays.dust").is_some_and(is_on) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, on).await.expect("the collector runs");
}
