//! What the house does by itself while it is open: hold everything when it cannot keep its book,
//! let queued jobs follow finished ones, show machines as points, make old points stale, and tell
//! the service manager that it is alive.

use std::time::Duration;

use headstock_config::job::{JobEvent, JobState};
use headstock_config::ledger::{Entry, Fact};
use headstock_config::machine::Live;
use headstock_config::settings::Settings;
use headstock_systemd::watchdog_interval;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch::Receiver;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::alarms::Keeper;
use crate::desk::Desk;
use crate::ledger::Health;
use crate::points::live::Bridge;

/// A part of the house that has not been heard of for this long is stuck.
const ALIVE: Duration = Duration::from_secs(8);
/// How often the service manager hears that we are alive. Often, so that a disk that begins to
/// stall just before a beat has nearly all of the time that the service manager allows.
const BEAT: Duration = Duration::from_secs(2);

/// Puts the watchers into the set of tasks.
pub(super) fn spawn(tasks: &mut JoinSet<&'static str>, desk: &Desk, closing: &CancellationToken) {
    let (desk_a, closing_a) = (desk.clone(), closing.clone());
    tasks.spawn(async move {
        closing_a.run_until_cancelled(hold_when_unrecorded(desk_a)).await;
        "the watch over the journal"
    });
    let (desk_b, closing_b) = (desk.clone(), closing.clone());
    tasks.spawn(async move {
        closing_b.run_until_cancelled(follow_up(desk_b)).await;
        "the dispatcher"
    });
    let (desk_c, closing_c) = (desk.clone(), closing.clone());
    tasks.spawn(async move {
        closing_c.run_until_cancelled(show_machines(desk_c)).await;
        "the watch over machines that move"
    });
    let (points, closing_d) = (desk.points().clone(), closing.clone());
    tasks.spawn(async move {
        closing_d.run_until_cancelled(points.grow_old()).await;
        "the ager of the points"
    });
}

/// Puts the keeper of alarms into the set of tasks.
pub(super) fn keep_alarms(
    tasks: &mut JoinSet<&'static str>,
    desk: &Desk,
    settings: &Settings,
    closing: &CancellationToken,
) {
    let (keeper, closing) = (Keeper::new(desk, settings.alarms.clone()), closing.clone());
    tasks.spawn(async move {
        closing.run_until_cancelled(keeper.keep()).await;
        "the keeper of alarms"
    });
}

async fn hold_when_unrecorded(desk: Desk) {
    let mut health = desk.ledger().health();
    while health.wait_for(|health| *health == Health::Failed).await.is_ok() {
        desk.hold_all("the journal has failed").await;
        std::future::pending::<()>().await;
    }
}

/// A completed job makes room for the next one of its machine. After any other end a person
/// looks first.
async fn follow_up(desk: Desk) {
    let ((), mut entries) = desk.ledger().follow(|_| ());
    loop {
        match entries.recv().await {
            Ok(entry) => {
                if let Some(machine) = completed_on(&desk, &entry) {
                    desk.advance(&machine).await;
                }
            }
            // Entries were missed: whichever queue could move is tried.
            Err(RecvError::Lagged(_)) => {
                for machine in desk.equipment() {
                    if machine.job.is_none() && last_completed(&desk, &machine.id) {
                        desk.advance(&machine.id).await;
                    }
                }
            }
            Err(RecvError::Closed) => return,
        }
    }
}

fn completed_on(desk: &Desk, entry: &Entry) -> Option<String> {
    match &entry.fact {
        Fact::Job { job, happened: JobEvent::Completed { .. } } => {
            desk.job(job).ok().map(|job| job.machine)
        }
        _ => None,
    }
}

fn last_completed(desk: &Desk, machine: &str) -> bool {
    let state = desk.ledger().state();
    let mut newest = state.jobs.values().rev();
    let over = newest.find(|job| job.machine == machine && job.state.over());
    over.is_some_and(|job| job.state == JobState::Completed)
}

/// Shows machines that move as points. Never ends.
async fn show_machines(desk: Desk) {
    let bridges = desk.equipment().into_iter().filter_map(|machine| {
        let bridge = Bridge::of(desk.points(), &machine.id, &machine.driver)?;
        let (id, live) = desk.watch_machines().find(|(id, _)| *id == machine.id)?;
        Some(show_machine(desk.clone(), id, live, bridge))
    });
    futures_util::future::join_all(bridges.collect::<Vec<_>>()).await;
    std::future::pending().await
}

async fn show_machine(desk: Desk, id: String, mut live: Receiver<Live>, bridge: Bridge) {
    loop {
        let now = live.borrow_and_update().clone();
        // Only a machine that is at work has a job to be looked up.
        let done = now.progress.and_then(|_| desk.share_done(&id));
        bridge.tell(&now, done);
        if live.changed().await.is_err() {
            // Its thread has ended, and nothing of it can be believed.
            return bridge.tell(&Live::default(), None);
        }
    }
}

/// Tells again and again that the house is alive, while it is. Never ends.
pub(super) async fn beat(desk: &Desk, tell: impl Fn()) {
    let mut beats = interval(watchdog_interval().unwrap_or(BEAT).min(BEAT));
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        beats.tick().await;
        if alive(desk, ALIVE).await {
            tell();
        }
    }
}

/// Whether the ledger answers within this time, and every machine's task and the guard of the rules
/// have gone round lately. While ledger or guard do not, the machines are held: if it stays so the
/// service manager ends this process, which can say nothing to them then.
async fn alive(desk: &Desk, patience: Duration) -> bool {
    let ledger = timeout(patience, desk.ledger().alive()).await == Ok(true);
    if !ledger {
        tracing::error!("the ledger does not answer; holding");
        desk.hold_all("a ledger that does not answer").await;
    }
    let late = desk.late_machines(patience);
    for machine in &late {
        tracing::error!(%machine, "the machine's task does not go round");
    }
    let unguarded = desk.rules().late(patience);
    if unguarded {
        tracing::error!("the guard of the rules does not go round; holding");
        desk.hold_all("rules that nobody watches").await;
    }
    ledger && late.is_empty() && !unguarded
}

#[cfg(test)]
mod tests {
    use headstock_config::machine::Mode;
    use headstock_config::point::{Quality, Value};

    use super::*;
    use crate::points::Step;
    use crate::workbench::{LONG, Workbench};

    #[tokio::test(flavor = "multi_thread")]
    async fn a_machine_is_held_while_the_ledger_does_not_answer() {
        let bench = Workbench::new(1.0).await;
        bench.desk.start_job(&bench.ada, bench.bring(LONG).await).await.unwrap();
        bench.mill_is(|live| live.mode == Mode::Running && 0.0 < live.feed).await;
        assert!(alive(&bench.desk, ALIVE).await);
        let (desk, ada) = (bench.desk.clone(), bench.ada.clone());
        let noting = bench.stalled(async move { desk.note(&ada, "j1", "hm").await }).await;
        assert!(!alive(&bench.desk, Duration::from_millis(50)).await);
        bench.mill_is(|live| live.mode == Mode::Held).await;
        bench.disk.stall(false);
        noting.await.unwrap().unwrap();
        assert!(alive(&bench.desk, ALIVE).await);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_machine_that_works_is_seen_in_its_points() {
        let bench = Workbench::new(1.0).await;
        let watching = tokio::spawn(show_machines(bench.desk.clone()));
        let points = bench.desk.points().clone();
        let find = |name| points.id(name).unwrap();
        let (mode, progress) = (find("mill.mode"), find("mill.progress"));
        let mut follower = points.follow([mode, progress, find("mill.x")]);
        let job = bench.desk.start_job(&bench.ada, bench.bring(LONG).await).await.unwrap();
        let seen = async {
            let mut missing = vec![(mode, "running"), (progress, "")];
            while !missing.is_empty() {
                for change in follower.recv().await {
                    let is = |step: &Step, word: &str| match &step.value {
                        Some(Value::Text(said)) => said == word,
                        Some(value) => value.is_on(),
                        None => false,
                    };
                    let said = |(id, word): &(_, &str)| {
                        *id == change.id && change.was(|step| is(step, word))
                    };
                    missing.retain(|it| !said(it));
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(20), seen).await.expect("it is seen");
        assert_eq!(points.one("lathe.mode").unwrap().quality, Quality::Bad);
        bench.desk.cancel_job(&bench.ada, &job.id).await.unwrap();
        watching.abort();
    }
}
