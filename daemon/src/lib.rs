//! The house.

pub mod cli;
pub mod journal;
