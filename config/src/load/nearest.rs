//! The known word that somebody who typed another one most likely meant.

/// Longer words than this are no typing errors, and comparing them would only cost time.
const LONGEST: usize = 40;

/// The nearest of `known`, if it is near enough to be worth asking about.
pub(super) fn nearest<'k>(
    typed: &str,
    known: impl IntoIterator<Item = &'k str>,
) -> Option<&'k str> {
    let typed: Vec<char> = typed.chars().take(LONGEST + 1).flat_map(char::to_lowercase).collect();
    if typed.is_empty() || typed.len() > LONGEST {
        return None;
    }
    let slips_allowed = (typed.len() / 3).max(1);
    let measured = known.into_iter().map(|word| (slips(&typed, word), word));
    let (slips, word) = measured.min_by_key(|(slips, _)| *slips)?;
    (slips <= slips_allowed).then_some(word)
}

/// How many letters must be put in, left out, changed, or swapped with their neighbour
/// (optimal string alignment distance).
fn slips(typed: &[char], word: &str) -> usize {
    let word: Vec<char> = word.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=word.len()).collect();
    for (row, &letter) in typed.iter().enumerate() {
        let mut line = vec![row + 1];
        for (column, &wanted) in word.iter().enumerate() {
            let changed = above[column] + usize::from(letter != wanted);
            let mut least = changed.min(above[column + 1] + 1).min(line[column] + 1);
            if row > 0 && column > 0 && letter == word[column - 1] && typed[row - 1] == wanted {
                least = least.min(before[column - 1] + 1);
            }
            line.push(least);
        }
        before = std::mem::replace(&mut above, line);
    }
    above[word.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_recognized_and_another_word_is_not() {
        let known = ["id", "name", "driver", "port", "baud", "soft_limits"];
        for (typed, expected) in [
            ("buad", Some("baud")),
            ("BAUD", Some("baud")),
            ("baudd", Some("baud")),
            ("softlimits", Some("soft_limits")),
            ("soft-limits", Some("soft_limits")),
            ("drvier", Some("driver")),
            ("spindle", None),
            ("", None),
        ] {
            assert_eq!(nearest(typed, known), expected, "{typed}");
        }
    }
}
