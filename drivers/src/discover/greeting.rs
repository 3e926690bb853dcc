//! Who greets like this? What the first words on a serial line say about the firmware.
//!
//! | firmware | says by itself                     | answers                                    |
//! |----------|------------------------------------|--------------------------------------------|
//! | GRBL     | `Grbl 1.1h ['$' for help]`         | `?` with `<Idle\|MPos:…>`                  |
//! | grblHAL  | `GrblHAL 1.1f ['$' or …`           | the same                                   |
//! | FluidNC  | `Grbl 3.7 [FluidNC v3.7.8 …`       | the same                                   |
//! | Marlin   | `start`, `Marlin 2.1.2`            | `M115` with `FIRMWARE_NAME:Marlin 2.1.2 …` |
//! | RepRap   | nothing, or `start`                | `M115` with `FIRMWARE_NAME: …`             |
//!
//! Sources: the interface notes of GRBL 1.1, the M115 pages of Marlin and RepRapFirmware.

use headstock_config::discover::Sure;

/// As much of a greeting as tells what it is; the rest is not kept.
pub const GREETING_MAX: usize = 8 * 1024;
/// Characters of a firmware's own words that are shown.
const SHOWN: usize = 60;

/// Status, answered in the middle of anything, by GRBL and its relatives; nothing comes of it
/// anywhere else.
pub const ASK_GRBL: &[u8] = b"?";
/// Who are you, to printers. Numbered and with a checksum, so that it spoils half a line that an
/// earlier program left behind rather than completing it; then the question itself.
pub const ASK_PRINTER: &[u8] = b"N0 M110 N0*125\nM115\n";

/// A firmware that has made itself known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// As it calls itself.
    pub what: String,
    /// The driver that speaks to it.
    pub driver: &'static str,
    /// How sure that is.
    pub sure: Sure,
}

/// What these bytes say, if anything. Bytes of another speed say nothing.
pub fn recognize(bytes: &[u8]) -> Option<Known> {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<&str> = text.split(['\r', '\n']).map(str::trim).collect();
    let said = |it: &dyn Fn(&str) -> Option<Known>| lines.iter().find_map(|line| it(line));
    said(&firmware_name)
        .or_else(|| said(&grbl))
        .or_else(|| said(&marlin))
        .or_else(|| said(&status))
        .or_else(|| said(&start))
}

/// The first words that can be read, for a port whose firmware nobody here knows.
pub fn words(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let readable = |line: &&str| {
        let letters = line.chars().filter(|it| it.is_ascii_graphic() || *it == ' ').count();
        3 <= letters && letters == line.chars().count()
    };
    text.split(['\r', '\n']).map(str::trim).find(readable).map(shown)
}

/// The answer to M115, or its first line.
fn firmware_name(line: &str) -> Option<Known> {
    let rest = line.split_once("FIRMWARE_NAME:")?.1.trim_start();
    // The fields that may follow, all of them in capitals with a colon behind.
    let end = rest
        .split(' ')
        .scan(0, |at, word| {
            let start = *at;
            *at += word.len() + 1;
            Some((start, word))
        })
        .find(|(start, word)| 0 < *start && is_field(word))
        .map_or(rest.len(), |(start, _)| start);
    let name = rest.get(..end).unwrap_or(rest).trim();
    let machine = rest.split_once("MACHINE_TYPE:").map(|(_, it)| {
        let words = it.trim().split(' ').take_while(|word| !is_field(word));
        words.collect::<Vec<_>>().join(" ")
    });
    let what = match machine.filter(|it| !it.is_empty()) {
        Some(machine) => format!("{name} on {machine}"),
        None => name.to_owned(),
    };
    (!name.is_empty()).then(|| known(&what, "marlin", Sure::Certain))
}

fn is_field(word: &str) -> bool {
    let name = word.split(':').next().unwrap_or_default();
    let capitals = |it: u8| it.is_ascii_uppercase() || it == b'_';
    word.contains(':') && 3 < name.len() && name.bytes().all(capitals)
}

fn grbl(line: &str) -> Option<Known> {
    let lower = line.to_ascii_lowercase();
    let at = lower.find("grbl")?;
    let rest = line.get(at..)?;
    let version = rest.split_whitespace().nth(1)?;
    let numbered = version.starts_with(|it: char| it.is_ascii_digit() || it == 'v');
    (numbered && lower.contains('[')).then(|| {
        let name = if lower.contains("fluidnc") { rest } else { rest.split('[').next()? };
        Some(known(name.trim(), "grbl", Sure::Certain))
    })?
}

fn marlin(line: &str) -> Option<Known> {
    let rest = line.strip_prefix("echo:").unwrap_or(line).trim();
    let version = rest.strip_prefix("Marlin ")?;
    version
        .starts_with(|it: char| it.is_ascii_digit() || it == 'b')
        .then(|| known(rest, "marlin", Sure::Certain))
}

/// `<Idle|MPos:0.000,0.000,0.000|…>`, which nothing else answers to `?`.
fn status(line: &str) -> Option<Known> {
    let inside = line.strip_prefix('<')?.strip_suffix('>')?;
    let places = inside.contains("|MPos:") || inside.contains("|WPos:");
    places.then(|| known("GRBL or a relative of it", "grbl", Sure::Certain))
}

/// What Marlin, Repetier, Smoothie and others say first.
fn start(line: &str) -> Option<Known> {
    (line == "start").then(|| known("a printer's firmware", "marlin", Sure::Likely))
}

fn known(what: &str, driver: &'static str, sure: Sure) -> Known {
    Known { what: shown(what), driver, sure }
}

fn shown(text: &str) -> String {
    text.chars().filter(|it| !it.is_control()).take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn firmware_is_known_by_what_it_says() {
        let rows = [
            ("\r\nGrbl 1.1h ['$' for help]\r\n", "Grbl 1.1h", "grbl", Sure::Certain),
            ("GrblHAL 1.1f ['$' or '$HELP' for help]\n", "GrblHAL 1.1f", "grbl", Sure::Certain),
            (
                "Grbl 3.7 [FluidNC v3.7.8 (esp32-wifi) '$' for help]\n",
                "Grbl 3.7 [FluidNC v3.7.8 (esp32-wifi) '$' for help]",
                "grbl",
                Sure::Certain,
            ),
            (
                "ok\r\n<Idle|MPos:0.000,0.000,0.000|FS:0,0>\r\n",
                "GRBL or a relative of it",
                "grbl",
                Sure::Certain,
            ),
            ("start\necho:Marlin 2.1.2.1\n", "Marlin 2.1.2.1", "marlin", Sure::Certain),
            ("start\n", "a printer's firmware", "marlin", Sure::Likely),
            (
                "FIRMWARE_NAME:Marlin 2.1.2 (Feb 1 2023) SOURCE_CODE_URL:github.com/x \
                 MACHINE_TYPE:Ender-3 Pro EXTRUDER_COUNT:1 UUID:cede2a2f\nok\n",
                "Marlin 2.1.2 (Feb 1 2023) on Ender-3 Pro",
                "marlin",
                Sure::Certain,
            ),
            (
                "FIRMWARE_NAME: RepRapFirmware for Duet 2 FIRMWARE_VERSION: 3.4\n",
                "RepRapFirmware for Duet 2",
                "marlin",
                Sure::Certain,
            ),
        ];
        for (said, what, driver, sure) in rows {
            let what = what.to_owned();
            assert_eq!(recognize(said.as_bytes()), Some(Known { what, driver, sure }), "{said}");
        }
    }

    #[test]
    fn what_says_nothing_is_not_guessed_at() {
        for said in ["", "ok", "grbl", "starting", "<Idle>", "Marlin", "\u{fffd}\u{fffd}", "hello"]
        {
            assert_eq!(recognize(said.as_bytes()), None, "{said}");
        }
        assert_eq!(words(b"\xff\x80\x01\r\nTeacup ready\r\n"), Some("Teacup ready".into()));
        assert_eq!(words(b"\xf8\x00\xe6"), None);
    }

    #[test]
    fn the_question_to_printers_has_the_checksum_that_it_claims() {
        let line = ASK_PRINTER.split(|it| *it == b'*').next().unwrap();
        assert_eq!(line.iter().fold(0, |sum, byte| sum ^ byte), 125);
    }

    proptest! {
        #[test]
        fn anything_may_be_said(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            recognize(&bytes);
            words(&bytes);
        }

        #[test]
        fn anything_readable_may_be_said(text in "[ -~\r\n]{0,40}(FIRMWARE_NAME:|Grbl |<|Marlin )[ -~é\r\n]{0,80}") {
            recognize(text.as_bytes());
        }
    }
}
