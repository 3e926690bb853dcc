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

/// When the parts of the rules end.
pub struct Closing<'c> {
    /// The stack light, with everything that serves people.
    pub doors: &'c CancellationToken,
    /// The guard, and what it writes: while machines come to rest, it watches.
    pub guard: &'c CancellationToken,
    /// The hand, when the guard has ended: what it did is written down to the last.
    pub guard_over: &'c CancellationToken,
}

/// Starts the guard, its hand (into `hands`) and the stack light (into `tasks`).
pub fn start(
    rules: &Rules,
    machines: BTreeMap<String, machine::Handle>,
    desk: &Desk,
    [tasks, hands]: [&mut JoinSet<&'static str>; 2],
    closing: Closing<'_>,
) -> std::io::Result<JoinHandle<()>> {
    let wishes = hand::spawn(hands, rules, desk, &closing);
    if !rules.declared().signals.is_empty() {
        let (rules, desk, until) = (rules.clone(), desk.clone(), closing.doors.clone());
        tasks.spawn(async move {
            until.run_until_cancelled(light::keep(rules, desk)).await;
            "the stack light"
        });
    }
    guard::start(rules.clone(), machines, wishes, closing.guard.clone())
}
