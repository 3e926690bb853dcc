//! The language of Marlin and its relatives: one line in, one meaning out.
//!
//! A line is read leniently, since forks differ in case and spaces and a wire may change a byte;
//! what is not understood is [`Reply::Other`], never an error. Numbers are taken only where they
//! are plain. Sources: Marlin `src/gcode/queue.cpp` (answers, resends), `src/module/temperature.cpp`
//! (`print_heater_states`), `src/gcode/host/M115.cpp`, `src/feature/host_actions.cpp`,
//! `src/core/language.h`; RepRap wiki, "G-code", for `rs N` and `ok N`.

/// What one line means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reply<'a> {
    /// `ok …`: a line has left the command queue.
    Ok(Answer<'a>),
    /// `Resend: 12`, `rs 12`, `rs N12`: the line that the firmware waits for.
    Resend(i64),
    /// `Error:checksum mismatch, Last Line: 11`: the last line that it has taken.
    BadLine(i64),
    /// `start`, or another sign that it has just begun to run.
    Start,
    /// `wait`: it has nothing to do.
    Wait,
    /// `echo:busy: processing`, with what follows `busy:`.
    Busy(&'a str),
    /// `Error:Printer halted. kill() called!`: nothing more comes of it before a reset.
    Killed,
    /// `Error:Printer stopped due to errors…`: M999 lets it go on.
    Stopped,
    /// Any other `Error:`.
    Error(&'a str),
    /// `echo:Unknown command: "…"`; an `ok` follows.
    UnknownCommand(&'a str),
    /// `//action:…`.
    Action(&'a str),
    /// `T:21 /0 B:22 /0 @:0` on a line of its own.
    Temperatures(&'a str),
    /// `X:1.00 Y:2.00 Z:3.00 E:4.00 Count …`: X, Y, Z and E.
    Position([f64; 4]),
    /// `Bed X: 12.00 Y: 20.00 Z: 0.05`: where a probe has met the bed.
    Bed([f64; 3]),
    /// `FIRMWARE_NAME:…`.
    Firmware(&'a str),
    /// `Cap:NAME:1`.
    Capability(&'a str, bool),
    /// Something for people.
    Other(&'a str),
    /// Nothing.
    Empty,
}

/// What came with an `ok`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Answer<'a> {
    /// `N`: the line that is answered (ADVANCED_OK, Repetier).
    pub number: Option<i64>,
    /// `P`: free planner blocks.
    pub planner: Option<usize>,
    /// `B`: free places in the command queue.
    pub queue: Option<usize>,
    /// Temperatures, as M105 is answered.
    pub temperatures: Option<&'a str>,
}

/// What a firmware that has just started says first, at the beginning of a line.
const BIRTH: &[&str] =
    &["Marlin ", "echo:Marlin", "PowerUp", "External Reset", "Brown out Reset", "Watchdog Reset"];

/// Reads one line without its end.
pub fn parse(line: &[u8]) -> Reply<'_> {
    let text = std::str::from_utf8(line).unwrap_or_default().trim();
    if text.is_empty() {
        let damaged = !line.trim_ascii().is_empty();
        return if damaged { Reply::Other("") } else { Reply::Empty };
    }
    known(text).unwrap_or(Reply::Other(text))
}

fn known(text: &str) -> Option<Reply<'_>> {
    if text == "start" || BIRTH.iter().any(|birth| text.starts_with(birth)) {
        return Some(Reply::Start);
    }
    if text == "wait" {
        return Some(Reply::Wait);
    }
    if let Some(action) = text.strip_prefix("//action:") {
        return Some(Reply::Action(action.trim()));
    }
    if let Some(said) = after(text, "error:") {
        return Some(error(said.trim()));
    }
    if let Some(number) = resend(text) {
        return Some(Reply::Resend(number));
    }
    if let Some(said) = after(text, "echo:") {
        return Some(echo(said));
    }
    if let Some(said) = after(text, "busy:") {
        return Some(Reply::Busy(said.trim()));
    }
    if text.starts_with("FIRMWARE_NAME:") {
        return Some(Reply::Firmware(text));
    }
    if let Some(rest) = text.strip_prefix("Cap:") {
        let (name, value) = rest.rsplit_once(':')?;
        return Some(Reply::Capability(name, value.trim() == "1"));
    }
    if let Some(answer) = ok(text) {
        return Some(Reply::Ok(answer));
    }
    if let Some([x, y, z, _]) = text.strip_prefix("Bed ").and_then(position) {
        return Some(Reply::Bed([x, y, z]));
    }
    if let Some(place) = position(text) {
        return Some(Reply::Position(place));
    }
    temperatures(text).map(Reply::Temperatures)
}

/// What follows a word, whatever its case.
fn after<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let head = text.get(..word.len())?;
    head.eq_ignore_ascii_case(word).then(|| &text[word.len()..])
}

fn error(said: &str) -> Reply<'_> {
    if let Some(at) = said.find("Last Line:")
        && let Some(last) = whole(said[at + "Last Line:".len()..].trim())
    {
        return Reply::BadLine(last);
    }
    match said {
        _ if said.starts_with("Printer halted") => Reply::Killed,
        _ if said.starts_with("Printer stopped") => Reply::Stopped,
        _ => Reply::Error(said),
    }
}

fn echo(said: &str) -> Reply<'_> {
    let said = said.trim();
    match after(said, "busy:") {
        Some(why) => Reply::Busy(why.trim()),
        None => match after(said, "Unknown command:") {
            Some(line) => Reply::UnknownCommand(line.trim().trim_matches('"')),
            None => Reply::Other(said),
        },
    }
}

fn resend(text: &str) -> Option<i64> {
    let rest = after(text, "resend").or_else(|| after(text, "rs"))?;
    let rest = rest.trim_start_matches([':', ' ']);
    whole(rest.trim_start_matches(['N', 'n']))
}

/// Digits, perhaps with a sign, and nothing that belongs to another number behind them.
fn whole(text: &str) -> Option<i64> {
    let text = text.split(' ').next().unwrap_or_default();
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

/// `ok`, also with a byte lost or added before it (`kok`, `k`), and behind other text (`echo:…ok`
/// is what becomes of two lines whose end was lost).
fn ok(text: &str) -> Option<Answer<'_>> {
    if matches!(text, "k" | "kok" | "okok") {
        return Some(Answer::default());
    }
    let rest = after(text, "ok")?;
    if rest.starts_with(|letter: char| letter.is_ascii_alphabetic() && letter != 'N') {
        return None;
    }
    let mut answer = Answer::default();
    let mut left = rest.trim_start();
    while !left.is_empty() {
        answer.temperatures = temperatures(left);
        if answer.temperatures.is_some() {
            break;
        }
        let (word, behind) = left.split_once(' ').unwrap_or((left, ""));
        left = behind.trim_start();
        let count = |digits: &str| digits.parse::<usize>().ok();
        match word.as_bytes()[0] {
            b'N' => answer.number = whole(&word[1..]),
            b'P' => answer.planner = count(&word[1..]),
            b'B' => answer.queue = count(&word[1..]),
            b'0'..=b'9' if rest.trim() == word => answer.number = whole(word),
            // Something else has run into it; its numbers are no answer to anything.
            _ => return Some(Answer::default()),
        }
    }
    Some(answer)
}

fn temperatures(text: &str) -> Option<&str> {
    let text = text.trim();
    let mut bytes = text.bytes();
    let letter = bytes.next().is_some_and(|byte| b"TBC".contains(&byte));
    let number = bytes.find(|byte| !byte.is_ascii_digit());
    (letter && number == Some(b':')).then_some(text)
}

fn position(text: &str) -> Option<[f64; 4]> {
    if !text.starts_with("X:") || !text.contains("Y:") || !text.contains("Z:") {
        return None;
    }
    let mut place = [0.0; 4];
    // What the steppers have counted follows, under the same letters.
    let logical = text.split("Count").next().unwrap_or_default();
    for (letter, place) in ["X:", "Y:", "Z:", "E:"].into_iter().zip(&mut place) {
        let Some(at) = logical.find(letter) else { continue };
        let number = logical[at + 2..].trim_start();
        let end = number.find(|it: char| !(it.is_ascii_digit() || "+-.".contains(it)));
        *place = number[..end.unwrap_or(number.len())].parse().ok().filter(|it: &f64| {
            // No printer is a kilometre long; a changed byte can say so.
            it.abs() < 1e6
        })?;
    }
    Some(place)
}

/// One `B:60.1 /60.0`: which, how warm, and what it is set to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading<'a> {
    /// `T`, `T0`, `B`, `C`, `P`, `L`, `M`, or `@` and one of them for the power.
    pub key: &'a str,
    /// °C; of a power the firmware's own figure.
    pub value: f64,
    /// °C.
    pub target: Option<f64>,
}

/// The pairs of a temperature report, in order. `T:21.3/ 0.0` is read as well (Repetier).
pub fn readings(text: &str) -> impl Iterator<Item = Reading<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            let colon = rest.find(':')?;
            let key = rest[..colon].rsplit([' ', '/']).next().unwrap_or_default();
            let after = rest[colon + 1..].trim_start();
            let (value, behind) = number(after);
            rest = behind;
            let known = key.trim_matches(|it: char| it == '@' || it.is_ascii_digit());
            let (Some(value), true) =
                (value, matches!(known, "" | "T" | "B" | "C" | "P" | "L" | "M" | "R"))
            else {
                if rest.is_empty() {
                    return None;
                }
                continue;
            };
            let target = behind.trim_start().strip_prefix('/').map(|it| number(it.trim_start()));
            if let Some((_, behind)) = target {
                rest = behind;
            }
            let target = target.and_then(|it| it.0);
            if !key.is_empty() {
                return Some(Reading { key, value, target });
            }
        }
    })
}

/// A number at the beginning, and what follows it.
fn number(text: &str) -> (Option<f64>, &str) {
    let end = text.find(|it: char| !(it.is_ascii_digit() || "+-.".contains(it)));
    let (digits, rest) = text.split_at(end.unwrap_or(text.len()));
    let sane = |it: &f64| it.is_finite() && it.abs() < 10_000.0;
    (digits.parse().ok().filter(sane), rest)
}

/// The value of a key of the `FIRMWARE_NAME:…` line, up to the next key.
pub fn firmware_field<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let at = text.find(&format!("{key}:"))?;
    let value = &text[at + key.len() + 1..];
    let is_key = |word: &str| {
        let Some((name, _)) = word.split_once(':') else { return false };
        2 < name.len() && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
    };
    let mut end = value.len();
    for (at, _) in value.match_indices(' ') {
        if is_key(&value[at + 1..]) {
            end = at;
            break;
        }
    }
    Some(value[..end].trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advanced(number: i64, planner: usize, queue: usize) -> Reply<'static> {
        Reply::Ok(Answer {
            number: Some(number),
            planner: Some(planner),
            queue: Some(queue),
            temperatures: None,
        })
    }

    #[test]
    fn every_spelling_of_an_answer_is_understood() {
        let plain = Reply::Ok(Answer::default());
        for (line, reply) in [
            ("ok", plain),
            ("ok\r", plain),
            ("kok", plain),
            ("okok", plain),
            ("k", plain),
            ("OK", plain),
            ("ok N12 P15 B3", advanced(12, 15, 3)),
            ("ok N-1 P15 B3", advanced(-1, 15, 3)),
            ("ok\u{1a}Resend: 138", plain),
            (
                "ok N2 P15 B3 T:25.00 /0.00",
                Reply::Ok(Answer {
                    number: Some(2),
                    planner: Some(15),
                    queue: Some(3),
                    temperatures: Some("T:25.00 /0.00"),
                }),
            ),
            ("ok 12", Reply::Ok(Answer { number: Some(12), ..Answer::default() })),
            (
                "ok P15 B3",
                Reply::Ok(Answer { planner: Some(15), queue: Some(3), ..Answer::default() }),
            ),
            (
                "ok T:19.37 /0.00",
                Reply::Ok(Answer { temperatures: Some("T:19.37 /0.00"), ..Answer::default() }),
            ),
            ("Resend: 12", Reply::Resend(12)),
            ("Resend:3", Reply::Resend(3)),
            ("resend N7", Reply::Resend(7)),
            ("rs N12", Reply::Resend(12)),
            ("rs 12", Reply::Resend(12)),
            ("Error:checksum mismatch, Last Line: 2", Reply::BadLine(2)),
            ("Error:Line Number is not Last Line Number+1, Last Line: 2", Reply::BadLine(2)),
            ("Error:No Checksum with line number, Last Line: -1", Reply::BadLine(-1)),
            ("Error:Printer halted. kill() called!", Reply::Killed),
            (
                "Error:Printer stopped due to errors. Fix the error and use M999 to restart.",
                Reply::Stopped,
            ),
            (
                "Error:MINTEMP triggered, system stopped! Heater_ID: 0",
                Reply::Error("MINTEMP triggered, system stopped! Heater_ID: 0"),
            ),
            ("echo:busy: processing", Reply::Busy("processing")),
            ("busy:processing", Reply::Busy("processing")),
            ("echo:Unknown command: \"FOO\"", Reply::UnknownCommand("FOO")),
            ("//action:pause", Reply::Action("pause")),
            ("start", Reply::Start),
            ("Marlin 2.1.2.4", Reply::Start),
            ("wait", Reply::Wait),
            ("Cap:EMERGENCY_PARSER:1", Reply::Capability("EMERGENCY_PARSER", true)),
            (
                " T:201.5 /210.0 B:60.1 /60.0 @:127 B@:45 W:?",
                Reply::Temperatures("T:201.5 /210.0 B:60.1 /60.0 @:127 B@:45 W:?"),
            ),
            (
                "X:1.00 Y:-2.50 Z:0.30 E:12.00 Count X:80 Y:-200 Z:120",
                Reply::Position([1.0, -2.5, 0.3, 12.0]),
            ),
            ("Bed X: 12.00 Y: -3.50 Z: 0.05", Reply::Bed([12.0, -3.5, 0.05])),
            ("Bed X: 12.00 Y: what Z: 0.05", Reply::Other("Bed X: 12.00 Y: what Z: 0.05")),
            ("", Reply::Empty),
            ("okay then", Reply::Other("okay then")),
            ("Resend: 1x2", Reply::Other("Resend: 1x2")),
        ] {
            assert_eq!(parse(line.as_bytes()), reply, "{line}");
        }
    }

    #[test]
    fn temperatures_are_read_pair_by_pair() {
        let all = |text| readings(text).map(|it| (it.key, it.value, it.target)).collect::<Vec<_>>();
        assert_eq!(
            all("T:201.5 /210.0 B:60.1 /60.0 T0:201.5 /210.0 T1:25.0 /0.0 P:30.1 @:127 B@:45 W:?"),
            [
                ("T", 201.5, Some(210.0)),
                ("B", 60.1, Some(60.0)),
                ("T0", 201.5, Some(210.0)),
                ("T1", 25.0, Some(0.0)),
                ("P", 30.1, None),
                ("@", 127.0, None),
                ("B@", 45.0, None),
            ]
        );
        assert_eq!(all("T:21.30/ 0.00 B:21.30/ 0.00 @:64")[1], ("B", 21.3, Some(0.0)));
    }

    #[test]
    fn the_fields_of_the_firmware_line_may_hold_spaces() {
        let line = "FIRMWARE_NAME:Marlin 2.1.2 (Nov 1 2024 10:00:00) SOURCE_CODE_URL:github.com/x \
                    PROTOCOL_VERSION:1.0 MACHINE_TYPE:Ender-3 Pro EXTRUDER_COUNT:1 UUID:cede2a2f";
        assert_eq!(
            firmware_field(line, "FIRMWARE_NAME"),
            Some("Marlin 2.1.2 (Nov 1 2024 10:00:00)")
        );
        assert_eq!(firmware_field(line, "MACHINE_TYPE"), Some("Ender-3 Pro"));
        assert_eq!(firmware_field(line, "EXTRUDER_COUNT"), Some("1"));
        assert_eq!(firmware_field(line, "AXIS_COUNT"), None);
    }
}
