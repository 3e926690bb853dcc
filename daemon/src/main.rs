//! `headstock`: one program for the daemon and its clients.

fn main() {}
