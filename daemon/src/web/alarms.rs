//! Alarms and rules: looked at, acknowledged, put aside, reset; and machines that are clear.

use headstock_config::alarm::{AlarmState, Priority};
use headstock_config::api::{AlarmService, AlarmView, ClearScope, ShelveAlarm};
use serde::Deserialize;
use warp::reply::Response;

use super::ask::{Asked, shown};
use super::error::Failure;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    #[serde(default)]
    all: bool,
    state: Option<AlarmState>,
    priority: Option<Priority>,
    about: Option<String>,
}

pub(super) async fn some(ask: Asked) -> Result<Response, Failure> {
    let Wanted { all, state, priority, about } = ask.query()?;
    // Whoever asks for a state may ask for one that is not shown otherwise.
    let mut alarms = ask.desk().alarms(all || state.is_some());
    alarms.retain(|it: &AlarmView| {
        state.is_none_or(|state| state == it.state)
            && priority.is_none_or(|priority| priority == it.priority)
            && about.as_ref().is_none_or(|about| *about == it.about)
    });
    Ok(shown(&alarms))
}

pub(super) async fn one(ask: Asked) -> Result<Response, Failure> {
    Ok(shown(&ask.desk().one_alarm(ask.name())?))
}

pub(super) async fn acknowledge(ask: Asked) -> Result<Response, Failure> {
    Ok(shown(&ask.desk().acknowledge(&ask.who, ask.name()).await?))
}

pub(super) async fn shelve(ask: Asked) -> Result<Response, Failure> {
    let wish: ShelveAlarm = ask.json()?;
    Ok(shown(&ask.desk().shelve(&ask.who, ask.name(), wish).await?))
}

pub(super) async fn unshelve(ask: Asked) -> Result<Response, Failure> {
    Ok(shown(&ask.desk().unshelve(&ask.who, ask.name()).await?))
}

pub(super) async fn reset(ask: Asked) -> Result<Response, Failure> {
    Ok(shown(&ask.desk().reset_alarm(&ask.who, ask.name()).await?))
}

pub(super) async fn service(ask: Asked) -> Result<Response, Failure> {
    let wish: AlarmService = ask.json()?;
    Ok(shown(&ask.desk().alarm_service(&ask.who, ask.name(), wish).await?))
}

pub(super) async fn rules(ask: Asked) -> Result<Response, Failure> {
    Ok(shown(&ask.desk().rule_views()))
}

pub(super) async fn clear(ask: Asked) -> Result<Response, Failure> {
    let scope: ClearScope = ask.json()?;
    Ok(shown(&ask.desk().clear(&ask.who, scope.machine.as_deref()).await?))
}
