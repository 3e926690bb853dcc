//! Stops: first in line, whatever else goes on.

use headstock_config::command::Stop;
use headstock_config::job::JobState;
use headstock_config::machine::Mode;
use headstock_drivers::grbl::sim::Options;

use super::start::{Mill, squares};

#[tokio::test(flavor = "multi_thread")]
async fn stop_all_brings_a_running_mill_to_rest_and_keeps_its_position() {
    let mill = Mill::fast();
    let open = mill.house().await;
    open.ready().await;
    let job = open.start(&squares(500)).await;
    open.moving().await;

    let reports = open.desk().stop_all(&open.ada, Stop::Stop).await.unwrap();

    assert_eq!(reports.len(), 1);
    assert!(reports[0].confirmed, "{reports:?}");
    assert_eq!(open.until(&job, JobState::over).await.state, JobState::Cancelled);
    assert_eq!(open.desk().one_equipment("mill").unwrap().live.position_doubt, None);
    open.house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abort_in_motion_ends_the_job_and_says_that_position_is_in_doubt() {
    // Real time: the planner is never empty, so the abort is certain to come in motion.
    let mill = Mill::new(Options::default());
    let open = mill.house().await;
    open.ready().await;
    let job = open.start(&squares(500)).await;
    open.moving().await;

    open.desk().stop(&open.ada, "mill", Stop::Abort).await.unwrap();

    assert_eq!(open.until(&job, JobState::over).await.state, JobState::Cancelled);
    open.mode(Mode::Alarm).await;
    assert!(open.desk().one_equipment("mill").unwrap().live.position_doubt.is_some());
    open.house.close().await;
}
