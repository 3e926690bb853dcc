//! Stops, and values that rules have come to stand against, on a line that waits for a silent device.

use std::time::Duration;

use headstock_config::command::Stop;
use headstock_config::load;
use headstock_config::machine::Mode;
use headstock_config::point::{Quality, Value};
use headstock_config::tag::Area;
use headstock_drivers::modbus::sim::{self, Fault, Options, Sim, What};
use headstock_drivers::registry;

use super::bus::Shop;

/// A spindle drive, and a heater that has so much time for an answer.
fn line(timeout_ms: u64) -> String {
    let machine = |id: &str, unit: u8, timeout_ms: u64, tags: &str| {
        format!(
            "[[machine]]\nid = \"{id}\"\ndriver = \"modbus-rtu\"\nport = \"LINE\"\nbaud = 115200\n\
             unit = {unit}\ntimeout_ms = {timeout_ms}\ntag = [{tags}]\n"
        )
    };
    let drive = "{ name = \"run\", area = \"holding\", address = 0, write = true, stop = 0, \
                 period_ms = 500 }, { name = \"turns\", area = \"holding\", address = 10, \
                 rest_below = 5.0, period_ms = 500 }";
    let heater = "{ name = \"on\", area = \"coil\", address = 0, write = true, stop = false, \
                  period_ms = 100 }";
    machine("drive", 1, 500, drive) + &machine("heater", 2, timeout_ms, heater)
}

impl Shop {
    /// The heater falls silent, and the line waits for it.
    async fn waits_for_the_heater(&self) {
        self.mode("drive", Mode::Idle).await;
        self.mode("heater", Mode::Idle).await;
        let before = self.sim.counted().faults;
        self.sim.fault(Fault::new(What::Dead).of(2));
        while self.sim.counted().faults == before {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

/// Of a stop of all machines is told after five seconds: no answer of the heater is given up by then.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_is_confirmed_long_before_a_silent_device_is_given_up() {
    let shop = Shop::of(&line(20_000)).await;
    shop.set("drive", "run", Value::Number(1.0)).await.unwrap();
    shop.waits_for_the_heater().await;
    let reports = shop.desk().stop_all(&shop.ada, Stop::Stop).await.unwrap();
    let of = |id: &str| reports.iter().find(|it| it.machine == id).unwrap();
    assert!(of("drive").sent && of("drive").confirmed, "{reports:?}");
    assert!(!of("heater").confirmed, "{reports:?}");
    assert_eq!(shop.sim.peek(1, Area::Holding, 0), Some(0));
    let heater = shop.desk().buses().remove(0).devices.remove(1);
    assert_eq!(heater.silences, 0, "what gave way counts against nobody: {heater:?}");
    // It hears of the stop when it is there again.
    shop.sim.mend();
    shop.sim.poke(2, Area::Coil, 0, 1);
    shop.point("heater.on", |it| it.value == Some(Value::Flag(false))).await;
    shop.house.close().await;
}

/// A door switch on a network of its own, and its port.
fn door() -> (Sim, String) {
    let machine = |port: &str| {
        format!(
            "[[machine]]\nid = \"panel\"\ndriver = \"modbus-tcp\"\nport = \"{port}\"\n\
             tag = [{{ name = \"door\", area = \"coil\", address = 0, write = true, \
             period_ms = 20 }}]\n"
        )
    };
    let declared = load::parse(&machine("h:502"), "door", &registry::names()).unwrap();
    let sim = sim::network(&declared.machines, Options::default()).unwrap();
    let port = sim.port().to_string();
    (sim, machine(&port))
}

const PERMISSIVE: &str = r#"
[[permissive]]
name = "door-closed"
machine = "drive"
what = "write"
tag = "run"
needs = [{ point = "panel.door", equals = true }]
"#;

#[tokio::test(flavor = "multi_thread")]
async fn what_a_rule_came_to_stand_against_while_it_waited_is_not_sent() {
    let (panel, declared) = door();
    panel.poke(1, Area::Coil, 0, 1);
    let shop = Shop::of(&(line(1_900) + &declared + PERMISSIVE)).await;
    shop.point("panel.door", |it| it.value == Some(Value::Flag(true))).await;
    shop.set("drive", "run", Value::Number(0.0)).await.unwrap();
    shop.waits_for_the_heater().await;
    let opens = async {
        panel.poke(1, Area::Coil, 0, 0);
        shop.point("panel.door", |it| it.value == Some(Value::Flag(false))).await;
    };
    let (refused, ()) = tokio::join!(shop.set("drive", "run", Value::Number(1.0)), opens);
    let refused = refused.unwrap_err();
    assert!(refused.contains("door-closed"), "{refused}");
    let run = shop.point("drive.run", |it| it.quality == Quality::Good).await;
    assert_eq!(run.value, Some(Value::Number(0.0)));
    assert_eq!(shop.sim.peek(1, Area::Holding, 0), Some(0));
    shop.house.close().await;
}
