//! A table of the configuration while it is being read: which keys it may have, and typed access
//! to them that says everything that is wrong on the way.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use toml::de::{DeTable, DeValue};

use super::findings::Findings;
use super::nearest::nearest;
use super::sheet::{Place, Sheet, shortened};
use super::value::{self, Read, Wrong};

/// A value with its places.
#[derive(Clone, Copy)]
pub(super) struct Entry<'a> {
    /// Where its key stands.
    pub(super) at: Place<'a>,
    /// Where it stands itself.
    pub(super) value_at: Place<'a>,
    end: usize,
    pub(super) value: &'a DeValue<'a>,
}

impl Entry<'_> {
    /// As it is written, shortened.
    pub(super) fn raw(&self) -> String {
        self.value_at.sheet.snippet(self.value_at.offset..self.end)
    }
}

/// One table; `[web]` in several files is one table.
pub(super) struct Section<'a> {
    /// How sentences about it begin: "machine `mill`: ".
    pub(super) whose: String,
    /// Its path in the file: `machine[0]`.
    pub(super) path: String,
    /// Where it is opened; absent as long as no file has it.
    pub(super) at: Option<Place<'a>>,
    keys: &'static [&'static str],
    entries: BTreeMap<&'a str, Entry<'a>>,
}

impl<'a> Section<'a> {
    /// An empty one that may have these keys.
    pub(super) fn new(whose: String, path: String, keys: &'static [&'static str]) -> Self {
        Self { whose, path, at: None, keys, entries: BTreeMap::new() }
    }

    /// Takes in what a file has for it; unknown keys and keys set before go to `findings`.
    pub(super) fn add(
        &mut self,
        sheet: &'a Sheet<'a>,
        at: usize,
        table: &'a DeTable<'a>,
        findings: &mut Findings,
    ) {
        self.at.get_or_insert(Place { sheet, offset: at });
        for (key, value) in table {
            let place = |offset| Place { sheet, offset };
            let entry = Entry {
                at: place(key.span().start),
                value_at: place(value.span().start),
                end: value.span().end,
                value: value.get_ref(),
            };
            self.add_entry(key.get_ref(), entry, findings);
        }
    }

    fn add_entry(&mut self, key: &'a str, entry: Entry<'a>, findings: &mut Findings) {
        if !self.keys.contains(&key) {
            return self.unknown(key, entry, findings);
        }
        if let Some(first) = self.entries.get(key) {
            let message = format!("{}`{key}` is set twice, first at {}", self.whose, first.at);
            let problem = findings.at(entry.at, "config.key.twice", &self.path_of(key), message);
            problem.hint = Some("keep one of the two".into());
            return;
        }
        self.entries.insert(key, entry);
    }

    fn unknown(&self, key: &str, entry: Entry<'a>, findings: &mut Findings) {
        let key = shortened(key);
        let message = format!("{}unknown key `{key}`", self.whose);
        let problem = findings.at(entry.at, "config.key.unknown", &self.path_of(&key), message);
        problem.accepted = Some(self.keys.join(", "));
        problem.hint = nearest(&key, self.keys.iter().copied())
            .map(value::did_you_mean)
            .or_else(|| super::tables::home_of(&key, &self.path));
    }

    /// The path of one of its keys.
    pub(super) fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.into() } else { format!("{}.{key}", self.path) }
    }

    /// Whether there is such a key in tables of this kind.
    pub(super) fn has(&self, key: &str) -> bool {
        self.keys.contains(&key)
    }

    /// What is set for a key.
    pub(super) fn entry(&self, key: &str) -> Option<&Entry<'a>> {
        self.entries.get(key)
    }

    /// Says that a key must be set and is not.
    pub(super) fn missing(&self, key: &str, accepted: &str, findings: &mut Findings) {
        if let (None, Some(at)) = (self.entry(key), self.at) {
            let message = format!("{}`{key}` is missing", self.whose);
            let problem = findings.at(at, "config.key.missing", &self.path_of(key), message);
            problem.accepted = Some(accepted.into());
        }
    }

    /// Says that what is set for a key cannot be.
    pub(super) fn refuse(&self, key: &str, wrong: Wrong, accepted: &str, findings: &mut Findings) {
        let Some(entry) = self.entry(key) else { return };
        let raw = entry.raw();
        let (code, message, hint) = match wrong {
            Wrong::Kind(wanted) => (
                "config.value.kind",
                format!("{}`{key}` is {}: `{raw}`", self.whose, value::kind(entry.value)),
                value::quotes(wanted, entry.value, &raw),
            ),
            Wrong::Value(why, hint) => {
                ("config.value.refused", format!("{}`{key}` {why}: `{raw}`", self.whose), hint)
            }
        };
        let problem = findings.at(entry.value_at, code, &self.path_of(key), message);
        problem.accepted = Some(accepted.into());
        problem.hint = hint;
    }

    /// Reads a key in a way of its own; `None` if it is not set or wrong.
    pub(super) fn read<T>(
        &self,
        key: &str,
        accepted: &str,
        findings: &mut Findings,
        read: impl FnOnce(&'a DeValue<'a>) -> Read<T>,
    ) -> Option<T> {
        debug_assert!(self.keys.contains(&key), "`{key}` is read but not among the known keys");
        let entry = self.entry(key)?;
        read(entry.value).map_err(|wrong| self.refuse(key, wrong, accepted, findings)).ok()
    }

    /// `true` or `false`.
    pub(super) fn flag(&self, key: &str, findings: &mut Findings) -> Option<bool> {
        self.read(key, "true or false", findings, value::flag)
    }

    /// A whole number; `of` says of what.
    pub(super) fn whole(
        &self,
        key: &str,
        range: RangeInclusive<u64>,
        of: &str,
        findings: &mut Findings,
    ) -> Option<u64> {
        let accepted = format!("a whole number from {} to {}, {of}", range.start(), range.end());
        self.read(key, &accepted, findings, |it| value::whole(it, &range))
    }

    /// A number; `of` says of what.
    pub(super) fn number(
        &self,
        key: &str,
        range: RangeInclusive<f64>,
        of: &str,
        findings: &mut Findings,
    ) -> Option<f64> {
        let accepted = match (*range.start(), *range.end()) {
            (f64::MIN, f64::MAX) => "a number".to_owned(),
            (f64::MIN_POSITIVE, f64::MAX) => "a number above 0".to_owned(),
            (low, f64::MAX) => format!("a number of at least {low}"),
            (low, high) => format!("a number from {low} to {high}"),
        };
        self.read(key, &format!("{accepted}, {of}"), findings, |it| value::number(it, &range))
    }

    /// An absolute path.
    pub(super) fn path(&self, key: &str, findings: &mut Findings) -> Option<PathBuf> {
        self.read(key, "an absolute path: it begins with `/`", findings, value::path)
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(
        &self,
        key: &str,
        words: &[(&str, T)],
        findings: &mut Findings,
    ) -> Option<T> {
        let quoted: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        self.read(key, &quoted.join(", "), findings, |it| value::word(it, words))
    }

    /// A table inside this one, with keys of its own.
    pub(super) fn table(
        &self,
        key: &str,
        accepted: &str,
        keys: &'static [&'static str],
        findings: &mut Findings,
    ) -> Option<Section<'a>> {
        let wanted = Wrong::Kind(value::Wanted::Many);
        let inside = |it: &'a DeValue<'a>| it.as_table().ok_or(wanted);
        let table = self.read(key, accepted, findings, inside)?;
        let at = self.entry(key)?.value_at;
        let whose = format!("{}`{key}`: ", self.whose);
        let mut section = Section::new(whose, self.path_of(key), keys);
        section.add(at.sheet, at.offset, table, findings);
        Some(section)
    }
}
