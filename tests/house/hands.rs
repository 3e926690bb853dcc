//! Hands on a machine: steps and held keys, through the whole house.

use headstock_config::command::{Command, Stop};
use headstock_config::ledger::{Fact, Request};
use headstock_config::machine::Mode;
use headstock_config::people::{Person, Role};
use headstock_daemon::desk::Refused;
use headstock_drivers::grbl::sim::Options;
use tokio::time::{Duration, interval};

use super::start::{Mill, Open};

/// A mill with homing and soft limits, which takes no time to home.
async fn homed() -> (Mill, Open) {
    let settings = vec![(22, 1.0), (20, 1.0), (24, 3000.0), (25, 9000.0)];
    let mill = Mill::new(Options { settings, start: [-3.0; 3], ..Options::default() });
    let open = mill.house().await;
    open.mode(Mode::Alarm).await;
    // It has introduced itself when it takes this.
    let home = || open.desk().tell(&open.ada, "mill", Command::Home { axes: None });
    while home().await.is_err() {
        tokio::task::yield_now().await;
    }
    open.mode(Mode::Homing).await;
    open.mode(Mode::Idle).await;
    let (_, mut live) = open.desk().watch_machines().next().unwrap();
    live.wait_for(|live| live.homed == Some(true)).await.unwrap();
    (mill, open)
}

fn hold() -> Command {
    Command::JogHold { toward: [-1, 0, 0], feed: 900.0, lease_ms: 500 }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_key_is_written_down_when_it_begins_and_ends_and_is_one_persons() {
    let (mill, open) = homed().await;
    let eve = Person { name: "eve".into(), role: Role::Operator };
    let from = mill.sim.counters().position[0];
    let mut sign = interval(Duration::from_millis(50));
    // The offsets may still be asked for.
    while open.desk().tell(&open.ada, "mill", hold()).await.is_err() {
        sign.tick().await;
    }
    for _ in 0..10 {
        sign.tick().await;
        open.desk().tell(&open.ada, "mill", hold()).await.unwrap();
        let other = open.desk().tell(&eve, "mill", hold()).await.unwrap_err();
        assert!(matches!(other, Refused::InHand { .. }), "{other}");
    }
    let jog = open.desk().jog("mill").expect("it is shown");
    assert!(jog.stop_mm <= 5.0 && jog.feed <= 900.0, "{jog:?}");
    open.desk().tell(&open.ada, "mill", Command::JogEnd).await.unwrap();
    open.mode(Mode::Idle).await;
    assert!(mill.sim.counters().position[0] < from - 1.0);
    assert_eq!(open.desk().jog("mill"), None);
    let begun = |fact: &Fact| {
        let held = |it: &Command| matches!(it, Command::JogHold { .. });
        matches!(fact, Fact::Asked { by, request: Request::Tell { command, .. } }
            if held(command) && by.name == "ada")
    };
    let book = open.book().await;
    let taken = book.iter().filter(|entry| begun(&entry.fact)).filter(|entry| {
        let of =
            |it: &Fact| matches!(it, Fact::Answered { of, refused: None } if *of == entry.number);
        book.iter().any(|it| of(&it.fact))
    });
    assert_eq!(taken.count(), 1, "what keeps it going is not written down");
    open.house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_what_somebody_holds() {
    let (_mill, open) = homed().await;
    let mut sign = interval(Duration::from_millis(50));
    while open.desk().tell(&open.ada, "mill", hold()).await.is_err() {
        sign.tick().await;
    }
    let (_, mut live) = open.desk().watch_machines().next().unwrap();
    live.wait_for(|live| 0.0 < live.feed).await.unwrap();
    let report = open.desk().stop(&open.ada, "mill", Stop::Stop).await.unwrap();
    assert!(report.confirmed, "{report:?}");
    assert_eq!((open.desk().jog("mill"), report.did.contains("not sure")), (None, false));
    assert_eq!(open.desk().one_equipment("mill").unwrap().live.position_doubt, None);
    open.house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_press_is_one_step_and_repeats_are_counted_and_not_written_down() {
    let mill = Mill::new(Options::default());
    let open = mill.house().await;
    open.ready().await;
    let step = || Command::Jog { by: [Some(5.0), Some(-5.0), None], feed: 300.0, absolute: false };
    open.desk().tell(&open.ada, "mill", step()).await.unwrap();
    open.mode(Mode::Jogging).await;
    let asked = |fact: &Fact| {
        matches!(
            fact,
            Fact::Asked { request: Request::Tell { command: Command::Jog { .. }, .. }, .. }
        )
    };
    let before = open.facts(asked).await;
    for count in 1..=5 {
        let refused = open.desk().tell(&open.ada, "mill", step()).await.unwrap_err();
        assert!(
            matches!(refused, Refused::Jogging { dropped, .. } if dropped == count),
            "{refused}"
        );
    }
    assert_eq!(open.facts(asked).await, before);
    open.mode(Mode::Idle).await;
    let [x, y, _] = mill.sim.counters().position;
    assert_eq!((x, y), (5.0, -5.0));
    open.house.close().await;
}
