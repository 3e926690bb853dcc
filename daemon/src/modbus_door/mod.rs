//! The door for controllers and SCADA programs: points as registers, over Modbus TCP.
//!
//! ```text
//!  frame -> request -> reads --> points, as they are now ------------> answer
//!                  \-> writes -> desk, as operator `modbus-server` --> answer, or an exception
//! ```
//!
//! Modbus has no logins, so the door is shut unless it is declared, listens to this box only unless
//! more is declared, and writes only what is declared. What it writes goes the way of everybody's
//! requests: judged, written down, done.
//!
//! Bounds: connections, time to say a request, silence, time to take an answer, writes in a second.
//! Not here: which point is where, and what cannot be believed (`table`); the language
//! (`headstock_drivers::modbus`).

mod table;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use headstock_config::modbus_server::ModbusServer;
use headstock_config::people::{Person, Role};
use headstock_drivers::Refusal;
use headstock_drivers::modbus::Answer;
use headstock_drivers::modbus::frame::Mbap;
use headstock_drivers::modbus::serve::{self, Exception};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use self::table::{Set, Table, Wanted};
use crate::desk::{Desk, Kind, Refused};
use crate::machine;

/// The name by which the door is known in history.
pub const NAME: &str = "modbus-server";
/// So many programs at once: a few controllers and a SCADA, with some to spare.
const CONNECTIONS: usize = 16;
/// A request is said within this time from its first byte on.
const REQUEST: Duration = Duration::from_secs(5);
/// Who says nothing for so long has gone.
const SILENCE: Duration = Duration::from_secs(300);
/// An answer is taken within this time.
const ANSWER: Duration = Duration::from_secs(5);
/// A write that takes longer is answered with "it has begun".
const WRITE: Duration = Duration::from_secs(2);
/// Each write is written down: more of them in a second are told to come again.
const WRITES: u32 = 20;
/// After an error of accepting (too many open files, mostly), before the next try.
const BREATH: Duration = Duration::from_millis(200);

/// The door, not yet answered.
pub struct Listener {
    tcp: TcpListener,
    /// Where it listens; the chosen port where port 0 was asked for.
    pub at: SocketAddr,
}

/// Binds the door; `None`: it is not declared.
pub async fn bind(settings: &ModbusServer) -> Result<Option<Listener>> {
    let Some(listen) = settings.listen else { return Ok(None) };
    let tcp = TcpListener::bind(listen)
        .await
        .with_context(|| format!("cannot listen on {listen} for Modbus TCP"))?;
    let at = tcp.local_addr()?;
    Ok(Some(Listener { tcp, at }))
}

/// Answers until the token is cancelled.
pub async fn serve(
    listener: Listener,
    desk: Desk,
    settings: ModbusServer,
    closing: CancellationToken,
) {
    let door = Arc::new(Door::new(&desk, &settings));
    let mut open = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = closing.cancelled() => break,
            // A connection that is over makes room; how it ended has been said where it did.
            Some(_) = open.join_next() => continue,
            accepted = listener.tcp.accept() => accepted,
        };
        match accepted {
            Ok((stream, from)) if open.len() < CONNECTIONS => {
                let door = door.clone();
                open.spawn(async move {
                    if let Err(why) = door.answer(stream).await {
                        tracing::debug!(%from, "modbus: {why}");
                    }
                });
            }
            Ok((_, from)) => tracing::warn!(%from, "modbus: no room for another connection"),
            Err(error) => {
                tracing::warn!(%error, "modbus: cannot accept");
                tokio::time::sleep(BREATH).await;
            }
        }
    }
    open.shutdown().await;
}

struct Door {
    table: Table,
    desk: Desk,
    unit: u8,
    who: Person,
    allowance: tokio::sync::Mutex<Allowance>,
}

/// How many more writes this second has room for.
struct Allowance {
    second: Instant,
    left: u32,
}

/// Why a connection is closed.
#[derive(Debug, thiserror::Error)]
enum Over {
    #[error("the program has gone")]
    Gone,
    #[error(transparent)]
    Broken(#[from] std::io::Error),
    #[error(transparent)]
    NotModbus(#[from] headstock_drivers::modbus::frame::NotMbap),
    #[error("half a request, and then nothing")]
    Half,
    #[error("nothing for {} s", SILENCE.as_secs())]
    Silent,
    #[error("it does not take its answers")]
    Deaf,
}

impl Door {
    fn new(desk: &Desk, settings: &ModbusServer) -> Self {
        let allowance = Allowance { second: Instant::now(), left: WRITES };
        Self {
            table: Table::new(settings, desk.points().clone()),
            desk: desk.clone(),
            unit: settings.unit,
            who: Person { name: NAME.into(), role: Role::Operator },
            allowance: tokio::sync::Mutex::new(allowance),
        }
    }

    /// One connection, as long as it lasts.
    async fn answer(&self, mut stream: TcpStream) -> Result<(), Over> {
        stream.set_nodelay(true)?;
        let mut came = Vec::new();
        loop {
            let frame = next(&mut stream, &mut came).await?;
            let pdu = self.pdu(frame.unit, &frame.pdu).await;
            let answer = Mbap { pdu, ..frame }.bytes();
            match timeout(ANSWER, stream.write_all(&answer)).await {
                Ok(wrote) => wrote?,
                Err(_) => return Err(Over::Deaf),
            }
        }
    }

    /// What a request is answered with.
    async fn pdu(&self, unit: u8, pdu: &[u8]) -> Vec<u8> {
        let function = pdu.first().copied().unwrap_or_default();
        match self.done(unit, pdu).await {
            Ok(answer) => answer,
            Err(exception) => serve::refusal(function, exception),
        }
    }

    async fn done(&self, unit: u8, pdu: &[u8]) -> Result<Vec<u8>, Exception> {
        if ![self.unit, 0, 255].contains(&unit) {
            return Err(Exception::NotThere);
        }
        let ask = serve::request(pdu)?;
        let answer = match self.table.wanted(&ask)? {
            Wanted::Told(answer) => answer,
            Wanted::Sets(sets) => {
                self.allow(sets.len()).await?;
                self.judged(&sets)?;
                for set in sets {
                    self.set(set).await?;
                }
                Answer::Done
            }
        };
        Ok(serve::answer(&ask, &answer))
    }

    /// Asks the desk. Goes on by itself if it takes longer than anybody waits.
    async fn set(&self, set: Set) -> Result<(), Exception> {
        let (desk, who) = (self.desk.clone(), self.who.clone());
        let asked = tokio::spawn(async move { desk.set_point(&who, &set.point, set.value).await });
        match timeout(WRITE, asked).await {
            Err(_) => Err(Exception::Acknowledge),
            Ok(Err(_)) => Err(Exception::Failure),
            Ok(Ok(Err(refused))) => Err(exception(&refused)),
            Ok(Ok(Ok(_))) => Ok(()),
        }
    }

    /// Of several values none is written where one would be refused.
    fn judged(&self, sets: &[Set]) -> Result<(), Exception> {
        for Set { point, value } in sets.iter().filter(|_| 1 < sets.len()) {
            let could = self.desk.could_set_point(&self.who, point, value.clone());
            could.map_err(|refused| exception(&refused))?;
        }
        Ok(())
    }

    /// Takes the room for so many writes, or none. More than there ever is cannot be right.
    async fn allow(&self, writes: usize) -> Result<(), Exception> {
        let writes = u32::try_from(writes).unwrap_or(u32::MAX);
        if WRITES < writes {
            return Err(Exception::Value);
        }
        let mut allowance = self.allowance.lock().await;
        if Duration::from_secs(1) <= allowance.second.elapsed() {
            *allowance = Allowance { second: Instant::now(), left: WRITES };
        }
        allowance.left = allowance.left.checked_sub(writes).ok_or(Exception::Busy)?;
        Ok(())
    }
}

/// The number that the standard has for a no of the desk.
fn exception(refused: &Refused) -> Exception {
    match refused.kind() {
        _ if unreached(refused) => Exception::Failure,
        Kind::Wrong | Kind::TooBig => Exception::Value,
        Kind::Forbidden => Exception::Function,
        Kind::Unknown => Exception::Address,
        Kind::NotNow => Exception::Busy,
        Kind::Unavailable => Exception::Failure,
    }
}

/// The device behind it did not do it.
fn unreached(refused: &Refused) -> bool {
    matches!(
        refused,
        Refused::Machine(
            machine::Error::Refused(Refusal::NotOnline)
                | machine::Error::Rejected(_)
                | machine::Error::Unverified(_)
                | machine::Error::NotSent(_),
        )
    )
}

/// The next request. Never more than a few frames are held.
async fn next(stream: &mut TcpStream, came: &mut Vec<u8>) -> Result<Mbap, Over> {
    let mut until = Instant::now() + if came.is_empty() { SILENCE } else { REQUEST };
    let mut buffer = [0; 512];
    loop {
        if let Some(frame) = Mbap::take(came)? {
            return Ok(frame);
        }
        let first = came.is_empty();
        match tokio::time::timeout_at(until, stream.read(&mut buffer)).await {
            Ok(read) => match read? {
                0 => return Err(Over::Gone),
                read => came.extend_from_slice(&buffer[..read]),
            },
            Err(_) if first => return Err(Over::Silent),
            Err(_) => return Err(Over::Half),
        }
        if first {
            until = Instant::now() + REQUEST;
        }
    }
}
