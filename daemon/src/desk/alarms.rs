//! Alarms at the desk: looked at, acknowledged, put aside, reset, taken out of use.
//!
//! Invariants: what a person does about an alarm is in the book before it counts; a critical
//! alarm cannot be shelved; an alarm that latches is reset only after it was acknowledged and its
//! condition is gone.

use headstock_config::alarm::{AlarmEvent, AlarmState, Priority, Standing};
use headstock_config::api::{AlarmService, AlarmView, ShelveAlarm};
use headstock_config::ledger::{Fact, Request, State};
use headstock_config::moment;
use headstock_config::people::Person;

use super::{Desk, Refused};
use crate::alarms::definition::{Definition, Definitions, JOURNAL};
use crate::clock::now_ms;
use crate::ledger::Health;

/// Longest time on the shelf, minutes: a shift. Longer is out of service.
const LONGEST_SHELF_MIN: u64 = 480;
/// Longest reason, bytes.
const REASON_MAX: usize = 400;

impl Desk {
    /// All alarms that are not normal, or all there are, the most urgent first.
    pub fn alarms(&self, all: bool) -> Vec<AlarmView> {
        let failed = *self.ledger().health().borrow() == Health::Failed;
        views(&self.ledger().state(), &self.inner.alarms, all, failed)
    }

    /// Every alarm that this house can raise.
    pub fn alarm_definitions(&self) -> &Definitions {
        &self.inner.alarms
    }

    /// One alarm.
    pub fn one_alarm(&self, id: &str) -> Result<AlarmView, Refused> {
        let found = self.alarms(true).into_iter().find(|it| it.id == id);
        found.ok_or_else(|| Refused::UnknownAlarm(id.to_owned()))
    }

    /// Somebody knows.
    pub async fn acknowledge(&self, who: &Person, id: &str) -> Result<AlarmView, Refused> {
        let request = Request::AcknowledgeAlarm { alarm: id.to_owned() };
        self.about_alarm(who, request, id, |_, standing| {
            if !standing.unacknowledged {
                return Err(not_now(id, "there is nothing to acknowledge"));
            }
            Ok(AlarmEvent::Acknowledged { by: who.name.clone() })
        })
        .await
    }

    /// Puts an alarm aside for a time.
    pub async fn shelve(
        &self,
        who: &Person,
        id: &str,
        ask: ShelveAlarm,
    ) -> Result<AlarmView, Refused> {
        let ShelveAlarm { minutes, reason } = ask;
        if !(1..=LONGEST_SHELF_MIN).contains(&minutes) {
            let most = format!("an alarm is shelved for 1 to {LONGEST_SHELF_MIN} minutes");
            return Err(Refused::Words(most));
        }
        with_reason(&reason)?;
        let request =
            Request::ShelveAlarm { alarm: id.to_owned(), minutes, reason: reason.clone() };
        self.about_alarm(who, request, id, |definition, _| {
            if definition.priority == Priority::Critical {
                return Err(not_now(id, "it is critical, and is not put aside"));
            }
            let until_ms = now_ms() + minutes * 60_000;
            Ok(AlarmEvent::Shelved { by: who.name.clone(), reason, until_ms })
        })
        .await
    }

    /// Takes an alarm back from the shelf.
    pub async fn unshelve(&self, who: &Person, id: &str) -> Result<AlarmView, Refused> {
        let request = Request::UnshelveAlarm { alarm: id.to_owned() };
        self.about_alarm(who, request, id, |_, standing| {
            if standing.shelf.is_none() {
                return Err(not_now(id, "it is not shelved"));
            }
            Ok(AlarmEvent::Unshelved { by: Some(who.name.clone()) })
        })
        .await
    }

    /// Resets an alarm that latches, after it is over. An interlock is free again with it.
    pub async fn reset_alarm(&self, who: &Person, id: &str) -> Result<AlarmView, Refused> {
        let request = Request::ResetAlarm { alarm: id.to_owned() };
        let rules = &self.inner.rules;
        let trips = rules.trips(id);
        let reset = self.about_alarm(who, request, id, |_, standing| {
            // The rule knows before the alarm does.
            let active = standing.active || rules.tripped(id).is_some();
            let why = match (active, standing.unacknowledged) {
                (true, _) => "its condition is still there",
                (_, true) => "it has not been acknowledged",
                _ if !standing.latched && !rules.latched(id) => "there is nothing to reset",
                _ => return Ok(AlarmEvent::Reset { by: who.name.clone() }),
            };
            Err(not_now(id, why))
        });
        let view = reset.await?;
        if !rules.reset(id, trips) {
            // In the book the reset may come after that trip.
            rules.tell_again(id);
            return Err(not_now(id, "it has tripped again meanwhile"));
        }
        Ok(view)
    }

    /// Takes an alarm out of use, or puts it back.
    pub async fn alarm_service(
        &self,
        who: &Person,
        id: &str,
        ask: AlarmService,
    ) -> Result<AlarmView, Refused> {
        let AlarmService { in_service, reason } = ask;
        with_reason(&reason)?;
        let alarm = id.to_owned();
        let request = Request::AlarmService { alarm, in_service, reason: reason.clone() };
        self.about_alarm(who, request, id, |_, standing| {
            if in_service && standing.out_of_use.is_none() {
                return Err(not_now(id, "it is in service"));
            }
            let by = who.name.clone();
            Ok(match in_service {
                true => AlarmEvent::InService { by },
                false => AlarmEvent::OutOfService { by, reason },
            })
        })
        .await
    }

    /// Writes down what a person does about an alarm, if it can be done as things are.
    async fn about_alarm(
        &self,
        who: &Person,
        request: Request,
        id: &str,
        deed: impl FnOnce(&Definition, &Standing) -> Result<AlarmEvent, Refused>,
    ) -> Result<AlarmView, Refused> {
        self.book(who, request, async {
            let unknown = || Refused::UnknownAlarm(id.to_owned());
            let definition = self.inner.alarms.get(id).ok_or_else(unknown)?;
            let _one_at_a_time = self.inner.one_at_a_time.lock().await;
            let standing = self.ledger().state().alarms.get(id).cloned().unwrap_or_default();
            let happened = deed(definition, &standing)?;
            self.ledger().write(Fact::Alarm { alarm: id.to_owned(), happened }).await?;
            self.one_alarm(id)
        })
        .await
    }
}

fn not_now(alarm: &str, why: &str) -> Refused {
    Refused::Alarm { alarm: alarm.to_owned(), why: why.to_owned() }
}

fn with_reason(reason: &str) -> Result<(), Refused> {
    if reason.trim().is_empty() || REASON_MAX < reason.len() {
        return Err(Refused::Words(format!("a reason has 1 to {REASON_MAX} bytes")));
    }
    Ok(())
}

/// The alarms as the doors show them. `failed`: the journal has, and cannot say so itself.
pub(super) fn views(
    state: &State,
    definitions: &Definitions,
    all: bool,
    failed: bool,
) -> Vec<AlarmView> {
    let mut views: Vec<AlarmView> = definitions
        .iter()
        .map(|(id, definition)| {
            let mut standing = state.alarms.get(id).cloned().unwrap_or_default();
            if failed && id == JOURNAL {
                (standing.active, standing.unacknowledged) = (true, true);
                "the journal cannot be written".clone_into(&mut standing.text);
            }
            view(id, definition, standing)
        })
        .filter(|it| all || shown(it))
        .collect();
    let urgency = |it: &AlarmView| (!it.state.calls(), it.priority, !it.first_out, it.since_ms);
    views.sort_by(|one, other| urgency(one).cmp(&urgency(other)).then(one.id.cmp(&other.id)));
    views
}

/// Not normal; what is suppressed or out of use, only while it would be an alarm.
fn shown(alarm: &AlarmView) -> bool {
    match alarm.state {
        AlarmState::Normal => false,
        AlarmState::SuppressedByDesign => alarm.active,
        _ => true,
    }
}

fn view(id: &str, definition: &Definition, standing: Standing) -> AlarmView {
    let since_ms = Some(standing.since_ms).filter(|it| 0 < *it);
    AlarmView {
        id: id.to_owned(),
        about: definition.about.clone(),
        priority: definition.priority,
        state: standing.state(),
        active: standing.active,
        chattering: standing.chattering,
        first_out: standing.first_out,
        group: definition.group.clone(),
        since: since_ms.map(moment::rfc3339),
        since_ms,
        text: standing.text,
        value: standing.value,
        cause: definition.texts.cause.clone(),
        meaning: definition.texts.meaning.clone(),
        action: definition.texts.action.clone(),
        latch: definition.latch,
        count: standing.count,
        acknowledged_by: standing.acknowledged_by,
        shelved_until: standing.shelf.as_ref().map(|it| moment::rfc3339(it.until_ms)),
        shelf: standing.shelf,
        suppressed_by: standing.suppressed_by,
        out_of_use: standing.out_of_use,
    }
}
