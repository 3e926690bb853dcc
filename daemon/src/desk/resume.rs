//! Going on from a line in the middle of a program.
//!
//! The small safe set of `headstock_drivers::gcode::resume` decides whether it can be done at
//! all; here stands what must be true of the machine, since the preamble goes to machine
//! coordinates (the safe height) and to work coordinates: homed on this connection, and the work
//! offset that the job had. What the book says about position is not enough: the machine may have
//! been switched off and pushed about since.

use std::fs::File as Handle;
use std::io::{self, Read};
use std::path::Path;

use headstock_config::file::File;
use headstock_config::job::Job;
use headstock_config::machine::{Live, Xyz};
use headstock_drivers::gcode::lines::Lines;
use headstock_drivers::gcode::resume::{CannotResume, Options, Resume, Search};

use super::{Desk, Refused};

/// What two reports of one work offset may differ by, mm.
const SLACK: f64 = 0.01;

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
        if file.analysis.print.is_some() {
            return Err(print_goes_not_on(line));
        }
        let offset = job.interruption.as_ref().and_then(|it| it.work_offset);
        stands_where_it_did(&machine.live(), offset).map_err(|(reason, remedy)| {
            Refused::CannotResume { line, reason, nearest: None, remedy }
        })?;
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
                remedy: match nearest_earlier {
                    Some(line) => format!("go on from line {line}"),
                    None => "begin again with new stock".into(),
                },
            },
        )?;
        Ok(Continuation {
            preamble: plan.preamble,
            from_line: plan.start_line,
            preview: plan.preview,
        })
    }
}

/// A nozzle that comes from above meets the part, and the layer below has cooled and let go.
fn print_goes_not_on(line: u64) -> Refused {
    let reason = "a print that broke off cannot go on in the middle".into();
    let remedy = "take the part off and begin again".into();
    Refused::CannotResume { line, reason, nearest: None, remedy }
}

/// Whether coordinates mean what they meant when the job broke off; otherwise why not, and what
/// to do. `offset`: the work offset that the job had.
fn stands_where_it_did(live: &Live, offset: Option<Xyz>) -> Result<(), (String, String)> {
    if live.homed != Some(true) {
        let why = "the machine has not been homed since it was connected";
        let remedy = "clear the way and home it, check the work offset on the part, then ask again";
        return Err((why.into(), remedy.into()));
    }
    let Some(offset) = offset else {
        let why = "nobody knows the work offset that the job was cut with";
        return Err((why.into(), "begin again with new stock".into()));
    };
    let Some(now) = live.work_offset else {
        let why = "the controller has not told its work offset yet";
        return Err((why.into(), "ask again in a few seconds".into()));
    };
    if now.iter().zip(&offset).all(|(now, then)| (now - then).abs() <= SLACK) {
        return Ok(());
    }
    let told = |it: Xyz| format!("X{:.3} Y{:.3} Z{:.3}", it[0], it[1], it[2]);
    let why = format!("the work offset is {}, the job was cut with {}", told(now), told(offset));
    let remedy = "select the work coordinate system of the job, touch off on the part until the \
                  offset is that of the job, then ask again";
    Err((why, remedy.into()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_goes_on_only_where_coordinates_mean_what_they_did() {
        let had = Some([-100.0, -50.0, -20.0]);
        let good = Live { homed: Some(true), work_offset: had, ..Live::default() };
        let remedy = |live: Live, offset| stands_where_it_did(&live, offset).err().map(|it| it.1);

        assert_eq!(remedy(good.clone(), had), None);
        let near = Some([-100.008, -50.0, -20.0]);
        assert_eq!(remedy(Live { work_offset: near, ..good.clone() }, had), None);

        for (live, offset, hint) in [
            (Live { homed: None, ..good.clone() }, had, "home it"),
            (Live { homed: Some(false), ..good.clone() }, had, "home it"),
            (Live { work_offset: None, ..good.clone() }, had, "ask again"),
            (Live { work_offset: Some([-100.0, -50.0, -19.0]), ..good.clone() }, had, "touch off"),
            (good, None, "begin again"),
        ] {
            let said = remedy(live.clone(), offset).unwrap_or_default();
            assert!(said.contains(hint), "{said:?} for {live:?}");
        }
    }
}
