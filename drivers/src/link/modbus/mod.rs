//! Carries Modbus requests: over a serial line, over TCP, and as RTU frames inside a connection.
//!
//! ```text
//!  perform -> [ closed ] --open--> [ settle: what is owed comes or its time passes; silence ]
//!                 ^                     | send
//!                 |                [ wait ] --answer--> checked -> Answer | Refused | Away
//!                 |                     | time up, no answer to this, dropped halfway, gave way
//!                 +---- TCP, lost ------+---- serial: owed until the slowest would have answered
//! ```
//!
//! What is called back for a stop gives way at once while it waits for its turn; once it is on a line,
//! when it has left whole and nothing has come for `GRACE`; over TCP at once. An answer that has
//! begun is let in. The stop then waits for the standard's silence and the pause that its device
//! needs, and for nothing that is owed; over TCP it goes into the same connection, with a number of its
//! own. It may run into a late answer: what then comes is not an answer to it, and it is sent again. An
//! answer that an earlier request could have had is not believed the first time (see `owing`). What
//! confirms a stop waits for its own device only: other devices' answers bear their numbers.
//!
//! Standard functions are carried by a library (see `library`), the others and RTU over TCP by
//! the framer (see `framer`); both read through one handle that keeps the time (see `lent`).
//!
//! Invariants: one request is under way at a time. An answer counts only if it is one whole frame
//! with nothing around it, of the unit, function and length that were asked for. After anything
//! else, be it that this future was dropped, nothing is asked before what may still come has come:
//! over TCP the connection is dropped, on a line the slowest device's time is waited out; and a device
//! is not asked what its old answer could be taken for (see `owing`). Before each request the line
//! is silent as long as the standard wants.

pub mod evidence;
mod framer;
mod give_way;
mod lent;
mod library;
mod owing;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use headstock_config::machine::{Machine, Port as Plug};
use headstock_config::tag::Framing;
use tokio::net::TcpStream;
use tokio::time::timeout_at;

use self::evidence::Evidence;
use self::lent::{Exchange, Lent, Limits, Port};
use self::library::Library;
use self::owing::{Before, Owing};
use super::failure::Why;
use super::identity::Identity;
use super::{Link, OpenError};
use crate::bus::{Carrier, Dialect, Errand, Fault, Haste, Reading};
use crate::modbus::frame::{self, Mbap};
use crate::modbus::pdu::{self, Ask};
use crate::modbus::{Answer, Request};

/// How long a device on the network may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(3);
/// After so long without a byte a connection is asked whether it is still there.
const KEEPALIVE: Duration = Duration::from_secs(10);
/// USB adapters hand over a frame in pieces; a longer gap on a line ends it.
const LINE_GAP: Duration = Duration::from_millis(50);
/// Serial servers cut a frame into packets; a longer gap ends it.
const STREAM_GAP: Duration = Duration::from_millis(200);
/// How long a request that has been called back is given after it has left: devices that answer at
/// all do so in less, and an answer that has begun is better let in than run into.
const GRACE: Duration = Duration::from_millis(75);
/// The function that asks for nothing but an answer.
const LOOP_BACK: u8 = 8;
/// A line that does not fall silent for so long is spoken over by somebody.
const BABBLE: Duration = Duration::from_secs(1);

/// How frames travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Serial,
    RtuOverTcp,
    Tcp,
}

/// The wire of one bus.
pub struct Wire {
    machines: Vec<Machine>,
    way: Way,
    evidence: Evidence,
    open: Option<Open>,
    known: Option<Identity>,
    /// When the line was last heard, or will have carried what was sent.
    heard: Instant,
    /// Until when an answer may come that nobody waits for any more, by the device's number.
    owed: BTreeMap<u8, Instant>,
    /// The exchange under way.
    exchange: Arc<Mutex<Exchange>>,
    /// Of what is owed over TCP nothing has begun to come: the connection is of use for a stop.
    in_step: bool,
    /// What each device on a line may still say.
    owing: Owing,
    /// Number of the last probe.
    probe: u16,
    /// The latest request has been sent: a fault may come while it waits for its turn.
    sent: bool,
}

/// What matters of a device here.
#[derive(Clone, Copy)]
struct Device {
    timeout_ms: u64,
    pause_ms: u64,
    framing: Framing,
}

impl Device {
    fn of(machine: &Machine) -> Self {
        let bus = &machine.bus;
        let (timeout_ms, pause_ms) = (bus.timeout_ms, bus.pause_ms);
        Self { timeout_ms, pause_ms, framing: bus.framing }
    }
}

struct Open {
    port: Port,
    lent: Lent,
    /// Absent while it is at work, and so after it was dropped at work.
    library: Option<Library>,
}

impl Open {
    fn new(port: Port, evidence: &Evidence, exchange: &Arc<Mutex<Exchange>>) -> Self {
        let lent = Lent::new(port.clone(), evidence.clone(), exchange.clone());
        Self { port, lent, library: None }
    }
}

impl Wire {
    /// The wire that these machines share: the first one's port, speed and framing are its own.
    pub fn new(machines: &[Machine]) -> Self {
        let way = machines.first().map_or(Way::Serial, |first| {
            match (&first.port, first.driver.as_str(), first.bus.framing) {
                (_, _, Framing::RtuOverTcp) => Way::RtuOverTcp,
                (Plug::Tcp(..), "modbus-rtu", _) => Way::RtuOverTcp,
                (Plug::Tcp(..), _, _) => Way::Tcp,
                _ => Way::Serial,
            }
        });
        Self {
            machines: machines.to_vec(),
            way,
            evidence: Evidence::default(),
            open: None,
            known: None,
            heard: Instant::now(),
            owed: BTreeMap::new(),
            exchange: Arc::default(),
            in_step: true,
            owing: Owing::default(),
            probe: 0,
            sent: false,
        }
    }

    /// What went over it lately. Clones stay up to date.
    pub fn evidence(&self) -> Evidence {
        self.evidence.clone()
    }

    fn baud(&self) -> u32 {
        self.machines.first().map_or(9_600, |it| it.baud)
    }

    fn character(&self) -> Duration {
        self.machines.first().map_or(Duration::ZERO, frame::character_of)
    }

    /// How long the slowest device on the wire may take.
    fn slowest(&self) -> Duration {
        let longest = self.machines.iter().map(|it| it.bus.timeout_ms).max();
        Duration::from_millis(longest.unwrap_or_default())
    }

    // ---- opening ------------------------------------------------------------------------------

    async fn opened(&mut self, unit: u8, haste: Haste) -> Result<(), OpenError> {
        let of_use = self.way == Way::RtuOverTcp && haste != Haste::Turn || self.in_step;
        let owed = self.owed_until(unit, haste).is_some();
        if self.way != Way::Serial && (owed || !self.owed.is_empty() && !of_use) {
            self.open = None;
        }
        if self.open.is_some() {
            return Ok(());
        }
        let Some(first) = self.machines.first() else { return Ok(()) };
        let port =
            match (&first.port, self.way) {
                (Plug::Tcp(host, port), _) => connect(host, *port).await.map_err(|why| {
                    OpenError { machine: first.id.clone(), port: first.port.to_string(), why }
                })?,
                _ => {
                    let link = Link::open(first, self.known.as_ref())?;
                    self.known = link.identity().cloned().or(self.known.take());
                    Port::Serial(Arc::new(link))
                }
            };
        self.open = Some(Open::new(port, &self.evidence, &self.exchange));
        self.heard = Instant::now();
        if self.way == Way::Tcp {
            self.owed.clear();
            self.in_step = true;
        }
        Ok(())
    }

    // ---- silence ------------------------------------------------------------------------------

    /// Until when what is owed has to be waited for.
    fn owed_until(&self, unit: u8, haste: Haste) -> Option<Instant> {
        match haste {
            Haste::Turn => self.owed.values().max().copied(),
            Haste::Confirms => self.owed.get(&unit).copied(),
            Haste::Stops => None,
        }
    }

    /// Waits until nothing can come any more that could be taken for an answer to what is asked next;
    /// not before `late`, if that is said. Somebody in haste waits for less.
    async fn settle(
        &mut self,
        device: Device,
        unit: u8,
        haste: Haste,
        late: Option<Instant>,
    ) -> Result<(), Fault> {
        let Some(open) = &self.open else { return Ok(()) };
        let pause = Duration::from_millis(device.pause_ms);
        if self.way == Way::Tcp {
            tokio::time::sleep_until((self.heard + pause).into()).await;
            return Ok(());
        }
        let silence = frame::silence(self.baud()) + pause;
        let owed = self.owed_until(unit, haste).into_iter().chain(late).max();
        let give_up = owed.unwrap_or(self.heard).max(Instant::now()) + silence + BABBLE;
        let mut buffer = [0; 256];
        loop {
            let quiet = (self.heard + silence).max(owed.unwrap_or(self.heard));
            match timeout_at(quiet.into(), open.port.read(&mut buffer)).await {
                Err(_) => break,
                Ok(Err(error)) => return Err(Fault::Lost(error.to_string())),
                Ok(Ok(read)) => {
                    self.heard = Instant::now();
                    self.evidence.received(&buffer[..read]);
                    self.evidence.verdict("dropped: nobody asked");
                }
            }
            if give_up < Instant::now() {
                return Err(Fault::Garbled("the line does not fall silent".into()));
            }
        }
        self.owed.retain(|_, until| owed.is_none_or(|owed| owed < *until));
        Ok(())
    }

    /// How long an exchange may take that begins now.
    fn limits(&self, device: Device, request: &Request) -> Limits {
        let now = Instant::now();
        let timeout = Duration::from_millis(device.timeout_ms);
        if self.way == Way::Tcp {
            return Limits { first: now + timeout, gap: timeout, all: now + timeout };
        }
        let first = now + self.sending(request) + timeout;
        let answer = request.pdu.answer_length() as u32 + 3;
        let gap = match self.way {
            Way::Serial => LINE_GAP.max(frame::silence(self.baud())),
            _ => STREAM_GAP,
        };
        // The pace of a device may differ a little; one that is half as fast is broken.
        Limits { first, gap, all: first + self.character() * answer * 2 + gap }
    }

    /// How long a request is on the wire.
    fn sending(&self, request: &Request) -> Duration {
        self.character() * (request.pdu.length() as u32 + 3)
    }

    // ---- an exchange --------------------------------------------------------------------------

    /// Asks a device once nothing that it may still say could be taken for the answer.
    async fn asked(
        &mut self,
        device: Device,
        request: &Request,
        errand: &Errand<'_>,
    ) -> Result<Answer, Fault> {
        if self.way == Way::Tcp {
            return self.exchange(device, request, errand, None).await;
        }
        let (unit, pdu) = (request.unit, &request.pdu);
        let probes = device.framing != Framing::Huanyang;
        let before = self.owing.before(Instant::now(), unit, pdu, probes);
        let stops = errand.haste == Haste::Stops;
        let late = match before {
            _ if stops => None,
            Before::Nothing => None,
            Before::Wait(until) => Some(until),
            Before::Probe(after) => {
                self.cleared(device, unit, errand.haste, after).await?;
                None
            }
        };
        let doubtful = stops && before != Before::Nothing && !pdu.is_echoed();
        let outcome = self.exchange(device, request, errand, late).await;
        match &outcome {
            Ok(_) | Err(Fault::Refused { .. } | Fault::Away(_)) if doubtful => {
                self.owing.perhaps_answered(unit);
                let why = "it may be the answer to an earlier request; asked once more";
                return Err(Fault::Garbled(why.into()));
            }
            Ok(_) | Err(Fault::Refused { .. } | Fault::Away(_)) => self.owing.answered(unit, pdu),
            Err(Fault::Forbidden) => (),
            Err(_) => self.owing.silent(unit),
        }
        outcome
    }

    /// Has the device answer something that nothing else can be taken for.
    async fn cleared(
        &mut self,
        device: Device,
        unit: u8,
        haste: Haste,
        after: Instant,
    ) -> Result<(), Fault> {
        self.probe = self.probe.wrapping_add(1);
        let [high, low] = self.probe.to_be_bytes();
        let pdu = Ask::Raw { function: LOOP_BACK, data: vec![0, 0, high, low] };
        let probe = Request { unit, pdu };
        let mut outcome = self.exchange(device, &probe, &Errand::of(haste), Some(after)).await;
        match (&outcome, &probe.pdu) {
            (Ok(Answer::Bytes(told)), Ask::Raw { data, .. }) if told == data => {
                self.owing.proved(unit);
            }
            (Ok(_), _) => outcome = Err(Fault::Garbled("an answer to another test".into())),
            (Err(Fault::Refused { .. }), _) => self.owing.proved(unit),
            (Err(_), _) => self.owing.in_vain(unit),
        }
        self.conclude(unit, &outcome);
        match outcome {
            Ok(_) | Err(Fault::Refused { .. }) => Ok(()),
            Err(fault) => Err(fault),
        }
    }

    /// `late`: see [`settle`](Self::settle).
    async fn exchange(
        &mut self,
        device: Device,
        request: &Request,
        errand: &Errand<'_>,
        late: Option<Instant>,
    ) -> Result<Answer, Fault> {
        let (unit, haste) = (request.unit, errand.haste);
        self.opened(unit, haste).await.map_err(|error| Fault::Lost(error.why.to_string()))?;
        self.settle(device, unit, haste, late).await?;
        errand.may()?;
        let limits = self.limits(device, request);
        let (slowest, sending) = (self.slowest(), self.sending(request));
        // Stands until there is an answer, even if nobody waits for it any more.
        self.owed.insert(unit, limits.first.max(Instant::now() + sending + slowest));
        if !matches!(request.pdu, Ask::Raw { function: LOOP_BACK, .. }) {
            if late.is_some() {
                self.owing.waited(request.unit);
            }
            let until = limits.first + 2 * slowest;
            self.owing.asked(Instant::now(), request.unit, &request.pdu, until);
            self.sent = true;
        }
        let Some(open) = &mut self.open else { return Err(Fault::Lost("it is closed".into())) };
        let sent = Instant::now();
        let grace = (self.way != Way::Tcp).then_some(sending + GRACE);
        open.lent.begin(limits, grace);
        self.in_step = false;
        self.heard = sent + sending;
        let done = match library::call(&request.pdu) {
            Some(call) if self.way != Way::RtuOverTcp => {
                let (lent, way) = (open.lent.clone(), self.way);
                let mut library = open.library.take().unwrap_or_else(|| match way {
                    Way::Tcp => Library::tcp(lent),
                    _ => Library::serial(lent),
                });
                let done = library.call(request.unit, call).await;
                open.library = done.is_ok().then_some(library);
                done
            }
            _ if self.way == Way::Tcp => framer::over_tcp(&mut open.lent, request).await,
            _ => framer::framed(&mut open.lent, request, device.framing).await,
        };
        let (seen, last) = {
            let exchange = open.lent.exchange();
            (exchange.seen.clone(), exchange.last)
        };
        open.lent.ends();
        self.in_step = done.is_ok();
        self.heard = last.unwrap_or(sent + sending);
        match done {
            Err(trouble) => Err(trouble.fault(seen.len(), device.timeout_ms)),
            Ok(()) => self.judged(device, request, &seen),
        }
    }

    /// What the bytes say that came, if they are an answer to this.
    fn judged(&self, device: Device, request: &Request, seen: &[u8]) -> Result<Answer, Fault> {
        let (unit, pdu) = if self.way == Way::Tcp {
            let mut rest = seen.to_vec();
            match Mbap::take(&mut rest) {
                Ok(Some(frame)) if rest.is_empty() => (frame.unit, frame.pdu),
                _ => return Err(Fault::Garbled("it is not one whole frame".into())),
            }
        } else {
            let (unit, pdu) = frame::opened(seen)
                .ok_or_else(|| Fault::Garbled("its checksum is wrong".into()))?;
            (unit, pdu.to_vec())
        };
        if unit != request.unit {
            return Err(Fault::Garbled(format!("an answer of unit {unit}")));
        }
        if device.framing == Framing::Huanyang && pdu.first() == Some(&0x81) {
            let means = "the drive does not know the parameter or its value";
            return Err(Fault::Refused { number: 0x81, means, later: false });
        }
        pdu::decode(&request.pdu, &pdu)
    }

    /// What follows from how an exchange ended.
    fn conclude(&mut self, unit: u8, outcome: &Result<Answer, Fault>) {
        match outcome {
            Ok(_) | Err(Fault::Refused { .. } | Fault::Away(_)) => {
                self.owed.remove(&unit);
            }
            Err(Fault::Forbidden) => (),
            // The port is released first, so that the system gives the same name again.
            Err(Fault::Lost(_)) => self.open = None,
            Err(_) => {
                if let Some(open) = &mut self.open {
                    open.library = None;
                }
            }
        }
        match outcome {
            Ok(_) => self.evidence.verdict("ok"),
            Err(fault) => self.evidence.verdict(fault.to_string()),
        }
    }
}

/// A connection to a device, with its questions answered at once and its silence noticed.
async fn connect(host: &str, port: u16) -> Result<Port, Why> {
    let connecting = TcpStream::connect((host, port));
    let stream = tokio::time::timeout(CONNECT, connecting)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        .map_err(Why::Unreachable)?;
    // A device that is gone is noticed without it, only later.
    stream.set_nodelay(true).ok();
    keep_alive(&stream).ok();
    Ok(Port::Stream(Arc::new(stream)))
}

fn keep_alive(stream: &TcpStream) -> io::Result<()> {
    use rustix::net::sockopt;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, KEEPALIVE)?;
    sockopt::set_tcp_keepintvl(stream, KEEPALIVE)?;
    sockopt::set_tcp_keepcnt(stream, 3)?;
    Ok(())
}

impl<D: Dialect<Request = Request, Answer = Answer>> Carrier<D> for Wire {
    async fn open(&mut self) -> Result<(), OpenError> {
        self.open = None;
        self.opened(0, Haste::Turn).await
    }

    async fn perform(
        &mut self,
        machine: usize,
        request: &Request,
        mut errand: Errand<'_>,
    ) -> Result<Answer, Fault> {
        self.sent = false;
        let Some(device) = self.machines.get(machine).map(Device::of) else {
            return Err(Fault::Garbled("there is no such machine on this bus".into()));
        };
        let (exchange, haste) = (self.exchange.clone(), errand.haste);
        let recall = errand.recall.take();
        lent::locked(&exchange).ends();
        let asked = self.asked(device, request, &errand);
        let outcome =
            give_way::unless(recall, haste, &exchange, asked).await.unwrap_or_else(|| {
                self.in_step |= lent::locked(&exchange).under_way;
                Err(Fault::GaveWay { sent: self.sent })
            });
        self.conclude(request.unit, &outcome);
        outcome
    }

    fn sent(&self) -> bool {
        self.sent
    }

    /// Devices that speak Modbus answer and say nothing else.
    async fn unasked(&mut self) -> Result<Vec<Reading>, Fault> {
        std::future::pending().await
    }

    async fn close(&mut self) {
        self.open = None;
    }
}
