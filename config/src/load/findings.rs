//! Everything that is wrong, gathered in one run.

use super::problem::Problem;
use super::sheet::{Place, Sheet};

/// More problems than these help nobody; they are only counted.
const MOST: usize = 100;

/// What has been found so far.
#[derive(Default)]
pub(super) struct Findings {
    found: Vec<((usize, usize, usize), Problem)>,
    /// Takes what is found after the list is full, or hidden, so that callers need not care.
    dropped: Option<Problem>,
    more: usize,
}

impl Findings {
    /// Whether nothing is wrong so far.
    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty() && self.more == 0
    }

    /// Adds one, and hands it out so that more can be said about it.
    pub(super) fn add(
        &mut self,
        (sheet, offset): (&Sheet<'_>, usize),
        code: &'static str,
        key: &str,
        message: impl Into<String>,
    ) -> &mut Problem {
        let (line, column) = sheet.line_and_column(offset);
        let mut problem = Problem::of_file(code, sheet.name, message);
        (problem.line, problem.column, problem.key) = (line, column, key.to_string());
        if sheet.hides(code, line) {
            return self.dropped.insert(problem);
        }
        self.keep((sheet.order, line, column), problem)
    }

    /// As [`Findings::add`], at a [`Place`].
    pub(super) fn at(
        &mut self,
        place: Place<'_>,
        code: &'static str,
        key: &str,
        message: impl Into<String>,
    ) -> &mut Problem {
        self.add((place.sheet, place.offset), code, key, message)
    }

    /// Adds one about a file as a whole, which comes ahead of what is found inside it.
    pub(super) fn about(&mut self, order: usize, problem: Problem) {
        let place = (order, problem.line, problem.column);
        self.keep(place, problem);
    }

    fn keep(&mut self, place: (usize, usize, usize), problem: Problem) -> &mut Problem {
        if self.found.len() >= MOST {
            self.more += 1;
            return self.dropped.insert(problem);
        }
        self.found.push((place, problem));
        let last = self.found.last_mut().expect("it was just put there");
        &mut last.1
    }

    /// All of them in reading order, or what was read if there are none.
    pub(super) fn judge<T>(mut self, read: T) -> Result<T, Vec<Problem>> {
        if self.found.is_empty() {
            return Ok(read);
        }
        self.found.sort_by_key(|(place, _)| *place);
        let mut problems: Vec<Problem> = self.found.into_iter().map(|(_, it)| it).collect();
        if self.more > 0 {
            let file = problems[0].file.clone();
            let message = format!("{} more problems are not shown", self.more);
            problems.push(Problem::of_file("config.more", file, message));
        }
        Err(problems)
    }
}
