//! Rules at the desk: what they refuse before anything is begun, what they write, and the person
//! who says that machines are clear.

use headstock_config::api::{Cleared, RuleView};
use headstock_config::command::Command;
use headstock_config::job::{Job, JobState};
use headstock_config::ledger::{Fact, Request};
use headstock_config::people::{Person, Role};
use headstock_config::rule::{ChainEvent, Output};

use super::{Desk, Refused};
use crate::rules::{Asker, Interlocked, Rules, Wish};

impl Desk {
    /// The rules of the house.
    pub fn rules(&self) -> &Rules {
        &self.inner.rules
    }

    /// How each rule stands.
    pub fn rule_views(&self) -> Vec<RuleView> {
        self.inner.rules.views()
    }

    /// Whether rules would have a job begin on this machine now: asked before it is queued or
    /// written down as started. The machine asks again before its first byte.
    pub(super) fn may_start(&self, machine: &str, dry_run: bool) -> Result<(), Refused> {
        let wish = if dry_run { Wish::Try } else { Wish::Start };
        Ok(self.inner.rules.judge(&Asker::Person, machine, &wish)?)
    }

    /// Sets a tag on a follow rule's account. Rules that stand against it are asked first, and a
    /// refusal is written down only where it is another than the `outcome` before.
    pub(crate) async fn follow(
        &self,
        who: &Person,
        asker: Asker,
        output: Output,
        stops: Option<u64>,
        outcome: &mut Option<String>,
    ) -> Result<(), Refused> {
        let Output { machine, tag, value } = output;
        let command = Command::Write { tag, value };
        let wish = Wish::Command(&command);
        if let Err(why) = self.inner.rules.judge(&asker, &machine, &wish) {
            let refused = Refused::from(why);
            let said = refused.to_string();
            if outcome.replace(said.clone()).as_ref() != Some(&said) {
                self.note_later(who, Request::Tell { machine, command }, Some(said));
            }
            return Err(refused);
        }
        let told = self.tell_as(who, asker, &machine, command, stops).await;
        *outcome = told.as_ref().err().map(ToString::to_string);
        told
    }

    /// Sets a tag on an interlock's account: it does not wait for the book, like a stop.
    pub(crate) async fn protect(&self, by: &str, output: Output) -> Result<(), Refused> {
        let Output { machine, tag, value } = output;
        let command = Command::Write { tag, value };
        let handle = self.machine(&machine)?;
        let told = handle.tell_as(Asker::Interlock, command.clone(), by, handle.stops()).await;
        let refused = told.as_ref().err().map(ToString::to_string);
        let who = Person { name: by.to_owned(), role: Role::Operator };
        if refused.is_none() {
            self.note_later(&who, Request::Tell { machine, command }, refused);
        }
        Ok(told?)
    }

    /// Switches a lamp or the buzzer. Not written down: it says nothing that the book does not.
    pub(crate) async fn signal(&self, output: Output) -> Result<(), Refused> {
        if !self.inner.rules.declared().signals.contains_key(&output.point()) {
            return Err(Refused::Words(format!("`{}` is no lamp and no buzzer", output.point())));
        }
        let Output { machine, tag, value } = output;
        let handle = self.machine(&machine)?;
        let stops = handle.stops();
        Ok(handle.tell(Command::Write { tag, value }, "stack light", stops).await?)
    }

    /// A person has looked at a machine, or at all that wait for it, after the hardware stop chain
    /// was open. Nothing moves by this; it is only permitted again.
    pub async fn clear(&self, who: &Person, machine: Option<&str>) -> Result<Cleared, Refused> {
        let request = Request::Clear { machine: machine.map(str::to_owned) };
        self.book(who, request, async {
            if let Some(id) = machine {
                self.machine(id)?;
            }
            let rules = &self.inner.rules;
            let openings = rules.openings();
            if let Some(because) = rules.chain_open() {
                return Err(Interlocked::ChainOpen(because).into());
            }
            let waits = self.waiting_to_be_cleared(machine);
            for machine in &waits {
                let by = who.name.clone();
                let happened = ChainEvent::Cleared { machine: machine.clone(), by };
                self.ledger().write(Fact::StopChain { happened }).await?;
                if !rules.cleared(machine, openings) {
                    return Err(match rules.chain_open() {
                        Some(because) => Interlocked::ChainOpen(because).into(),
                        None => Interlocked::NotCleared(machine.clone()).into(),
                    });
                }
            }
            Ok(Cleared { machines: waits })
        })
        .await
    }

    /// Machines that nobody has cleared: all, or this one if it is among them.
    fn waiting_to_be_cleared(&self, machine: Option<&str>) -> Vec<String> {
        let remembered = self.inner.rules.uncleared();
        let wanted = |id: &String| machine.is_none_or(|it| it == id);
        remembered.into_iter().filter(wanted).collect()
    }

    /// Starts the job that waits, if there is exactly one machine with jobs that wait and this is
    /// therefore the one that is meant.
    pub async fn cycle_start(&self, who: &Person) -> Result<Job, Refused> {
        let next = {
            let state = self.ledger().state();
            let queued = state.jobs.values().filter(|job| job.state == JobState::Queued);
            let mut first: Vec<(String, String)> = Vec::new();
            for job in queued {
                if first.iter().all(|(machine, _)| *machine != job.machine) {
                    first.push((job.machine.clone(), job.id.clone()));
                }
            }
            first
        };
        match &next[..] {
            [(_, job)] => self.start_queued(who, job).await,
            [] => Err(Refused::Words("no job waits".into())),
            more => {
                let names: Vec<&str> = more.iter().map(|(machine, _)| machine.as_str()).collect();
                let why = format!("jobs wait for several machines: {}", names.join(", "));
                Err(Refused::Words(why))
            }
        }
    }

    /// Acknowledges everything that calls.
    pub async fn acknowledge_all(&self, who: &Person) -> Result<(), Refused> {
        for alarm in self.alarms(false).into_iter().filter(|it| it.state.calls()) {
            match self.acknowledge(who, &alarm.id).await {
                // Somebody else was quicker.
                Ok(_) | Err(Refused::Alarm { .. }) => (),
                Err(refused) => return Err(refused),
            }
        }
        Ok(())
    }
}
