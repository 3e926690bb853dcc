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
pub mod judge;
#[cfg(test)]
mod tests;

pub use self::declared::Declared;
pub use self::judge::{Asker, Interlocked, Wish};
