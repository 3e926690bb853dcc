//! Jobs: a progress line, a table, and one in detail.

use headstock_config::api::JobView;
use headstock_config::job::{Interruption, JobState};

use super::details;
use crate::table::table;
use crate::words::{count, duration, fit, moment, percent, plain, position};

/// The narrowest bar worth drawing.
const BAR_MIN: usize = 8;
/// Wider bars say no more.
const BAR_MAX: usize = 40;

/// A job in one line of at most `width` characters, with a bar where there is room:
/// `j12 running [#####--------] 42 %  1,852 of 4,410 lines, 3 min 20 s left`.
pub fn progress(view: &JobView, width: usize) -> String {
    let head = format!("{} {}", view.job.id, view.job.state.word());
    let tail = format!("{:>3} %  {}", percent(view.progress), tail(view));
    let room = width.saturating_sub(head.chars().count() + tail.chars().count() + " [] ".len());
    let line = if room < BAR_MIN {
        format!("{head} {}", tail.trim_start())
    } else {
        format!("{head} [{}] {tail}", bar(view.progress, room.min(BAR_MAX)))
    };
    fit(&plain(&line), width)
}

/// The same without a bar, for logs and pipes.
pub fn progress_plain(view: &JobView) -> String {
    let share = percent(view.progress);
    plain(&format!("{} {} {share} %  {}", view.job.id, view.job.state.word(), tail(view)))
}

/// Several jobs in one line of at most `width` characters, by machine:
/// `mill [####----] 42 %  router [###-----] 38 %`.
pub fn side_by_side(views: &[JobView], width: usize) -> String {
    const GAP: &str = "   ";
    let each = (width + GAP.len()) / views.len().max(1);
    let one = |view: &JobView| {
        let head = match view.job.state {
            JobState::Running | JobState::Completed => view.job.machine.clone(),
            state => format!("{} {}", view.job.machine, state.word()),
        };
        let tail = format!("{:>3} %", percent(view.progress));
        let around = head.chars().count() + tail.len() + " [] ".len() + GAP.len();
        let length = each.saturating_sub(around).min(BAR_MAX);
        format!("{head} [{}] {tail}", bar(view.progress, length))
    };
    let line = views.iter().map(one).collect::<Vec<_>>().join(GAP);
    fit(&plain(&line), width)
}

/// `length` characters, of which the done share is filled.
fn bar(share: f64, length: usize) -> String {
    let full = (share.clamp(0.0, 1.0) * length as f64).floor() as usize;
    format!("{}{}", "#".repeat(full), "-".repeat(length - full))
}

fn tail(view: &JobView) -> String {
    let lines = format!("{} of {} lines", count(view.job.lines_acked), count(view.job.lines));
    match (view.job.state, view.time_left_s) {
        (JobState::Held | JobState::Interrupted | JobState::Failed | JobState::Cancelled, _) => {
            format!("{lines}{}", because(view))
        }
        // It asks before its machine has come to rest.
        (JobState::Running, _) if view.asks.is_some() => format!("{lines}{}", because(view)),
        (JobState::Running, Some(left)) => format!("{lines}, {} left", duration(left)),
        _ => lines,
    }
}

fn because(view: &JobView) -> String {
    match view.asks.as_ref().or(view.job.reason.as_ref()) {
        Some(reason) => format!(", {reason}"),
        None => String::new(),
    }
}

/// One row per job.
pub fn list(jobs: &[JobView]) -> String {
    let rows: Vec<_> = jobs.iter().map(row).collect();
    table(["JOB", "STATE", "MACHINE", "FILE", "DONE", "BEGAN", "TOOK", "NOTE"], &rows)
}

fn row(view: &JobView) -> [String; 8] {
    let job = &view.job;
    [
        job.id.clone(),
        state(view),
        job.machine.clone(),
        fit(&job.file_name, 32),
        format!("{} %", percent(view.progress)),
        moment(job.started_ms.unwrap_or(job.queued_ms)),
        took(view),
        view.asks.clone().or_else(|| job.reason.clone()).unwrap_or_default(),
    ]
}

fn state(view: &JobView) -> String {
    let dry = if view.job.dry_run { " (dry run)" } else { "" };
    format!("{}{dry}", view.job.state.word())
}

/// From start to end, holds included; empty until it has ended.
fn took(view: &JobView) -> String {
    match (view.job.ended_ms, view.job.worked_ms()) {
        (Some(_), Some(worked)) => milliseconds(worked.saturating_add(view.job.held_ms)),
        _ => String::new(),
    }
}

fn milliseconds(ms: u64) -> String {
    duration(ms as f64 / 1e3)
}

/// Everything about one job.
pub fn show(view: &JobView) -> String {
    let job = &view.job;
    let mut facts = vec![
        ("job", job.id.clone()),
        ("state", state(view)),
        ("reason", job.reason.clone().unwrap_or_default()),
        ("asks", view.asks.clone().unwrap_or_default()),
        ("machine", job.machine.clone()),
        ("file", format!("{} ({})", job.file_name, job.file)),
        ("asked for by", format!("{}, {}", job.by, moment(job.queued_ms))),
        ("began", job.started_ms.map(moment).unwrap_or_default()),
        ("ended", job.ended_ms.map(moment).unwrap_or_default()),
        ("took", took(view)),
        ("of it held", if job.held_ms > 0 { milliseconds(job.held_ms) } else { String::new() }),
        ("worked", job.worked_ms().map(milliseconds).unwrap_or_default()),
        ("estimated", duration(job.estimate_s)),
        ("time left", view.time_left_s.map(duration).unwrap_or_default()),
        (
            "done",
            format!(
                "{} %, {} of {} lines",
                percent(view.progress),
                count(job.lines_acked),
                count(job.lines)
            ),
        ),
        ("file line", if view.line > 0 { count(view.line) } else { String::new() }),
        ("executing line", view.executing.map(count).unwrap_or_default()),
        ("begins at line", if job.from_line > 1 { count(job.from_line) } else { String::new() }),
        (
            "refused lines",
            if job.refused_lines > 0 { count(job.refused_lines) } else { String::new() },
        ),
        (
            "planner ran dry",
            if view.starved > 0 { format!("{} times", count(view.starved)) } else { String::new() },
        ),
        ("follows", job.follows.clone().unwrap_or_default()),
        ("followed by", job.followed_by.clone().unwrap_or_default()),
    ];
    facts.extend(job.interruption.iter().flat_map(broke_off));
    facts.extend(job.notes.iter().map(|note| ("note", note.clone())));
    details(&facts)
}

fn broke_off(known: &Interruption) -> Vec<(&'static str, String)> {
    let trust = if known.position_kept { "position kept" } else { "position NOT to be trusted" };
    vec![
        ("broke off", known.reason.clone()),
        ("between lines", format!("{} and {}", count(known.line_min), count(known.line_max))),
        ("position then", known.position.map(position).unwrap_or_default()),
        ("work offset then", known.work_offset.map(position).unwrap_or_default()),
        ("trust", trust.to_owned()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::samples;

    #[test]
    fn the_bar_takes_the_room_that_the_words_leave() {
        let view = samples::job("j12");
        let shown = [
            (
                100,
                "j12 running [#################-----------------------]  42 %  1,852 of 4,410 lines, 3 min 20 s left",
            ),
            (72, "j12 running [#####--------]  42 %  1,852 of 4,410 lines, 3 min 20 s left"),
            (60, "j12 running 42 %  1,852 of 4,410 lines, 3 min 20 s left"),
            (30, "j12 running 42 %  1,852 of 4,…"),
            (0, ""),
        ];
        for (width, line) in shown {
            assert_eq!(progress(&view, width), line);
        }
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let mut view = samples::job("j12");
        for share in [0.0, 0.5, 1.0] {
            view.progress = share;
            for width in 0..200 {
                assert!(progress(&view, width).chars().count() <= width);
            }
        }
    }

    #[test]
    fn jobs_side_by_side_share_the_line() {
        let (mill, mut router) = (samples::job("j12"), samples::job("j13"));
        router.job.machine = "router".into();
        router.job.state = JobState::Held;
        assert_eq!(
            side_by_side(&[mill.clone(), router.clone()], 60),
            "mill [######---------]  42 %   router held [###-----]  42 %"
        );
        for width in 0..120 {
            let line = side_by_side(&[mill.clone(), router.clone()], width);
            assert!(line.chars().count() <= width);
        }
    }

    #[test]
    fn a_job_that_rests_says_why() {
        let mut view = samples::job("j12");
        view.job.state = JobState::Held;
        view.job.reason = Some("held by ada".into());
        assert_eq!(progress_plain(&view), "j12 held 42 %  1,852 of 4,410 lines, held by ada");
        view.asks = Some("M6 T2".into());
        assert_eq!(progress_plain(&view), "j12 held 42 %  1,852 of 4,410 lines, M6 T2");
        view.job.state = JobState::Running;
        assert_eq!(progress_plain(&view), "j12 running 42 %  1,852 of 4,410 lines, M6 T2");
    }

    #[test]
    fn the_table_has_a_row_per_job() {
        let mut done = samples::job("j11");
        done.job.state = JobState::Completed;
        done.job.ended_ms = Some(1_709_251_399_000);
        done.progress = 1.0;
        let expected = "\
JOB  STATE      MACHINE  FILE        DONE   BEGAN                 TOOK        NOTE
j12  running    mill     bracket.nc  42 %   2024-02-29 23:59:59Z
j11  completed  mill     bracket.nc  100 %  2024-02-29 23:59:59Z  3 min 20 s
";
        assert_eq!(list(&[samples::job("j12"), done]), expected);
    }

    #[test]
    fn an_interrupted_job_shows_what_is_known() {
        let mut view = samples::job("j12");
        view.job.state = JobState::Interrupted;
        view.time_left_s = None;
        view.job.interruption = Some(samples::interruption());
        view.job.notes = vec!["ada: clamp slipped".into()];
        let expected = "\
job               j12
state             interrupted
machine           mill
file              bracket.nc (0123456789abcdef)
asked for by      ada, 2024-02-29 23:59:58Z
began             2024-02-29 23:59:59Z
estimated         5 min 00 s
done              42 %, 1,852 of 4,410 lines
file line         1,860
broke off         the cable was pulled
between lines     1,860 and 1,875
position then     X1.5 Y2 Z0
work offset then  X0 Y0 Z0
trust             position NOT to be trusted
note              ada: clamp slipped
";
        assert_eq!(show(&view), expected);
    }
}
