//! Going on from a line in the middle of a program.
//!
//! The small safe set of `headstock_drivers::gcode::resume` decides whether it can be done at
//! all; here stands what must be true of the machine: homed since the interruption, or a position
//! that was never in doubt.

use std::fs::File as Handle;
use std::io::{self, Read};
use std::path::Path;

use headstock_config::file::File;
use headstock_config::job::Job;
use headstock_drivers::gcode::lines::Lines;
use headstock_drivers::gcode::resume::{CannotResume, Options, Resume, Search};

use super::{Desk, Refused};

/// How a job goes on.
pub(super) struct Continuation {
    /// Lines that go before the first one of the program.
    pub(super) preamble: Vec<String>,
    /// File line that it goes on with.
    pub(super) from_line: u64,
    /// What a person looks at before accepting.
    pub(super) preview: Vec<String>,
}

impl Desk {
    pub(super) async fn continuation(
        &self,
        job: &Job,
        file: &File,
        line: Option<u64>,
    ) -> Result<Continuation, Refused> {
        let Some(line) = line else {
            return Err(Refused::Words("`resume` needs the line to go on with".into()));
        };
        let machine = self.machine(&job.machine)?;
        let kept = job.interruption.as_ref().is_some_and(|it| it.position_kept);
        if !kept && machine.live().homed != Some(true) {
            return Err(Refused::CannotResume {
                line,
                reason: "position is in doubt and the machine has not been homed since".into(),
                nearest: None,
            });
        }
        let options = Options {
            safe_z: machine.declared.safe_z,
            spinup_s: machine.declared.spinup_s,
            laser: machine.declared.laser,
            line_max: self.line_max(&job.machine),
            ..Options::default()
        };
        let path = self.files().path(file);
        let planned = tokio::task::spawn_blocking(move || plan(&path, line, options));
        let planned = planned.await.map_err(|_| crate::ledger::Error::Closed)?;
        let plan = planned.map_err(crate::files::Error::Disk)?.map_err(
            |CannotResume { reason, nearest_earlier, .. }| Refused::CannotResume {
                line,
                reason: reason.to_string(),
                nearest: nearest_earlier,
            },
        )?;
        Ok(Continuation {
            preamble: plan.preamble,
            from_line: plan.start_line,
            preview: plan.preview,
        })
    }
}

/// Reads a stored file as far as it takes to plan.
fn plan(path: &Path, line: u64, options: Options) -> io::Result<Result<Resume, CannotResume>> {
    let mut file = Handle::open(path)?;
    let (mut search, mut lines) = (Search::new(line, options), Lines::default());
    let mut buffer = vec![0; 64 * 1024];
    let mut more = true;
    while more {
        let length = file.read(&mut buffer)?;
        let each = |number, raw: &[u8]| more = more && search.take(number, raw);
        if length == 0 {
            lines.end(each);
            break;
        }
        lines.push(&buffer[..length], each);
    }
    Ok(search.finish())
}
