//! A pretend board: lines that people, tests and the house reach by a socket.
//!
//! One line of words there, one line back. What a person says:
//!
//! ```text
//! set gpiochip0/17 1      the world puts this level on an input       -> ok
//! bare gpiochip0/17       its kernel keeps no bounces away             -> ok
//! get gpiochip0/22        how it is, and whose it is                  -> ok 0 out
//! lines                   every line that was ever named              -> ok gpiochip0/17=1in ...
//! watch                   -> ok, then `gpiochip0/22 1` for every change from now on
//! ```
//!
//! What the house says, and what a kernel would do for it:
//!
//! ```text
//! reserve gpiochip0/17 in both up 10      edges wanted, resistor, milliseconds to keep still;
//!                                         answered with its level, and `bare` where it is so
//! reserve gpiochip0/22 out 0              its level from the first moment
//! level gpiochip0/17, drive gpiochip0/22 1
//! edges                   -> ok, then `edge gpiochip0/17 1 NANOSECONDS NUMBER` for every edge
//! ```
//!
//! As with a real board: a line is reserved once, by one connection, and free when that ends; what
//! was driven stays as it was; edges carry the clock of the kernel, are debounced (but on a bare line),
//! and are numbered, so that those for which there was no room can be noticed.

mod lines;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use self::lines::Lines;
use crate::sim::Door;

/// A board that pretends until it is dropped.
#[derive(Debug)]
pub struct Board {
    lines: Arc<Lines>,
    door: Door,
}

impl Board {
    /// Opens its door at this path; a socket that was left there is replaced.
    pub fn open(path: &Path) -> io::Result<Self> {
        let lines = Arc::new(Lines::default());
        let settles = Arc::clone(&lines);
        let door = Door::open(path, &lines)?;
        thread::Builder::new().name("pretend pins".into()).spawn(move || settles.settle())?;
        Ok(Self { lines, door })
    }

    /// Where its door is.
    pub fn path(&self) -> &Path {
        self.door.path()
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        self.lines.switch_off();
    }
}
