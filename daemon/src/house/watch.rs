//! What the house does by itself while it is open: hold everything when it cannot keep its book,
//! let queued jobs follow finished ones, make old points stale, and tell the service manager that
//! it is alive.

use std::time::Duration;

use headstock_config::job::{JobEvent, JobState};
use headstock_config::ledger::{Entry, Fact};
use headstock_systemd::watchdog_interval;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::desk::Desk;
use crate::ledger::Health;

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
    let (points, closing_c) = (desk.points().clone(), closing.clone());
    tasks.spawn(async move {
        closing_c.run_until_cancelled(points.grow_old()).await;
        "the ager of the points"
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

/// Whether the ledger answers within this time and every machine's task has gone round lately.
/// While the ledger does not, the machines are held: if it stays so the service manager ends this
/// process, which can say nothing to them then.
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
    ledger && late.is_empty()
}

#[cfg(test)]
mod tests {
    use headstock_config::machine::Mode;

    use super::*;
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
}
