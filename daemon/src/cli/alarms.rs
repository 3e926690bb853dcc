//! Alarms and rules: looked at, acknowledged, put aside; and machines that are clear.

use headstock_config::api::{AlarmService, AlarmView, ClearScope, Cleared, RuleView, ShelveAlarm};
use headstock_tui::view;

use super::Call;
use super::args::AlarmVerb;
use super::client::encoded;
use super::exit::Exit;
use super::trouble::Trouble;

/// All alarms that are not normal, or all there are.
pub(super) fn list(call: &Call, all: bool) -> Result<Exit, Trouble> {
    let path = if all { "alarms?all=true" } else { "alarms" };
    let alarms: Vec<AlarmView> = call.client.get(path)?;
    call.show(&alarms[..], view::alarms::list);
    Ok(Exit::Done)
}

/// Does something about one alarm and shows how it is then.
pub(super) fn alarm(call: &Call, what: AlarmVerb) -> Result<Exit, Trouble> {
    let path = |alarm: &str, what: &str| format!("alarms/{}/{what}", encoded(alarm));
    let nothing = serde_json::json!({});
    let post = &call.client;
    let alarm: AlarmView = match what {
        AlarmVerb::Show { alarm } => call.client.get(&format!("alarms/{}", encoded(&alarm)))?,
        AlarmVerb::Ack { alarm } => post.post(&path(&alarm, "ack"), &nothing)?,
        AlarmVerb::Shelve { alarm, minutes, reason } => {
            post.post(&path(&alarm, "shelve"), &ShelveAlarm { minutes, reason })?
        }
        AlarmVerb::Unshelve { alarm } => post.post(&path(&alarm, "unshelve"), &nothing)?,
        AlarmVerb::Reset { alarm } => post.post(&path(&alarm, "reset"), &nothing)?,
        AlarmVerb::Disable { alarm, reason } => {
            let service = AlarmService { in_service: false, reason };
            post.post(&path(&alarm, "service"), &service)?
        }
        AlarmVerb::Enable { alarm, reason } => {
            let service = AlarmService { in_service: true, reason };
            post.post(&path(&alarm, "service"), &service)?
        }
    };
    call.show(&alarm, view::alarms::show);
    Ok(Exit::Done)
}

/// How each rule stands.
pub(super) fn rules(call: &Call) -> Result<Exit, Trouble> {
    let rules: Vec<RuleView> = call.client.get("rules")?;
    call.show(&rules[..], view::rules::list);
    Ok(Exit::Done)
}

/// Somebody has looked.
pub(super) fn clear(call: &Call, machine: Option<String>) -> Result<Exit, Trouble> {
    let cleared: Cleared = call.client.post("clear", &ClearScope { machine })?;
    call.show(&cleared, |it| match &it.machines[..] {
        [] => "no machine was waiting for it".to_owned(),
        machines => format!("clear: {}", machines.join(", ")),
    });
    Ok(Exit::Done)
}
