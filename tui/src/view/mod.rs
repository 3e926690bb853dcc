//! The views of the command line: one file per resource.

pub mod alarms;
pub mod buses;
pub mod discover;
pub mod entries;
pub mod files;
pub mod findings;
pub mod house;
pub mod jobs;
pub mod machines;
pub mod points;
pub mod rules;

#[cfg(test)]
mod samples;

/// Lines of `name  what`, for one thing in detail; empty answers are left out.
fn details(facts: &[(&str, String)]) -> String {
    let told: Vec<_> = facts.iter().filter(|(_, what)| !what.is_empty()).collect();
    let width = told.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let line =
        |(name, what): &&(&str, String)| format!("{name:<width$}  {}\n", crate::words::plain(what));
    told.iter().map(line).collect()
}
