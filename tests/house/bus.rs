//! Devices on buses: read, set, stopped, and missed when they are gone.

use std::path::Path;
use std::time::Duration;

use headstock_config::command::{Command, Stop};
use headstock_config::event::Event;
use headstock_config::ledger::Fact;
use headstock_config::load;
use headstock_config::machine::{Machine, Mode, Port};
use headstock_config::people::{Person, Role};
use headstock_config::point::{Point, Quality, Value};
use headstock_config::settings::Settings;
use headstock_config::tag::Area;
use headstock_daemon::desk::{Desk, Kind};
use headstock_daemon::house::{Ground, House};
use headstock_drivers::modbus::sim::{self, Fault, Options, Sim, What};
use headstock_drivers::registry;

const PATIENCE: Duration = Duration::from_secs(30);

/// A spindle drive and a board on one line, at a speed that does not keep a test waiting.
const SHOP: &str = r#"
[[machine]]
id = "drive"
driver = "modbus-rtu"
port = "LINE"
baud = 115200
unit = 1
timeout_ms = 100
tag = [
  { name = "run", area = "holding", address = 0, write = true, stop = 0, period_ms = 100 },
  { name = "speed", area = "holding", address = 1, scale = 0.01, range = [0.0, 400.0], write = true, period_ms = 100, unit = "Hz" },
  { name = "turns", area = "holding", address = 10, type = "u32", rest_below = 5.0, period_ms = 100 },
]
[[machine]]
id = "board"
driver = "modbus-rtu"
port = "LINE"
baud = 115200
unit = 2
timeout_ms = 100
tag = [
  { name = "fan", area = "coil", address = 0, write = true, safe = false, period_ms = 100 },
  { name = "pump", area = "coil", address = 5, write = true, hold = true, period_ms = 100 },
  { name = "door", area = "coil", address = 3, period_ms = 100 },
]
"#;

fn settings(dir: &Path, machines: &str) -> Settings {
    let state = dir.join("state");
    let text = format!(
        "[daemon]\nstate_dir = {state:?}\n[web]\nlisten = \"127.0.0.1:0\"\n{}",
        machines.replace("LINE", &dir.join("bus.tty").display().to_string())
    );
    load::parse(&text, "test.toml", &registry::names()).unwrap_or_else(|it| panic!("{it:#?}"))
}

/// A house with a pretend bus, and somebody who may do everything in it.
pub(super) struct Shop {
    pub(super) sim: Sim,
    pub(super) house: House,
    pub(super) ada: Person,
    _dir: tempfile::TempDir,
}

impl Shop {
    async fn open() -> Self {
        let shop = Self::of(SHOP).await;
        shop.mode("drive", Mode::Idle).await;
        shop.mode("board", Mode::Idle).await;
        shop
    }

    /// With these machines. Those at the port `LINE` are pretended.
    pub(super) async fn of(declared: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let settings = settings(dir.path(), declared);
        let link = dir.path().join("bus.tty");
        let on_line = |it: &&Machine| it.port == Port::Path(link.clone());
        let line: Vec<Machine> = settings.machines.iter().filter(on_line).cloned().collect();
        let link = Some(link);
        let sim = sim::serial(&line, Options { link, ..Options::default() }).unwrap();
        let state_dir = dir.path().join("state");
        let socket = state_dir.join("headstock.sock");
        let house = House::open(Ground { settings, state_dir, socket }).await.unwrap();
        let ada = Person { name: "ada".into(), role: Role::Admin };
        Self { sim, house, ada, _dir: dir }
    }

    pub(super) fn desk(&self) -> &Desk {
        &self.house.desk
    }

    pub(super) async fn mode(&self, machine: &str, wanted: Mode) {
        let (_, mut live) = self.desk().watch_machines().find(|(id, _)| id == machine).unwrap();
        let seen = tokio::time::timeout(PATIENCE, live.wait_for(|live| live.mode == wanted)).await;
        assert!(seen.is_ok(), "never {wanted:?}, but {:?}", self.desk().equipment());
    }

    /// Waits until a point is like this. Points have no bell of their own in a test.
    pub(super) async fn point(&self, name: &str, wanted: impl Fn(&Point) -> bool) -> Point {
        let looking = async {
            loop {
                match self.desk().points().one(name) {
                    Some(point) if wanted(&point) => return point,
                    _ => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            }
        };
        let seen = tokio::time::timeout(PATIENCE, looking).await;
        seen.unwrap_or_else(|_| panic!("{:?}", self.desk().points().one(name)))
    }

    pub(super) async fn set(&self, machine: &str, tag: &str, value: Value) -> Result<(), String> {
        let command = Command::Write { tag: tag.into(), value };
        self.desk().tell(&self.ada, machine, command).await.map_err(|it| it.to_string())
    }

    /// Waits until the book says this of a machine.
    async fn said(&self, wanted: impl Fn(&str, &Event) -> bool) {
        let (_, mut entries) = self.desk().ledger().follow(|_| ());
        let is = |fact: &Fact| match fact {
            Fact::Machine { machine, said } => wanted(machine, said),
            _ => false,
        };
        let book = self.desk().ledger().read(1, 10_000).await.unwrap();
        if book.iter().any(|entry| is(&entry.fact)) {
            return;
        }
        let coming = async { while !is(&entries.recv().await.unwrap().fact) {} };
        tokio::time::timeout(PATIENCE, coming).await.expect("it is said");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_devices_hold_are_points_and_what_is_set_is_in_the_device() {
    let shop = Shop::open().await;
    shop.sim.poke(1, Area::Holding, 11, 3);
    let turns = shop.point("drive.turns", |it| it.value == Some(Value::Number(3.0))).await;
    assert_eq!(turns.quality, Quality::Good);
    shop.sim.poke(2, Area::Coil, 3, 1);
    shop.point("board.door", |it| it.value == Some(Value::Flag(true))).await;

    shop.set("drive", "speed", Value::Number(123.456)).await.unwrap();
    assert_eq!(shop.sim.peek(1, Area::Holding, 1), Some(12_346));
    shop.point("drive.speed", |it| it.value == Some(Value::Number(123.46))).await;
    shop.set("board", "fan", Value::Flag(true)).await.unwrap();
    assert_eq!(shop.sim.peek(2, Area::Coil, 0), Some(1));

    let refused = shop.set("drive", "speed", Value::Number(401.0)).await.unwrap_err();
    assert!(refused.contains("outside of 0 to 400"), "{refused}");
    let refused = shop.set("board", "door", Value::Flag(true)).await.unwrap_err();
    assert!(refused.contains("write = true"), "{refused}");
    assert!(shop.set("board", "lamp", Value::Flag(true)).await.is_err());
    shop.house.close().await;
    assert_eq!(shop.sim.peek(2, Area::Coil, 0), Some(1), "a house that closes switches nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_all_is_confirmed_when_devices_say_that_they_rest() {
    let shop = Shop::open().await;
    shop.set("drive", "run", Value::Number(1.0)).await.unwrap();
    shop.set("board", "fan", Value::Flag(true)).await.unwrap();
    shop.sim.poke(1, Area::Holding, 11, 300);
    shop.mode("drive", Mode::Running).await;

    let desk = shop.desk().clone();
    let ada = shop.ada.clone();
    let stopping = tokio::spawn(async move { desk.stop_all(&ada, Stop::Stop).await.unwrap() });
    shop.mode("drive", Mode::Holding).await;
    shop.point("drive.run", |it| it.value == Some(Value::Number(0.0))).await;
    // It does not count as stopped before it has slowed down.
    assert!(!stopping.is_finished());
    shop.sim.poke(1, Area::Holding, 11, 4);
    let reports = stopping.await.unwrap();
    assert!(reports.iter().all(|it| it.sent && it.confirmed), "{reports:?}");
    assert_eq!(shop.sim.peek(1, Area::Holding, 0), Some(0));
    assert_eq!(shop.sim.peek(2, Area::Coil, 0), Some(0));

    let reports = shop.desk().stop_all(&shop.ada, Stop::Hold).await.unwrap();
    assert!(reports.iter().all(|it| it.confirmed), "{reports:?}");
    assert_ne!(shop.sim.peek(2, Area::Coil, 5), Some(1), "it has been stopped, and stays so");
    shop.set("board", "fan", Value::Flag(true)).await.unwrap();
    let reports = shop.desk().stop_all(&shop.ada, Stop::Hold).await.unwrap();
    assert!(reports.iter().all(|it| it.confirmed), "{reports:?}");
    assert_eq!(shop.sim.peek(2, Area::Coil, 5), Some(1), "what a hold writes");
    shop.house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_device_has_bad_points_and_leaves_the_others_alone() {
    let shop = Shop::open().await;
    shop.point("drive.turns", |it| it.quality == Quality::Good).await;
    shop.sim.fault(Fault::new(What::Dead).of(1));
    shop.mode("drive", Mode::Offline).await;
    let turns = shop.point("drive.turns", |it| it.quality == Quality::Bad).await;
    assert!(turns.why.is_some_and(|why| why.contains("no answer within")));
    let went = |id: &str, said: &Event| id == "drive" && matches!(said, Event::Disconnected { .. });
    shop.said(went).await;
    shop.set("board", "fan", Value::Flag(true)).await.unwrap();
    let refused = shop.set("drive", "run", Value::Number(1.0)).await.unwrap_err();
    assert_eq!(refused, "the machine is not online");
    let reports = shop.desk().stop_all(&shop.ada, Stop::Stop).await.unwrap();
    let of = |id: &str| reports.iter().find(|it| it.machine == id).unwrap();
    assert!(of("board").confirmed && !of("drive").confirmed, "{reports:?}");

    shop.sim.mend();
    shop.mode("drive", Mode::Idle).await;
    shop.point("drive.turns", |it| it.quality == Quality::Good).await;
    shop.house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cable_that_comes_out_and_goes_in_again_is_got_over() {
    let shop = Shop::open().await;
    let mut cut = Fault::new(What::Cut);
    cut.lasts = Some(Duration::from_millis(500));
    shop.sim.fault(cut);
    for machine in ["drive", "board"] {
        shop.mode(machine, Mode::Offline).await;
    }
    shop.point("board.door", |it| it.quality == Quality::Bad).await;
    for machine in ["drive", "board"] {
        shop.mode(machine, Mode::Idle).await;
    }
    shop.point("board.door", |it| it.quality == Quality::Good).await;
    shop.set("board", "fan", Value::Flag(true)).await.unwrap();
    shop.house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_on_a_bus_runs_no_programs() {
    let shop = Shop::open().await;
    let mut incoming = shop.desk().begin_upload(&shop.ada, "part.nc").unwrap();
    incoming.write(b"G21\nM30\n").unwrap();
    let file = shop.desk().finish_upload(&shop.ada, "part.nc", incoming).await.unwrap().id;
    let machine = "drive".into();
    let ask = headstock_config::api::StartJob { machine, file, dry_run: false };
    let refused = shop.desk().start_job(&shop.ada, ask).await.unwrap_err();
    assert_eq!(refused.to_string(), "machine `drive` runs no programs");
    assert_eq!(refused.kind(), Kind::Wrong);
    shop.house.close().await;
}

/// As `port = "sim:…"` has it: the house switches on one pretend bus for all machines with one
/// label, and one connection serves them.
#[tokio::test(flavor = "multi_thread")]
async fn pretend_buses_come_with_the_house() {
    let dir = tempfile::tempdir().unwrap();
    let machine = |id: &str, driver: &str, unit: u8| {
        format!(
            "[[machine]]\nid = \"{id}\"\ndriver = \"{driver}\"\nport = \"sim:{driver}#shop\"\n\
             unit = {unit}\ntag = [{{ name = \"level\", area = \"holding\", address = {unit}, \
             write = true, period_ms = 100 }}]\n"
        )
    };
    let text = [
        machine("a", "modbus-rtu", 1),
        machine("b", "modbus-rtu", 2),
        machine("c", "modbus-tcp", 1),
        machine("d", "modbus-tcp", 2),
    ]
    .concat();
    let settings = settings(dir.path(), &text);
    let state_dir = dir.path().join("state");
    let socket = state_dir.join("headstock.sock");
    let house = House::open(Ground { settings, state_dir, socket }).await.unwrap();
    let ada = Person { name: "ada".into(), role: Role::Admin };
    for (id, mut live) in house.desk.watch_machines() {
        let idle = live.wait_for(|live| live.mode == Mode::Idle);
        assert!(tokio::time::timeout(PATIENCE, idle).await.is_ok(), "{id}");
        let command = Command::Write { tag: "level".into(), value: Value::Number(7.0) };
        house.desk.tell(&ada, &id, command).await.unwrap();
    }
    let buses = house.desk.buses();
    let ids: Vec<Vec<&str>> = buses
        .iter()
        .map(|bus| bus.devices.iter().map(|device| device.machine.as_str()).collect())
        .collect();
    assert_eq!(ids, [["a", "b"], ["c", "d"]]);
    house.close().await;
}
