//! Pins by the kernel's character devices: any Linux board since 5.10.
//!
//! One request for each line: it carries bias, debounce and, for an output, the level that the
//! line has from the first moment. Thin on purpose: nothing is decided here.
//! Source: `linux/gpio.h`, uAPI v2.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use embedded_hal::digital::{ErrorType, InputPin, OutputPin};
use gpiocdev::Request;
use gpiocdev::line::{Bias, EdgeDetection, EdgeKind, Value};
use gpiocdev::request::Config;
use headstock_config::tag::{PinMode, Pull};
use tokio::io::unix::AsyncFd;

use super::super::failure::Why;
use super::super::os;
use super::{Edge, Line, PinError, Pins, moment};
use crate::gpio::Use;

/// Who has our lines, as `gpioinfo` shows it.
const CONSUMER: &str = "headstock";
/// Edges that the kernel keeps of one line until we come: some seconds of a chattering contact.
const KERNEL_EDGES: u32 = 256;
/// Edges taken at a time, so that one line cannot keep the house from everything else.
const AT_A_TIME: usize = 64;

#[derive(Default)]
pub(super) struct Chips {
    heard: Vec<Heard>,
    /// The lines of which the kernel keeps bounces away.
    filters: Vec<usize>,
}

struct Heard {
    index: usize,
    request: AsyncFd<Arc<Request>>,
}

/// One line.
struct Pin(Arc<Request>);

impl ErrorType for Pin {
    type Error = PinError;
}

impl InputPin for Pin {
    fn is_high(&mut self) -> Result<bool, PinError> {
        Ok(self.0.lone_value().map_err(said)? == Value::Active)
    }

    fn is_low(&mut self) -> Result<bool, PinError> {
        self.is_high().map(|high| !high)
    }
}

impl OutputPin for Pin {
    fn set_low(&mut self) -> Result<(), PinError> {
        Ok(self.0.set_lone_value(Value::Inactive).map(|_| ()).map_err(said)?)
    }

    fn set_high(&mut self) -> Result<(), PinError> {
        Ok(self.0.set_lone_value(Value::Active).map(|_| ()).map_err(said)?)
    }
}

fn errno(error: &gpiocdev::Error) -> Option<i32> {
    let number = match error {
        gpiocdev::Error::Os(number) => number.0,
        gpiocdev::Error::Uapi(_, gpiocdev_uapi::Error::Os(number)) => number.0,
        _ => 0,
    };
    (number != 0).then_some(number)
}

/// What the kernel said, out of what the library made of it.
fn said(error: gpiocdev::Error) -> io::Error {
    match errno(&error) {
        Some(number) => io::Error::from_raw_os_error(number),
        None => io::Error::other(error),
    }
}

fn why(error: gpiocdev::Error) -> Why {
    match &error {
        gpiocdev::Error::GpioChip(..) => Why::Unfit(error.to_string()),
        gpiocdev::Error::UnsupportedAbi(..) | gpiocdev::Error::NoAbiSupport() => {
            Why::Unfit("the kernel is older than 5.10 and cannot do this".into())
        }
        // A line number that the chip does not have, or a wish that it cannot fulfil.
        _ if errno(&error) == Some(libc::EINVAL) => {
            Why::Unfit("the chip has no such line, or cannot use it like this".into())
        }
        _ => said(error).into(),
    }
}

/// The chip of this name (`gpiochip0`), or with this label (`pinctrl-rp1`): numbers change with
/// kernels, labels do not.
fn chip(name: &str) -> Result<PathBuf, Why> {
    let path = Path::new("/dev").join(name);
    if path.exists() {
        return Ok(path);
    }
    let labelled = |path: &PathBuf| {
        let info = gpiocdev::chip::Chip::from_path(path).and_then(|chip| chip.info());
        info.is_ok_and(|info| info.label == name)
    };
    let found = gpiocdev::chip::chips().unwrap_or_default();
    found.into_iter().find(labelled).ok_or(Why::Absent)
}

/// What is asked of the kernel for a line.
fn wanted(it: &Use, debounced: bool) -> Config {
    let line = &it.pin.line;
    let mut config = Config::default();
    config.with_line(line.offset);
    match it.pin.mode {
        PinMode::Out | PinMode::Pwm => {
            let high = it.level(it.safe != 0.0);
            config.as_output(if high { Value::Active } else { Value::Inactive });
        }
        mode => {
            config.as_input().with_edge_detection(edges(mode, it.level(true)));
            if debounced {
                config.with_debounce_period(Duration::from_millis(it.pin.debounce_ms.into()));
            }
        }
    }
    match line.pull {
        Pull::None => (),
        Pull::Up => _ = config.with_bias(Bias::PullUp),
        Pull::Down => _ = config.with_bias(Bias::PullDown),
    }
    config
}

/// Of a contact both; of pulses those by which it goes on.
fn edges(mode: PinMode, on_is_high: bool) -> EdgeDetection {
    match (mode, on_is_high) {
        (PinMode::Count | PinMode::Frequency, true) => EdgeDetection::RisingEdge,
        (PinMode::Count | PinMode::Frequency, false) => EdgeDetection::FallingEdge,
        _ => EdgeDetection::BothEdges,
    }
}

fn request(path: &Path, it: &Use, debounced: bool) -> gpiocdev::Result<Request> {
    let mut builder = Request::from_config(wanted(it, debounced));
    builder.on_chip(path).with_consumer(CONSUMER);
    if !it.pin.mode.output() {
        builder.with_kernel_event_buffer_size(KERNEL_EDGES);
    }
    builder.request()
}

impl Pins for Chips {
    fn reserve(&mut self, index: usize, it: &Use) -> Result<Line, Why> {
        let path = chip(&it.pin.line.chip)?;
        let debounced = !it.pin.mode.output() && 0 < it.pin.debounce_ms;
        let mut asked = request(&path, it, debounced);
        match &asked {
            // Some expanders' lines cannot be debounced by the kernel; then it is done here.
            Err(error) if debounced && errno(error) == Some(libc::EINVAL) => {
                asked = request(&path, it, false);
            }
            _ => self.filters.push(index),
        }
        let request = Arc::new(asked.map_err(why)?);
        if it.pin.mode.output() {
            return Ok(Line::Out(Box::new(Pin(request))));
        }
        let heard = os::watch_lines(Arc::clone(&request))?;
        self.heard.push(Heard { index, request: heard });
        Ok(Line::In(Box::new(Pin(request))))
    }

    fn filters(&self, index: usize) -> bool {
        self.filters.contains(&index)
    }

    fn poll_edges(
        &mut self,
        context: &mut Context<'_>,
        edges: &mut Vec<Edge>,
    ) -> Poll<io::Result<()>> {
        for heard in &self.heard {
            // Until its queue is empty, and its waker left behind.
            while edges.len() < AT_A_TIME {
                let Poll::Ready(guard) = heard.request.poll_read_ready(context) else { break };
                let mut guard = guard?;
                match take(guard.get_inner(), heard.index)? {
                    Some(edge) => edges.push(edge),
                    None => guard.clear_ready(),
                }
            }
        }
        if edges.is_empty() { Poll::Pending } else { Poll::Ready(Ok(())) }
    }
}

/// Takes one edge, if there is one.
fn take(request: &Request, line: usize) -> io::Result<Option<Edge>> {
    if !request.has_edge_event().map_err(said)? {
        return Ok(None);
    }
    let event = request.read_edge_event().map_err(said)?;
    let at = moment(Duration::from_nanos(event.timestamp_ns))?;
    let rising = event.kind == EdgeKind::Rising;
    Ok(Some(Edge { line, rising, at, number: Some(event.line_seqno) }))
}

#[cfg(test)]
mod tests {
    use headstock_config::tag::{Line as Declared, Pin as Tagged};

    use super::*;
    use crate::bus::Place;

    fn used(mode: PinMode, inverted: bool, safe: f64) -> Use {
        let line = Declared { chip: "gpiochip0".into(), offset: 17, inverted, pull: Pull::Up };
        let pin = Tagged { line, mode, role: None, debounce_ms: 10, hertz: 100 };
        Use { place: Place { machine: 0, tag: 0 }, name: "pins.it".into(), pin, safe }
    }

    #[test]
    fn an_output_has_its_safe_level_in_the_request_itself() {
        for (inverted, safe, level) in [
            (false, 0.0, Value::Inactive),
            (true, 0.0, Value::Active),
            (false, 1.0, Value::Active),
            (true, 1.0, Value::Inactive),
        ] {
            let config = wanted(&used(PinMode::Out, inverted, safe), false);
            let line = config.line_config(17).unwrap();
            assert_eq!(line.direction, Some(gpiocdev::line::Direction::Output));
            assert_eq!(line.value, Some(level), "{inverted} {safe}");
            assert_eq!(line.debounce_period, None);
        }
    }

    #[test]
    fn an_input_is_debounced_and_pulled_by_the_kernel() {
        let config = wanted(&used(PinMode::In, true, 0.0), true);
        let line = config.line_config(17).unwrap();
        assert_eq!(line.debounce_period, Some(Duration::from_millis(10)));
        assert_eq!(line.bias, Some(Bias::PullUp));
        assert_eq!(line.edge_detection, Some(EdgeDetection::BothEdges));
        assert!(!line.active_low, "turning round is done in one place, and not here");
        let config = wanted(&used(PinMode::Count, true, 0.0), true);
        let edges = config.line_config(17).unwrap().edge_detection;
        assert_eq!(edges, Some(EdgeDetection::FallingEdge));
    }

    #[test]
    fn what_the_kernel_says_is_told_in_words_that_help() {
        use gpiocdev::{Error, UapiCall};
        let kernel = |number| {
            let said = gpiocdev_uapi::Error::Os(gpiocdev_uapi::Errno(number));
            why(Error::Uapi(UapiCall::GetLine, said))
        };
        assert!(matches!(kernel(libc::EBUSY), Why::InUse));
        assert!(matches!(kernel(libc::EACCES), Why::Denied));
        assert!(matches!(kernel(libc::EINVAL), Why::Unfit(_)));
        assert!(matches!(chip("no-such-chip"), Err(Why::Absent)));
        let null = request(Path::new("/dev/null"), &used(PinMode::In, false, 0.0), true);
        assert!(matches!(why(null.unwrap_err()), Why::Unfit(_)));
    }
}
