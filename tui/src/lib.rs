//! What people see in a terminal.
//!
//! Pure functions only: shapes of the doors in, text out. Nothing here asks the daemon, reads a
//! clock or knows how wide the terminal is; whoever prints passes that in.

pub mod table;
pub mod view;
pub mod words;
