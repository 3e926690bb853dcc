//! Rules: what is refused, what is stopped, and what follows what.
//!
//! ```text
//!  points --changed--> GUARD (a thread) --stop lane--> machines
//!                        |  [ engine ]
//!                        +--notes, wishes--> HAND --> desk (writes), ledger (facts)
//!
//!  desk, machine tasks --may this be?--> [ judge ] <--reads-- points, memory
//! ```
//!
//! The guard acts on what happens; the judge refuses what is asked for. Neither waits for the
//! other: the judge reads points itself, so that nothing is granted on yesterday's news.

pub mod declared;
mod engine;
mod follow;
mod guard;
mod hand;
pub mod judge;
pub mod light;
mod permit;
mod shared;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod trial;
mod view;

use std::collections::BTreeMap;
use std::thread::JoinHandle;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use self::declared::Declared;
pub use self::judge::{Asker, Interlocked, Wish};
pub use self::permit::Permit;
pub use self::shared::Rules;
use crate::desk::Desk;
use crate::machine;

/// Starts the guard, its hand and the stack light. The hand and the light end with the doors, the
/// guard with the machines: while those come to rest, it watches.
pub fn start(
    rules: &Rules,
    machines: BTreeMap<String, machine::Handle>,
    desk: &Desk,
    tasks: &mut JoinSet<&'static str>,
    [doors_closing, machines_closing]: [&CancellationToken; 2],
) -> std::io::Result<JoinHandle<()>> {
    let wishes = hand::spawn(tasks, rules, desk, doors_closing);
    if !rules.declared().signals.is_empty() {
        let (rules, desk, until) = (rules.clone(), desk.clone(), doors_closing.clone());
        tasks.spawn(async move {
            until.run_until_cancelled(light::keep(rules, desk)).await;
            "the stack light"
        });
    }
    guard::start(rules.clone(), machines, wishes, machines_closing.clone())
}
