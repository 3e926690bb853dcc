//! The thread of a pretend serial bus: the pty, the clock, and bytes that take their time.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use headstock_config::tag::Framing;

use super::device::{Devices, Said};
use super::wake::Heard;
use super::{Options, locked};
use crate::link::far_end::Plug;
use crate::link::os;
use crate::modbus::frame::{self, End};

/// The thread looks up at least this often, for faults that have a moment.
const LONGEST_SLEEP: Duration = Duration::from_millis(50);
/// Bytes are handed over in pieces of at least this time: nobody sees finer ones.
const PIECE: Duration = Duration::from_millis(1);
/// Half a request is forgotten after so long without a byte.
const FORGET: Duration = Duration::from_millis(20);
/// More bytes on their way than these, and the newest are lost.
const UNSENT_MAX: usize = 8_192;

/// Begins the thread; says where the bus is plugged in.
pub(super) fn start(
    devices: Arc<Mutex<Devices>>,
    character: Duration,
    options: Options,
    heard: Heard,
) -> io::Result<(PathBuf, JoinHandle<()>)> {
    let plug = Plug::new(options.link.as_deref())?;
    let at = options.link.clone().unwrap_or_else(|| plug.path.clone());
    let line = Line {
        devices,
        character: options.scaled(character),
        link: options.link,
        plug: Some(plug),
        came: Vec::new(),
        last: Instant::now(),
        out: VecDeque::new(),
        heard,
    };
    let thread = Builder::new().name("pretend-modbus".into()).spawn(move || line.run())?;
    Ok((at, thread))
}

struct Line {
    devices: Arc<Mutex<Devices>>,
    /// How long a byte is on the wire.
    character: Duration,
    link: Option<PathBuf>,
    plug: Option<Plug>,
    /// Bytes of a request that is not whole yet.
    came: Vec<u8>,
    /// When the last of them came.
    last: Instant,
    /// Bytes on their way, and when each arrives. In that order.
    out: VecDeque<(Instant, u8)>,
    heard: Heard,
}

impl Line {
    fn run(mut self) {
        // Without it, bytes are merely 50 us less exact.
        os::precise_sleeps().ok();
        while !self.heard.over() {
            self.plug();
            self.listen();
            self.understand();
            self.speak();
            self.sleep();
        }
    }

    fn plug(&mut self) {
        let cut = locked(&self.devices).cut();
        if cut {
            self.plug = None;
            self.out.clear();
            self.came.clear();
        } else if self.plug.is_none() {
            // If there is no terminal left, the next round tries again.
            self.plug = Plug::new(self.link.as_deref()).ok();
        }
    }

    fn listen(&mut self) {
        let Some(plug) = &mut self.plug else { return };
        if FORGET < self.last.elapsed() {
            self.came.clear();
        }
        let mut buffer = [0; 512];
        // No host there, or nothing said: both are no news.
        let read = plug.master.read(&mut buffer).unwrap_or(0);
        if 0 < read {
            self.last = Instant::now();
            self.came.extend_from_slice(&buffer[..read]);
        }
    }

    fn understand(&mut self) {
        while let Some(&unit) = self.came.first() {
            let end = match locked(&self.devices).framing(unit) {
                Framing::Huanyang => frame::huanyang_end(&self.came),
                _ => frame::request_end(&self.came),
            };
            match end {
                End::At(length) if length <= self.came.len() => {
                    let frame: Vec<u8> = self.came.drain(..length).collect();
                    match frame::opened(&frame) {
                        Some((unit, pdu)) => self.asked(unit, pdu, length),
                        // Whatever that was, silence ends it.
                        None => self.came.clear(),
                    }
                }
                End::Never => self.came.clear(),
                _ => return,
            }
        }
    }

    fn asked(&mut self, unit: u8, pdu: &[u8], length: usize) {
        // It came in one piece, and was on the wire for its time.
        let arrived = self.last + self.character * u32::try_from(length).unwrap_or_default();
        let mut devices = locked(&self.devices);
        devices.comes_in(self.last, unit, pdu);
        let said = devices.asked(arrived, unit, pdu, false);
        drop(devices);
        if let Some(said) = said {
            self.answer(&said, arrived);
        }
    }

    fn answer(&mut self, said: &Said, arrived: Instant) {
        let mut at = arrived + said.after;
        for byte in said.rtu() {
            at += self.character;
            if self.out.len() < UNSENT_MAX {
                // What is said at the same time gets mixed up, as on a real wire.
                let place = self.out.partition_point(|(other, _)| *other <= at);
                self.out.insert(place, (at, byte));
            }
        }
    }

    fn speak(&mut self) {
        let Some(plug) = &mut self.plug else { return };
        let now = Instant::now();
        let due = self.out.partition_point(|(at, _)| *at <= now);
        let bytes: Vec<u8> = self.out.iter().take(due).map(|(_, byte)| *byte).collect();
        // What nobody reads is lost: a wire does not keep anything either.
        if !bytes.is_empty() {
            plug.master.write_all(&bytes).ok();
            self.out.drain(..due);
        }
    }

    fn sleep(&self) {
        let now = Instant::now();
        let next = self.out.front().map(|(at, _)| at.saturating_duration_since(now).max(PIECE));
        let last = self.out.back().map(|(at, _)| at.saturating_duration_since(now));
        // The last byte comes when it comes.
        let span = next.into_iter().chain(last).min().unwrap_or(LONGEST_SLEEP).min(LONGEST_SLEEP);
        let mut on = vec![(self.heard.fd(), false)];
        on.extend(self.plug.as_ref().map(|it| (it.master.as_fd(), false)));
        if os::wait(&on, span).is_err() {
            std::thread::sleep(PIECE);
        }
        self.heard.hush();
    }
}
