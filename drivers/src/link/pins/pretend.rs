//! Pins of a pretend board, reached by its socket. The words stand in `gpio/sim`.

use std::io;
use std::path::Path;
use std::pin::Pin as Pinned;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use embedded_hal::digital::{ErrorType, InputPin, OutputPin};
use headstock_config::tag::{PinMode, Pull};
use tokio::io::{AsyncBufReadExt, Lines};

use super::super::failure::{Why, gone};
use super::{Edge, Line, PinError, Pins, moment};
use crate::gpio::{Use, spelled};
use crate::sim::Visit;

type Hears = Lines<tokio::io::BufReader<tokio::net::UnixStream>>;

pub(super) struct Socket {
    asks: Arc<Mutex<Visit>>,
    hears: Hears,
    /// The inputs, as they are spelled.
    names: Vec<(usize, String)>,
    /// Those of them whose bounces nobody keeps away.
    bare: Vec<usize>,
}

impl Socket {
    /// Must be called inside a tokio runtime.
    pub(super) fn new(path: &Path) -> Result<Self, Why> {
        let mut ear = Visit::begin(path)?;
        ear.say("edges")?;
        let ear = ear.into_stream();
        ear.set_nonblocking(true)?;
        let hears = tokio::net::UnixStream::from_std(ear)?;
        let hears = tokio::io::BufReader::new(hears).lines();
        Ok(Self {
            asks: Arc::new(Mutex::new(Visit::begin(path)?)),
            hears,
            names: Vec::new(),
            bare: Vec::new(),
        })
    }
}

struct Pin {
    asks: Arc<Mutex<Visit>>,
    name: String,
}

impl Pin {
    fn ask(&self, words: &str) -> io::Result<String> {
        self.asks.lock().unwrap_or_else(PoisonError::into_inner).say(words)
    }
}

impl ErrorType for Pin {
    type Error = PinError;
}

impl InputPin for Pin {
    fn is_high(&mut self) -> Result<bool, PinError> {
        Ok(self.ask(&format!("level {}", self.name))? == "1")
    }

    fn is_low(&mut self) -> Result<bool, PinError> {
        self.is_high().map(|high| !high)
    }
}

impl OutputPin for Pin {
    fn set_low(&mut self) -> Result<(), PinError> {
        Ok(self.ask(&format!("drive {} 0", self.name)).map(drop)?)
    }

    fn set_high(&mut self) -> Result<(), PinError> {
        Ok(self.ask(&format!("drive {} 1", self.name)).map(drop)?)
    }
}

/// `reserve gpiochip0/17 in both up 10`, `reserve gpiochip0/22 out 0`.
fn reservation(it: &Use, name: &str) -> String {
    if it.pin.mode.output() {
        return format!("reserve {name} out {}", u8::from(it.level(it.safe != 0.0)));
    }
    let edges = match (it.pin.mode, it.level(true)) {
        (PinMode::Count | PinMode::Frequency, true) => "rising",
        (PinMode::Count | PinMode::Frequency, false) => "falling",
        _ => "both",
    };
    let pull = match it.pin.line.pull {
        Pull::None => "none",
        Pull::Up => "up",
        Pull::Down => "down",
    };
    format!("reserve {name} in {edges} {pull} {}", it.pin.debounce_ms)
}

impl Pins for Socket {
    fn reserve(&mut self, index: usize, it: &Use) -> Result<Line, Why> {
        let name = spelled(&it.pin.line);
        let pin = Pin { asks: Arc::clone(&self.asks), name: name.clone() };
        match pin.ask(&reservation(it, &name)) {
            Ok(answer) if answer.ends_with("bare") => self.bare.push(index),
            Ok(_) => (),
            Err(error) if error.to_string().contains("in use") => return Err(Why::InUse),
            Err(error) => return Err(error.into()),
        }
        if it.pin.mode.output() {
            return Ok(Line::Out(Box::new(pin)));
        }
        self.names.push((index, name));
        Ok(Line::In(Box::new(pin)))
    }

    fn filters(&self, index: usize) -> bool {
        !self.bare.contains(&index)
    }

    fn poll_edges(
        &mut self,
        context: &mut Context<'_>,
        edges: &mut Vec<Edge>,
    ) -> Poll<io::Result<()>> {
        loop {
            let line = ready!(Pinned::new(&mut self.hears).poll_next_line(context))?;
            let line = line.ok_or_else(gone)?;
            if let Some(edge) = edge(&line, &self.names)? {
                edges.push(edge);
                return Poll::Ready(Ok(()));
            }
        }
    }
}

/// `edge gpiochip0/17 1 123456789 42`: line, level, nanoseconds of CLOCK_MONOTONIC, number.
fn edge(line: &str, names: &[(usize, String)]) -> io::Result<Option<Edge>> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let ["edge", name, level, at, number] = words[..] else { return Ok(None) };
    let Some((index, _)) = names.iter().find(|(_, it)| it == name) else { return Ok(None) };
    let (Ok(at), Ok(number)) = (at.parse(), number.parse()) else { return Ok(None) };
    let at = moment(Duration::from_nanos(at))?;
    Ok(Some(Edge { line: *index, rising: level == "1", at, number: Some(number) }))
}
