//! The lines a GRBL controller says, as values. No state, no input or output.
//!
//! ```text
//! '<' State[:n] ('|' Key ':' Value)* '>'        status, an answer to `?`
//! ok | error:N                                  the answer to a line
//! ALARM:N | [Key:Text] | >line:ok | $n=v        said without being an answer
//! Grbl 1.1h ['$' for help]                      it has just started
//! ```
//!
//! Sources: GRBL 1.1 interface description; grblHAL and FluidNC report code for the additions.
//! A report with one damaged field is dropped whole, for nobody knows what else is wrong with it;
//! unknown keys are passed over. Nothing here panics, whatever arrives.

use headstock_config::machine::Xyz;

/// One line from the controller.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "it lives on the stack for one line")]
pub enum Reply<'a> {
    /// Nothing but a line end.
    Empty,
    /// The oldest unanswered line was accepted.
    Ok,
    /// The oldest unanswered line was refused.
    Error(u16),
    /// It has locked itself.
    Alarm(u16),
    /// An answer to `?`.
    Status(Report<'a>),
    /// A status report that was damaged on its way.
    BadStatus,
    /// It has just started.
    Banner(&'a str),
    /// `[MSG:…]`.
    Message(&'a str),
    /// `[GC:…]`: the modal state.
    Modal(&'a str),
    /// `[PRB:x,y,z:ok]` in machine coordinates, in the controller's report units.
    Probe(Xyz, bool),
    /// `[VER:…]`.
    Version(&'a str),
    /// `[OPT:…]`.
    Options(&'a str),
    /// Any other bracketed line.
    Bracket(&'a str),
    /// `$n=v`.
    Setting(u16, &'a str),
    /// A stored start-up line was carried out; not an answer to anything that was sent.
    StartUp,
    /// Something no controller of this family says.
    Unknown(&'a [u8]),
}

/// What a status report says, in the controller's report units.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report<'a> {
    /// State word with its sub-state, as said: `Hold:0`.
    pub said: &'a str,
    /// State word.
    pub state: State,
    /// Sub-state, if it has one.
    pub sub: Option<u16>,
    /// `MPos`.
    pub machine: Option<Xyz>,
    /// `WPos`.
    pub work: Option<Xyz>,
    /// `WCO`.
    pub offset: Option<Xyz>,
    /// `Bf`: free planner blocks, free receive bytes.
    pub buffer: Option<[usize; 2]>,
    /// `Ln`.
    pub line: Option<u64>,
    /// Feed of `F` or `FS`.
    pub feed: Option<f64>,
    /// Spindle speed of `FS`.
    pub spindle: Option<f64>,
    /// `Pn`; absent means none active.
    pub pins: &'a str,
    /// `Ov`: feed, rapid, spindle.
    pub overrides: Option<[u16; 3]>,
    /// `A`; its absence means something only beside `Ov`.
    pub accessory: Option<&'a str>,
    /// `H` of grblHAL: all axes homed or not.
    pub homed: Option<bool>,
}

/// The state words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Nothing moves.
    Idle,
    /// A program or a typed line moves.
    Run,
    /// Held, or slowing down to it.
    Hold,
    /// A jog moves.
    Jog,
    /// Locked.
    Alarm,
    /// The safety door is or was open.
    Door,
    /// Lines are parsed, nothing moves.
    Check,
    /// Looking for the switches.
    Home,
    /// Asleep until a reset.
    Sleep,
    /// grblHAL waits for a tool.
    Tool,
    /// A word we do not know.
    #[default]
    Other,
}

/// Reads one line without its line end.
pub fn parse(line: &[u8]) -> Reply<'_> {
    match line {
        b"ok" => return Reply::Ok,
        b"" => return Reply::Empty,
        _ => (),
    }
    let Ok(text) = std::str::from_utf8(line) else { return Reply::Unknown(line) };
    let text = text.trim();
    let reply = match text.as_bytes().first() {
        None => Some(Reply::Empty),
        Some(b'<') => Some(status(text).map_or(Reply::BadStatus, Reply::Status)),
        Some(b'[') => bracket(text),
        Some(b'$') => setting(text),
        Some(b'>') => Some(Reply::StartUp),
        _ => plain(text),
    };
    reply.unwrap_or(Reply::Unknown(line))
}

fn plain(text: &str) -> Option<Reply<'_>> {
    if text == "ok" {
        return Some(Reply::Ok);
    }
    if let Some(number) = text.strip_prefix("error:") {
        return Some(Reply::Error(number.trim().parse().ok()?));
    }
    if let Some(number) = text.strip_prefix("ALARM:") {
        return Some(Reply::Alarm(number.trim().parse().ok()?));
    }
    let greets = text.starts_with("Grbl") || text.ends_with("for help]");
    (greets && text.contains('[')).then_some(Reply::Banner(text))
}

fn setting(text: &str) -> Option<Reply<'_>> {
    let (number, value) = text.strip_prefix('$')?.split_once('=')?;
    // Some builds add a description in brackets behind the value.
    let value = value.split('(').next().unwrap_or(value).trim();
    Some(Reply::Setting(number.parse().ok()?, value))
}

fn bracket(text: &str) -> Option<Reply<'_>> {
    let inner = text.strip_prefix('[')?.strip_suffix(']')?;
    Some(match inner.split_once(':') {
        Some(("MSG", rest)) => Reply::Message(rest),
        Some(("GC", rest)) => Reply::Modal(rest),
        Some(("VER", rest)) => Reply::Version(rest),
        Some(("OPT", rest)) => Reply::Options(rest),
        Some(("PRB", rest)) => {
            let (at, touched) = rest.rsplit_once(':')?;
            Reply::Probe(point(at)?, touched == "1")
        }
        _ => Reply::Bracket(inner),
    })
}

fn status(text: &str) -> Option<Report<'_>> {
    let mut fields = text.strip_prefix('<')?.strip_suffix('>')?.split('|');
    let said = fields.next()?;
    let (word, sub) = match said.split_once(':') {
        Some((word, sub)) => (word, Some(sub.parse().ok()?)),
        None => (said, None),
    };
    let mut report = Report { said, state: state(word)?, sub, ..Report::default() };
    for field in fields {
        let (key, value) = field.split_once(':').unwrap_or((field, ""));
        take_field(&mut report, key, value)?;
    }
    (report.machine.is_some() || report.work.is_some()).then_some(report)
}

/// `None` where the word cannot be a state at all.
fn state(word: &str) -> Option<State> {
    Some(match word {
        "Idle" => State::Idle,
        "Run" => State::Run,
        "Hold" => State::Hold,
        "Jog" => State::Jog,
        "Alarm" => State::Alarm,
        "Door" => State::Door,
        "Check" => State::Check,
        "Home" => State::Home,
        "Sleep" => State::Sleep,
        "Tool" => State::Tool,
        _ if !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphabetic()) => {
            State::Other
        }
        _ => return None,
    })
}

fn take_field<'a>(report: &mut Report<'a>, key: &str, value: &'a str) -> Option<()> {
    match key {
        "MPos" => report.machine = Some(point(value)?),
        "WPos" => report.work = Some(point(value)?),
        "WCO" => report.offset = Some(point(value)?),
        "Bf" => {
            let (planner, rx) = value.split_once(',')?;
            report.buffer = Some([planner.parse().ok()?, rx.parse().ok()?]);
        }
        "Ln" => report.line = Some(value.parse().ok()?),
        "F" => report.feed = Some(number(value)?),
        "FS" => {
            let mut parts = value.split(',');
            report.feed = Some(number(parts.next()?)?);
            report.spindle = Some(number(parts.next()?)?);
        }
        "Pn" => report.pins = letters(value)?,
        "Ov" => report.overrides = Some(percents(value)?),
        "A" => report.accessory = Some(letters(value)?),
        "H" => report.homed = Some(value.split(',').next()? == "1"),
        _ => (),
    }
    Some(())
}

/// One to nine coordinates; the first three count.
/// Up to nine numbers with commas between them; the first three count.
pub(super) fn point(text: &str) -> Option<Xyz> {
    let mut at = [0.0; 3];
    let mut axes = 0;
    for part in text.split(',') {
        let value = number(part)?;
        if let Some(axis) = at.get_mut(axes) {
            *axis = value;
        }
        axes += 1;
    }
    (axes <= 9).then_some(at)
}

/// A plain decimal number; Rust's own parser would also take `inf` and `1e5`.
fn number(text: &str) -> Option<f64> {
    let plain = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+');
    if !text.bytes().all(plain) {
        return None;
    }
    text.parse().ok().filter(|it: &f64| it.is_finite())
}

fn percents(text: &str) -> Option<[u16; 3]> {
    let mut parts = text.split(',').map(|part| part.parse().ok());
    let all = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(all)
}

fn letters(text: &str) -> Option<&str> {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b' ').then_some(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn report(text: &str) -> Report<'_> {
        match parse(text.as_bytes()) {
            Reply::Status(report) => report,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn every_line_a_controller_says_has_a_meaning() {
        let rows: [(&str, Reply<'_>); 19] = [
            ("ok", Reply::Ok),
            ("ok ", Reply::Ok),
            ("error:20", Reply::Error(20)),
            ("ALARM:1", Reply::Alarm(1)),
            ("", Reply::Empty),
            ("Grbl 1.1h ['$' for help]", Reply::Banner("Grbl 1.1h ['$' for help]")),
            (
                "GrblHAL 1.1f ['$' or '$HELP' for help]",
                Reply::Banner("GrblHAL 1.1f ['$' or '$HELP' for help]"),
            ),
            (
                "Grbl 3.7 [FluidNC v3.7.8 (wifi) '$' for help]",
                Reply::Banner("Grbl 3.7 [FluidNC v3.7.8 (wifi) '$' for help]"),
            ),
            ("[MSG:Caution: Unlocked]", Reply::Message("Caution: Unlocked")),
            ("[GC:G0 G54 G17]", Reply::Modal("G0 G54 G17")),
            ("[VER:1.1h.20190825:]", Reply::Version("1.1h.20190825:")),
            ("[OPT:V,15,128]", Reply::Options("V,15,128")),
            ("[PRB:1.000,2.000,-3.500:1]", Reply::Probe([1.0, 2.0, -3.5], true)),
            ("[G54:0.000,0.000,0.000]", Reply::Bracket("G54:0.000,0.000,0.000")),
            ("$100=250.000", Reply::Setting(100, "250.000")),
            ("$0=10 (step pulse, usec)", Reply::Setting(0, "10")),
            (">G20G54:ok", Reply::StartUp),
            ("okk", Reply::Unknown(b"okk")),
            ("error:2O", Reply::Unknown(b"error:2O")),
        ];
        for (line, meaning) in rows {
            assert_eq!(parse(line.as_bytes()), meaning, "{line:?}");
        }
    }

    #[test]
    fn a_full_report_is_read_field_by_field() {
        let report = report(
            "<Hold:1|MPos:1.000,-2.500,0.000|Bf:3,57|Ln:120|FS:500,8000|Pn:XP|Ov:110,50,90|A:SF>",
        );
        assert_eq!((report.state, report.sub, report.said), (State::Hold, Some(1), "Hold:1"));
        assert_eq!(report.machine, Some([1.0, -2.5, 0.0]));
        assert_eq!((report.buffer, report.line), (Some([3, 57]), Some(120)));
        assert_eq!((report.feed, report.spindle), (Some(500.0), Some(8000.0)));
        assert_eq!((report.pins, report.accessory), ("XP", Some("SF")));
        assert_eq!(report.overrides, Some([110, 50, 90]));
    }

    #[test]
    fn the_full_report_of_grblhal_is_read_past_what_we_do_not_know() {
        let report = report(
            "<Idle|MPos:0.000,0.000,0.000|Bf:100,1023|FS:0,0|WCO:0.000,0.000,0.000|WCS:G54|\
             Ov:100,100,100|A:|Sc:|MPG:0|H:0|T:0|P:0|TLR:0|FW:grblHAL>",
        );
        assert_eq!(report.buffer, Some([100, 1023]));
        assert_eq!((report.homed, report.accessory), (Some(false), Some("")));
    }

    #[test]
    fn one_to_nine_axes_are_taken() {
        assert_eq!(report("<Idle|MPos:5.000>").machine, Some([5.0, 0.0, 0.0]));
        assert_eq!(report("<Idle|WPos:1,2,3,4,5,6,7,8,9>").work, Some([1.0, 2.0, 3.0]));
        assert_eq!(parse(b"<Idle|MPos:1,2,3,4,5,6,7,8,9,10>"), Reply::BadStatus);
    }

    #[test]
    fn a_damaged_report_is_dropped_whole() {
        for text in [
            "<Idle|MPos:0.000,0.000,0.0",
            "<Idle>",
            "<>",
            "<Id1e|MPos:0,0,0>",
            "<Idle|MPos:0,0,0|Bf:15>",
            "<Idle|MPos:0,x,0>",
            "<Idle|MPos:inf,0,0>",
            "<Idle|MPos:0,0,0|Ov:100,100>",
            "<Hold:|MPos:0,0,0>",
        ] {
            assert_eq!(parse(text.as_bytes()), Reply::BadStatus, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(line in proptest::collection::vec(any::<u8>(), 0..120)) {
            parse(&line);
        }

        #[test]
        fn no_report_panics(fields in "[<>|:,A-Za-z0-9.\\-\\[\\]$]{0,80}") {
            parse(format!("<Idle|{fields}>").as_bytes());
            parse(fields.as_bytes());
        }
    }
}
