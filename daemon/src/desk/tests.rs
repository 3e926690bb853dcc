//! The desk while its book takes its time.

use std::pin::pin;
use std::sync::Arc;

use headstock_config::api::MakeToken;
use headstock_config::command::{Command, Stop};
use headstock_config::event::Event;
use headstock_config::job::{Job, JobEvent, JobState};
use headstock_config::ledger::{Entry, Fact, Request};
use headstock_config::machine::Mode;
use headstock_config::people::{Person, Role};

use super::{CLIP, Refused};
use crate::machine::Error::{Overtaken, Refused as ByDriver};
use crate::workbench::{LONG, MOMENT, Workbench};
use headstock_drivers::Refusal;
use tokio::sync::broadcast::Receiver;

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

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_waits_for_the_disk_does_not_come_after_a_stop() {
    let bench = Workbench::new(1.0).await;
    let job = bench.queued(LONG).await;
    let desk = bench.desk.clone();
    let starting = bench.stalled(async move { desk.advance("mill").await }).await;
    let reports = bench.desk.stop_all(&bench.ada, Stop::Hold).await.unwrap();
    assert!(reports[1].confirmed, "{reports:?}");
    bench.disk.stall(false);
    starting.await.unwrap();
    let job = bench.desk.job(&job).unwrap();
    assert_eq!(job.state, JobState::Failed);
    assert_eq!(job.reason, Some(Overtaken.to_string()));
    // What is asked for after the stop is done.
    bench.mill_is(|live| live.mode == Mode::Held).await;
    bench.desk.tell(&bench.ada, "mill", Command::Resume).await.unwrap();
    bench.mill_is(|live| live.mode == Mode::Idle).await;
    bench.desk.start_job(&bench.ada, bench.bring(LONG).await).await.unwrap();
    bench.mill_is(|live| live.mode == Mode::Running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_waits_for_the_disk_does_not_come_after_a_stop() {
    let bench = Workbench::new(1.0).await;
    let tell = |command: Command| {
        let (desk, ada) = (bench.desk.clone(), bench.ada.clone());
        async move { desk.tell(&ada, "mill", command).await }
    };
    let line = || Command::Run { line: "G1 X10 F10".into() };
    let moving = bench.stalled(tell(line())).await;
    let mut calming = Box::pin(tell(Command::Reset));
    set_out(&mut calming).await;
    bench.desk.stop(&bench.ada, "mill", Stop::Hold).await.unwrap();
    bench.disk.stall(false);
    let refused = moving.await.unwrap().unwrap_err();
    assert!(matches!(refused, Refused::Machine(Overtaken)), "{refused}");
    calming.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_between_two_jobs_keeps_the_second_in_the_queue() {
    let bench = Workbench::new(1.0).await;
    let job = bench.queued(LONG).await;
    let (_, mut entries) = bench.desk.ledger().follow(|_| ());
    bench.desk.stop_all(&bench.ada, Stop::Stop).await.unwrap();
    let rests = |fact: &Fact| matches!(fact, Fact::Machine { said: Event::AtRest { .. }, .. });
    let rested = async { while !rests(&entries.recv().await.unwrap().fact) {} };
    tokio::time::timeout(MOMENT, rested).await.expect("it comes to rest");
    bench.desk.advance("mill").await;
    assert_eq!(bench.desk.job(&job).unwrap().state, JobState::Queued);
    bench.desk.start_queued(&bench.ada, &job).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_that_reaches_nothing_is_refused_and_written_down_as_such() {
    let bench = Workbench::new(1.0).await;
    let (_, mut entries) = bench.desk.ledger().follow(|_| ());
    let refused = bench.desk.tell(&bench.ada, "lathe", Command::Hold).await.unwrap_err();
    assert!(matches!(refused, Refused::Machine(ByDriver(Refusal::NotOnline))), "{refused}");
    let answered = async {
        loop {
            if let Fact::Answered { refused, .. } = &entries.recv().await.unwrap().fact {
                return refused.clone();
            }
        }
    };
    let written = tokio::time::timeout(MOMENT, answered).await.expect("it is written down");
    assert_eq!(written.as_deref(), Some("the machine is not online"));
    let report = bench.desk.stop(&bench.ada, "lathe", Stop::Stop).await.unwrap();
    assert!(!report.sent && !report.confirmed, "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_of_a_held_machine_is_confirmed_when_its_reset_is_over() {
    let bench = Workbench::new(1.0).await;
    bench.desk.start_job(&bench.ada, bench.bring(LONG).await).await.unwrap();
    bench.mill_is(|live| live.mode == Mode::Running && 0.0 < live.feed).await;
    let held = bench.desk.stop(&bench.ada, "mill", Stop::Hold).await.unwrap();
    assert_eq!((held.state, held.confirmed), (Mode::Held, true));
    let stopped = bench.desk.stop_all(&bench.ada, Stop::Stop).await.unwrap().remove(1);
    assert_eq!((stopped.state, stopped.confirmed), (Mode::Idle, true));
}

/// The next request in the book, and why it was refused.
async fn asked(entries: &mut Receiver<Arc<Entry>>) -> (Request, Option<String>) {
    let mut latest = None;
    let answered = async {
        loop {
            match entries.recv().await.unwrap().fact.clone() {
                Fact::Asked { request, .. } => latest = Some(request),
                Fact::Answered { refused, .. } => return refused,
                _ => (),
            }
        }
    };
    let refused = tokio::time::timeout(MOMENT, answered).await.expect("it is written down");
    (latest.expect("it was asked before it was answered"), refused)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_written_down_and_not_at_length() {
    let bench = Workbench::new(1.0).await;
    let (_, mut entries) = bench.desk.ledger().follow(|_| ());
    let eve = Person { name: "eve".into(), role: Role::Viewer };
    let line = "ü".repeat(30_000);
    bench.desk.tell(&eve, "mill", Command::Run { line }).await.unwrap_err();
    let (request, refused) = asked(&mut entries).await;
    assert!(serde_json::to_vec(&request).unwrap().len() < 2 * CLIP, "{request:?}");
    assert_eq!(refused.as_deref(), Some("`eve` may not do that"));

    bench.desk.tell(&bench.ada, "saw", Command::Unlock).await.unwrap_err();
    assert_eq!(asked(&mut entries).await.1.as_deref(), Some("no machine is called `saw`"));
    bench.desk.start_queued(&bench.ada, "j9").await.unwrap_err();
    let (request, refused) = asked(&mut entries).await;
    assert_eq!(request, Request::GoJob { job: "j9".into() });
    assert_eq!(refused.as_deref(), Some("there is no job `j9`"));
    bench.desk.cancel_job(&bench.ada, "j9").await.unwrap_err();
    assert_eq!(asked(&mut entries).await.1.as_deref(), Some("there is no job `j9`"));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_tokens_of_one_name_that_are_made_at_once_there_is_one() {
    let bench = Workbench::new(1.0).await;
    let make = || MakeToken { name: "pendant".into(), role: Role::Operator };
    let (desk, ada) = (bench.desk.clone(), bench.ada.clone());
    let first = bench.stalled(async move { desk.make_token(&ada, make()).await }).await;
    let mut second = Box::pin(bench.desk.make_token(&bench.ada, make()));
    set_out(&mut second).await;
    bench.disk.stall(false);
    let (first, second) = (first.await.unwrap(), second.await);
    assert!(first.is_ok() != second.is_ok(), "{first:?} {second:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_right_behind_a_typed_move_is_confirmed_by_what_the_machine_says_after_it() {
    let bench = Workbench::new(1.0).await;
    let line = String::from("G1 X10 F10");
    bench.desk.tell(&bench.ada, "mill", Command::Run { line }).await.unwrap();
    let held = bench.desk.stop(&bench.ada, "mill", Stop::Hold).await.unwrap();
    assert_eq!((held.state, held.confirmed), (Mode::Held, true));
    let stopped = bench.desk.stop(&bench.ada, "mill", Stop::Stop).await.unwrap();
    assert_eq!((stopped.state, stopped.confirmed), (Mode::Idle, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_of_all_tells_of_each_machine_what_it_has_said_itself() {
    let bench = Workbench::new(1.0).await;
    bench.desk.start_job(&bench.ada, bench.bring(LONG).await).await.unwrap();
    bench.mill_is(|live| live.mode == Mode::Running && 0.0 < live.feed).await;
    let (_, mut entries) = bench.desk.ledger().follow(|_| ());

    let reports = bench.desk.stop_all(&bench.ada, Stop::Stop).await.unwrap();

    let [away, mill] = &reports[..] else { panic!("{reports:?}") };
    assert_eq!((away.sent, away.confirmed, away.ms, &*away.did), (false, false, None, "nothing"));
    assert_eq!((mill.sent, mill.confirmed, &*mill.class), (true, true, "mill"));
    assert!(mill.ms.is_some() && mill.did.starts_with("feed hold, rest"), "{mill:?}");
    assert_eq!(bench.desk.stop_times().count(), 1, "one machine was reached");
    let told = async {
        loop {
            if let Fact::Stopped { reports, .. } = &entries.recv().await.unwrap().fact {
                return reports.clone();
            }
        }
    };
    let told = tokio::time::timeout(MOMENT, told).await.expect("it is written down");
    assert_eq!(told, reports);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_fills_no_disk_by_asking_again() {
    let bench = Workbench::new(1.0).await;
    let eve = Person { name: "eve".into(), role: Role::Viewer };
    for _ in 0..500 {
        bench.desk.tell(&eve, "mill", Command::Unlock).await.unwrap_err();
    }
    bench.desk.note(&bench.ada, "j1", "after all of them").await.unwrap_err();
    let by_eve = |entry: &Entry| matches!(&entry.fact, Fact::Asked { by, .. } if by.name == "eve");
    let written = async {
        loop {
            let entries = bench.desk.ledger().read(1, 10_000).await.unwrap();
            let count = entries.iter().filter(|it| by_eve(it)).count();
            if 20 <= count {
                return count;
            }
            tokio::task::yield_now().await;
        }
    };
    assert_eq!(tokio::time::timeout(MOMENT, written).await.expect("they are written"), 20);
}
