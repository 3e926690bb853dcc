//! GRBL 1.1 and its relatives grblHAL and FluidNC.

pub mod sim;
