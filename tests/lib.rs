//! The house against pretend devices, from outside its doors, and its readers against anything.

pub mod anything;
