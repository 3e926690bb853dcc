//! Alarms, after ISA-18.2: who is called, what for, and what is to be done.
//!
//! ```text
//!  points, machines, interlocks, box --look--> [ engine ] --events--> LEDGER --fold--> State.alarms
//!                                                                        ^
//!                              acknowledge, shelve, reset --- DESK ------+
//! ```
//!
//! [`engine`] is pure and knows when an alarm comes and goes; the book knows what people did about
//! it; [`headstock_config::alarm::Standing`] folds the two into the nine states. So what was
//! acknowledged or shelved is so after a pulled plug as well.

mod cell;
pub mod definition;
pub mod engine;
mod keeper;
mod left_on;
#[cfg(test)]
mod tests;

pub use self::cell::Seen;
pub use self::keeper::Keeper;
