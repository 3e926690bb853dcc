//! The book: what happened, from any entry on.

use std::thread::sleep;
use std::time::Duration;

use headstock_config::api::System;
use headstock_config::ledger::Entry;
use headstock_tui::view::entries;

use super::Call;
use super::args::EventsWanted;
use super::exit::Exit;
use super::trouble::Trouble;
use super::watch::patiently;

/// Between two questions while following.
const PACE: Duration = Duration::from_millis(200);
/// Entries asked for at a time.
const PAGE: usize = 1_000;

/// Prints all entries after `--after`, or the latest few; then, with `--follow`, the new ones.
pub(super) fn events(call: &Call, wanted: &EventsWanted) -> Result<Exit, Trouble> {
    let mut after = match wanted.after {
        Some(after) => after,
        None => call.client.get::<System>("system")?.entry.saturating_sub(wanted.last),
    };
    let mut reached = false;
    loop {
        let path = format!("events?after={after}&limit={PAGE}");
        let entries: Vec<Entry> =
            if reached { patiently(|| call.client.get(&path)) } else { call.client.get(&path) }?;
        // Only who follows waits for a daemon that went away, and only for one that was there.
        reached = wanted.follow;
        for entry in &entries {
            call.show(entry, entries::line);
        }
        match entries.last() {
            // Whatever the server's page size is: only an empty page is the end.
            Some(last) => after = last.number,
            None if wanted.follow => sleep(PACE),
            None => return Ok(Exit::Done),
        }
    }
}
