//! Alarms, after ISA-18.2: something that a person must do something about, within a stated time.
//!
//! ```text
//!                      condition comes
//!        NORMAL ---------------------------> UNACK <----------- comes back, from any of the
//!          ^  ^                            /       \            three below
//!          |  |                    acknowledged    condition goes
//!          |  |                          v           v
//!          |  +--- condition goes ---- ACK       RTN UNACK    (or LATCHED UNACK if it latches)
//!          |                             |           |
//!          |        goes, and it latches v           v acknowledged
//!          +------- reset ---------- LATCHED      NORMAL      (or LATCHED)
//!
//!  beside these: SHELVED by a person for a time, SUPPRESSED by design while another alarm explains
//!  it, OUT OF SERVICE until a maintainer says otherwise. Below them the condition is still watched;
//!  whoever comes back while it holds is UNACK.
//! ```
//!
//! The nine states are not stored: they follow from the marks of a [`Standing`], which only
//! [`Standing::apply`] changes. No clock here: moments come with the entries of the book.

use serde::{Deserialize, Serialize};

use crate::rule::{Compare, Unknown};

/// The ids of the alarms that the box raises about itself.
pub const HOUSE: [&str; 8] = [
    "house.stop-chain",
    "house.flood",
    "house.disk",
    "house.history",
    "house.journal",
    "house.clock",
    "house.temperature",
    "house.undervoltage",
];

/// How much hangs on an alarm, and how soon.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// A person, a machine or a fire: less than 5 minutes. Cannot be shelved.
    Critical,
    /// The part or the machine: less than 30 minutes.
    #[default]
    High,
    /// This shift.
    Low,
}

impl Priority {
    /// The word used in every interface.
    pub fn word(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Low => "low",
        }
    }

    /// 1 to 3, 1 being the most urgent.
    pub fn number(self) -> u8 {
        match self {
            Self::Critical => 1,
            Self::High => 2,
            Self::Low => 3,
        }
    }
}

/// What a person must be told with every alarm.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Texts {
    /// What brings it about.
    pub cause: String,
    /// What it means for the work if nothing is done.
    pub meaning: String,
    /// What to do now.
    pub action: String,
}

/// An `[[alarm]]`: a limit of a point.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Alarm {
    /// Its name.
    pub name: String,
    /// `machine.tag`.
    pub point: String,
    /// When its condition holds.
    #[serde(flatten)]
    pub limit: Compare,
    /// How far the value must come back behind the limit before it is over, in the unit; 0 for
    /// `equals` and `not_equals`.
    pub hysteresis: f64,
    /// The limit must have been passed for so long.
    pub delay_on_s: f64,
    /// The value must have been back for so long.
    pub delay_off_s: f64,
    /// How much hangs on it.
    pub priority: Priority,
    /// What a person is told.
    pub texts: Texts,
    /// A person must reset it after it is over.
    pub latch: bool,
    /// Of the alarms in a group the first one is marked.
    pub group: Option<String>,
    /// Alarms that explain this one: while one of them stands, this is suppressed.
    pub suppressed_by: Vec<String>,
    /// What counts while nobody knows the point's value; `None`: it stays as it was.
    pub if_unknown: Option<Unknown>,
}

/// The nine states of ISA-18.2.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum AlarmState {
    /// Nothing is wrong.
    #[default]
    Normal,
    /// The condition holds and nobody has said that he knows.
    Unacknowledged,
    /// The condition holds and somebody knows.
    Acknowledged,
    /// The condition is gone, and nobody has said that he knows.
    ReturnedUnacknowledged,
    /// The same, and it must be reset as well.
    LatchedUnacknowledged,
    /// The condition is gone, somebody knows, and it must be reset.
    LatchedAcknowledged,
    /// A person has put it aside for a time.
    Shelved,
    /// Another alarm explains it.
    SuppressedByDesign,
    /// A maintainer has taken it out of use.
    OutOfService,
}

impl AlarmState {
    /// All nine.
    pub const ALL: [Self; 9] = [
        Self::Normal,
        Self::Unacknowledged,
        Self::Acknowledged,
        Self::ReturnedUnacknowledged,
        Self::LatchedUnacknowledged,
        Self::LatchedAcknowledged,
        Self::Shelved,
        Self::SuppressedByDesign,
        Self::OutOfService,
    ];

    /// The word used in every interface.
    pub fn word(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Unacknowledged => "unacknowledged",
            Self::Acknowledged => "acknowledged",
            Self::ReturnedUnacknowledged => "returned_unacknowledged",
            Self::LatchedUnacknowledged => "latched_unacknowledged",
            Self::LatchedAcknowledged => "latched_acknowledged",
            Self::Shelved => "shelved",
            Self::SuppressedByDesign => "suppressed_by_design",
            Self::OutOfService => "out_of_service",
        }
    }

    /// A person is called: nobody has acknowledged it.
    pub fn calls(self) -> bool {
        matches!(
            self,
            Self::Unacknowledged | Self::ReturnedUnacknowledged | Self::LatchedUnacknowledged
        )
    }
}

/// What can happen to an alarm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum AlarmEvent {
    /// Its condition has come.
    Raised {
        /// What happened this time, for people.
        text: String,
        /// The value that raised it, as people write it.
        value: Option<String>,
        /// It must be reset when it is over.
        latch: bool,
        /// It is the first of its group.
        first_out: bool,
    },
    /// Its condition is gone.
    Returned {
        /// The value then, as people write it.
        value: Option<String>,
    },
    /// Its condition comes and goes; from here on it counts as there until it is quiet.
    Chattering,
    /// It is quiet again.
    Quiet {
        /// How often it came meanwhile.
        times: u64,
    },
    /// Somebody knows.
    Acknowledged {
        /// Who.
        by: String,
    },
    /// Somebody has looked, after it was over.
    Reset {
        /// Who.
        by: String,
    },
    /// Somebody has put it aside.
    Shelved {
        /// Who.
        by: String,
        /// Why.
        reason: String,
        /// Milliseconds since 1970 at which it comes back.
        until_ms: u64,
    },
    /// It is back from the shelf.
    Unshelved {
        /// Who took it back; `None`: its time was over.
        by: Option<String>,
    },
    /// Another alarm explains it.
    Suppressed {
        /// The other one's id.
        because: String,
    },
    /// The other one is over.
    Unsuppressed,
    /// It is out of use.
    OutOfService {
        /// Who said so.
        by: String,
        /// Why.
        reason: String,
    },
    /// It is in use again.
    InService {
        /// Who said so.
        by: String,
    },
    /// It is not declared any more.
    Forgotten,
}

/// Put aside by a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shelf {
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Milliseconds since 1970 at which it comes back.
    pub until_ms: u64,
}

/// Taken out of use by a maintainer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutOfUse {
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// What the book says about one alarm.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// Its condition holds.
    pub active: bool,
    /// Nobody has acknowledged it since it came.
    pub unacknowledged: bool,
    /// It must be reset once it is over.
    pub latched: bool,
    /// Its condition comes and goes faster than anybody can follow.
    pub chattering: bool,
    /// It was the first of its group.
    pub first_out: bool,
    /// What happened the last time.
    pub text: String,
    /// The value when the condition last came or went.
    pub value: Option<String>,
    /// When the condition last came or went, milliseconds since 1970; 0: never.
    pub since_ms: u64,
    /// How often it has come.
    pub count: u64,
    /// Who acknowledged it last.
    pub acknowledged_by: Option<String>,
    /// Put aside.
    pub shelf: Option<Shelf>,
    /// The id of the alarm that explains it.
    pub suppressed_by: Option<String>,
    /// Out of use.
    pub out_of_use: Option<OutOfUse>,
}

impl Standing {
    /// Which of the nine states it is in.
    pub fn state(&self) -> AlarmState {
        match (self.active, self.unacknowledged) {
            _ if self.out_of_use.is_some() => AlarmState::OutOfService,
            _ if self.suppressed_by.is_some() => AlarmState::SuppressedByDesign,
            _ if self.shelf.is_some() => AlarmState::Shelved,
            (true, true) => AlarmState::Unacknowledged,
            (true, false) => AlarmState::Acknowledged,
            (false, true) if self.latched => AlarmState::LatchedUnacknowledged,
            (false, false) if self.latched => AlarmState::LatchedAcknowledged,
            (false, true) => AlarmState::ReturnedUnacknowledged,
            (false, false) => AlarmState::Normal,
        }
    }

    /// Nothing keeps it from being shown and heard.
    pub fn in_use(&self) -> bool {
        self.out_of_use.is_none() && self.suppressed_by.is_none() && self.shelf.is_none()
    }

    /// Folds one event in. Whatever does not fit its state changes nothing.
    pub fn apply(&mut self, at_ms: u64, happened: &AlarmEvent) {
        match happened.clone() {
            AlarmEvent::Raised { text, value, latch, first_out } => {
                (self.active, self.unacknowledged, self.acknowledged_by) = (true, true, None);
                (self.latched, self.first_out) = (self.latched || latch, first_out);
                (self.text, self.value, self.since_ms) = (text, value, at_ms);
                self.count += 1;
            }
            AlarmEvent::Returned { value } if self.active => {
                (self.active, self.value, self.since_ms) = (false, value, at_ms);
                self.settle();
            }
            AlarmEvent::Chattering => self.chattering = true,
            AlarmEvent::Quiet { times } => {
                self.chattering = false;
                self.count += times;
            }
            AlarmEvent::Acknowledged { by } if self.unacknowledged => {
                (self.unacknowledged, self.acknowledged_by) = (false, Some(by));
                self.settle();
            }
            AlarmEvent::Reset { .. } if !self.active && !self.unacknowledged => {
                self.latched = false;
                self.settle();
            }
            AlarmEvent::Shelved { by, reason, until_ms } => {
                self.shelf = Some(Shelf { by, reason, until_ms });
            }
            AlarmEvent::Unshelved { .. } if self.shelf.is_some() => {
                self.shelf = None;
                self.comes_back();
            }
            AlarmEvent::Suppressed { because } => self.suppressed_by = Some(because),
            AlarmEvent::Unsuppressed if self.suppressed_by.is_some() => {
                self.suppressed_by = None;
                self.comes_back();
            }
            AlarmEvent::OutOfService { by, reason } => {
                self.out_of_use = Some(OutOfUse { by, reason });
            }
            AlarmEvent::InService { .. } if self.out_of_use.is_some() => {
                self.out_of_use = None;
                self.comes_back();
            }
            AlarmEvent::Forgotten => *self = Self::default(),
            AlarmEvent::Returned { .. }
            | AlarmEvent::Acknowledged { .. }
            | AlarmEvent::Reset { .. }
            | AlarmEvent::Unshelved { .. }
            | AlarmEvent::Unsuppressed
            | AlarmEvent::InService { .. } => (),
        }
    }

    /// An alarm that comes back while its condition holds calls a person; what came and went
    /// out of sight does not.
    fn comes_back(&mut self) {
        if !self.in_use() {
            return;
        }
        self.unacknowledged = self.active || (self.latched && self.unacknowledged);
        if self.unacknowledged {
            self.acknowledged_by = None;
        }
        self.settle();
    }

    /// Who has nothing to say any more is not the first of anything.
    fn settle(&mut self) {
        if !self.active && !self.unacknowledged && !self.latched {
            self.first_out = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raised(latch: bool) -> AlarmEvent {
        AlarmEvent::Raised { text: "hot".into(), value: None, latch, first_out: true }
    }

    fn after(events: &[AlarmEvent]) -> Standing {
        let mut standing = Standing::default();
        for (at_ms, event) in (1..).zip(events) {
            standing.apply(at_ms, event);
        }
        standing
    }

    #[test]
    fn each_of_the_nine_states_is_reached_and_left_as_isa_18_2_has_it() {
        use AlarmState::*;
        let gone = || AlarmEvent::Returned { value: None };
        let ack = || AlarmEvent::Acknowledged { by: "ada".into() };
        let reset = || AlarmEvent::Reset { by: "ada".into() };
        let (by, reason) = (|| "ada".to_owned(), || "filter is ordered".to_owned());
        let shelve = || AlarmEvent::Shelved { by: by(), reason: reason(), until_ms: 9 };
        let back = || AlarmEvent::Unshelved { by: None };
        let suppress = || AlarmEvent::Suppressed { because: "mill.offline".into() };
        let out = || AlarmEvent::OutOfService { by: by(), reason: reason() };
        let rows = [
            (vec![], Normal),
            (vec![raised(false)], Unacknowledged),
            (vec![raised(false), ack()], Acknowledged),
            (vec![raised(false), ack(), gone()], Normal),
            (vec![raised(false), gone()], ReturnedUnacknowledged),
            (vec![raised(false), gone(), ack()], Normal),
            (vec![raised(false), gone(), raised(false)], Unacknowledged),
            (vec![raised(true), gone()], LatchedUnacknowledged),
            (vec![raised(true), gone(), reset()], LatchedUnacknowledged),
            (vec![raised(true), gone(), ack()], LatchedAcknowledged),
            (vec![raised(true), ack(), gone()], LatchedAcknowledged),
            (vec![raised(true), ack(), reset()], Acknowledged),
            (vec![raised(true), ack(), gone(), reset()], Normal),
            (vec![raised(true), ack(), gone(), raised(true)], Unacknowledged),
            (vec![shelve()], Shelved),
            (vec![shelve(), back()], Normal),
            (vec![raised(false), ack(), shelve(), back()], Unacknowledged),
            (vec![shelve(), raised(false), gone(), back()], Normal),
            (vec![shelve(), raised(true), gone(), back()], LatchedUnacknowledged),
            (vec![suppress(), raised(false)], SuppressedByDesign),
            (vec![suppress(), raised(false), AlarmEvent::Unsuppressed], Unacknowledged),
            (vec![shelve(), suppress(), back()], SuppressedByDesign),
            (vec![raised(false), out()], OutOfService),
            (vec![out(), suppress(), shelve()], OutOfService),
            (vec![raised(false), out(), AlarmEvent::InService { by: by() }], Unacknowledged),
            (vec![raised(false), ack(), AlarmEvent::InService { by: by() }], Acknowledged),
            (vec![raised(false), ack(), back()], Acknowledged),
            (vec![raised(false), ack(), AlarmEvent::Unsuppressed], Acknowledged),
            (vec![raised(true), AlarmEvent::Forgotten], Normal),
        ];
        for (events, expected) in rows {
            let standing = after(&events);
            assert_eq!(standing.state(), expected, "{events:?}");
            assert!(!standing.unacknowledged || standing.acknowledged_by.is_none(), "{events:?}");
        }
    }

    #[test]
    fn every_occurrence_is_counted_and_the_first_out_mark_ends_with_the_alarm() {
        let gone = || AlarmEvent::Returned { value: None };
        let events =
            [raised(false), gone(), raised(false), AlarmEvent::Chattering, gone()].to_vec();
        let mut standing = after(&events);
        assert!(standing.chattering && standing.first_out);
        standing.apply(9, &AlarmEvent::Quiet { times: 15 });
        assert_eq!((standing.count, standing.chattering), (17, false));
        standing.apply(10, &AlarmEvent::Acknowledged { by: "ada".into() });
        assert!(!standing.first_out);
        assert_eq!(standing.acknowledged_by.as_deref(), Some("ada"));
    }

    #[test]
    fn events_and_states_are_spelt_alike_everywhere() {
        for state in AlarmState::ALL {
            assert_eq!(serde_json::to_value(state).unwrap(), state.word());
        }
        let event = AlarmEvent::Unshelved { by: None };
        let text = serde_json::to_string(&event).unwrap();
        assert_eq!(serde_json::from_str::<AlarmEvent>(&text).unwrap(), event);
    }
}
