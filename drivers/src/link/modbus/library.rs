//! tokio-modbus, which carries the standard functions on serial lines and over TCP.
//!
//! It waits for ever, gives the answer to the last request for that to this one after a wait that
//! was cut short, and does not look whether an answer has the length that was asked for. So it
//! gets a handle that keeps the time, is dropped after whatever is not an answer, and is told of
//! an answer's end only: what the answer says is read from the bytes themselves.

use std::borrow::Cow;
use std::io;
use std::pin::Pin;
use std::task::{Context as Task, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_modbus::client::{Client as _, Context, rtu, tcp};
use tokio_modbus::slave::{Slave, SlaveContext as _};
use tokio_modbus::{Error, Request as Call};

use super::lent::Lent;
use crate::bus::Fault;
use crate::modbus::frame::Mbap;
use crate::modbus::pdu::Ask;

/// The library, with what was lent to it.
pub(super) struct Library {
    context: Context,
}

impl Library {
    /// On a serial line.
    pub(super) fn serial(lent: Lent) -> Self {
        Self { context: rtu::attach_slave(lent, Slave(1)) }
    }

    /// Over TCP.
    pub(super) fn tcp(lent: Lent) -> Self {
        let sieve = Sieve { lent, its: 0, ours: 0, held: Vec::new(), out: Vec::new() };
        Self { context: tcp::attach_slave(sieve, Slave(1)) }
    }

    /// Sends a request and waits for what the library takes for its answer. After an error, or
    /// when this was dropped halfway, the library must be dropped.
    pub(super) async fn call(&mut self, unit: u8, call: Call<'_>) -> Result<(), Trouble> {
        self.context.set_slave(Slave(unit));
        match self.context.call(call).await {
            // An exception is an answer as well.
            Ok(_) => Ok(()),
            Err(Error::Protocol(error)) => Err(Trouble::Garbled(error.to_string())),
            Err(Error::Transport(error)) => Err(error.into()),
        }
    }
}

/// Why an exchange broke off.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Time was up.
    Late,
    /// What came is no answer.
    Garbled(String),
    /// The port is gone.
    Gone(io::Error),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::TimedOut => Self::Late,
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
                Self::Garbled(error.to_string())
            }
            _ => Self::Gone(error),
        }
    }
}

impl Trouble {
    /// As the bus reports it.
    pub(super) fn fault(self, seen: usize, timeout_ms: u64) -> Fault {
        match self {
            Self::Late if seen == 0 => Fault::Silence(timeout_ms),
            Self::Late => Fault::Garbled(format!("{seen} bytes that are no whole answer")),
            Self::Garbled(why) => Fault::Garbled(why),
            Self::Gone(error) => Fault::Lost(error.to_string()),
        }
    }
}

/// The same request in the library's words; `None`: it has none for it.
pub(super) fn call(ask: &Ask) -> Option<Call<'_>> {
    Some(match ask {
        Ask::ReadCoils { address, count } => Call::ReadCoils(*address, *count),
        Ask::ReadDiscrete { address, count } => Call::ReadDiscreteInputs(*address, *count),
        Ask::ReadHolding { address, count } => Call::ReadHoldingRegisters(*address, *count),
        Ask::ReadInput { address, count } => Call::ReadInputRegisters(*address, *count),
        Ask::WriteCoil { address, on } => Call::WriteSingleCoil(*address, *on),
        Ask::WriteRegister { address, value } => Call::WriteSingleRegister(*address, *value),
        Ask::WriteCoils { address, values } => {
            Call::WriteMultipleCoils(*address, Cow::Borrowed(values))
        }
        Ask::WriteRegisters { address, values } => {
            Call::WriteMultipleRegisters(*address, Cow::Borrowed(values))
        }
        Ask::MaskWrite { address, and, or } => Call::MaskWriteRegister(*address, *and, *or),
        Ask::ReadWrite { read, count, write, values } => {
            Call::ReadWriteMultipleRegisters(*read, *count, *write, Cow::Borrowed(values))
        }
        Ask::Raw { .. } => return None,
    })
}

/// Lets only answers to the last request through: a device may still answer one that was given
/// up, and such an answer is dropped, not taken for an error. The library counts from 0 again when it
/// is made anew; so requests get a number here that is new in the connection.
#[derive(Debug)]
struct Sieve {
    lent: Lent,
    /// Number of the last request, as the library knows it.
    its: u16,
    /// The same on the wire.
    ours: u16,
    /// What has come and is not a whole frame yet.
    held: Vec<u8>,
    /// What has been let through and is not read yet.
    out: Vec<u8>,
}

impl AsyncRead for Sieve {
    fn poll_read(
        mut self: Pin<&mut Self>,
        task: &mut Task<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut piece = [0; 512];
        while self.out.is_empty() {
            let it = &mut *self;
            while let Some(frame) = Mbap::take(&mut it.held).map_err(not_modbus)? {
                if frame.transaction == it.ours {
                    it.lent.keep_only(&frame.bytes());
                    it.out = Mbap { transaction: it.its, ..frame }.bytes();
                    break;
                }
                it.lent.drop_stranger(&frame, &it.held);
            }
            if self.out.is_empty() {
                let mut read = ReadBuf::new(&mut piece);
                ready!(Pin::new(&mut self.lent).poll_read(task, &mut read))?;
                self.held.extend_from_slice(read.filled());
            }
        }
        let some = self.out.len().min(buffer.remaining());
        buffer.put_slice(&self.out[..some]);
        self.out.drain(..some);
        Poll::Ready(Ok(()))
    }
}

fn not_modbus(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

impl AsyncWrite for Sieve {
    fn poll_write(
        mut self: Pin<&mut Self>,
        task: &mut Task<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        // The library sends a frame in one piece, beginning with its number.
        let begins = self.lent.exchange().sent.is_empty();
        let Some((number, rest)) = bytes.split_first_chunk().filter(|_| begins) else {
            return Pin::new(&mut self.lent).poll_write(task, bytes);
        };
        self.its = u16::from_be_bytes(*number);
        let ours = self.lent.exchange().transaction;
        self.ours = ours;
        let frame = [&ours.to_be_bytes()[..], rest].concat();
        Pin::new(&mut self.lent).poll_write(task, &frame)
    }

    fn poll_flush(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.lent).poll_flush(task)
    }

    /// What is lent is not closed.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Task<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
