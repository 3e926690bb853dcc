//! All alarms together: what of them is new, which came first, which explains which, and whether
//! there are too many at once.
//!
//! Pure: moments, conditions and what the book says come in as arguments; events for the book come
//! out. What a person does (acknowledge, shelve) goes to the book directly and not through here.
//!
//! Invariant: of one alarm, `Raised` and `Returned` come out in turn, whatever is seen.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use headstock_config::alarm::{AlarmEvent, AlarmState, Standing};
use headstock_config::rule::Because;

use super::cell::{Cell, Seen, Told};
use super::definition::{Definition, Definitions, FLOOD, Source};

/// So many alarms…
const FLOOD_BEGINS: usize = 10;
/// … within so long are a flood; it is over when they have become fewer than half.
const FLOOD_WINDOW: Duration = Duration::from_secs(600);
const FLOOD_ENDS: usize = 5;

/// What the book says about alarms.
pub type Standings = BTreeMap<String, Standing>;

/// What the book says about interlocks that nobody has reset.
pub type Latched = BTreeMap<String, Because>;

/// What is to be written down, in this order: of which alarm, and what.
pub type News = Vec<(String, AlarmEvent)>;

/// What has been seen in one look, in the order in which it happened.
pub type Look = Vec<(String, Seen)>;

/// The alarms of a house.
pub struct Engine {
    definitions: Definitions,
    cells: BTreeMap<String, Cell>,
    /// What explains each, as it was last told.
    suppressed: BTreeMap<String, String>,
    /// Shelves that have been told to be over, by the moment at which they were.
    unshelved: BTreeMap<String, u64>,
    /// When alarms came, for the flood; no more of them than it takes to tell one.
    comings: VecDeque<Instant>,
}

impl Engine {
    /// The alarms as the book has them, and what is to be written first: alarms that are not
    /// declared any more are forgotten, nothing chatters that nobody has listened to, and of an
    /// interlock that has `latched` nobody may be left without an alarm to reset.
    pub fn new(definitions: Definitions, book: &Standings, latched: &Latched) -> (Self, News) {
        let mut news = Vec::new();
        for (id, standing) in book {
            if !definitions.contains_key(id) {
                news.push((id.clone(), AlarmEvent::Forgotten));
            } else if standing.chattering {
                news.push((id.clone(), AlarmEvent::Quiet { times: 0 }));
            }
        }
        let stands = |id: &String| book.get(id).is_some_and(|it| it.latched);
        let declared = |id: &String| definitions.get(id).is_some_and(|it| it.latch);
        let missed = |id: &String| latched.contains_key(id) && declared(id) && !stands(id);
        for (id, because) in latched.iter().filter(|(id, _)| missed(id)) {
            let (text, value) = (because.to_string(), Some(because.is.clone()));
            let raised = AlarmEvent::Raised { text, value, latch: true, first_out: false };
            news.push((id.clone(), raised));
        }
        let there = |id: &String| missed(id) || book.get(id).is_some_and(|it| it.active);
        let known = |id: &String| Cell::known(there(id));
        let cells = definitions.keys().map(|id| (id.clone(), known(id))).collect();
        let explained =
            |(id, it): (&String, &Standing)| Some((id.clone(), it.suppressed_by.clone()?));
        let suppressed = book.iter().filter_map(explained).collect();
        let (unshelved, comings) = (BTreeMap::new(), VecDeque::new());
        (Self { definitions, cells, suppressed, unshelved, comings }, news)
    }

    /// The alarms that are known here.
    pub fn definitions(&self) -> &Definitions {
        &self.definitions
    }

    /// Whether an alarm's condition was there when one last looked: where its limit is then.
    pub fn was_seen(&self, id: &str) -> bool {
        self.cells.get(id).is_some_and(Cell::seen)
    }

    /// Takes in what is seen at this moment. `wall_ms`: the same moment since 1970.
    pub fn look(&mut self, now: Instant, wall_ms: u64, mut seen: Look, book: &Standings) -> News {
        seen.push((FLOOD.to_owned(), self.flood(now)));
        let mut told = Vec::new();
        for (id, seen) in seen {
            let (Some(cell), Some(definition)) =
                (self.cells.get_mut(&id), self.definitions.get(&id))
            else {
                continue;
            };
            let delays = (definition.delay_on, definition.delay_off);
            // One after the other: who comes first is known before the next one is looked at.
            for it in cell.look(now, &seen, delays) {
                let event = self.event(now, &id, it, book);
                told.push((id.clone(), event));
            }
        }
        let (explained, unexplained) = self.explanations(book);
        let mut news = explained;
        news.extend(told);
        news.extend(unexplained);
        news.extend(self.off_the_shelf(wall_ms, book));
        news
    }

    fn event(&mut self, now: Instant, id: &str, told: Told, book: &Standings) -> AlarmEvent {
        match told {
            Told::Came(Seen { text, value, .. }) => {
                if id != FLOOD {
                    self.comings.push_back(now);
                    while FLOOD_BEGINS < self.comings.len() {
                        self.comings.pop_front();
                    }
                }
                let definition = &self.definitions[id];
                let first_out = self.first_out(id, definition, book);
                AlarmEvent::Raised { text, value, latch: definition.latch, first_out }
            }
            Told::Went(Seen { value, .. }) => AlarmEvent::Returned { value },
            Told::Chatters => AlarmEvent::Chattering,
            Told::Quiet { times } => AlarmEvent::Quiet { times },
        }
    }

    /// No other alarm of the group that is in use stands, in the book or on its way there.
    fn first_out(&self, id: &str, definition: &Definition, book: &Standings) -> bool {
        let Some(group) = &definition.group else { return false };
        let stands = |other: &String| {
            let in_use = book.get(other).is_none_or(Standing::in_use);
            let in_book = book.get(other).is_some_and(|it| it.state() != AlarmState::Normal);
            in_use && (in_book || self.cells.get(other).is_some_and(Cell::told))
        };
        let others = self.definitions.iter().filter(|(other, _)| other.as_str() != id);
        let mut group = others.filter(|(_, it)| it.group.as_ref() == Some(group));
        !group.any(|(other, _)| stands(other))
    }

    /// Which alarms are explained by another one from now on, and which are not any more. What a
    /// person has put aside is not believed, and explains nothing.
    fn explanations(&mut self, book: &Standings) -> (News, News) {
        let (mut explained, mut unexplained) = (Vec::new(), Vec::new());
        for (id, definition) in &self.definitions {
            let aside = |it: &Standing| it.out_of_use.is_some() || it.shelf.is_some();
            let stands = |it: &&String| {
                self.cells.get(*it).is_some_and(Cell::told) && !book.get(*it).is_some_and(aside)
            };
            let because = definition.suppressed_by.iter().find(stands).cloned();
            if because == self.suppressed.get(id).cloned() {
                continue;
            }
            match because {
                Some(because) => {
                    self.suppressed.insert(id.clone(), because.clone());
                    explained.push((id.clone(), AlarmEvent::Suppressed { because }));
                }
                None => {
                    self.suppressed.remove(id);
                    unexplained.push((id.clone(), AlarmEvent::Unsuppressed));
                }
            }
        }
        (explained, unexplained)
    }

    /// Shelves whose time is over.
    fn off_the_shelf(&mut self, wall_ms: u64, book: &Standings) -> News {
        let mut news = Vec::new();
        for (id, standing) in book {
            let Some(shelf) = &standing.shelf else {
                self.unshelved.remove(id);
                continue;
            };
            let over = shelf.until_ms <= wall_ms;
            if over && self.unshelved.insert(id.clone(), shelf.until_ms) != Some(shelf.until_ms) {
                news.push((id.clone(), AlarmEvent::Unshelved { by: None }));
            }
        }
        news
    }

    fn flood(&mut self, now: Instant) -> Seen {
        let recent = |at: &Instant| now.saturating_duration_since(*at) < FLOOD_WINDOW;
        while self.comings.front().is_some_and(|at| !recent(at)) {
            self.comings.pop_front();
        }
        let enough = if self.was_seen(FLOOD) { FLOOD_ENDS } else { FLOOD_BEGINS };
        let count = self.comings.len();
        Seen {
            there: Some(enough <= count),
            text: format!("{count} alarms or more within ten minutes"),
            value: Some(count.to_string()),
        }
    }
}

/// Whether an alarm is looked for at a point; then its limit.
pub fn limit(definition: &Definition) -> Option<&super::definition::Limit> {
    match &definition.source {
        Source::Point(limit) => Some(limit),
        _ => None,
    }
}
