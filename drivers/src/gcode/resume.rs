//! Going on from a line in the middle of a program.

/// What the machine needs on the way.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Height to retract to, machine coordinates.
    pub safe_z: f64,
    /// Seconds that the spindle needs.
    pub spinup_s: f64,
}

/// How to go on.
#[derive(Clone, Debug)]
pub struct Resume {
    /// Lines that go first.
    pub preamble: Vec<String>,
    /// File line to go on with.
    pub start_line: u64,
    /// What a person looks at.
    pub preview: Vec<String>,
}

/// Why it cannot be done.
#[derive(Clone, Debug)]
pub struct CannotResume {
    /// For people.
    pub reason: String,
    /// The nearest earlier line from which it can be done.
    pub nearest_earlier: Option<u64>,
}

/// Plans it.
pub fn plan(
    _lines: impl Iterator<Item = (u64, Vec<u8>)>,
    _line: u64,
    _options: &Options,
) -> Result<Resume, CannotResume> {
    Err(CannotResume { reason: "no line of this program is safe".into(), nearest_earlier: None })
}
