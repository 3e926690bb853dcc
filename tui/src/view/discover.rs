//! What was found by looking around.

use headstock_config::discover::{Discovered, Discovery};

use crate::table::table;
use crate::words::plain;

/// What was found, what could not be looked at, and what could be pasted into the configuration.
pub fn list(discovery: &Discovery) -> String {
    let rows: Vec<_> = discovery.findings.iter().map(row).collect();
    let mut text = match rows.is_empty() {
        true => "nothing was found\n".to_owned(),
        false => table(["WHERE", "WHAT", "HOW SURE", "NOTE"], &rows),
    };
    for remark in &discovery.remarks {
        text.push_str(&format!("\n{}", plain(remark)));
    }
    if !discovery.remarks.is_empty() {
        text.push('\n');
    }
    let configs: Vec<_> = discovery.findings.iter().filter_map(|it| it.config.as_ref()).collect();
    if !configs.is_empty() {
        text.push_str("\nTo put into the configuration:\n");
    }
    for config in configs {
        let lines: Vec<String> = config.lines().map(plain).collect();
        text.push_str(&format!("\n{}\n", lines.join("\n")));
    }
    text
}

fn row(it: &Discovered) -> [String; 4] {
    let note = it.note.clone().unwrap_or_default();
    [it.place.clone(), it.what.clone(), it.sure.word().to_owned(), note]
}

#[cfg(test)]
mod tests {
    use headstock_config::discover::Sure;

    use super::*;

    #[test]
    fn what_can_be_pasted_stands_below_what_was_found() {
        let found = Discovered {
            what: "Grbl 1.1h".into(),
            place: "/dev/ttyUSB0".into(),
            sure: Sure::Certain,
            note: None,
            config: Some("[[machine]]\nid = \"mill\"\n".into()),
        };
        let discovery = Discovery {
            findings: vec![found],
            remarks: vec!["/dev/ttyUSB1: permission denied".into()],
            ..Discovery::default()
        };
        let expected = "\
WHERE         WHAT       HOW SURE  NOTE
/dev/ttyUSB0  Grbl 1.1h  certain

/dev/ttyUSB1: permission denied

To put into the configuration:

[[machine]]
id = \"mill\"
";
        assert_eq!(list(&discovery), expected);
        assert_eq!(list(&Discovery::default()), "nothing was found\n");
    }
}
