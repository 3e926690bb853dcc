//! A file of minutes, byte by byte.
//!
//! ```text
//!  header, 32 bytes: "HSMINUTE" | version u32 | zero u32 | sequence u64 | crc32c u32 | zero u32
//!  frame:            length u32 | crc32c u32 | kind u8, body …          again and again
//!    names:          (number, length, name)…
//!    minutes:        minute, (number, flags u8, count, [figures], [last])…
//!    end:            first minute u64, last minute u64
//! ```
//!
//! Little-endian; whole numbers without a size are LEB128. `length` counts kind and body; the
//! checksum covers the sequence of the file, the length, kind and body, so that a frame of another
//! file is none of this. Flags: 0..1 quality; 2..4 the last value: 0 none, 1 off, 2 on, 3 number, 4
//! text; 5 figures follow: min, max and mean as f64, and milliseconds in which a number was believed;
//! 6 there are no figures. With neither they are the last value's own for the whole minute, if it is
//! a number.
//!
//! Version 1, which is read and no longer written, counted changes instead of milliseconds and knew
//! no bit 6: its figures stand for a whole minute, and there are none if `count` is zero.
//!
//! Invariant: no bytes make [`walk`] panic or allocate.

use headstock_config::point::{Quality, Value};

use crate::points::sum::{Figures, Sum};
use crate::points::under_way::MINUTE;

/// Bytes of a header.
pub(super) const HEADER: usize = 32;
/// Bytes of a frame before its body's kind.
const HEAD: usize = 8;
/// Bytes of an end with its frame.
pub(super) const END: usize = HEAD + 17;
/// A body is ended when it has so many bytes.
const FULL: usize = 32 * 1024;
/// No body is longer: the last thing in it has a name or a text.
const LONGEST: usize = FULL + 4 * 1024;

const MAGIC: [u8; 8] = *b"HSMINUTE";
/// What is written.
pub(super) const VERSION: u32 = 2;
/// By changes, not by time.
pub(super) const COUNTED: u32 = 1;
const NAMES: u8 = 1;
const MINUTES: u8 = 2;
const THE_END: u8 = 3;
const FIGURES: u8 = 1 << 5;
const NO_FIGURES: u8 = 1 << 6;

/// One thing in a file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Item<'a> {
    /// A number stands for a name from here on.
    Name(u64, &'a str),
    /// A point's minute, counted from 1970: the minute, the number, and where the rest stands.
    Minute(u64, u64, Rest<'a>),
    /// Everything before lies between these minutes, both of them included.
    End(u64, u64),
}

/// A point's minute, not yet taken out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rest<'a> {
    flags: u8,
    count: u64,
    figures: Option<Figures>,
    /// Without figures they are the last value's own.
    plain: bool,
    text: &'a str,
    number: f64,
}

impl Rest<'_> {
    /// Takes it out.
    pub(super) fn sum(&self) -> Sum {
        let last = match self.flags >> 2 & 7 {
            1 => Some(Value::Flag(false)),
            2 => Some(Value::Flag(true)),
            3 => Some(Value::Number(self.number)),
            4 => Some(Value::Text(self.text.to_owned())),
            _ => None,
        };
        let quality = [Quality::Good, Quality::Uncertain, Quality::Stale, Quality::Bad];
        let plain = last.as_ref().and_then(Value::number);
        let plain = plain.filter(|_| self.plain).map(|it| Figures::steady(it, MINUTE));
        let quality = quality[usize::from(self.flags & 3)];
        Sum { count: self.count, figures: self.figures.or(plain), last, quality }
    }
}

impl Rest<'_> {
    /// What was counted by changes stands for the whole minute.
    fn fill_the_minute(&mut self) {
        self.plain &= 0 < self.count;
        self.figures = self.figures.filter(|it| 0 < it.ms).map(|it| Figures { ms: MINUTE, ..it });
    }
}

/// The header of the file with this number.
pub(super) fn header(sequence: u64) -> Vec<u8> {
    header_of(VERSION, sequence)
}

/// The header of a file in this version.
pub(super) fn header_of(version: u32, sequence: u64) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(version.to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend(sequence.to_le_bytes());
    bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
    bytes.extend([0; 4]);
    bytes
}

/// Frames as they are being written.
pub(super) struct Frames {
    sequence: u64,
    bytes: Vec<u8>,
    /// Where the open frame begins.
    open: Option<usize>,
}

impl Frames {
    /// None yet, of the file with this number.
    pub(super) fn new(sequence: u64) -> Self {
        Self { sequence, bytes: Vec::new(), open: None }
    }

    fn begin(&mut self, kind: u8) {
        self.end_frame();
        self.open = Some(self.bytes.len());
        self.bytes.extend([0; HEAD]);
        self.bytes.push(kind);
    }

    fn end_frame(&mut self) {
        let Some(start) = self.open.take() else { return };
        let body = self.bytes.split_off(start + HEAD);
        self.bytes.truncate(start);
        seal(self.sequence, &body, &mut self.bytes);
    }

    /// Whether nothing more should go into the open frame.
    fn full(&self) -> bool {
        self.open.is_none_or(|start| FULL <= self.bytes.len() - start)
    }

    /// Says which numbers stand for which names. Names are of at most 256 bytes.
    pub(super) fn names<'a>(&mut self, names: impl IntoIterator<Item = (u64, &'a str)>) {
        self.end_frame();
        for (number, name) in names {
            if self.full() {
                self.begin(NAMES);
            }
            put(&mut self.bytes, number);
            put_text(&mut self.bytes, name);
        }
        self.end_frame();
    }

    /// Writes one minute of some points. Texts are of at most 256 bytes.
    pub(super) fn minute<'a>(&mut self, minute: u64, of: impl IntoIterator<Item = (u64, &'a Sum)>) {
        self.end_frame();
        for (number, sum) in of {
            if self.full() {
                self.begin(MINUTES);
                put(&mut self.bytes, minute);
            }
            put(&mut self.bytes, number);
            put_sum(&mut self.bytes, sum);
        }
        self.end_frame();
    }

    /// Says between which minutes the file lies.
    pub(super) fn the_end(&mut self, first: u64, last: u64) {
        self.begin(THE_END);
        self.bytes.extend(first.to_le_bytes());
        self.bytes.extend(last.to_le_bytes());
        self.end_frame();
    }

    /// The bytes of all of them.
    pub(super) fn done(mut self) -> Vec<u8> {
        self.end_frame();
        self.bytes
    }
}

/// Writes a body with its frame.
pub(super) fn seal(sequence: u64, body: &[u8], out: &mut Vec<u8>) {
    let length = u32::try_from(body.len()).expect("frames are short");
    out.extend(length.to_le_bytes());
    out.extend(checksum(sequence, length, body).to_le_bytes());
    out.extend(body);
}

fn checksum(sequence: u64, length: u32, body: &[u8]) -> u32 {
    let sum = crc32c::crc32c(&sequence.to_le_bytes());
    crc32c::crc32c_append(crc32c::crc32c_append(sum, &length.to_le_bytes()), body)
}

fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while 0x80 <= number {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    put(bytes, text.len() as u64);
    bytes.extend(text.as_bytes());
}

fn put_sum(bytes: &mut Vec<u8>, sum: &Sum) {
    let kind = match &sum.last {
        None => 0,
        Some(Value::Flag(false)) => 1,
        Some(Value::Flag(true)) => 2,
        Some(Value::Number(_)) => 3,
        Some(Value::Text(_)) => 4,
    };
    let plain = sum.last.as_ref().and_then(Value::number);
    let plain = plain.map(|it| Figures::steady(it, MINUTE));
    let follow = match (sum.figures, plain) {
        (None, Some(_)) => NO_FIGURES,
        (figures, plain) if figures == plain => 0,
        _ => FIGURES,
    };
    bytes.push(sum.quality as u8 | kind << 2 | follow);
    put(bytes, sum.count);
    if let Some(Figures { min, max, mean, ms }) = sum.figures.filter(|_| follow == FIGURES) {
        for number in [min, max, mean] {
            bytes.extend(number.to_le_bytes());
        }
        put(bytes, ms);
    }
    match &sum.last {
        Some(Value::Number(number)) => bytes.extend(number.to_le_bytes()),
        Some(Value::Text(text)) => put_text(bytes, text),
        _ => (),
    }
}

/// The version and the number of a file that begins with these bytes; `None` if it is no file of
/// minutes that can be read.
pub(super) fn read_header(bytes: &[u8]) -> Option<(u32, u64)> {
    let head = bytes.get(..HEADER)?;
    let version = u32::from_le_bytes(*head[8..].first_chunk()?);
    let sequence = u64::from_le_bytes(*head[16..].first_chunk()?);
    let known = (COUNTED..=VERSION).contains(&version) && head == header_of(version, sequence);
    known.then_some((version, sequence))
}

/// What the end of a file says of it, if it has been ended: its first and its last minute.
pub(super) fn read_end(sequence: u64, tail: &[u8]) -> Option<(u64, u64)> {
    let mut said = None;
    // Ends are the same in every version.
    walk_frames((VERSION, sequence), tail, |item| {
        if let Item::End(first, last) = item {
            said = Some((first, last));
        }
    });
    said
}

/// Everything in a file, in order, up to the first thing that is not as it was written. Returns
/// how many bytes were; the whole length if all were.
pub(super) fn walk<'a>(bytes: &'a [u8], heard: impl FnMut(Item<'a>)) -> usize {
    let Some(of) = read_header(bytes) else { return 0 };
    HEADER + walk_frames(of, &bytes[HEADER..], heard)
}

fn walk_frames<'a>(
    (version, sequence): (u32, u64),
    bytes: &'a [u8],
    mut heard: impl FnMut(Item<'a>),
) -> usize {
    let mut read = 0;
    while let Some(body) = frame(sequence, &bytes[read..]) {
        if items(version, body, &mut heard).is_none() {
            break;
        }
        read += HEAD + body.len();
    }
    read
}

fn frame(sequence: u64, bytes: &[u8]) -> Option<&[u8]> {
    let (body, _) = framed(bytes)?;
    let sum = u32::from_le_bytes(*bytes.get(4..)?.first_chunk()?);
    let length = u32::from_le_bytes(*bytes.first_chunk()?);
    (checksum(sequence, length, body) == sum).then_some(body)
}

/// What would be a body here, if its checksum were right, and what is behind it.
pub(super) fn framed(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = u32::from_le_bytes(*bytes.first_chunk()?);
    let size = usize::try_from(length).ok().filter(|it| (1..=LONGEST).contains(it))?;
    bytes.get(HEAD..)?.split_at_checked(size)
}

/// What is left to be read of a body.
struct Left<'a>(&'a [u8]);

fn items<'a>(version: u32, body: &'a [u8], heard: &mut impl FnMut(Item<'a>)) -> Option<()> {
    let (kind, rest) = body.split_first()?;
    let mut left = Left(rest);
    match *kind {
        NAMES => {
            while !left.0.is_empty() {
                heard(Item::Name(left.number()?, left.text()?));
            }
        }
        MINUTES => {
            let minute = left.number()?;
            while !left.0.is_empty() {
                heard(Item::Minute(minute, left.number()?, left.rest(version)?));
            }
        }
        THE_END => heard(Item::End(left.fixed()?, left.fixed()?)),
        _ => return None,
    }
    left.0.is_empty().then_some(())
}

impl<'a> Left<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            // The tenth byte has room for one bit.
            if shift == 63 && 1 < bits {
                return None;
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = usize::try_from(self.number()?).ok()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }

    fn fixed(&mut self) -> Option<u64> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*bytes))
    }

    fn finite(&mut self) -> Option<f64> {
        Some(f64::from_bits(self.fixed()?)).filter(|it| it.is_finite())
    }

    fn rest(&mut self, version: u32) -> Option<Rest<'a>> {
        let flags = self.byte().filter(|it| it & 0x80 == 0 && it >> 2 & 7 <= 4)?;
        let (follow, count) = (flags & (FIGURES | NO_FIGURES), self.number()?);
        if follow == FIGURES | NO_FIGURES || version == COUNTED && follow == NO_FIGURES {
            return None;
        }
        let plain = follow == 0;
        let mut rest = Rest { flags, count, figures: None, plain, text: "", number: 0.0 };
        if follow & FIGURES != 0 {
            let (min, max, mean) = (self.finite()?, self.finite()?, self.finite()?);
            let ms = self.number()?;
            rest.figures = Some(Figures { min, max, mean, ms });
        }
        if version == COUNTED {
            rest.fill_the_minute();
        }
        match flags >> 2 & 7 {
            3 => rest.number = self.finite()?,
            4 => rest.text = self.text()?,
            _ => (),
        }
        Some(rest)
    }
}
