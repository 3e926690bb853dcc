//! The desk while its book takes its time.

use std::pin::pin;

use headstock_config::job::{Job, JobEvent, JobState};
use headstock_config::ledger::Fact;
use headstock_config::machine::Mode;

use super::Refused;
use crate::workbench::Workbench;

/// A program that takes a minute in real time.
const LONG: &str = "G21 G90 G94 G17 G54\nG1 X10 F10\nX0\nM30\n";

/// Lets a future go as far as it can without waiting.
async fn set_out<T: std::fmt::Debug>(deed: &mut (impl Future<Output = T> + Unpin)) {
    tokio::select! {
        biased;
        done = deed => panic!("it did not wait: {done:?}"),
        () = std::future::ready(()) => (),
    }
}

impl Workbench {
    /// A job that is queued although its machine is free.
    async fn queued(&self, program: &str) -> String {
        let first = self.desk.start_job(&self.ada, self.bring(LONG).await).await.unwrap().id;
        let job = self.desk.start_job(&self.ada, self.bring(program).await).await.unwrap().id;
        self.desk.cancel_job(&self.ada, &first).await.unwrap();
        self.job_is(&first, JobState::over).await;
        self.mill_is(|live| live.mode == Mode::Idle).await;
        job
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_given_up_while_it_is_being_started_does_not_run() {
    let bench = Workbench::new(1.0).await;
    let job = bench.queued(LONG).await;
    let desk = bench.desk.clone();
    let starting = bench.stalled(async move { desk.advance("mill").await }).await;
    let mut cancelling = pin!(bench.desk.cancel_job(&bench.ada, &job));
    set_out(&mut cancelling).await;
    bench.disk.stall(false);
    starting.await.unwrap();
    cancelling.await.unwrap();
    let over = bench.job_is(&job, JobState::over).await;
    assert_eq!(over.state, JobState::Cancelled);
    assert!(over.started_ms.is_some(), "it had been started");
    bench.mill_is(|live| live.mode == Mode::Idle).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_from_the_middle_of_its_program_does_not_start_without_what_must_go_before() {
    let bench = Workbench::new(1.0).await;
    let file = bench.bring(LONG).await.file;
    let (id, machine) = (String::from("j7"), String::from("mill"));
    let job = Job { id: id.clone(), machine, file, from_line: 3, ..Job::default() };
    let happened = JobEvent::Queued { job: Box::new(job) };
    bench.desk.ledger().write(Fact::Job { job: id.clone(), happened }).await.unwrap();
    let refused = bench.desk.start_queued(&bench.ada, &id).await.unwrap_err();
    assert!(matches!(refused, Refused::CannotResume { line: 3, .. }), "{refused}");
    assert_eq!(bench.desk.job(&id).unwrap().state, JobState::Queued);
}
