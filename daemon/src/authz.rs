//! Who may do what. A table, and nothing but a table.

use headstock_config::command::Command;
use headstock_config::job::Decision;
use headstock_config::ledger::Request;
use headstock_config::people::Role;

/// The least role that may ask for this.
///
/// Whoever may run a machine may stop it, and every operator may stop all of them.
pub fn least(request: &Request) -> Role {
    match request {
        Request::Tell { command, .. } => least_for(command),
        Request::Decide { decision: Decision::Release, .. } | Request::AlarmService { .. } => {
            Role::Maintainer
        }
        Request::StopAll
        | Request::StartJob { .. }
        | Request::GoJob { .. }
        | Request::CancelJob { .. }
        | Request::Decide { .. }
        | Request::Note { .. }
        | Request::Upload { .. }
        | Request::Discover { .. }
        | Request::RemoveFile { .. }
        | Request::AcknowledgeAlarm { .. }
        | Request::ShelveAlarm { .. }
        | Request::UnshelveAlarm { .. }
        | Request::ResetAlarm { .. }
        | Request::Clear { .. } => Role::Operator,
        Request::MakeToken { .. } | Request::RevokeToken { .. } => Role::Admin,
    }
}

fn least_for(command: &Command) -> Role {
    match command {
        Command::Setting { .. } => Role::Maintainer,
        _ => Role::Operator,
    }
}

/// Whether this role may ask for this.
pub fn may(role: Role, request: &Request) -> bool {
    role >= least(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tell(command: Command) -> Request {
        Request::Tell { machine: "mill".into(), command }
    }

    #[test]
    fn the_whole_table() {
        let decide = |decision| Request::Decide {
            job: "j1".into(),
            decision,
            reason: String::new(),
            from_line: None,
        };
        let rows = [
            (tell(Command::Hold), "-omA"),
            (tell(Command::Stop), "-omA"),
            (tell(Command::Abort), "-omA"),
            (tell(Command::Resume), "-omA"),
            (tell(Command::Run { line: "G0X0".into() }), "-omA"),
            (tell(Command::Preheat { heater: "bed".into(), celsius: 60.0 }), "-omA"),
            (tell(Command::Extrude { mm: 1.0, feed: 100.0 }), "-omA"),
            (tell(Command::Fan { percent: 100.0 }), "-omA"),
            (tell(Command::Motors { on: false }), "-omA"),
            (tell(Command::Answer { choice: 0 }), "-omA"),
            (tell(Command::Setting { number: 20, value: "1".into() }), "--mA"),
            (Request::StopAll, "-omA"),
            (
                Request::StartJob { machine: "mill".into(), file: "f".into(), dry_run: false },
                "-omA",
            ),
            (Request::GoJob { job: "j1".into() }, "-omA"),
            (Request::CancelJob { job: "j1".into() }, "-omA"),
            (decide(Decision::Done), "-omA"),
            (decide(Decision::Scrap), "-omA"),
            (decide(Decision::Restart), "-omA"),
            (decide(Decision::Resume), "-omA"),
            (decide(Decision::Release), "--mA"),
            (Request::Note { job: "j1".into(), text: String::new() }, "-omA"),
            (Request::Upload { name: "a.nc".into() }, "-omA"),
            (Request::Discover { actively: false, modbus: None }, "-omA"),
            (Request::RemoveFile { file: "f".into() }, "-omA"),
            (Request::AcknowledgeAlarm { alarm: "a".into() }, "-omA"),
            (Request::ShelveAlarm { alarm: "a".into(), minutes: 5, reason: String::new() }, "-omA"),
            (Request::UnshelveAlarm { alarm: "a".into() }, "-omA"),
            (Request::ResetAlarm { alarm: "a".into() }, "-omA"),
            (
                Request::AlarmService {
                    alarm: "a".into(),
                    in_service: false,
                    reason: String::new(),
                },
                "--mA",
            ),
            (Request::Clear { machine: None }, "-omA"),
            (Request::MakeToken { name: "t".into(), role: Role::Viewer }, "---A"),
            (Request::RevokeToken { name: "t".into() }, "---A"),
        ];
        for (request, expected) in rows {
            let roles = [
                (Role::Viewer, 'v'),
                (Role::Operator, 'o'),
                (Role::Maintainer, 'm'),
                (Role::Admin, 'A'),
            ];
            let actual: String = roles
                .map(|(role, letter)| if may(role, &request) { letter } else { '-' })
                .iter()
                .collect();
            assert_eq!(actual, expected, "{request:?}");
        }
    }
}
