//! Pins by the registers of a Raspberry Pi, through `rppal`.
//!
//! Faster than the kernel's way and blind to it: the registers do not know that another program
//! has a line. rppal is not developed further since July 2025; `port = "cdev"` is the better
//! choice where nothing here is needed: the timers that dim GPIO 12, 13, 18 and 19.

use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use embedded_hal::digital::ErrorType;
use embedded_hal::pwm::SetDutyCycle;
use headstock_config::tag::{PinMode, Pull};
use rppal::gpio::{Error as GpioError, Gpio, InputPin, OutputPin, Trigger};
use rppal::pwm::{Channel, Polarity, Pwm};
use tokio::sync::mpsc;

use super::super::failure::Why;
use super::{Edge, Line, PinError, Pins, moment};
use crate::gpio::Use;

/// Edges that may wait for us; what does not fit is missing in their numbers and made up for.
const EDGES: usize = 1024;
/// Fastest that rppal's own thread switches a line without a timer, Hz.
const THREAD_HERTZ_MAX: u32 = 1_000;

pub(super) struct Raspberry {
    gpio: Gpio,
    edges: mpsc::Receiver<Heard>,
    ear: mpsc::Sender<Heard>,
}

struct Heard {
    index: usize,
    rising: bool,
    timestamp: Duration,
    number: u32,
}

impl Raspberry {
    pub(super) fn new() -> Result<Self, Why> {
        let gpio = Gpio::new().map_err(why)?;
        let (ear, edges) = mpsc::channel(EDGES);
        Ok(Self { gpio, edges, ear })
    }

    fn input(&self, index: usize, it: &Use) -> Result<Line, Why> {
        let pin = self.gpio.get(number(it)?).map_err(why)?;
        let mut pin = match it.pin.line.pull {
            Pull::None => pin.into_input(),
            Pull::Up => pin.into_input_pullup(),
            Pull::Down => pin.into_input_pulldown(),
        };
        let trigger = match (it.pin.mode, it.level(true)) {
            (PinMode::In, _) => Trigger::Both,
            (_, true) => Trigger::RisingEdge,
            (_, false) => Trigger::FallingEdge,
        };
        let ear = self.ear.clone();
        let hears = move |event: rppal::gpio::Event| {
            let rising = event.trigger == Trigger::RisingEdge;
            let (timestamp, number) = (event.timestamp, event.seqno);
            // Full: the gap in the numbers tells.
            ear.try_send(Heard { index, rising, timestamp, number }).ok();
        };
        let still = Duration::from_millis(it.pin.debounce_ms.into());
        let still = (!still.is_zero()).then_some(still);
        pin.set_async_interrupt(trigger, still, hears).map_err(why)?;
        Ok(Line::In(Box::new(In(pin))))
    }

    fn output(&self, it: &Use) -> Result<OutputPin, Why> {
        let pin = self.gpio.get(number(it)?).map_err(why)?;
        let mut pin = match it.level(it.safe != 0.0) {
            true => pin.into_output_high(),
            false => pin.into_output_low(),
        };
        // The safe level is left on the line when we go.
        pin.set_reset_on_drop(false);
        Ok(pin)
    }

    fn dimmed(&self, it: &Use) -> Result<Line, Why> {
        let hertz = f64::from(it.pin.hertz);
        let share = if it.pin.line.inverted { 1.0 - it.safe } else { it.safe };
        let channel = match it.pin.line.offset {
            12 | 18 => Some(Channel::Pwm0),
            13 | 19 => Some(Channel::Pwm1),
            _ => None,
        };
        let with = |it| Pwm::with_frequency(it, hertz, share, Polarity::Normal, true);
        match channel.map(with) {
            Some(Ok(mut timer)) => {
                // As with other outputs: what was set last stays, which is the safe share.
                timer.set_reset_on_drop(false);
                Ok(Line::Dimmed(Box::new(Timer(timer))))
            }
            _ if it.pin.hertz <= THREAD_HERTZ_MAX => {
                let pin = self.output(it)?;
                Ok(Line::Dimmed(Box::new(Threaded { pin, hertz })))
            }
            Some(Err(error)) => Err(Why::Unfit(format!(
                "no timer drives this line ({error}): add `dtoverlay=pwm-2chan` to config.txt"
            ))),
            None => Err(Why::Unfit(format!(
                "{hertz} Hz needs a timer, which only GPIO 12, 13, 18 and 19 have"
            ))),
        }
    }
}

fn number(it: &Use) -> Result<u8, Why> {
    u8::try_from(it.pin.line.offset).map_err(|_| Why::Unfit("a Pi has no such line".into()))
}

fn why(error: GpioError) -> Why {
    match error {
        GpioError::UnknownModel => {
            Why::Unfit("this board is not a Raspberry Pi that rppal knows: use `cdev`".into())
        }
        GpioError::PinUsed(_) => Why::InUse,
        GpioError::PinNotAvailable(_) => Why::Unfit("a Pi has no such line".into()),
        GpioError::PermissionDenied(_) => Why::Denied,
        GpioError::Io(error) => error.into(),
        other => Why::Other(io::Error::other(other)),
    }
}

struct In(InputPin);

impl ErrorType for In {
    type Error = PinError;
}

impl embedded_hal::digital::InputPin for In {
    fn is_high(&mut self) -> Result<bool, PinError> {
        Ok(embedded_hal::digital::InputPin::is_high(&mut self.0)?)
    }

    fn is_low(&mut self) -> Result<bool, PinError> {
        Ok(embedded_hal::digital::InputPin::is_low(&mut self.0)?)
    }
}

struct Out(OutputPin);

impl ErrorType for Out {
    type Error = PinError;
}

impl embedded_hal::digital::InputPin for Out {
    fn is_high(&mut self) -> Result<bool, PinError> {
        Ok(embedded_hal::digital::InputPin::is_high(&mut self.0)?)
    }

    fn is_low(&mut self) -> Result<bool, PinError> {
        Ok(embedded_hal::digital::InputPin::is_low(&mut self.0)?)
    }
}

impl embedded_hal::digital::OutputPin for Out {
    fn set_low(&mut self) -> Result<(), PinError> {
        Ok(embedded_hal::digital::OutputPin::set_low(&mut self.0)?)
    }

    fn set_high(&mut self) -> Result<(), PinError> {
        Ok(embedded_hal::digital::OutputPin::set_high(&mut self.0)?)
    }
}

/// A timer of the chip.
struct Timer(Pwm);

/// A thread of rppal.
struct Threaded {
    pin: OutputPin,
    hertz: f64,
}

impl embedded_hal::pwm::ErrorType for Timer {
    type Error = PinError;
}

impl embedded_hal::pwm::ErrorType for Threaded {
    type Error = PinError;
}

fn share(duty: u16) -> f64 {
    f64::from(duty) / f64::from(u16::MAX)
}

impl SetDutyCycle for Timer {
    fn max_duty_cycle(&self) -> u16 {
        u16::MAX
    }

    fn set_duty_cycle(&mut self, duty: u16) -> Result<(), PinError> {
        Ok(self.0.set_duty_cycle(share(duty)).map_err(io::Error::other)?)
    }
}

impl SetDutyCycle for Threaded {
    fn max_duty_cycle(&self) -> u16 {
        u16::MAX
    }

    fn set_duty_cycle(&mut self, duty: u16) -> Result<(), PinError> {
        Ok(self.pin.set_pwm_frequency(self.hertz, share(duty)).map_err(io::Error::other)?)
    }
}

impl Pins for Raspberry {
    fn reserve(&mut self, index: usize, it: &Use) -> Result<Line, Why> {
        match it.pin.mode {
            PinMode::Out => Ok(Line::Out(Box::new(Out(self.output(it)?)))),
            PinMode::Pwm => self.dimmed(it),
            PinMode::In | PinMode::Count | PinMode::Frequency => self.input(index, it),
        }
    }

    fn filters(&self, _: usize) -> bool {
        true
    }

    fn poll_edges(
        &mut self,
        context: &mut Context<'_>,
        edges: &mut Vec<Edge>,
    ) -> Poll<io::Result<()>> {
        let Some(heard) = ready!(self.edges.poll_recv(context)) else { return Poll::Pending };
        edges.push(Edge {
            line: heard.index,
            rising: heard.rising,
            at: moment(heard.timestamp)?,
            number: Some(heard.number),
        });
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_board_that_is_no_pi_is_told_so() {
        // Where this test runs on a Pi there is nothing to be refused.
        if let Err(said) = Raspberry::new() {
            let told = said.to_string();
            assert!(told.contains("not a Raspberry Pi") || matches!(said, Why::Denied), "{told}");
        }
    }
}
