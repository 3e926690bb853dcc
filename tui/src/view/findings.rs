//! What a preflight found.

use headstock_config::preflight::Finding;

use crate::words::plain;

/// Findings that block first, each with what to try.
pub fn list(findings: &[Finding]) -> String {
    let (blocking, noted): (Vec<_>, Vec<_>) = findings.iter().partition(|it| it.blocks);
    blocking.into_iter().chain(noted).map(one).collect()
}

fn one(finding: &Finding) -> String {
    let word = if finding.blocks { "blocks" } else { "note" };
    let place = finding.line.map(|line| format!("line {line}: ")).unwrap_or_default();
    let told = [
        format!("{word:<6}  {place}{} [{}]", finding.text, finding.code),
        format!("        means: {}", finding.means),
        format!("        try:   {}", finding.remedy),
    ];
    told.iter().map(|line| plain(line) + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_blocks_is_told_first() {
        let finding = |text: &str, line, blocks| Finding {
            code: "preflight.x".into(),
            text: text.into(),
            line,
            means: "it would hit the frame".into(),
            remedy: "move the work offset".into(),
            blocks,
        };
        let findings =
            [finding("not homed", None, false), finding("X reaches 310", Some(42), true)];
        let expected = "\
blocks  line 42: X reaches 310 [preflight.x]
        means: it would hit the frame
        try:   move the work offset
note    not homed [preflight.x]
        means: it would hit the frame
        try:   move the work offset
";
        assert_eq!(list(&findings), expected);
    }
}
