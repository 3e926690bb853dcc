//! The box restarts: what was under way is interrupted, and nothing moves by itself.

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
    open.house.close().await;
}
