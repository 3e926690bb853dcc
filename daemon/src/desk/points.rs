//! Points at the desk: looked at, and set.

use headstock_config::command::Command;
use headstock_config::ledger::Request;
use headstock_config::people::Person;
use headstock_config::point::{Point, Value};

use super::{Desk, Refused};

impl Desk {
    /// One point.
    pub fn point(&self, name: &str) -> Result<Point, Refused> {
        self.points().one(name).ok_or_else(|| Refused::UnknownPoint(name.to_owned()))
    }

    /// Sets a point: its machine is told to write the tag. What it is once the device has taken
    /// that and has been asked again.
    pub async fn set_point(
        &self,
        who: &Person,
        name: &str,
        value: Value,
    ) -> Result<Point, Refused> {
        let (machine, command) = self.settable(who, name, value)?;
        self.tell(who, machine, command).await?;
        self.point(name)
    }

    /// Whether a point could be set at this moment, as far as that can be told without asking its
    /// machine. For those who set several and want none where one is refused.
    pub fn could_set_point(&self, who: &Person, name: &str, value: Value) -> Result<(), Refused> {
        let (machine, command) = self.settable(who, name, value)?;
        let judged = self.machine(machine).and_then(|it| Ok(it.could(&command)?));
        judged.inspect_err(|refused| {
            let request = Request::Tell { machine: machine.to_owned(), command: command.clone() };
            self.note_refusal(who, &request, refused);
        })
    }

    /// The machine of a point and what it is told, if the point is one that this person may set.
    fn settable<'n>(
        &self,
        who: &Person,
        name: &'n str,
        value: Value,
    ) -> Result<(&'n str, Command), Refused> {
        let (machine, tag) = name.split_once('.').unwrap_or((name, ""));
        let command = Command::Write { tag: tag.to_owned(), value };
        let request = Request::Tell { machine: machine.to_owned(), command: command.clone() };
        self.permit(who, &request)?;
        let point = self.point(name).and_then(|point| match point.writable {
            true => Ok(()),
            false => Err(Refused::ReadOnly(name.to_owned())),
        });
        point.inspect_err(|refused| self.note_refusal(who, &request, refused))?;
        Ok((machine, command))
    }
}
