//! What happens to a job when its cable or its controller goes away.

use std::time::Duration;

use headstock_config::api::{Decide, StartJob};
use headstock_config::job::{Decision, JobState};
use headstock_daemon::desk::Kind;
use headstock_drivers::grbl::sim::{Fault, What};

use super::start::{Mill, squares};

#[tokio::test(flavor = "multi_thread")]
async fn a_pulled_cable_interrupts_the_job_and_locks_the_machine_until_a_person_decides() {
    let mill = Mill::fast();
    let open = mill.house().await;
    open.ready().await;
    let job = open.start(&squares(500)).await;
    open.moving().await;

    mill.sim.fault(Fault::now(What::Unplug).lasting(Duration::from_millis(300)));
    let broken = open.until(&job, |state| !state.active()).await;

    assert_eq!(broken.state, JobState::Interrupted);
    let known = broken.interruption.unwrap();
    assert!(known.line_min <= known.line_max, "{known:?}");
    // The cable is plugged in again; nothing goes on by itself.
    open.ready().await;
    let file = broken.file.clone();
    let ask = StartJob { machine: "mill".into(), file, dry_run: false };
    let locked = open.desk().start_job(&open.ada, ask).await.unwrap_err();
    assert_eq!(locked.kind(), Kind::NotNow);

    let scrap = Decide {
        decision: Decision::Scrap,
        reason: "half a square".into(),
        from_line: None,
        accepted: false,
    };
    open.desk().decide(&open.ada, &job, scrap).await.unwrap();
    assert_eq!(open.desk().job(&job).unwrap().state, JobState::Failed);
    assert_eq!(open.desk().one_equipment("mill").unwrap().locked_by, None);
    open.house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_that_restarts_by_itself_interrupts_the_job() {
    let mill = Mill::fast();
    let open = mill.house().await;
    open.ready().await;
    let job = open.start(&squares(500)).await;
    open.moving().await;

    mill.sim.fault(Fault::now(What::Reset));

    let job = open.until(&job, |state| !state.active()).await;
    assert_eq!(job.state, JobState::Interrupted, "{job:?}");
    assert!(!job.interruption.unwrap().position_kept);
    open.house.close().await;
}
