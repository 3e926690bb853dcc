//! The box restarts: what was under way is interrupted, and nothing moves by itself.

use std::time::Duration;

use headstock_config::alarm::AlarmState;
use headstock_config::job::JobState;
use headstock_config::ledger::Fact;
use headstock_config::machine::Mode;

use super::start::{Mill, squares};

#[tokio::test(flavor = "multi_thread")]
async fn a_house_that_closes_holds_the_machine_and_interrupts_the_job() {
    let mill = Mill::fast();
    let open = mill.house().await;
    open.ready().await;
    let job = open.start(&squares(500)).await;
    open.moving().await;
    open.house.close().await;
    let lines = mill.sim.counters().lines;

    let open = mill.house().await;

    assert_eq!(open.desk().job(&job).unwrap().state, JobState::Interrupted);
    assert_eq!(open.desk().one_equipment("mill").unwrap().locked_by, Some(job));
    let book = open.book().await;
    assert!(book.iter().any(|entry| matches!(entry.fact, Fact::HouseClosed)));
    let numbers: Vec<u64> = book.iter().map(|entry| entry.number).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    open.mode(Mode::Held).await;
    assert_eq!(mill.sim.counters().lines, lines, "only questions are asked while it is held");
    // Its spindle turns, and nobody may be there.
    let called = async {
        while open.desk().one_alarm("mill.left-on").unwrap().state != AlarmState::Unacknowledged {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), called).await.expect("somebody is called");
    let alarm = open.desk().one_alarm("mill.left-on").unwrap();
    assert!(alarm.text.contains("the spindle turns, 1000 rev/min"), "{}", alarm.text);
    open.house.close().await;
}
