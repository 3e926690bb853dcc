//! Pins and chips in a house: edges become points, outputs are driven, and stopped.

use std::path::{Path, PathBuf};
use std::time::Duration;

use headstock_config::command::{Command, Stop};
use headstock_config::load;
use headstock_config::machine::Mode;
use headstock_config::people::{Person, Role};
use headstock_config::point::{Point, Quality, Value};
use headstock_daemon::desk::Desk;
use headstock_daemon::house::{Ground, House};
use headstock_drivers::{registry, sim};

const PATIENCE: Duration = Duration::from_secs(30);

const SHOP: &str = r#"
[[machine]]
id = "pins"
driver = "gpio"
port = "sim:gpio"
tag = [
  { name = "door", pin = "!^gpiochip0/17", role = "door", debounce_ms = 2 },
  { name = "red", pin = "!gpiochip0/22", role = "stack_red", safe = false },
  { name = "dust", pin = "gpiochip0/23", role = "relay", safe = false, hold = true },
]
[[machine]]
id = "climate"
driver = "i2c"
port = "sim:i2c#shop"
chip = "bme280"
[[machine]]
id = "expander"
driver = "i2c"
port = "sim:i2c#shop"
chip = "mcp23017"
tag = [
  { name = "lamp", channel = "a0", output = true, safe = false },
  { name = "clamp", channel = "b7", scale = -1.0, offset = 1.0, period_ms = 50 },
]
"#;

struct Shop {
    house: House,
    ada: Person,
    state: PathBuf,
    _dir: tempfile::TempDir,
}

impl Shop {
    async fn open() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let text = format!(
            "[daemon]\nstate_dir = {state:?}\n[web]\nlisten = \"127.0.0.1:0\"\n[sim]\n\
             time_scale = 1.0\n{SHOP}"
        );
        let settings = load::parse(&text, "test.toml", &registry::names());
        let settings = settings.unwrap_or_else(|it| panic!("{it:#?}"));
        let ground =
            Ground { settings, state_dir: state.clone(), socket: state.join("headstock.sock") };
        let house = House::open(ground).await.unwrap();
        let ada = Person { name: "ada".into(), role: Role::Admin };
        let shop = Self { house, ada, state, _dir: dir };
        for machine in ["pins", "climate", "expander"] {
            shop.idle(machine).await;
        }
        shop
    }

    fn desk(&self) -> &Desk {
        &self.house.desk
    }

    async fn idle(&self, machine: &str) {
        let (_, mut live) = self.desk().watch_machines().find(|(id, _)| id == machine).unwrap();
        let seen = live.wait_for(|live| live.mode == Mode::Idle);
        let seen = tokio::time::timeout(PATIENCE, seen).await.is_ok();
        assert!(seen, "{:?}", self.desk().equipment());
    }

    /// What somebody does to the pretend world of a machine.
    fn world(&self, what: &str, words: &str) -> String {
        world(&self.state, what, words)
    }

    /// Waits until a point is like this. Points have no bell of their own in a test.
    async fn point(&self, name: &str, wanted: impl Fn(&Point) -> bool) -> Point {
        let looking = async {
            loop {
                match self.desk().points().one(name) {
                    Some(point) if wanted(&point) => return point,
                    _ => tokio::time::sleep(Duration::from_millis(2)).await,
                }
            }
        };
        let seen = tokio::time::timeout(PATIENCE, looking).await;
        seen.unwrap_or_else(|_| panic!("{:?}", self.desk().points().one(name)))
    }

    async fn is(&self, name: &str, value: bool) -> Point {
        self.point(name, |it| it.value == Some(Value::Flag(value))).await
    }

    async fn set(&self, machine: &str, tag: &str, value: Value) -> Result<(), String> {
        let command = Command::Write { tag: tag.into(), value };
        self.desk().tell(&self.ada, machine, command).await.map_err(|it| it.to_string())
    }
}

fn world(state: &Path, what: &str, words: &str) -> String {
    sim::say(&state.join("sim").join(what), words).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_door_that_opens_is_a_point_and_outputs_are_driven_and_read_back() {
    let shop = Shop::open().await;
    shop.is("pins.door", false).await;
    shop.world("pins.pins", "set gpiochip0/17 0");
    let door = shop.is("pins.door", true).await;
    assert_eq!(door.quality, Quality::Good);
    shop.set("pins", "red", Value::Flag(true)).await.unwrap();
    assert_eq!(shop.world("pins.pins", "get gpiochip0/22"), "0 out", "on is low");
    shop.is("pins.red", true).await;
    let refused = shop.set("pins", "door", Value::Flag(true)).await.unwrap_err();
    assert!(refused.contains("door"), "{refused}");
    shop.set("pins", "dust", Value::Text("pulse 60s".into())).await.unwrap();
    let on = shop.desk().points().one("pins.dust").unwrap();
    assert_eq!(on.value, Some(Value::Flag(true)), "while it lasts");
    shop.set("pins", "dust", Value::Text("pulse 30ms".into())).await.unwrap();
    shop.is("pins.dust", false).await;
    shop.house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn chips_are_points_and_an_expander_is_driven() {
    let shop = Shop::open().await;
    let near = |point: &Point, wanted: f64, by: f64| matches!(point.value, Some(Value::Number(it)) if (it - wanted).abs() <= by);
    let climate = "climate.i2c";
    let warm = shop.point("climate.temperature", |it| near(it, 21.5, 1.6)).await;
    assert_eq!((warm.unit.as_str(), warm.quality), ("°C", Quality::Good));
    shop.world(climate, "set 76 temperature 34.5");
    shop.point("climate.temperature", |it| near(it, 34.5, 0.05)).await;
    shop.point("climate.pressure", |it| near(it, 1_013.0, 1.0)).await;
    shop.set("expander", "lamp", Value::Flag(true)).await.unwrap();
    assert_eq!(shop.world(climate, "get 20 a0"), "1");
    shop.world(climate, "set 20 b7 0");
    shop.is("expander.clamp", true).await;
    shop.world(climate, "fault 76 nack");
    let gone = shop.point("climate.humidity", |it| it.quality == Quality::Bad).await;
    assert!(gone.why.is_some(), "{gone:?}");
    shop.is("expander.lamp", true).await;
    shop.world(climate, "fault 76 off");
    shop.point("climate.humidity", |it| it.quality == Quality::Good).await;
    shop.house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_puts_outputs_into_their_safe_state_and_a_hold_as_declared() {
    let shop = Shop::open().await;
    for (machine, tag) in [("pins", "red"), ("expander", "lamp")] {
        shop.set(machine, tag, Value::Flag(true)).await.unwrap();
    }
    shop.desk().stop(&shop.ada, "pins", Stop::Hold).await.unwrap();
    assert_eq!(shop.world("pins.pins", "get gpiochip0/23"), "1 out");
    assert_eq!(shop.world("pins.pins", "get gpiochip0/22"), "0 out", "a hold leaves it");
    for machine in ["pins", "expander"] {
        let report = shop.desk().stop(&shop.ada, machine, Stop::Stop).await.unwrap();
        assert!(report.sent && report.confirmed, "{report:?}");
    }
    assert_eq!(shop.world("pins.pins", "get gpiochip0/22"), "1 out");
    assert_eq!(shop.world("pins.pins", "get gpiochip0/23"), "0 out");
    assert_eq!(shop.world("climate.i2c", "get 20 a0"), "0");
    shop.is("pins.red", false).await;
    shop.is("expander.lamp", false).await;
    shop.house.close().await;
}
