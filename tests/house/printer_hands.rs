//! Hands on a pretend printer, through the whole house.

use headstock_config::command::{Command, NO_AXIS, Override};
use headstock_config::event::Event;
use headstock_config::job::JobState;
use headstock_config::ledger::Fact;
use headstock_config::machine::Mode;
use headstock_drivers::marlin::sim::Options;
use tokio::time::{Duration, interval};

use super::printer::{Printer, tower, until};
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

#[tokio::test(flavor = "multi_thread")]
async fn feed_and_flow_of_a_print_are_overridden_while_it_runs_and_stay_so() {
    let printer = Printer::new(Options { time_scale: 60.0, ..Options::default() });
    let open = printer.house("").await;
    let job = open.start(&tower(250)).await;
    until(&open, |live| live.progress.is_some_and(|it| 40 < it.line)).await;
    for (which, percent) in [(Override::Feed, 150), (Override::Flow, 90)] {
        tell(&open, Command::Override { which, percent }).await.unwrap();
    }
    until(&open, |live| live.overrides[0] == 150 && live.flow == Some(90)).await;
    let spindle = Command::Override { which: Override::Spindle, percent: 100 };
    assert!(tell(&open, spindle).await.unwrap_err().contains("it has none"));
    open.until(&job, JobState::over).await;
    assert_eq!(printer.sim.counters().percent, [150.0, 90.0], "as a printer's own panel has it");
    // A house that comes later asks what they are.
    open.house.close().await;
    let open = printer.house("").await;
    until(&open, |live| live.overrides[0] == 150 && live.flow == Some(90)).await;
    open.house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_printer_touches_its_bed_and_the_place_is_in_the_book() {
    let printer = Printer::new(Options { time_scale: 50.0, ..Options::default() });
    let open = printer.house(BED).await;
    let probe = || Command::Probe { by: NO_AXIS, feed: 0.0, lenient: false };
    assert!(tell(&open, probe()).await.unwrap_err().contains("home it"));
    home(&open).await;
    let by = [Some(100.0), Some(70.0), Some(10.0)];
    tell(&open, Command::Jog { by, feed: 9000.0, absolute: true }).await.unwrap();
    open.mode(Mode::Idle).await;
    tell(&open, probe()).await.unwrap();
    until(&open, |live| {
        live.mode == Mode::Idle && live.work_position.is_some_and(|it| it[2] == 5.0)
    })
    .await;
    let zero = Command::Zero { system: None, at: [None, None, Some(0.0)] };
    assert!(tell(&open, zero).await.unwrap_err().contains("home it"));
    open.upload("G28\n").await;
    let book = open.book().await;
    let touched = book.iter().find_map(|entry| match entry.fact {
        Fact::Machine { said: Event::Probed { at, touched: true }, .. } => Some(at),
        _ => None,
    });
    assert_eq!(touched, Some([60.0, 60.0, 0.08]));
    open.house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_house_that_closes_leaves_a_printer_cold_that_waits_for_warmth_twice() {
    let printer = Printer::new(Options::default());
    let open = printer.house("").await;
    let settled = "M117 it is told how long its queue is\n".repeat(40);
    let program = settled + "M109 S200\nM109 S210\nM190 S60\n";
    open.start(&program).await;
    until(&open, |live| live.temperatures.iter().any(|it| it.target == Some(200.0))).await;

    open.house.close().await;

    assert_eq!(printer.sim.counters().targets, [0.0; 2]);
}
