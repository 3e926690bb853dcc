//! Hands on a pretend printer, through the whole house.

use headstock_config::command::Command;
use headstock_config::machine::Mode;
use headstock_drivers::marlin::sim::Options;
use tokio::time::{Duration, interval};

use super::printer::{Printer, until};
use super::start::Open;

const BED: &str = "envelope = { min = [0, 0, 0], max = [200, 200, 180] }\n";

async fn tell(open: &Open, command: Command) -> Result<(), String> {
    open.desk().tell(&open.ada, "printer", command).await.map_err(|refused| refused.to_string())
}

/// Homed and at rest.
async fn home(open: &Open) {
    tell(open, Command::Home { axes: None }).await.unwrap();
    until(open, |live| live.homed == Some(true) && live.mode == Mode::Idle).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_of_a_printer_end_at_its_declared_limits() {
    let printer = Printer::new(Options { time_scale: 50.0, ..Options::default() });
    let open = printer.house(BED).await;
    let step = |x: f64| Command::Jog { by: [Some(x), None, None], feed: 6000.0, absolute: false };

    let far = tell(&open, step(50.0)).await.unwrap_err();
    assert!(far.contains("has not been homed"), "{far}");
    tell(&open, step(10.0)).await.unwrap();
    open.mode(Mode::Idle).await;
    home(&open).await;
    tell(&open, step(200.0)).await.unwrap();
    open.mode(Mode::Idle).await;
    let beyond = tell(&open, step(0.5)).await.unwrap_err();
    assert!(beyond.contains("reaches 0 to 200"), "{beyond}");

    assert_eq!(printer.sim.counters().position[0], 200.0);
    open.house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_key_moves_a_printer_within_the_distance_that_is_printed_beside_it() {
    let printer = Printer::new(Options::default());
    let open = printer.house(BED).await;
    home(&open).await;
    let hold = || Command::JogHold { toward: [1, 1, 0], feed: 900.0, lease_ms: 500 };
    let mut sign = interval(Duration::from_millis(50));
    for _ in 0..20 {
        sign.tick().await;
        tell(&open, hold()).await.unwrap();
    }
    let [x, y, ..] = printer.sim.counters().position;
    let jog = open.desk().jog("printer").expect("it is shown");
    assert!(jog.stop_mm <= 5.0 * 2_f64.sqrt() + 0.001 && jog.feed <= 900.0, "{jog:?}");
    assert!(2.0 < x && (x - y).abs() < 0.1, "{x}, {y}");
    // Nobody says anything any more.
    open.mode(Mode::Idle).await;
    let [rest, ..] = printer.sim.counters().position;
    assert!(x < rest && rest - x <= 5.0, "from {x} to {rest}");
    assert_eq!(open.desk().jog("printer"), None);
    let live = open.desk().one_equipment("printer").unwrap().live;
    assert!((live.work_position.unwrap()[0] - rest).abs() < 0.01, "{live:?}");
    open.house.close().await;
}
