//! The thread of pretend devices behind a socket: Modbus TCP, or RTU frames as a serial server
//! carries them.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use super::device::Devices;
use super::locked;
use super::wake::Heard;
use crate::link::os;
use crate::modbus::frame::{self, End, Mbap};

/// The thread looks up at least this often, for faults that have a moment.
const LONGEST_SLEEP: Duration = Duration::from_millis(50);
/// As many hosts as a device of this kind takes.
const HOSTS_MAX: usize = 8;
/// Bytes of a host that are not understood; more, and it is shown out.
const CAME_MAX: usize = 1_024;

/// Begins the thread; says where it listens.
pub(super) fn start(
    devices: Arc<Mutex<Devices>>,
    rtu: bool,
    heard: Heard,
) -> io::Result<(SocketAddr, JoinHandle<()>)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let at = listener.local_addr()?;
    let network = Network { devices, rtu, listener, hosts: Vec::new(), heard };
    let thread = Builder::new().name("pretend-modbus".into()).spawn(move || network.run())?;
    Ok((at, thread))
}

struct Network {
    devices: Arc<Mutex<Devices>>,
    rtu: bool,
    listener: TcpListener,
    hosts: Vec<Host>,
    heard: Heard,
}

struct Host {
    stream: TcpStream,
    came: Vec<u8>,
    /// Answers on their way, and when each is due.
    out: Vec<(Instant, Vec<u8>)>,
}

/// A host is gone, or says what is no Modbus.
struct Gone;

impl Network {
    fn run(mut self) {
        os::precise_sleeps().ok();
        while !self.heard.over() {
            self.welcome();
            let (devices, rtu) = (&self.devices, self.rtu);
            self.hosts.retain_mut(|host| host.serve(devices, rtu).is_ok());
            self.sleep();
        }
    }

    fn welcome(&mut self) {
        if locked(&self.devices).cut() {
            self.hosts.clear();
        }
        while let Ok((stream, _)) = self.listener.accept() {
            let ready = stream.set_nonblocking(true).and_then(|()| stream.set_nodelay(true));
            let welcome = self.hosts.len() < HOSTS_MAX && !locked(&self.devices).cut();
            if ready.is_ok() && welcome {
                self.hosts.push(Host { stream, came: Vec::new(), out: Vec::new() });
            }
        }
    }

    fn sleep(&self) {
        let now = Instant::now();
        let due = self.hosts.iter().flat_map(|it| &it.out).map(|(at, _)| *at).min();
        let span = due.map_or(LONGEST_SLEEP, |at| at.saturating_duration_since(now));
        let mut on = vec![(self.heard.fd(), false), (self.listener.as_fd(), false)];
        on.extend(self.hosts.iter().map(|it| (it.stream.as_fd(), false)));
        if os::wait(&on, span.min(LONGEST_SLEEP)).is_err() {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.heard.hush();
    }
}

impl Host {
    fn serve(&mut self, devices: &Mutex<Devices>, rtu: bool) -> Result<(), Gone> {
        let mut buffer = [0; 1_024];
        match self.stream.read(&mut buffer) {
            Ok(0) => return Err(Gone),
            Ok(read) => self.came.extend_from_slice(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => (),
            Err(_) => return Err(Gone),
        }
        if rtu {
            self.rtu(devices)
        } else {
            self.tcp(devices)?
        }
        if CAME_MAX < self.came.len() {
            return Err(Gone);
        }
        self.speak()
    }

    fn tcp(&mut self, devices: &Mutex<Devices>) -> Result<(), Gone> {
        let now = Instant::now();
        while let Some(frame) = Mbap::take(&mut self.came).map_err(|_| Gone)? {
            let said = locked(devices).asked(now, frame.unit, &frame.pdu, true);
            if let Some(said) = said {
                let transaction = frame.transaction.wrapping_add(u16::from(said.corrupt));
                let (after, short) = (said.after, said.short);
                let mut bytes = Mbap { transaction, unit: said.unit, pdu: said.pdu }.bytes();
                if short {
                    bytes.truncate(bytes.len() - 1);
                }
                self.out.push((now + after, bytes));
            }
        }
        Ok(())
    }

    fn rtu(&mut self, devices: &Mutex<Devices>) {
        let now = Instant::now();
        loop {
            match frame::request_end(&self.came) {
                End::At(length) if length <= self.came.len() => {
                    let bytes: Vec<u8> = self.came.drain(..length).collect();
                    match frame::opened(&bytes) {
                        Some((unit, pdu)) => {
                            let said = locked(devices).asked(now, unit, pdu, false);
                            self.out.extend(said.map(|said| (now + said.after, said.rtu())));
                        }
                        None => self.came.clear(),
                    }
                }
                End::Never => return self.came.clear(),
                _ => return,
            }
        }
    }

    fn speak(&mut self) -> Result<(), Gone> {
        let now = Instant::now();
        for (_, bytes) in self.out.extract_if(.., |(at, _)| *at <= now) {
            // Answers are short, and a host that does not read them is none.
            self.stream.write_all(&bytes).map_err(|_| Gone)?;
        }
        Ok(())
    }
}
