//! The other side of the table: what a request that came in asks for, and how it is answered.
//!
//! Used by pretend devices and by the door for controllers. What stands here is pure; who asks, and
//! what is in the registers, is the server's business.
//!
//! Invariant: any bytes are either a request with sound addresses and counts, or an exception.
//!
//! Source: Modbus Application Protocol Specification V1.1b3, chapter 6 and its state diagrams.

use super::Answer;
use super::pdu::{Ask, BITS_MAX, EXCEPTION, WORDS_MAX};

/// Most coils in a write.
const WRITE_BITS_MAX: u16 = 1_968;
/// Most registers in a write.
const WRITE_WORDS_MAX: u16 = 123;
/// Most registers in a write that also reads.
const BOTH_WORDS_MAX: u16 = 121;

/// Why a request is not carried out, by the numbers of the standard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exception {
    /// 1: there is no such function here.
    Function = 1,
    /// 2: there is no such coil or register here.
    Address = 2,
    /// 3: the count or the value cannot be.
    Value = 3,
    /// 4: it was tried and has failed, or what would be told cannot be believed.
    Failure = 4,
    /// 5: it has begun and needs longer.
    Acknowledge = 5,
    /// 6: not now.
    Busy = 6,
    /// 11: nobody has this unit's number.
    NotThere = 11,
}

/// What a PDU asks for. Functions that are not looked into are [`Ask::Raw`].
pub fn request(pdu: &[u8]) -> Result<Ask, Exception> {
    let (&function, data) = pdu.split_first().ok_or(Exception::Function)?;
    let (address, second) = (word(data, 0), word(data, 2));
    let both = address.zip(second).ok_or(Exception::Value);
    match function {
        1..=4 => reads(function, both?, data.len()),
        5 => match both? {
            (address, on @ (0xFF00 | 0)) if data.len() == 4 => {
                Ok(Ask::WriteCoil { address, on: on == 0xFF00 })
            }
            _ => Err(Exception::Value),
        },
        6 => match both? {
            (address, value) if data.len() == 4 => Ok(Ask::WriteRegister { address, value }),
            _ => Err(Exception::Value),
        },
        15 => writes_coils(both?, &data[4..]),
        16 => {
            let (address, count) = both?;
            let values = counted_words(count, WRITE_WORDS_MAX, &data[4..])?;
            fits(address, count)?;
            Ok(Ask::WriteRegisters { address, values })
        }
        22 => match (both?, word(data, 4)) {
            ((address, and), Some(or)) if data.len() == 6 => {
                Ok(Ask::MaskWrite { address, and, or })
            }
            _ => Err(Exception::Value),
        },
        23 => writes_and_reads(both?, data),
        _ => Ok(Ask::Raw { function, data: data.to_vec() }),
    }
}

fn reads(function: u8, (address, count): (u16, u16), length: usize) -> Result<Ask, Exception> {
    let most = if function <= 2 { BITS_MAX } else { WORDS_MAX };
    if length != 4 || !(1..=most).contains(&count) {
        return Err(Exception::Value);
    }
    fits(address, count)?;
    Ok(match function {
        1 => Ask::ReadCoils { address, count },
        2 => Ask::ReadDiscrete { address, count },
        3 => Ask::ReadHolding { address, count },
        _ => Ask::ReadInput { address, count },
    })
}

fn writes_coils((address, count): (u16, u16), rest: &[u8]) -> Result<Ask, Exception> {
    let (&bytes, data) = rest.split_first().ok_or(Exception::Value)?;
    let wanted = usize::from(count).div_ceil(8);
    let sound = (1..=WRITE_BITS_MAX).contains(&count);
    if !sound || usize::from(bytes) != wanted || data.len() != wanted {
        return Err(Exception::Value);
    }
    fits(address, count)?;
    let bit = |index: usize| data[index / 8] >> (index % 8) & 1 == 1;
    Ok(Ask::WriteCoils { address, values: (0..usize::from(count)).map(bit).collect() })
}

fn writes_and_reads((read, count): (u16, u16), data: &[u8]) -> Result<Ask, Exception> {
    let write = word(data, 4).ok_or(Exception::Value)?;
    let written = word(data, 6).ok_or(Exception::Value)?;
    if !(1..=WORDS_MAX).contains(&count) {
        return Err(Exception::Value);
    }
    let values = counted_words(written, BOTH_WORDS_MAX, &data[8..])?;
    fits(read, count)?;
    fits(write, written)?;
    Ok(Ask::ReadWrite { read, count, write, values })
}

fn counted_words(count: u16, most: u16, rest: &[u8]) -> Result<Vec<u16>, Exception> {
    let (&bytes, data) = rest.split_first().ok_or(Exception::Value)?;
    let wanted = 2 * usize::from(count);
    let sound = (1..=most).contains(&count);
    if !sound || usize::from(bytes) != wanted || data.len() != wanted {
        return Err(Exception::Value);
    }
    Ok(data.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect())
}

/// Whether the last one still has an address.
fn fits(address: u16, count: u16) -> Result<(), Exception> {
    let sound = u32::from(address) + u32::from(count) <= 1 << 16;
    sound.then_some(()).ok_or(Exception::Address)
}

fn word(data: &[u8], at: usize) -> Option<u16> {
    data.get(at..at + 2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
}

/// The PDU that answers a request.
pub fn answer(ask: &Ask, answer: &Answer) -> Vec<u8> {
    let mut pdu = vec![ask.function()];
    match answer {
        Answer::Bits(bits) => {
            let bytes: Vec<u8> = bits.chunks(8).map(byte).collect();
            pdu.push(u8::try_from(bytes.len()).unwrap_or(u8::MAX));
            pdu.extend(bytes);
        }
        Answer::Words(words) => {
            pdu.push(u8::try_from(2 * words.len()).unwrap_or(u8::MAX));
            pdu.extend(words.iter().flat_map(|it| it.to_be_bytes()));
        }
        Answer::Bytes(bytes) => pdu.extend(bytes),
        // Writes are answered by their beginning: address and value, or address and count.
        Answer::Done => {
            let said = ask.encode();
            let length = if matches!(ask, Ask::MaskWrite { .. }) { 7 } else { 5 };
            pdu.extend(&said[1..length.min(said.len())]);
        }
    }
    pdu
}

fn byte(bits: &[bool]) -> u8 {
    bits.iter().enumerate().fold(0, |byte, (place, on)| byte | u8::from(*on) << place)
}

/// The PDU that says that a request is not carried out.
pub fn refusal(function: u8, exception: Exception) -> Vec<u8> {
    vec![function | EXCEPTION, exception as u8]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::bus::Fault;
    use crate::modbus::pdu::decode;

    fn every() -> Vec<(Ask, Answer)> {
        vec![
            (Ask::ReadCoils { address: 19, count: 10 }, Answer::Bits([true, false].repeat(5))),
            (Ask::ReadDiscrete { address: 0, count: 8 }, Answer::Bits(vec![true; 8])),
            (Ask::ReadHolding { address: 107, count: 2 }, Answer::Words(vec![1, 0xFFFF])),
            (Ask::ReadInput { address: 65_535, count: 1 }, Answer::Words(vec![7])),
            (Ask::WriteCoil { address: 172, on: true }, Answer::Done),
            (Ask::WriteRegister { address: 1, value: 3 }, Answer::Done),
            (Ask::WriteCoils { address: 19, values: vec![true; 10] }, Answer::Done),
            (Ask::WriteRegisters { address: 1, values: vec![10, 258] }, Answer::Done),
            (Ask::MaskWrite { address: 4, and: 0xF2, or: 0x25 }, Answer::Done),
            (
                Ask::ReadWrite { read: 3, count: 2, write: 14, values: vec![255; 3] },
                Answer::Words(vec![254, 2765]),
            ),
            (Ask::Raw { function: 0x2B, data: vec![14, 1, 0] }, Answer::Bytes(vec![14, 1])),
        ]
    }

    #[test]
    fn what_a_client_sends_is_understood_and_answered_as_it_expects() {
        for (ask, said) in every() {
            assert_eq!(request(&ask.encode()), Ok(ask.clone()));
            assert_eq!(decode(&ask, &answer(&ask, &said)), Ok(said), "{ask:?}");
            let no = decode(&ask, &refusal(ask.function(), Exception::Address));
            assert!(matches!(no, Err(Fault::Refused { number: 2, .. })), "{no:?}");
        }
    }

    #[test]
    fn counts_and_addresses_that_cannot_be_are_exceptions() {
        let rows: &[(&[u8], Exception)] = &[
            (&[], Exception::Function),
            (&[3], Exception::Value),
            (&[3, 0, 0, 0, 0], Exception::Value),
            (&[3, 0, 0, 0, 126], Exception::Value),
            (&[1, 0, 0, 7, 0xD1], Exception::Value),
            (&[3, 0xFF, 0xFF, 0, 2], Exception::Address),
            (&[5, 0, 0, 0x55, 0], Exception::Value),
            (&[16, 0, 0, 0, 2, 4, 0, 1, 0], Exception::Value),
            (&[16, 0, 0, 0, 0, 0], Exception::Value),
            (&[15, 0, 0, 0, 9, 1, 0xFF], Exception::Value),
            (&[6, 0, 0, 0, 1, 0], Exception::Value),
        ];
        for (bytes, exception) in rows {
            assert_eq!(request(bytes), Err(*exception), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_request_or_an_exception(
            pdu in prop::collection::vec(any::<u8>(), 0..260),
        ) {
            if let Ok(ask) = request(&pdu) {
                // Bits that only fill a byte up may have been anything.
                prop_assert_eq!(ask.encode().len(), pdu.len());
                prop_assert_eq!(request(&ask.encode()), Ok(ask));
            }
        }
    }
}
