//! The words of one line, sorted by what they are for, as GRBL 1.1 sorts them.
//!
//! Finds what is wrong with the words themselves: unknown codes, two of one group, repeated
//! words. What the words do together is the business of `interpreter`.

use headstock_config::machine::Units;

use super::modal::{FeedMode, Modal, Motion, Plane, Spindle};
use super::words::{Error, Word, words};

/// A code that acts once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Once {
    /// No such code.
    #[default]
    Nothing,
    /// G4.
    Dwell,
    /// G10.
    SetOffset,
    /// G28, G30.
    GoHome,
    /// G28.1, G30.1.
    StoreHome,
    /// G53.
    MachineCoordinates,
    /// G92.
    Shift,
    /// G92.1.
    Unshift,
}

/// Who uses the axis words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum AxisUse {
    /// Nobody yet.
    #[default]
    Nobody,
    /// The motion mode.
    Motion,
    /// G10, G28, G30, G92.
    Once,
    /// G43.1, G49.
    ToolLength,
}

/// How the program goes on after the line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Flow {
    /// With the next line.
    #[default]
    On,
    /// M0.
    Stop,
    /// M1.
    OptionalStop,
    /// M2, M30.
    End,
    /// M6.
    ToolChange,
}

/// The words of a line, sorted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    /// The modes as they are after the line, but for F, S and T.
    pub(super) modal: Modal,
    pub(super) once: Once,
    pub(super) axis_use: AxisUse,
    pub(super) flow: Flow,
    /// G43.1 instead of G49.
    pub(super) tool_length_set: bool,
    /// The values of F, I, J …, by letter.
    values: [f64; 26],
    /// A bit for each letter that was there and is not G or M.
    seen: u32,
    /// A bit for each group of codes that was there.
    groups: u32,
}

/// The groups of codes of which a line may have one each. Source: NIST RS274/NGC, table 4.
#[derive(Clone, Copy)]
enum Group {
    Once,
    Motion,
    Plane,
    Distance,
    ArcDistance,
    FeedMode,
    Units,
    CutterRadius,
    ToolLength,
    System,
    PathControl,
    Flow,
    Spindle,
    Coolant,
}

pub(super) fn bit(letter: u8) -> u32 {
    1 << (letter - b'A')
}

impl Block {
    /// Sorts the words of a line, starting from the modes before it.
    pub(super) fn read(text: &str, modal: &Modal) -> Result<Self, Error> {
        let mut block = Self {
            modal: *modal,
            once: Once::Nothing,
            axis_use: AxisUse::Nobody,
            flow: Flow::On,
            tool_length_set: false,
            values: [0.0; 26],
            seen: 0,
            groups: 0,
        };
        for word in words(text) {
            let word = word?;
            match word.letter {
                b'G' => block.take_g(word)?,
                b'M' => block.take_m(word)?,
                _ => block.take_value(word)?,
            }
        }
        if block.axis_words() != 0 && block.axis_use == AxisUse::Nobody {
            block.axis_use = AxisUse::Motion;
        }
        Ok(block)
    }

    /// The value of a letter, if it was there.
    pub(super) fn value(&self, letter: u8) -> Option<f64> {
        self.has(bit(letter)).then(|| self.values[usize::from(letter - b'A')])
    }

    /// The value of an axis word (0 to 2 for X, Y, Z), as written.
    pub(super) fn axis(&self, axis: usize) -> Option<f64> {
        self.value(b"XYZ"[axis])
    }

    /// The value of I, J or K (0 to 2), as written; 0 if absent.
    pub(super) fn offset(&self, axis: usize) -> f64 {
        self.value(b"IJK"[axis]).unwrap_or(0.0)
    }

    /// Whether any of these letters was there.
    pub(super) fn has(&self, letters: u32) -> bool {
        self.seen & letters != 0
    }

    /// The letters of the axis words that were there.
    pub(super) fn axis_words(&self) -> u32 {
        self.seen & (bit(b'X') | bit(b'Y') | bit(b'Z'))
    }

    /// The letters that were there.
    pub(super) fn letters(&self) -> u32 {
        self.seen
    }

    /// A code of this line changes the spindle or coolant.
    pub(super) fn switches(&self) -> bool {
        self.groups & (1 << Group::Spindle as u32 | 1 << Group::Coolant as u32) != 0
    }

    /// The motion mode uses the axis words of this line, or it goes home.
    pub(super) fn moves(&self) -> bool {
        let motion = self.axis_use == AxisUse::Motion && self.axis_words() != 0;
        motion || self.once == Once::GoHome
    }

    /// G10, G92 or G92.1.
    pub(super) fn sets_offsets(&self) -> bool {
        matches!(self.once, Once::SetOffset | Once::Shift | Once::Unshift)
    }

    /// The line chooses units.
    pub(super) fn sets_units(&self) -> bool {
        self.groups & 1 << Group::Units as u32 != 0
    }

    /// The line chooses a motion mode.
    pub(super) fn sets_motion(&self) -> bool {
        self.groups & 1 << Group::Motion as u32 != 0
    }

    /// The line chooses a work coordinate system.
    pub(super) fn sets_system(&self) -> bool {
        self.groups & 1 << Group::System as u32 != 0
    }

    /// G20 and its kin change what lengths mean.
    pub(super) fn unit(&self) -> f64 {
        if self.modal.units == Units::Inch { super::MM_PER_INCH } else { 1.0 }
    }

    fn take_g(&mut self, word: Word) -> Result<(), Error> {
        let code = word.hundredths().ok_or(Error(20))?;
        let group = match code {
            0 | 100 | 200 | 300 | 3820 | 3830 | 3840 | 3850 => {
                self.claim_axes(AxisUse::Motion)?;
                self.modal.motion = motion(code);
                Group::Motion
            }
            8000 => {
                self.modal.motion = Motion::Off;
                Group::Motion
            }
            400 | 1000 | 2800 | 2810 | 3000 | 3010 | 5300 | 9200 | 9210 => {
                if matches!(code, 1000 | 2800 | 3000 | 9200) {
                    self.claim_axes(AxisUse::Once)?;
                }
                self.once = once(code);
                Group::Once
            }
            // GRBL takes any G49.x for G49.
            4310 | 4900..=4999 => {
                self.claim_axes(AxisUse::ToolLength)?;
                self.tool_length_set = code == 4310;
                Group::ToolLength
            }
            1700 => self.mode(|it| it.plane = Plane::Xy, Group::Plane),
            1800 => self.mode(|it| it.plane = Plane::Zx, Group::Plane),
            1900 => self.mode(|it| it.plane = Plane::Yz, Group::Plane),
            2000 => self.mode(|it| it.units = Units::Inch, Group::Units),
            2100 => self.mode(|it| it.units = Units::Mm, Group::Units),
            9000 => self.mode(|it| it.relative = false, Group::Distance),
            9100 => self.mode(|it| it.relative = true, Group::Distance),
            9110 => Group::ArcDistance,
            9300 => self.mode(|it| it.feed_mode = FeedMode::InverseTime, Group::FeedMode),
            9400 => self.mode(|it| it.feed_mode = FeedMode::PerMinute, Group::FeedMode),
            4000 => Group::CutterRadius,
            6100 => Group::PathControl,
            // In range: 1 to 6.
            5400..=5900 if code.is_multiple_of(100) => {
                self.mode(|it| it.system = (code / 100 - 53) as u8, Group::System)
            }
            _ => return Err(self.unknown_g(code)),
        };
        self.once_per_line(group)
    }

    /// GRBL's number for a code that it does not have. It looks at the whole part first.
    fn unknown_g(&self, code: u32) -> Error {
        let motion_word = matches!(code / 100, 0..=3 | 38);
        let axis_word = matches!(code / 100, 43 | 49);
        if (motion_word || axis_word) && self.axis_use != AxisUse::Nobody {
            return Error(24);
        }
        match code / 100 {
            0..=4 | 10 | 17..=21 | 40 | 53..=59 | 80 | 93 | 94 => Error(23),
            _ => Error(20),
        }
    }

    fn take_m(&mut self, word: Word) -> Result<(), Error> {
        let code = word.hundredths().ok_or(Error(20))?;
        if !code.is_multiple_of(100) {
            return Err(Error(23));
        }
        let group = match code / 100 {
            0 => self.flow(Flow::Stop),
            1 => self.flow(Flow::OptionalStop),
            2 | 30 => self.flow(Flow::End),
            6 => self.flow(Flow::ToolChange),
            3 => self.mode(|it| it.spindle = Spindle::Clockwise, Group::Spindle),
            4 => self.mode(|it| it.spindle = Spindle::CounterClockwise, Group::Spindle),
            5 => self.mode(|it| it.spindle = Spindle::Off, Group::Spindle),
            7 => self.mode(|it| it.mist = true, Group::Coolant),
            8 => self.mode(|it| it.flood = true, Group::Coolant),
            9 => self.mode(|it| (it.mist, it.flood) = (false, false), Group::Coolant),
            _ => return Err(Error(20)),
        };
        self.once_per_line(group)
    }

    fn take_value(&mut self, Word { letter, value }: Word) -> Result<(), Error> {
        match letter {
            b'F' | b'I'..=b'L' | b'N' | b'P' | b'R' | b'S' | b'T' | b'X'..=b'Z' => (),
            _ => return Err(Error(20)),
        }
        if letter == b'T' && value > f64::from(u8::MAX) {
            return Err(Error(38));
        }
        if self.has(bit(letter)) {
            return Err(Error(25));
        }
        if matches!(letter, b'F' | b'N' | b'P' | b'S' | b'T') && value < 0.0 {
            return Err(Error(4));
        }
        self.seen |= bit(letter);
        self.values[usize::from(letter - b'A')] = value;
        Ok(())
    }

    fn claim_axes(&mut self, by: AxisUse) -> Result<(), Error> {
        if self.axis_use != AxisUse::Nobody {
            return Err(Error(24));
        }
        self.axis_use = by;
        Ok(())
    }

    fn once_per_line(&mut self, group: Group) -> Result<(), Error> {
        let bit = 1 << group as u32;
        if self.groups & bit != 0 {
            return Err(Error(21));
        }
        self.groups |= bit;
        Ok(())
    }

    fn mode(&mut self, set: impl FnOnce(&mut Modal), group: Group) -> Group {
        set(&mut self.modal);
        group
    }

    fn flow(&mut self, flow: Flow) -> Group {
        self.flow = flow;
        Group::Flow
    }
}

fn motion(code: u32) -> Motion {
    match code {
        0 => Motion::Rapid,
        100 => Motion::Line,
        200 => Motion::ArcCw,
        300 => Motion::ArcCcw,
        // In range: 3820 to 3850.
        _ => Motion::Probe((code / 10 % 10) as u8),
    }
}

fn once(code: u32) -> Once {
    match code {
        400 => Once::Dwell,
        1000 => Once::SetOffset,
        2800 | 3000 => Once::GoHome,
        2810 | 3010 => Once::StoreHome,
        5300 => Once::MachineCoordinates,
        9200 => Once::Shift,
        _ => Once::Unshift,
    }
}
