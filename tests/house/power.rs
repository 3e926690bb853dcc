//! A printer that only a relay can stop at once: what an abort does to its power.

use std::path::Path;
use std::time::Duration;

use headstock_config::api::StopReport;
use headstock_config::command::{Command, Stop};
use headstock_config::event::Event;
use headstock_config::job::JobState;
use headstock_config::ledger::Fact;
use headstock_config::machine::{Live, Mode};
use headstock_config::point::Value;
use headstock_config::tag::Area;
use headstock_config::{load, settings::Settings};
use headstock_drivers::marlin::sim::{self as marlin, Fault, Options, What};
use headstock_drivers::modbus::sim as modbus;
use headstock_drivers::registry;

use super::start::Open;

/// Longest that anything here may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// A printer on a relay of a board that has others, and a smoke detector that aborts it.
const SHOP: &str = r#"driver = "marlin"
power = "relays.printer"
[[machine]]
id = "relays"
driver = "modbus-rtu"
port = "BOARD"
baud = 115200
timeout_ms = 100
tag = [
  { name = "fan", area = "coil", address = 0, write = true, period_ms = 100 },
  { name = "printer", area = "coil", address = 1, write = true, period_ms = 100 },
  { name = "smoke", area = "coil", address = 2, period_ms = 50 },
]
[[interlock]]
name = "smoke"
when = { point = "relays.smoke", equals = true, if_unknown = "ignore" }
machine = "printer"
does = "abort"
"#;

/// Relay boards with their relays closed, as far as they are there.
struct Shop {
    printer: marlin::Sim,
    board: Option<modbus::Sim>,
    open: Open,
    _dir: tempfile::TempDir,
}

fn board(dir: &Path, keys: &str) -> modbus::Sim {
    let text = format!("[[machine]]\nid = \"printer\"\nport = \"/dev/ttyUSB0\"\n{keys}");
    let Settings { machines, .. } = load::parse(&text, "test.toml", &registry::names()).unwrap();
    let link = Some(dir.join("board.tty"));
    let options = modbus::Options { link, ..modbus::Options::default() };
    let board = modbus::serial(&machines[1..], options).unwrap();
    board.poke(1, Area::Coil, 0, 1);
    board.poke(1, Area::Coil, 1, 1);
    board
}

impl Shop {
    async fn open(time_scale: f64, there: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let keys = SHOP.replace("BOARD", &dir.path().join("board.tty").display().to_string());
        let link = Some(dir.path().join("printer.tty"));
        let options = Options {
            link,
            emergency_parser: false,
            keep_lines: true,
            time_scale,
            ..Options::default()
        };
        let printer = marlin::start(options).unwrap();
        let board = there.then(|| board(dir.path(), &keys));
        let open = Open::around(dir.path(), "printer", &keys).await;
        open.ready().await;
        let shop = Self { printer, board, open, _dir: dir };
        if there {
            shop.live("relays", |live| live.mode == Mode::Idle).await;
        }
        shop
    }

    async fn live(&self, machine: &str, wanted: impl Fn(&Live) -> bool) -> Live {
        let mut all = self.open.desk().watch_machines();
        let (_, mut live) = all.find(|(id, _)| id == machine).unwrap();
        let seen = tokio::time::timeout(PATIENCE, live.wait_for(wanted)).await;
        let seen = seen.map(|live| live.unwrap().clone());
        seen.unwrap_or_else(|_| panic!("{:?}", self.open.desk().one_equipment(machine)))
    }

    /// Starts a print that takes minutes, and waits until it is well under way.
    async fn printing(&self) -> String {
        let moves = "G1 X100 Y10 E1 F600\nG1 X10 Y100 E2\n".repeat(500);
        let job = self.open.start(&format!("G21\nG90\nM82\nG92 E0\n{moves}")).await;
        self.live("printer", |live| live.progress.is_some_and(|it| 4 < it.line)).await;
        job
    }

    fn coil(&self, address: u16) -> Option<u16> {
        self.board.as_ref().unwrap().peek(1, Area::Coil, address)
    }

    fn aborts(&self) -> usize {
        let text = self.printer.counters().text;
        text.iter().filter(|line| line.contains("M112")).count()
    }

    async fn stop(&self, how: Stop) -> StopReport {
        self.open.desk().stop(&self.open.ada, "printer", how).await.unwrap()
    }

    /// What the wire does that goes through the relay: the printer is without power for a moment.
    async fn power_goes(&self) {
        let reason = "its power is off (relays.printer)";
        let mut entries = self.open.desk().ledger().follow(|_| ()).1;
        let it = || self.open.desk().one_equipment("printer").unwrap();
        while it().offline_reason.as_deref() != Some(reason) {
            tokio::time::timeout(PATIENCE, entries.recv()).await.expect("it is shown").unwrap();
        }
        self.printer.fault(Fault::now(What::Power).lasting(Duration::from_millis(100)));
    }

    async fn set(&self, tag: &str, on: bool) {
        let command = Command::Write { tag: tag.into(), value: Value::Flag(on) };
        self.open.desk().tell(&self.open.ada, "relays", command).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abort_cuts_the_power_of_a_printer_whose_software_stop_waits_and_the_relay_confirms_it()
{
    let shop = Shop::open(1.0, true).await;
    let job = shop.printing().await;
    let it = shop.open.desk().one_equipment("printer").unwrap();
    assert!(it.live.stop_waits && it.power.as_deref() == Some("relays.printer"), "{it:?}");

    let report = shop.stop(Stop::Abort).await;

    let power = report.power.clone().unwrap();
    assert!(power.confirmed && power.ms.is_some_and(|ms| ms < 1_000), "{report:?}");
    assert!(power.text.contains("headstock point relays.printer --set on"), "{power:?}");
    assert!(report.confirmed && report.sent && report.ms == power.ms, "{report:?}");
    assert_eq!((report.state, &report.text), (Mode::Offline, &None));
    assert!(report.did.ends_with("its power is switched off (relays.printer)"), "{report:?}");
    assert_eq!((shop.coil(0), shop.coil(1)), (Some(1), Some(0)), "one relay and no other");
    shop.power_goes().await;
    assert_eq!(shop.open.until(&job, JobState::over).await.state, JobState::Cancelled);
    let again = shop.stop(Stop::Abort).await;
    assert!(!again.sent && again.confirmed, "without power it is stopped: {again:?}");

    shop.set("fan", false).await;
    assert_eq!(shop.coil(1), Some(0), "nothing switches it on by itself");
    shop.set("printer", true).await;
    shop.live("printer", |live| !matches!(live.mode, Mode::Offline | Mode::Connecting)).await;
    assert_eq!(shop.coil(1), Some(1));
    shop.open.house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_leaves_the_power_alone_and_says_what_cuts_it() {
    let shop = Shop::open(100.0, true).await;
    shop.printing().await;
    let report = shop.stop(Stop::Stop).await;
    assert_eq!((&report.power, shop.coil(1)), (&None, Some(1)));
    assert!(report.did.starts_with("software stop waits"), "{report:?}");
    assert!(report.did.contains("abort cuts its power (relays.printer)"), "{report:?}");
    shop.open.house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_board_that_is_absent_is_told_and_delays_nothing() {
    let shop = Shop::open(100.0, false).await;
    shop.printing().await;
    let report = shop.stop(Stop::Abort).await;
    let power = report.power.clone().unwrap();
    assert!(!power.confirmed && power.ms.is_none(), "{report:?}");
    assert!(power.text.contains("use the power switch"), "{power:?}");
    // The printer's own word, in its own time.
    assert!(report.sent && report.confirmed && report.state != Mode::Offline, "{report:?}");
    assert!(report.ms.is_some_and(|ms| ms < 2_000), "{report:?}");
    assert!(0 < shop.aborts(), "it was told by software as well");
    let unsure = |fact: &Fact| {
        matches!(fact, Fact::Stopped { reports, .. }
        if reports.iter().any(|it| it.power.as_ref().is_some_and(|it| !it.confirmed)))
    };
    let mut entries = shop.open.desk().ledger().follow(|_| ()).1;
    while shop.open.facts(unsure).await == 0 {
        tokio::time::timeout(PATIENCE, entries.recv()).await.expect("it is in the book").unwrap();
    }
    shop.open.house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abort_of_all_and_one_by_an_interlock_cut_the_power_as_well() {
    let shop = Shop::open(1.0, true).await;
    shop.printing().await;
    shop.board.as_ref().unwrap().poke(1, Area::Coil, 2, 1);
    let off = |live: &Live| live.mode == Mode::Offline;
    shop.live("printer", off).await;
    assert_eq!((shop.coil(0), shop.coil(1)), (Some(1), Some(0)));
    shop.power_goes().await;

    shop.board.as_ref().unwrap().poke(1, Area::Coil, 2, 0);
    shop.set("printer", true).await;
    shop.live("printer", |live| !matches!(live.mode, Mode::Offline | Mode::Connecting)).await;
    let reports = shop.open.desk().stop_all(&shop.open.ada, Stop::Abort).await.unwrap();
    let printer = reports.iter().find(|it| it.machine == "printer").unwrap();
    assert!(printer.power.as_ref().is_some_and(|it| it.confirmed), "{printer:?}");
    assert!(reports.iter().all(|it| it.machine == "printer" || it.power.is_none()), "{reports:?}");
    assert_eq!((shop.coil(0), shop.coil(1)), (Some(1), Some(0)));
    let doubts = |fact: &Fact| {
        matches!(fact, Fact::Machine { said: Event::Message { text }, .. }
        if text.contains("not confirmed"))
    };
    assert_eq!(shop.open.facts(doubts).await, 0);
    shop.open.house.close().await;
}
