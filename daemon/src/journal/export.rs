//! Entries as text: one JSON object a line, as `events --json` shows them.

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::Path;

use headstock_config::explain::Explain;
use serde::de::IgnoredAny;

use crate::journal::error::ReadError;
use crate::journal::reader::Reader;
use crate::journal::record::Record;

/// Why an export is not whole.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The journal cannot be read, or not from some entry on.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Whoever was to get it does not take it.
    #[error("cannot write the exported entries")]
    Write(#[source] io::Error),
}

impl Explain for ExportError {
    fn code(&self) -> &'static str {
        match self {
            Self::Read(error) => error.code(),
            Self::Write(_) => "journal.export.write",
        }
    }

    fn means(&self) -> String {
        "the export ends before the journal does; the journal itself is untouched".to_owned()
    }

    fn remedy(&self) -> String {
        match self {
            Self::Read(error) => error.remedy(),
            Self::Write(_) => "look at the place that it is written to".to_owned(),
        }
    }
}

/// Writes every entry from number `from` on, whether or not a daemon is running. Returns how many.
pub fn export(folder: &Path, from: u64, out: &mut dyn Write) -> Result<u64, ExportError> {
    let (reader, mut count, mut failed) = (Reader::aside(folder)?, 0, None);
    reader.each(from, |record| match write_line(record, out) {
        Ok(()) => {
            count += 1;
            ControlFlow::Continue(())
        }
        Err(error) => {
            failed = Some(error);
            ControlFlow::Break(())
        }
    })?;
    failed.map_or_else(|| out.flush(), Err).map_err(ExportError::Write)?;
    Ok(count)
}

/// The entry as it is; what is not JSON on one line, which no headstock writes, in hexadecimal.
fn write_line(record: &Record<'_>, out: &mut dyn Write) -> io::Result<()> {
    let body = record.body;
    if serde_json::from_slice::<IgnoredAny>(body).is_ok() && !body.contains(&b'\n') {
        out.write_all(body)?;
        return out.write_all(b"\n");
    }
    let Record { number, at_ms, .. } = record;
    write!(out, r#"{{"number":{number},"at_ms":{at_ms},"bytes":""#)?;
    for byte in body {
        write!(out, "{byte:02x}")?;
    }
    out.write_all(b"\"}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Journal, Options};

    #[test]
    fn entries_come_out_as_they_went_in() {
        let folder = tempfile::tempdir().unwrap();
        let options = Options { segment_bytes: 1024, reserve_bytes: 0, ..Options::default() };
        let (mut journal, _) = Journal::open(folder.path(), options).unwrap();
        for number in 1..=50 {
            let body = format!("{{\"number\":{number}}}");
            journal.append(number, 1, body.as_bytes()).unwrap();
        }
        journal.append(51, 9, &[0xff, b'\n']).unwrap();
        journal.commit().unwrap();
        let mut out = Vec::new();
        assert_eq!(export(folder.path(), 48, &mut out).unwrap(), 4);
        let last = r#"{"number":51,"at_ms":9,"bytes":"ff0a"}"#;
        let expected = format!("{{\"number\":48}}\n{{\"number\":49}}\n{{\"number\":50}}\n{last}\n");
        assert_eq!(String::from_utf8(out).unwrap(), expected);
        assert_eq!(export(folder.path(), 52, &mut Vec::new()).unwrap(), 0);
    }

    #[test]
    fn a_folder_without_a_journal_is_an_error_and_an_empty_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(export(folder.path(), 1, &mut Vec::new()).unwrap(), 0);
        export(&folder.path().join("absent"), 1, &mut Vec::new()).unwrap_err();
    }
}
