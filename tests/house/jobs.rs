//! A job from upload to part.

use headstock_config::api::StartJob;
use headstock_config::command::Command;
use headstock_config::job::JobState;
use headstock_config::ledger::Fact;
use headstock_config::machine::Mode;
use headstock_config::people::{Person, Role};
use headstock_daemon::desk::Kind;
use headstock_drivers::grbl::sim::{Fault, What};

use super::start::{Mill, squares};

#[tokio::test(flavor = "multi_thread")]
async fn every_line_of_the_file_reaches_the_mill_once_and_in_order() {
    let mill = Mill::fast();
    let open = mill.house().await;
    open.ready().await;
    let program = squares(20);

    let job = open.start(&program).await;
    let job = open.until(&job, JobState::over).await;

    assert_eq!(job.state, JobState::Completed, "{job:?}");
    let expected: Vec<String> = program.lines().map(|line| line.replace(' ', "")).collect();
    assert_eq!(job.lines_acked, expected.len() as u64);
    let got: Vec<String> =
        mill.sim.counters().text.into_iter().filter(|line| !line.starts_with('$')).collect();
    assert_eq!(got, expected);
    assert_eq!(mill.sim.counters().overflowed, 0);
    open.house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_rests_the_job_and_a_resume_lets_it_go_on() {
    let mill = Mill::fast();
    let open = mill.house().await;
    open.ready().await;
    let job = open.start(&squares(200)).await;
    open.moving().await;

    open.desk().tell(&open.ada, "mill", Command::Hold).await.unwrap();
    open.until(&job, |state| state == JobState::Held).await;
    open.mode(Mode::Held).await;
    open.desk().tell(&open.ada, "mill", Command::Resume).await.unwrap();
    open.until(&job, |state| state == JobState::Running).await;

    open.desk().cancel_job(&open.ada, &job).await.unwrap();
    let job = open.until(&job, JobState::over).await;
    assert_eq!(job.state, JobState::Cancelled);
    open.mode(Mode::Idle).await;
    let live = open.desk().one_equipment("mill").unwrap().live;
    assert_eq!(live.position_doubt, None, "a stop that waits for rest keeps position");
    open.house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_line_fails_the_job_and_names_the_line() {
    let mill = Mill::fast();
    let open = mill.house().await;
    open.ready().await;
    // Refused at run time only: the arc's centre does not fit its end.
    let program = "G21 G90\nG1 X5 F1000\nG4 P0.1\nG1 X6\nG10 L20 P9 X0\nG1 X7\n";
    let file = open.upload(program).await.id;
    let ask = StartJob { machine: "mill".into(), file, dry_run: false };

    let started = open.desk().start_job(&open.ada, ask).await;

    match started {
        // The analysis knew: nothing was sent.
        Err(refused) => assert!(
            refused.to_string().contains('5') || refused.kind() == Kind::NotNow,
            "{refused}"
        ),
        Ok(job) => {
            let job = open.until(&job.id, JobState::over).await;
            assert_eq!(job.state, JobState::Failed);
            assert!(job.reason.unwrap().contains("line 5"));
        }
    }
    open.house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_job_in_the_queue_follows_a_completed_one() {
    let mill = Mill::fast();
    let open = mill.house().await;
    open.ready().await;

    let first = open.start(&squares(10)).await;
    let second = open.start(&squares(2)).await;

    assert_eq!(open.desk().job(&second).unwrap().state, JobState::Queued);
    assert_eq!(open.until(&first, JobState::over).await.state, JobState::Completed);
    assert_eq!(open.until(&second, JobState::over).await.state, JobState::Completed);
    open.house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_may_look_and_nothing_else_and_refusals_are_written_down() {
    let mill = Mill::fast();
    let open = mill.house().await;
    open.ready().await;
    let bob = Person { name: "bob".into(), role: Role::Viewer };

    for command in [Command::Hold, Command::Unlock, Command::Home { axes: None }] {
        let refused = open.desk().tell(&bob, "mill", command).await.unwrap_err();
        assert_eq!(refused.kind(), Kind::Forbidden);
    }
    let missing = open.desk().tell(&open.ada, "lathe", Command::Hold).await.unwrap_err();
    assert_eq!(missing.kind(), Kind::Unknown);

    open.desk().note(&open.ada, "j9", "x").await.unwrap_err();
    open.upload("G0 X1\n").await;
    let asked = open.facts(|fact| matches!(fact, Fact::Asked { by, .. } if by.name == "bob")).await;
    assert_eq!(asked, 3);
    open.house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_that_an_alarm_ends_has_failed_and_locks_nothing() {
    let mill = Mill::fast();
    let open = mill.house().await;
    open.ready().await;
    let file = open.upload(&squares(2000)).await.id;
    let ask = StartJob { machine: "mill".into(), file, dry_run: true };
    let job = open.desk().start_job(&open.ada, ask).await.unwrap().id;
    open.mode(Mode::Checking).await;

    mill.sim.fault(Fault::now(What::Limit));

    let job = open.until(&job, JobState::over).await;
    assert_eq!(job.state, JobState::Failed, "{job:?}");
    assert_eq!(open.desk().one_equipment("mill").unwrap().locked_by, None);
    open.house.close().await;
}
