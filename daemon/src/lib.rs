//! The house.

pub mod cli;
pub mod journal;
pub mod store;
