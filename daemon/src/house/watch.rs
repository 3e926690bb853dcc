//! What the house does by itself while it is open: hold everything when it cannot keep its book,
//! let queued jobs follow finished ones, and tell the service manager that it is alive.

use headstock_config::job::{JobEvent, JobState};
use headstock_config::ledger::{Entry, Fact};
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::desk::Desk;
use crate::ledger::Health;

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
