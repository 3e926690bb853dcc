//! The framer: what the library does not carry. RTU frames inside a connection, and functions
//! that are no standard ones (Huanyang drives).
//!
//! ```text
//!  send -> [ gather ] --the frame is whole--> judged by the bus
//!              | a gap, or time up: late; for functions that do not tell their length: the end
//! ```

use std::io;

use headstock_config::tag::Framing;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::lent::Lent;
use super::library::Trouble;
use crate::modbus::Request;
use crate::modbus::frame::{self, End, Mbap};

/// Sends an RTU frame and gathers its answer.
pub(super) async fn framed(
    lent: &mut Lent,
    request: &Request,
    framing: Framing,
) -> Result<(), Trouble> {
    let end = match framing {
        Framing::Huanyang => frame::huanyang_end,
        _ => frame::answer_end,
    };
    let frame = frame::rtu(request.unit, &request.pdu.encode());
    lent.write_all(&frame).await?;
    lent.flush().await?;
    gathered(lent, end).await
}

/// Gathers a frame: up to where it says that it ends, or to the silence behind it where it does
/// not say.
async fn gathered(lent: &mut Lent, end: fn(&[u8]) -> End) -> Result<(), Trouble> {
    let mut buffer = [0; 256];
    loop {
        let (ends, seen) = {
            let exchange = lent.exchange();
            (end(&exchange.seen), exchange.seen.len())
        };
        if matches!(ends, End::At(length) if length <= seen) {
            return Ok(());
        }
        match lent.read(&mut buffer).await {
            Ok(_) => (),
            Err(error)
                if error.kind() == io::ErrorKind::TimedOut && ends == End::Never && 0 < seen =>
            {
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Sends a frame with a function that the library cannot send, and gathers its answer.
pub(super) async fn over_tcp(lent: &mut Lent, request: &Request) -> Result<(), Trouble> {
    let transaction = lent.exchange().transaction;
    let frame = Mbap { transaction, unit: request.unit, pdu: request.pdu.encode() };
    lent.write_all(&frame.bytes()).await?;
    lent.flush().await?;
    let mut buffer = [0; 512];
    let mut held = Vec::new();
    loop {
        let read = lent.read(&mut buffer).await?;
        held.extend_from_slice(&buffer[..read]);
        while let Some(came) =
            Mbap::take(&mut held).map_err(|error| Trouble::Garbled(error.to_string()))?
        {
            if came.transaction == frame.transaction {
                lent.keep_only(&came.bytes());
                return Ok(());
            }
            lent.drop_stranger(&came, &held);
        }
    }
}
