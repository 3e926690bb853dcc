//! Watching a job until nothing more happens to it by itself.
//!
//! Asked for four times a second rather than listened to: each answer is the whole truth about
//! the job, so neither its end nor an end during a restart of the daemon can be missed.
//!
//! ```text
//!           answer                 over or interrupted
//!  asking ---------> showing ------------------------> end: 0 completed, 3 otherwise
//!    ^  \               |
//!    |   no daemon      v 250 ms
//!    +--- waiting <-----+          20 s without the daemon ----> end: 4
//! ```

use std::thread::sleep;
use std::time::{Duration, Instant};

use headstock_config::api::JobView;
use headstock_config::job::JobState;
use headstock_tui::view::jobs::{progress, progress_plain};

use super::exit::Exit;
use super::trouble::Trouble;
use super::{Call, jobs, say};

/// Between two questions.
const PACE: Duration = Duration::from_millis(250);
/// Between two plain lines, unless the job's state has changed.
const PLAIN_PACE: Duration = Duration::from_secs(5);
/// How long a daemon may be away: it takes that long to be restarted and to read its journal.
const ABSENCE: Duration = Duration::from_secs(20);

/// Shows a job until it is over or interrupted.
pub(super) fn job(call: &Call, id: &str) -> Result<Exit, Trouble> {
    let path = jobs::path(id);
    let mut screen = Screen::new(call.json, say::on_terminal());
    // Whoever is not there at the first question is not waited for.
    let mut view: JobView = call.client.get(&path)?;
    loop {
        let state = view.job.state;
        let ends = state.over() || state == JobState::Interrupted;
        screen.show(&view, ends);
        if ends {
            return Ok(if state == JobState::Completed { Exit::Done } else { Exit::NotCompleted });
        }
        sleep(PACE);
        view = patiently(|| call.client.get(&path))?;
    }
}

/// Asks again for a while when the daemon cannot be reached. Only for questions that change nothing.
pub(super) fn patiently<T>(ask: impl Fn() -> Result<T, Trouble>) -> Result<T, Trouble> {
    let mut since = None;
    loop {
        let trouble = match ask() {
            Err(trouble) if trouble.exit == Exit::Unreachable => trouble,
            answer => return answer,
        };
        let began = *since.get_or_insert_with(|| {
            say::aside(&format!("{}; waiting for it", trouble.error.message));
            Instant::now()
        });
        if began.elapsed() > ABSENCE {
            return Err(trouble);
        }
        sleep(PACE);
    }
}

/// What has been shown so far, and how.
struct Screen {
    how: How,
    last: Option<JobView>,
    shown_at: Instant,
}

enum How {
    Json,
    Bar,
    Lines,
}

impl Screen {
    fn new(json: bool, terminal: bool) -> Self {
        let how = match (json, terminal) {
            (true, _) => How::Json,
            (false, true) => How::Bar,
            (false, false) => How::Lines,
        };
        Self { how, last: None, shown_at: Instant::now() }
    }

    /// Shows what is new; the last view always.
    fn show(&mut self, view: &JobView, ends: bool) {
        if !ends && !self.is_due(view) {
            return;
        }
        match self.how {
            How::Json => say::json(view),
            How::Bar => say::bar(&progress(view, say::width()), ends),
            How::Lines => say::text(&progress_plain(view)),
        }
        self.last = Some(view.clone());
        self.shown_at = Instant::now();
    }

    fn is_due(&self, view: &JobView) -> bool {
        let Some(last) = &self.last else { return true };
        let turned = last.job.state != view.job.state || last.asks != view.asks;
        match self.how {
            How::Json | How::Bar => last != view,
            How::Lines => turned || (last != view && self.shown_at.elapsed() >= PLAIN_PACE),
        }
    }
}
