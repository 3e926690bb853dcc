//! Frames: how a request or an answer (a PDU) is wrapped for its journey, and where it ends.
//!
//! ```text
//!  RTU   unit(1) PDU(1..253) CRC16(2, low byte first)          ends by its own length
//!  TCP   transaction(2) 0(2) length(2) unit(1) PDU(1..253)     ends by the length field
//! ```
//!
//! The standard ends an RTU frame by silence. User space does not see silence: adapters hand bytes
//! over in pieces. So a frame ends where its function code and byte count say that it ends, the
//! checksum has to agree, and silence only tells where to begin anew after a frame that does not.
//!
//! Invariant: no bytes whatsoever make these functions panic or gather more than a frame.
//!
//! Sources: Modbus over Serial Line V1.02 (2.5, 6.2.2), Modbus Messaging on TCP/IP V1.0b (3.1).

use std::time::Duration;

use headstock_config::machine::Machine;
use headstock_config::tag::Parity;

/// Longest PDU there is.
pub const PDU_MAX: usize = 253;
/// Longest RTU frame there is.
pub const RTU_MAX: usize = 256;
/// Bytes ahead of the PDU over TCP.
pub const MBAP_BYTES: usize = 7;

/// Where a frame ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// After this many bytes, checksum included.
    At(usize),
    /// That stands in bytes that are not there yet.
    Later,
    /// There is no such frame.
    Never,
}

/// The checksum of RTU frames: polynomial 0xA001 (reflected), beginning with 0xFFFF.
pub fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xFFFF, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte), |crc, _| match crc & 1 {
            1 => crc >> 1 ^ 0xA001,
            _ => crc >> 1,
        })
    })
}

/// An RTU frame.
pub fn rtu(unit: u8, pdu: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(pdu.len() + 3);
    frame.push(unit);
    frame.extend_from_slice(pdu);
    frame.extend_from_slice(&crc16(&frame).to_le_bytes());
    frame
}

/// Unit and PDU of an RTU frame; `None` if it is too short or its checksum is wrong.
pub fn opened(frame: &[u8]) -> Option<(u8, &[u8])> {
    let (rest, crc) = frame.split_last_chunk::<2>()?;
    let (unit, pdu) = rest.split_first()?;
    (!pdu.is_empty() && crc16(rest) == u16::from_le_bytes(*crc)).then_some((*unit, pdu))
}

/// Where an RTU answer that begins like this ends. Never for functions whose answers do not tell
/// their length.
pub fn answer_end(bytes: &[u8]) -> End {
    let &[_, function, ..] = bytes else { return End::Later };
    match function {
        1..=4 | 0x17 | 0x0C | 0x11 => counted(bytes.get(2), 5),
        5 | 6 | 0x0F | 0x10 | 8 | 0x0B => End::At(8),
        0x16 => End::At(10),
        7 => End::At(5),
        0x81.. => End::At(5),
        _ => End::Never,
    }
}

/// Where an RTU request that begins like this ends. Never for functions that no server here knows.
pub fn request_end(bytes: &[u8]) -> End {
    let &[_, function, ..] = bytes else { return End::Later };
    match function {
        1..=6 | 8 => End::At(8),
        0x0F | 0x10 => counted(bytes.get(6), 9),
        0x16 => End::At(10),
        0x17 => counted(bytes.get(10), 13),
        7 | 0x0B | 0x0C | 0x11 => End::At(4),
        0x2B => End::At(7),
        _ => End::Never,
    }
}

/// Where a frame of a Huanyang drive ends, whichever way it goes: behind the function stands how
/// many bytes follow. An error is told by function 0x81 with one byte.
pub fn huanyang_end(bytes: &[u8]) -> End {
    match bytes {
        [_, function, ..] if 0x80 <= *function => End::At(6),
        _ => counted(bytes.get(2), 5),
    }
}

fn counted(count: Option<&u8>, around: usize) -> End {
    match count {
        None => End::Later,
        Some(&count) if around + usize::from(count) <= RTU_MAX => {
            End::At(around + usize::from(count))
        }
        Some(_) => End::Never,
    }
}

/// A frame that came over TCP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mbap {
    /// The transaction's number: an answer has that of its request.
    pub transaction: u16,
    /// The device.
    pub unit: u8,
    /// Function code and what follows it.
    pub pdu: Vec<u8>,
}

impl Mbap {
    /// As it travels.
    pub fn bytes(&self) -> Vec<u8> {
        let length = u16::try_from(self.pdu.len() + 1).unwrap_or(u16::MAX);
        let mut frame = Vec::with_capacity(self.pdu.len() + MBAP_BYTES);
        frame.extend_from_slice(&self.transaction.to_be_bytes());
        frame.extend_from_slice(&[0, 0]);
        frame.extend_from_slice(&length.to_be_bytes());
        frame.push(self.unit);
        frame.extend_from_slice(&self.pdu);
        frame
    }

    /// Takes the first frame off the front of what has come. [`None`]: it is not whole yet.
    ///
    /// Bytes that are no such frame are an error: nothing behind them can be believed either, and
    /// the connection has to be closed.
    pub fn take(bytes: &mut Vec<u8>) -> Result<Option<Self>, NotMbap> {
        let Some(head) = bytes.first_chunk::<MBAP_BYTES>() else { return Ok(None) };
        let [t1, t2, p1, p2, l1, l2, unit] = *head;
        let (protocol, length) = (u16::from_be_bytes([p1, p2]), u16::from_be_bytes([l1, l2]));
        let pdu = usize::from(length).wrapping_sub(1);
        if protocol != 0 || !(1..=PDU_MAX).contains(&pdu) {
            return Err(NotMbap { protocol, length });
        }
        let Some(body) = bytes.get(MBAP_BYTES..MBAP_BYTES + pdu) else { return Ok(None) };
        let frame = Self { transaction: u16::from_be_bytes([t1, t2]), unit, pdu: body.to_vec() };
        bytes.drain(..MBAP_BYTES + pdu);
        Ok(Some(frame))
    }
}

/// Bytes that are no Modbus TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not Modbus TCP: protocol {protocol}, length {length}")]
pub struct NotMbap {
    /// The protocol field, which has to be 0.
    pub protocol: u16,
    /// The length field: 2 to 254.
    pub length: u16,
}

/// How long one character takes. The standard counts 11 bits, whatever the parity.
pub fn character(baud: u32) -> Duration {
    Duration::from_nanos(11_000_000_000 / u64::from(baud.max(1)))
}

/// How long one character takes on the line of this machine.
pub fn character_of(machine: &Machine) -> Duration {
    let parity = u64::from(machine.bus.parity != Parity::None);
    let bits = 1 + 8 + parity + u64::from(machine.bus.stop_bits.max(1));
    Duration::from_nanos(bits * 1_000_000_000 / u64::from(machine.baud.max(1)))
}

/// The silence that has to stand between two frames: 3.5 characters, and 1.75 ms above 19200 baud.
pub fn silence(baud: u32) -> Duration {
    match baud {
        0..=19_200 => character(baud) * 7 / 2,
        _ => Duration::from_micros(1_750),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<&str> = text.split_whitespace().collect();
        digits.iter().map(|it| u8::from_str_radix(it, 16).unwrap()).collect()
    }

    /// Function by function, unit 1: a request and its answer. Computed and captured from two
    /// independent programs.
    const GOLDEN: &[(&str, &str)] = &[
        ("01 01 00 13 00 13 8C 02", "01 01 03 CD 6B 05 42 82"),
        ("01 02 00 C4 00 16 B8 39", "01 02 03 AC DB 35 22 88"),
        ("01 03 00 6B 00 03 74 17", "01 03 06 02 2B 00 00 00 64 05 7A"),
        ("01 04 00 08 00 01 B0 08", "01 04 02 00 0A 39 37"),
        ("01 05 00 AC FF 00 4C 1B", "01 05 00 AC FF 00 4C 1B"),
        ("01 06 00 01 00 03 98 0B", "01 06 00 01 00 03 98 0B"),
        ("01 0F 00 13 00 0A 02 CD 01 72 CB", "01 0F 00 13 00 0A 24 09"),
        ("01 10 00 01 00 02 04 00 0A 01 02 92 30", "01 10 00 01 00 02 10 08"),
        ("01 16 00 04 00 F2 00 25 67 EE", "01 16 00 04 00 F2 00 25 67 EE"),
        (
            "01 17 00 03 00 06 00 0E 00 03 06 00 FF 00 FF 00 FF 46 91",
            "01 17 0C 00 FE 0A CD 00 01 00 03 00 0D 00 FF 1D 79",
        ),
        ("01 08 00 00 A5 37 DA 8D", "01 08 00 00 A5 37 DA 8D"),
        ("01 11 C0 2C", "01 83 02 C0 F1"),
        ("01 2B 0E 01 00 70 77", "01 83 02 C0 F1"),
    ];

    /// Each beginning of the frame that tells its end tells the right one.
    fn ends(frame: &[u8], end: fn(&[u8]) -> End) {
        let told: Vec<End> = (0..=frame.len()).map(|some| end(&frame[..some])).collect();
        assert!(told.contains(&End::At(frame.len())), "{frame:02X?} {told:?}");
        assert!(told.iter().all(|it| matches!(it, End::Later | End::At(_))), "{told:?}");
        let at = |it: &End| matches!(it, End::At(end) if *end != frame.len());
        assert!(!told.iter().any(at), "{frame:02X?} {told:?}");
    }

    #[test]
    fn golden_frames_end_where_they_say_and_their_checksums_agree() {
        for (request, answer) in GOLDEN {
            for (text, end) in [(request, request_end as fn(&[u8]) -> End), (answer, answer_end)] {
                let frame = hex(text);
                let (unit, pdu) = opened(&frame).unwrap_or_else(|| panic!("{text}"));
                assert_eq!(rtu(unit, pdu), frame);
                ends(&frame, end);
            }
        }
    }

    #[test]
    fn frames_of_a_huanyang_drive_end_by_their_own_rule() {
        let frames = [
            "01 03 01 01 31 88",
            "01 03 01 08 F1 8E",
            "01 05 02 9C 40 D0 3C",
            "01 04 03 03 00 00 00 4E",
            "01 01 03 05 00 00 2C 4F",
        ];
        for text in frames {
            let frame = hex(text);
            assert!(opened(&frame).is_some(), "{text}");
            ends(&frame, huanyang_end);
        }
    }

    #[test]
    fn the_checksum_is_that_of_the_standard() {
        assert_eq!(crc16(b"123456789"), 0x4B37);
        assert_eq!(crc16(&[]), 0xFFFF);
        assert_eq!(opened(&hex("01 06 00 01 00 03 98 0C")), None);
        assert_eq!(opened(&[0x01, 0x98, 0x0B]), None);
        assert_eq!(opened(&[]), None);
    }

    #[test]
    fn silence_is_three_and_a_half_characters_and_never_less_than_a_fast_line_needs() {
        assert_eq!(silence(9_600).as_micros(), 4_010);
        assert_eq!(silence(19_200).as_micros(), 2_005);
        assert_eq!(silence(115_200).as_micros(), 1_750);
        assert_eq!(silence(0), character(1) * 7 / 2);
        let plain = Machine { baud: 9_600, ..Machine::default() };
        assert_eq!(character_of(&plain).as_micros(), 1_041, "8N1 has ten bits");
    }

    #[test]
    fn frames_over_tcp_are_taken_off_one_by_one() {
        let mut bytes = hex("00 01 00 00 00 06 FF 03 00 6B 00 03 00 02 00 00 00 02 01");
        let pdu = hex("03 00 6B 00 03");
        let first = Mbap { transaction: 1, unit: 0xFF, pdu };
        assert_eq!(Mbap::take(&mut bytes), Ok(Some(first.clone())));
        assert_eq!(Mbap::take(&mut bytes), Ok(None), "the second has no function yet");
        bytes.push(0x11);
        let second = Mbap { transaction: 2, unit: 1, pdu: vec![0x11] };
        assert_eq!(Mbap::take(&mut bytes), Ok(Some(second)));
        assert!(bytes.is_empty());
        assert_eq!(first.bytes(), hex("00 01 00 00 00 06 FF 03 00 6B 00 03"));
    }

    #[test]
    fn what_is_no_modbus_over_tcp_is_an_error_and_not_a_long_wait() {
        for text in
            ["GET / HTTP/1.1", "\0\0\0\0\0\x01\x01", "\0\0\0\0\0\0\x01", "\0\0\0\0\x01\0\x01"]
        {
            assert!(Mbap::take(&mut text.as_bytes().to_vec()).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_frame_that_was_made_can_be_opened(
            unit: u8,
            transaction: u16,
            pdu in prop::collection::vec(any::<u8>(), 1..=PDU_MAX),
            more in prop::collection::vec(any::<u8>(), 0..9),
        ) {
            let frame = rtu(unit, &pdu);
            prop_assert_eq!(opened(&frame), Some((unit, &pdu[..])));
            let frame = Mbap { transaction, unit, pdu };
            let mut bytes = frame.bytes();
            bytes.extend_from_slice(&more);
            prop_assert_eq!(Mbap::take(&mut bytes), Ok(Some(frame)));
            prop_assert_eq!(bytes, more);
        }

        #[test]
        fn no_bytes_make_a_frame_longer_than_there_is(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            for end in [answer_end, request_end, huanyang_end] {
                if let End::At(end) = end(&bytes) {
                    prop_assert!((4..=RTU_MAX).contains(&end));
                }
            }
            let mut rest = bytes.clone();
            while let Ok(Some(frame)) = Mbap::take(&mut rest) {
                prop_assert!(frame.pdu.len() <= PDU_MAX);
            }
        }
    }
}
