//! How rules stand, for the doors.

use headstock_config::api::{RuleVerdict, RuleView};
use headstock_config::rule::{Because, Kind, Verdict};

use super::follow::Phase;
use super::guard::did;
use super::shared::Rules;

impl Rules {
    /// How each rule stands at this moment, and why.
    pub fn views(&self) -> Vec<RuleView> {
        let declared = &self.declared().rules;
        let read = |point: &str| self.read(point);
        let (memory, status) = (self.memory().clone(), self.status().clone());
        let mut views: Vec<RuleView> = self.chain_view().into_iter().collect();
        for rule in &declared.permissives {
            let verdicts = rule.needs.iter().map(|it| it.judge(Kind::Permissive, &read));
            let verdicts: Vec<Verdict> = verdicts.collect();
            let missing = verdicts.iter().find(|it| !it.holds);
            let decides = missing.or(verdicts.first());
            let tag = rule.tag.as_ref().map(|tag| format!(" {tag}")).unwrap_or_default();
            views.push(RuleView {
                name: rule.name.clone(),
                kind: "permissive".into(),
                machine: Some(rule.machine.clone()),
                verdict: if missing.is_some() { RuleVerdict::Refuses } else { RuleVerdict::Clear },
                does: format!("{} {}{tag}", rule.what.word(), rule.machine),
                because: decides.map(|it| it.because.clone()).unwrap_or_default(),
                unknown: verdicts.iter().any(|it| !it.known),
                trips: 0,
            });
        }
        for (number, rule) in declared.interlocks.iter().enumerate() {
            let verdict = rule.when.judge(Kind::Interlock, &read);
            let latched = memory.latched.get(&rule.name);
            let (stands, because) = match (verdict.holds, latched) {
                (true, _) => (RuleVerdict::Tripped, verdict.because),
                (false, Some(because)) => (RuleVerdict::Latched, because.clone()),
                (false, None) => (RuleVerdict::Clear, verdict.because),
            };
            views.push(RuleView {
                name: rule.name.clone(),
                kind: "interlock".into(),
                machine: Some(rule.does.machine().to_owned()),
                verdict: stands,
                does: did(&rule.does),
                because,
                unknown: !verdict.known,
                trips: status.trips.get(number).copied().unwrap_or_default(),
            });
        }
        for (number, rule) in declared.follows.iter().enumerate() {
            let verdict = rule.when.judge(Kind::Follow, &read);
            let phase = status.phases.get(number).copied().unwrap_or_default();
            views.push(RuleView {
                name: rule.name.clone(),
                kind: "follow".into(),
                machine: Some(rule.machine.clone()),
                verdict: match phase {
                    Phase::On(_) => RuleVerdict::On,
                    Phase::Off | Phase::Unseen => RuleVerdict::Off,
                    Phase::Spent => RuleVerdict::StandsBack,
                },
                does: format!("set {} to {} or {}", rule.point(), rule.on, rule.off),
                because: verdict.because,
                unknown: !verdict.known,
                trips: 0,
            });
        }
        views
    }

    fn chain_view(&self) -> Option<RuleView> {
        let first = self.declared().chain.first()?;
        let open = self.chain_open();
        let waits = !self.memory().uncleared.is_empty();
        let closed = || Because { point: first.clone(), is: "on".into(), against: "on".into() };
        Some(RuleView {
            name: "hardware stop chain".into(),
            kind: "stop_chain".into(),
            machine: None,
            verdict: match (&open, waits) {
                (Some(_), _) => RuleVerdict::Tripped,
                (None, true) => RuleVerdict::Latched,
                (None, false) => RuleVerdict::Clear,
            },
            does: format!("stop {}", self.declared().movers.join(", ")),
            unknown: self.declared().chain.iter().any(|it| self.read(it).believed().is_none()),
            because: open.unwrap_or_else(closed),
            trips: 0,
        })
    }
}
