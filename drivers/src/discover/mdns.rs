//! Multicast DNS, as much of it as asking for printers takes: one question, and answers that come
//! back to whoever asked.
//!
//! ```text
//!  _octoprint._tcp.local --PTR--> "Prusa on bench._octoprint._tcp.local" --SRV--> host, port
//!                                                                        --TXT--> key=value …
//!                                                     host.local --A, AAAA--> address
//! ```
//!
//! Sources: RFC 1035 (messages, compression), RFC 2782 (SRV), RFC 6762 (5.4: unicast answers;
//! 6.7: askers from other ports than 5353), RFC 6763 (PTR, TXT).
//!
//! Whatever arrives is somebody else's: names are bounded as the standard has it, a pointer leads
//! only backwards, so that none leads in circles, and a packet is read once from its beginning to
//! its end. No packet takes more than its own length in steps, or more memory than a few times that.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Longest name, RFC 1035, 2.3.4.
const NAME_MAX: usize = 255;
/// Longest part of a name.
const LABEL_MAX: usize = 63;
/// Records that are read of one packet; 9000 bytes hold fewer that say anything.
const RECORDS_MAX: usize = 512;
/// Services that are kept of all packets.
const SERVICES_MAX: usize = 256;

const PTR: u16 = 12;
const TXT: u16 = 16;
const A: u16 = 1;
const AAAA: u16 = 28;
const SRV: u16 = 33;
const INTERNET: u16 = 1;
/// In a question: answer to the asker alone.
const UNICAST: u16 = 0x8000;

/// A packet that is not one of DNS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a DNS message")]
pub struct Malformed;

/// One answer of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Whose it is, as text: parts with dots between them, dots within a part as `\.`.
    pub name: String,
    /// What it says.
    pub data: Data,
}

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// Another name.
    Pointer(String),
    /// Host and port of a service.
    Server(String, u16),
    /// `key=value` pairs.
    Text(Vec<String>),
    /// An address of a host.
    Address(IpAddr),
    /// Anything else.
    Other,
}

/// A service that somebody offers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// What kind: `_octoprint._tcp.local`.
    pub kind: String,
    /// What it is called: `Prusa on bench`.
    pub name: String,
    /// Its host, if that was told.
    pub host: Option<String>,
    /// Its port, if that was told.
    pub port: Option<u16>,
    /// Addresses of its host.
    pub addresses: Vec<IpAddr>,
    /// What it says of itself.
    pub text: Vec<String>,
}

/// A question for each of these kinds, to be answered to the asker alone.
pub fn question(kinds: &[&str]) -> Vec<u8> {
    let count = u16::try_from(kinds.len()).unwrap_or(u16::MAX);
    let mut packet = vec![0; 12];
    packet[4..6].copy_from_slice(&count.to_be_bytes());
    for kind in kinds {
        write_name(&mut packet, kind);
        packet.extend(PTR.to_be_bytes());
        packet.extend((INTERNET | UNICAST).to_be_bytes());
    }
    packet
}

/// A name without compression; `name` is one of ours, of short parts.
fn write_name(packet: &mut Vec<u8>, name: &str) {
    for part in name.split('.').filter(|it| !it.is_empty()) {
        let part = &part.as_bytes()[..part.len().min(LABEL_MAX)];
        packet.push(part.len() as u8);
        packet.extend(part);
    }
    packet.push(0);
}

/// All records of an answer; none of a question.
pub fn read(packet: &[u8]) -> Result<Vec<Record>, Malformed> {
    let mut reader = Reader { packet, at: 0 };
    let header = reader.bytes(12)?;
    let answers = header[2] & 0x80 != 0;
    let count = |at: usize| usize::from(u16::from_be_bytes([header[at], header[at + 1]]));
    let records = count(6) + count(8) + count(10);
    for _ in 0..count(4) {
        reader.name()?;
        reader.bytes(4)?;
    }
    if !answers {
        return Ok(Vec::new());
    }
    (0..records.min(RECORDS_MAX)).map(|_| reader.record()).collect()
}

struct Reader<'a> {
    packet: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn bytes(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let end = self.at.checked_add(count).ok_or(Malformed)?;
        let bytes = self.packet.get(self.at..end).ok_or(Malformed)?;
        self.at = end;
        Ok(bytes)
    }

    fn word(&mut self) -> Result<u16, Malformed> {
        let bytes = self.bytes(2)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    /// A name, wherever its parts stand. Each pointer leads to before the place where the last
    /// jump landed, so there are fewer jumps than bytes.
    fn name(&mut self) -> Result<String, Malformed> {
        let (mut at, mut behind, mut lowest) = (self.at, None, self.at);
        let (mut name, mut length) = (String::new(), 0);
        loop {
            let size = *self.packet.get(at).ok_or(Malformed)?;
            match size {
                0 => break,
                1..=63 => {
                    let end = at + 1 + usize::from(size);
                    let part = self.packet.get(at + 1..end).ok_or(Malformed)?;
                    length += part.len() + 1;
                    if NAME_MAX < length {
                        return Err(Malformed);
                    }
                    push_part(&mut name, part);
                    at = end;
                }
                0xc0.. => {
                    let low = *self.packet.get(at + 1).ok_or(Malformed)?;
                    let to = usize::from(u16::from_be_bytes([size & 0x3f, low]));
                    behind.get_or_insert(at + 2);
                    if lowest <= to {
                        return Err(Malformed);
                    }
                    (at, lowest) = (to, to);
                }
                _ => return Err(Malformed),
            }
        }
        self.at = behind.unwrap_or(at + 1);
        Ok(name)
    }

    fn record(&mut self) -> Result<Record, Malformed> {
        let name = self.name()?;
        let (kind, _class) = (self.word()?, self.word()?);
        let _lifetime = self.bytes(4)?;
        let length = usize::from(self.word()?);
        let begin = self.at;
        let data = self.bytes(length)?;
        let end = self.at;
        self.at = begin;
        let data = match kind {
            PTR => Data::Pointer(self.name()?),
            SRV => {
                let head = self.bytes(6)?;
                let port = u16::from_be_bytes([head[4], head[5]]);
                Data::Server(self.name()?, port)
            }
            TXT => Data::Text(texts(data)?),
            A => {
                let four: [u8; 4] = data.try_into().map_err(|_| Malformed)?;
                Data::Address(Ipv4Addr::from(four).into())
            }
            AAAA => {
                let sixteen: [u8; 16] = data.try_into().map_err(|_| Malformed)?;
                Data::Address(Ipv6Addr::from(sixteen).into())
            }
            _ => Data::Other,
        };
        // A name within must not reach behind its own record.
        if matches!(data, Data::Pointer(_) | Data::Server(..)) && self.at != end {
            return Err(Malformed);
        }
        self.at = end;
        Ok(Record { name, data })
    }
}

fn push_part(name: &mut String, part: &[u8]) {
    if !name.is_empty() {
        name.push('.');
    }
    for letter in String::from_utf8_lossy(part).chars() {
        match letter {
            '.' | '\\' => name.extend(['\\', letter]),
            it if it.is_control() => name.push('?'),
            it => name.push(it),
        }
    }
}

fn texts(mut data: &[u8]) -> Result<Vec<String>, Malformed> {
    let mut all = Vec::new();
    while let [length, rest @ ..] = data {
        let text = rest.get(..usize::from(*length)).ok_or(Malformed)?;
        if !text.is_empty() {
            let text = String::from_utf8_lossy(text);
            all.push(text.chars().map(|it| if it.is_control() { '?' } else { it }).collect());
        }
        data = &rest[text.len()..];
    }
    Ok(all)
}

/// What all packets together say about services of these kinds, in the order of their names.
pub fn services(records: &[Record], kinds: &[&str]) -> Vec<Service> {
    let mut found: BTreeMap<String, Service> = BTreeMap::new();
    for record in records {
        let Data::Pointer(instance) = &record.data else { continue };
        let wanted = kinds.iter().find(|kind| same(kind, &record.name));
        let (Some(kind), true) = (wanted, found.len() < SERVICES_MAX) else { continue };
        let suffix = instance.len().checked_sub(kind.len() + 1);
        let name = suffix.and_then(|at| instance.get(..at)).unwrap_or(instance);
        let name = name.replace("\\.", ".").replace("\\\\", "\\");
        let new = Service { kind: (*kind).to_owned(), name, ..Service::default() };
        found.entry(instance.to_lowercase()).or_insert(new);
    }
    for record in records {
        let Some(service) = found.get_mut(&record.name.to_lowercase()) else { continue };
        match &record.data {
            Data::Server(host, port) => {
                (service.host, service.port) = (Some(host.clone()), Some(*port));
            }
            Data::Text(text) => service.text.clone_from(text),
            _ => (),
        }
    }
    for service in found.values_mut() {
        let of_host = |it: &&Record| service.host.as_ref().is_some_and(|host| same(host, &it.name));
        let told = records.iter().filter(of_host).filter_map(|it| match it.data {
            Data::Address(address) => Some(address),
            _ => None,
        });
        let mut addresses: Vec<IpAddr> = told.collect();
        addresses.sort_unstable();
        addresses.dedup();
        service.addresses = addresses;
    }
    found.into_values().collect()
}

fn same(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    const OCTOPRINT: &str = "_octoprint._tcp.local";

    fn record(packet: &mut Vec<u8>, name: &[u8], kind: u16, data: &[u8]) {
        packet.extend(name);
        packet.extend(kind.to_be_bytes());
        packet.extend(INTERNET.to_be_bytes());
        packet.extend(120_u32.to_be_bytes());
        packet.extend((data.len() as u16).to_be_bytes());
        packet.extend(data);
    }

    fn named(name: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_name(&mut bytes, name);
        bytes
    }

    /// What a printer on the network answers: compressed, as responders do.
    pub(crate) fn answer() -> Vec<u8> {
        let mut packet = vec![0, 0, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 3];
        // The kind stands at 12; the instance's part, and a pointer to 12 behind it, at 45.
        let mut instance = vec![14];
        instance.extend(b"Prusa on bench");
        instance.extend([0xc0, 12]);
        record(&mut packet, &named(OCTOPRINT), PTR, &instance);
        let to_instance = [0xc0, 45];
        let mut server = vec![0, 0, 0, 0, 0x13, 0x88, 6];
        server.extend(b"octopi");
        server.extend([5]);
        server.extend(b"local\0");
        record(&mut packet, &to_instance, SRV, &server);
        record(&mut packet, &to_instance, TXT, b"\x0dversion=1.9.3\x06path=/\x00");
        record(&mut packet, &named("octopi.local"), A, &[192, 168, 1, 7]);
        packet
    }

    #[test]
    fn a_printer_that_answers_is_known_with_address_and_port() {
        let records = read(&answer()).unwrap();
        assert_eq!(records.len(), 4);
        let found = services(&records, &[OCTOPRINT]);
        assert_eq!(
            found,
            [Service {
                kind: OCTOPRINT.into(),
                name: "Prusa on bench".into(),
                host: Some("octopi.local".into()),
                port: Some(5000),
                addresses: vec![[192, 168, 1, 7].into()],
                text: vec!["version=1.9.3".into(), "path=/".into()],
            }]
        );
        assert_eq!(services(&records, &["_moonraker._tcp.local"]), []);
    }

    #[test]
    fn a_question_asks_for_each_kind_and_is_no_answer() {
        let packet = question(&[OCTOPRINT, "_moonraker._tcp.local"]);
        assert_eq!(&packet[..12], [0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0]);
        assert_eq!(&packet[12..23], b"\x0a_octoprint");
        assert!(packet.ends_with(&[0, 0, 12, 0x80, 1]));
        assert_eq!(read(&packet), Ok(vec![]));
    }

    #[test]
    fn names_that_lead_in_circles_or_too_far_are_refused() {
        let head = [0, 0, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 0];
        let with = |name: &[u8]| {
            let mut packet = head.to_vec();
            record(&mut packet, name, A, &[1, 2, 3, 4]);
            read(&packet)
        };
        assert!(with(b"\x01a\x00").is_ok());
        for name in [
            &[0xc0, 12][..],
            &[0xc0, 14, 0xc0, 12],
            &[1, b'a', 0xc0, 12],
            &[0xc0, 200],
            &[0x40, 1],
            &[63, b'a'],
        ] {
            assert_eq!(with(name), Err(Malformed), "{name:?}");
        }
        let long: Vec<u8> = [[63; 64]; 5].concat().into_iter().chain([0]).collect();
        assert_eq!(with(&long), Err(Malformed));
        assert_eq!(read(&head[..11]), Err(Malformed));
    }

    #[test]
    fn what_steers_a_terminal_does_not_get_through() {
        let mut name = String::new();
        push_part(&mut name, b"a.b\x1b[2J\\");
        push_part(&mut name, b"c");
        assert_eq!(name, "a\\.b?[2J\\\\.c");
        assert_eq!(texts(b"\x02\x07x").unwrap(), ["?x"]);
    }

    proptest! {
        #[test]
        fn anything_may_arrive(packet in prop::collection::vec(any::<u8>(), 0..600)) {
            if let Ok(records) = read(&packet) {
                services(&records, &[OCTOPRINT]);
            }
        }

        /// Any bytes of a good packet may have been changed, or be missing.
        #[test]
        fn a_damaged_answer_may_arrive(
            hits in prop::collection::vec((0..200_usize, any::<u8>()), 0..8),
            end in 0..200_usize,
        ) {
            let mut packet = answer();
            for (at, byte) in hits {
                if let Some(place) = packet.get_mut(at) {
                    *place = byte;
                }
            }
            packet.truncate(end.max(12));
            if let Ok(records) = read(&packet) {
                services(&records, &[OCTOPRINT]);
            }
        }
    }
}
