//! The house.

pub mod journal;
