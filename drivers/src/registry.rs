//! The one visible list of drivers.
