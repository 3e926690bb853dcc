//! Requests and answers of Modbus as data, and as the bytes between address and checksum.
//!
//! Source: Modbus Application Protocol Specification V1.1b3, chapters 6 and 7.

use super::Answer;
use crate::bus::Fault;

/// What can be asked of a device. Addresses count from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// 1: reads coils.
    ReadCoils {
        /// The first.
        address: u16,
        /// 1 to 2000.
        count: u16,
    },
    /// 2: reads discrete inputs.
    ReadDiscrete {
        /// The first.
        address: u16,
        /// 1 to 2000.
        count: u16,
    },
    /// 3: reads holding registers.
    ReadHolding {
        /// The first.
        address: u16,
        /// 1 to 125.
        count: u16,
    },
    /// 4: reads input registers.
    ReadInput {
        /// The first.
        address: u16,
        /// 1 to 125.
        count: u16,
    },
    /// 5: switches a coil.
    WriteCoil {
        /// Which.
        address: u16,
        /// On or off.
        on: bool,
    },
    /// 6: writes a holding register.
    WriteRegister {
        /// Which.
        address: u16,
        /// What it shall hold.
        value: u16,
    },
    /// 15: switches coils.
    WriteCoils {
        /// The first.
        address: u16,
        /// 1 to 1968.
        values: Vec<bool>,
    },
    /// 16: writes holding registers.
    WriteRegisters {
        /// The first.
        address: u16,
        /// 1 to 123.
        values: Vec<u16>,
    },
    /// 22: writes some bits of a holding register: `(old AND and) OR (or AND NOT and)`.
    MaskWrite {
        /// Which.
        address: u16,
        /// Bits that stay as they are.
        and: u16,
        /// What the others become.
        or: u16,
    },
    /// 23: writes holding registers, then reads some.
    ReadWrite {
        /// The first to be read.
        read: u16,
        /// 1 to 125.
        count: u16,
        /// The first to be written.
        write: u16,
        /// 1 to 121.
        values: Vec<u16>,
    },
    /// Any function, with what follows its code.
    Raw {
        /// The function code.
        function: u8,
        /// At most 252 bytes.
        data: Vec<u8>,
    },
}

/// Added to the function code of an answer that is an exception.
pub const EXCEPTION: u8 = 0x80;

/// The exception of a device that does not know a function.
pub const ILLEGAL_FUNCTION: u8 = 1;

/// Most coils in a read.
pub const BITS_MAX: u16 = 2_000;
/// Most registers in a read.
pub const WORDS_MAX: u16 = 125;

impl Ask {
    /// The function code.
    pub fn function(&self) -> u8 {
        match self {
            Self::ReadCoils { .. } => 1,
            Self::ReadDiscrete { .. } => 2,
            Self::ReadHolding { .. } => 3,
            Self::ReadInput { .. } => 4,
            Self::WriteCoil { .. } => 5,
            Self::WriteRegister { .. } => 6,
            Self::WriteCoils { .. } => 15,
            Self::WriteRegisters { .. } => 16,
            Self::MaskWrite { .. } => 22,
            Self::ReadWrite { .. } => 23,
            Self::Raw { function, .. } => *function,
        }
    }

    /// Its answer repeats all of it, and cannot be one to anything else.
    pub fn is_echoed(&self) -> bool {
        matches!(self, Self::WriteCoil { .. } | Self::WriteRegister { .. } | Self::MaskWrite { .. })
    }

    /// Function code and data, as they stand between the device's number and the checksum.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![self.function()];
        match self {
            Self::ReadCoils { address, count }
            | Self::ReadDiscrete { address, count }
            | Self::ReadHolding { address, count }
            | Self::ReadInput { address, count } => words(&mut out, &[*address, *count]),
            Self::WriteCoil { address, on } => {
                words(&mut out, &[*address, if *on { COIL_ON } else { 0 }]);
            }
            Self::WriteRegister { address, value } => words(&mut out, &[*address, *value]),
            Self::WriteCoils { address, values } => {
                words(&mut out, &[*address, length(values)]);
                counted(&mut out, &packed(values));
            }
            Self::WriteRegisters { address, values } => {
                words(&mut out, &[*address, length(values)]);
                counted(&mut out, &bytes(values));
            }
            Self::MaskWrite { address, and, or } => words(&mut out, &[*address, *and, *or]),
            Self::ReadWrite { read, count, write, values } => {
                words(&mut out, &[*read, *count, *write, length(values)]);
                counted(&mut out, &bytes(values));
            }
            Self::Raw { data, .. } => out.extend(data),
        }
        out
    }

    /// Bytes that [`encode`](Self::encode) makes.
    pub fn length(&self) -> usize {
        match self {
            Self::WriteCoils { values, .. } => 6 + values.len().div_ceil(8),
            Self::WriteRegisters { values, .. } => 6 + 2 * values.len(),
            Self::MaskWrite { .. } => 7,
            Self::ReadWrite { values, .. } => 10 + 2 * values.len(),
            Self::Raw { data, .. } => 1 + data.len(),
            _ => 5,
        }
    }

    /// Bytes of a good answer, function code included; of a raw one at most as many as were sent
    /// and some more.
    pub fn answer_length(&self) -> usize {
        match self {
            Self::ReadCoils { count, .. } | Self::ReadDiscrete { count, .. } => {
                2 + usize::from(*count).div_ceil(8)
            }
            Self::ReadHolding { count, .. }
            | Self::ReadInput { count, .. }
            | Self::ReadWrite { count, .. } => 2 + 2 * usize::from(*count),
            Self::MaskWrite { .. } => 7,
            Self::Raw { data, .. } => 5 + data.len(),
            _ => 5,
        }
    }
}

/// What a coil is switched on with.
const COIL_ON: u16 = 0xff00;

/// What an answer says: function code and data, without the device's number and the checksum.
/// It must be one to this request in every respect that can be told.
pub fn decode(ask: &Ask, answer: &[u8]) -> Result<Answer, Fault> {
    let Some((&function, data)) = answer.split_first() else {
        return Err(Fault::Garbled("it is empty".into()));
    };
    if function == ask.function() | EXCEPTION && ask.function() < EXCEPTION {
        return Err(data
            .first()
            .map_or(Fault::Garbled("an exception without a code".into()), |it| exception(*it)));
    }
    if function != ask.function() {
        let said = format!("function {function} instead of {}", ask.function());
        return Err(Fault::Garbled(said));
    }
    read(ask, data).ok_or_else(|| Fault::Garbled(format!("{} bytes of another shape", data.len())))
}

fn read(ask: &Ask, data: &[u8]) -> Option<Answer> {
    let holds = |length: usize| {
        let (&count, rest) = data.split_first()?;
        (usize::from(count) == length && rest.len() == length).then_some(rest)
    };
    match ask {
        Ask::ReadCoils { count, .. } | Ask::ReadDiscrete { count, .. } => {
            let rest = holds(usize::from(*count).div_ceil(8))?;
            let bit = |index: usize| rest[index / 8] >> (index % 8) & 1 == 1;
            Some(Answer::Bits((0..usize::from(*count)).map(bit).collect()))
        }
        Ask::ReadHolding { count, .. }
        | Ask::ReadInput { count, .. }
        | Ask::ReadWrite { count, .. } => {
            let rest = holds(2 * usize::from(*count))?;
            let word = |pair: &[u8]| u16::from_be_bytes([pair[0], pair[1]]);
            Some(Answer::Words(rest.chunks_exact(2).map(word).collect()))
        }
        Ask::Raw { .. } => Some(Answer::Bytes(data.to_vec())),
        // Writes are answered by their beginning.
        Ask::WriteCoils { .. } | Ask::WriteRegisters { .. } => {
            (data == &ask.encode()[1..5]).then_some(Answer::Done)
        }
        _ => (data == &ask.encode()[1..]).then_some(Answer::Done),
    }
}

/// What an exception code means for whoever asked.
pub fn exception(code: u8) -> Fault {
    let means = match code {
        0x0a => return Fault::Away("the gateway has no path to the device"),
        0x0b => return Fault::Away("the gateway had no answer from the device"),
        1 => "illegal function",
        2 => "illegal address",
        3 => "illegal value or count",
        4 => "device failure",
        5 => "it has begun with that and needs longer",
        6 => "device busy",
        8 => "memory parity error",
        _ => "an exception that the standard does not know",
    };
    // What the device does not know it will not know tomorrow either.
    Fault::Refused { number: code, means, later: !matches!(code, 1..=3) }
}

fn words(out: &mut Vec<u8>, words: &[u16]) {
    out.extend(bytes(words));
}

fn bytes(words: &[u16]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// The count that stands before them; requests are no longer than the standard allows.
fn counted(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(u8::try_from(bytes.len()).unwrap_or(u8::MAX));
    out.extend(bytes);
}

fn length<T>(values: &[T]) -> u16 {
    u16::try_from(values.len()).unwrap_or(u16::MAX)
}

/// Eight to a byte, the first in the least significant bit.
fn packed(bits: &[bool]) -> Vec<u8> {
    let byte = |eight: &[bool]| {
        eight.iter().enumerate().fold(0, |byte, (index, on)| byte | u8::from(*on) << index)
    };
    bits.chunks(8).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A frame without the device's number and the checksum.
    fn inside(frame: &str) -> Vec<u8> {
        let bytes: Vec<u8> =
            frame.split(' ').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
        bytes[1..bytes.len() - 2].to_vec()
    }

    /// Requests and answers, most of them from the standard and from libmodbus, unit 1.
    fn golden() -> Vec<(Ask, &'static str, &'static str, Answer)> {
        let bits = |bytes: &[u8], count: usize| {
            Answer::Bits((0..count).map(|it| bytes[it / 8] >> (it % 8) & 1 == 1).collect())
        };
        let ten = (0..10).map(|it| [0xcd_u8, 0x01][it / 8] >> (it % 8) & 1 == 1).collect();
        vec![
            (
                Ask::ReadCoils { address: 0x13, count: 0x13 },
                "01 01 00 13 00 13 8C 02",
                "01 01 03 CD 6B 05 42 82",
                bits(&[0xcd, 0x6b, 0x05], 19),
            ),
            (
                Ask::ReadDiscrete { address: 0xc4, count: 0x16 },
                "01 02 00 C4 00 16 B8 39",
                "01 02 03 AC DB 35 22 88",
                bits(&[0xac, 0xdb, 0x35], 22),
            ),
            (
                Ask::ReadHolding { address: 0x6b, count: 3 },
                "01 03 00 6B 00 03 74 17",
                "01 03 06 02 2B 00 00 00 64 05 7A",
                Answer::Words(vec![0x022b, 0, 0x64]),
            ),
            (
                Ask::ReadInput { address: 8, count: 1 },
                "01 04 00 08 00 01 B0 08",
                "01 04 02 00 0A 39 37",
                Answer::Words(vec![10]),
            ),
            (
                Ask::WriteCoil { address: 0xac, on: true },
                "01 05 00 AC FF 00 4C 1B",
                "01 05 00 AC FF 00 4C 1B",
                Answer::Done,
            ),
            (
                Ask::WriteRegister { address: 1, value: 3 },
                "01 06 00 01 00 03 98 0B",
                "01 06 00 01 00 03 98 0B",
                Answer::Done,
            ),
            (
                Ask::WriteCoils { address: 0x13, values: ten },
                "01 0F 00 13 00 0A 02 CD 01 72 CB",
                "01 0F 00 13 00 0A 24 09",
                Answer::Done,
            ),
            (
                Ask::WriteRegisters { address: 1, values: vec![10, 0x102] },
                "01 10 00 01 00 02 04 00 0A 01 02 92 30",
                "01 10 00 01 00 02 10 08",
                Answer::Done,
            ),
            (
                Ask::MaskWrite { address: 4, and: 0xf2, or: 0x25 },
                "01 16 00 04 00 F2 00 25 67 EE",
                "01 16 00 04 00 F2 00 25 67 EE",
                Answer::Done,
            ),
            (
                Ask::ReadWrite { read: 3, count: 6, write: 14, values: vec![0xff; 3] },
                "01 17 00 03 00 06 00 0E 00 03 06 00 FF 00 FF 00 FF 46 91",
                "01 17 0C 00 FE 0A CD 00 01 00 03 00 0D 00 FF 1D 79",
                Answer::Words(vec![0xfe, 0x0acd, 1, 3, 13, 0xff]),
            ),
            (
                Ask::Raw { function: 8, data: vec![0; 4] },
                "01 08 00 00 A5 37 DA 8D",
                "01 08 00 00 00 00 00 00",
                Answer::Bytes(vec![0; 4]),
            ),
        ]
    }

    #[test]
    fn the_frames_of_the_standard_are_made_and_understood() {
        for (ask, request, answer, said) in golden() {
            if !matches!(ask, Ask::Raw { .. }) {
                assert_eq!(ask.encode(), inside(request), "{ask:?}");
                assert_eq!(ask.answer_length(), inside(answer).len(), "{ask:?}");
            }
            assert_eq!(ask.length(), ask.encode().len(), "{ask:?}");
            assert_eq!(decode(&ask, &inside(answer)), Ok(said), "{ask:?}");
        }
    }

    #[test]
    fn an_exception_is_told_by_name() {
        let ask = Ask::ReadHolding { address: 0, count: 1 };
        let refused = decode(&ask, &inside("01 83 02 C0 F1"));
        let means = "illegal address";
        assert_eq!(refused, Err(Fault::Refused { number: 2, means, later: false }));
        let busy = decode(&ask, &[0x83, 6]);
        assert_eq!(busy, Err(Fault::Refused { number: 6, means: "device busy", later: true }));
        assert!(matches!(decode(&ask, &[0x83, 0x0b]), Err(Fault::Away(_))));
        assert!(matches!(decode(&ask, &[0x83]), Err(Fault::Garbled(_))));
    }

    #[test]
    fn an_answer_to_another_question_is_none() {
        let ask = Ask::ReadHolding { address: 0, count: 2 };
        for said in [&[3, 2, 0, 1][..], &[3, 4, 0, 1, 0], &[4, 4, 0, 1, 0, 2], &[], &[3]] {
            assert!(matches!(decode(&ask, said), Err(Fault::Garbled(_))), "{said:?}");
        }
        let write = Ask::WriteRegister { address: 1, value: 3 };
        assert!(matches!(decode(&write, &[6, 0, 1, 0, 4]), Err(Fault::Garbled(_))));
    }

    proptest! {
        #[test]
        fn nothing_that_arrives_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            for (ask, ..) in golden() {
                if let Ok(Answer::Words(words)) = decode(&ask, &bytes) {
                    prop_assert_eq!(2 * words.len() + 2, ask.answer_length());
                }
            }
        }
    }
}
