//! Hands on a pretend printer, through the whole house.

use headstock_config::command::Command;
use headstock_config::machine::Mode;
use headstock_drivers::marlin::sim::Options;

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
