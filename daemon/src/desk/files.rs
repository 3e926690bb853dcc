//! Files at the desk: brought, checked against a machine, removed.

use std::time::{Duration, Instant};

use headstock_config::file::{Analysis, File};
use headstock_config::ledger::{Fact, Request};
use headstock_config::machine::{Controller, Mode};
use headstock_config::people::Person;
use headstock_config::preflight::Finding;
use headstock_drivers::gcode::{Analyzer, preflight};

use super::{Desk, Refused};
use crate::files::Incoming;
use crate::ledger::Health;

/// Longest wait for work offsets that a command has just changed.
const OFFSETS_COME: Duration = Duration::from_millis(2500);

impl Desk {
    /// A file is about to be brought: may this person, and is there room?
    pub fn begin_upload(&self, who: &Person, name: &str) -> Result<Incoming, Refused> {
        self.permit(who, &Request::Upload { name: name.to_owned() })?;
        if *self.ledger().health().borrow() != Health::Ok {
            return Err(Refused::DiskFull);
        }
        Ok(self.files().begin()?)
    }

    /// The file is here: it is made durable, analysed and written down.
    pub async fn finish_upload(
        &self,
        who: &Person,
        name: &str,
        incoming: Incoming,
    ) -> Result<File, Refused> {
        self.book(who, Request::Upload { name: name.to_owned() }, async {
            let (name, by) = (name.to_owned(), who.name.clone());
            let finished = tokio::task::spawn_blocking(move || incoming.finish(&name, &by));
            let file = finished.await.map_err(|_| crate::ledger::Error::Closed)??;
            self.ledger().write(Fact::FileStored { file: Box::new(file.clone()) }).await?;
            Ok(file)
        })
        .await
    }

    /// The file with this id.
    pub fn file(&self, id: &str) -> Result<File, Refused> {
        let state = self.ledger().state();
        state.files.get(id).cloned().ok_or_else(|| Refused::UnknownFile(id.to_owned()))
    }

    /// Removes a file that no unfinished job needs.
    pub async fn remove_file(&self, who: &Person, id: &str) -> Result<(), Refused> {
        self.book(who, Request::RemoveFile { file: id.to_owned() }, async {
            let _one_at_a_time = self.inner.one_at_a_time.lock().await;
            let file = self.file(id)?;
            self.not_needed(id)?;
            self.ledger().write(Fact::FileRemoved { file: id.to_owned() }).await?;
            self.files().remove(&file).map_err(crate::files::Error::Disk)?;
            Ok(())
        })
        .await
    }

    fn not_needed(&self, id: &str) -> Result<(), Refused> {
        let state = self.ledger().state();
        match state.jobs.values().find(|job| job.file == id && !job.state.over()) {
            Some(job) => Err(Refused::InUse { file: id.to_owned(), job: job.id.clone() }),
            None => Ok(()),
        }
    }

    /// What this file would do on this machine: in its units, with its speed.
    pub async fn analysed_for(&self, machine: &str, file: &File) -> Result<Analysis, Refused> {
        let declared = &self.machine(machine)?.declared;
        let analyzer = Analyzer::on(declared, self.controller(machine).as_ref());
        let (files, file) = (self.files().clone(), file.clone());
        let analysed = tokio::task::spawn_blocking(move || files.analyse(&file, analyzer));
        let analysed = analysed.await.map_err(|_| crate::ledger::Error::Closed)?;
        Ok(analysed.map_err(crate::files::Error::Disk)?)
    }

    /// What stands against running this file on this machine now.
    pub async fn preflight(&self, machine: &str, file: &File) -> Result<Vec<Finding>, Refused> {
        self.findings(machine, &self.analysed_for(machine, file).await?).await
    }

    /// What stands against running this. A work offset that was set a moment ago is told soon.
    pub(super) async fn findings(
        &self,
        id: &str,
        found: &Analysis,
    ) -> Result<Vec<Finding>, Refused> {
        let machine = self.machine(id)?;
        let until = Instant::now() + OFFSETS_COME;
        loop {
            let (controller, live) = (self.controller(id), machine.live());
            let findings = preflight(found, &machine.declared, controller.as_ref(), &live);
            let comes = live.mode == Mode::Idle && Instant::now() < until;
            let unknown = |finding: &Finding| finding.code == "preflight.offset_unknown";
            if !(comes && findings.iter().any(unknown)) {
                return Ok(findings);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn controller(&self, machine: &str) -> Option<Controller> {
        self.ledger().state().machines.get(machine)?.controller.clone()
    }
}
