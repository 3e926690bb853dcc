//! The house against pretend devices, from outside its doors.
