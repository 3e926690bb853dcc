//! The demo as a newcomer starts it, only faster.
#![allow(clippy::unwrap_used, reason = "a test may say what it expects with unwrap")]

use std::process::Command;

use serde_json::Value;

#[test]
fn the_demo_ends_well_and_with_one_line_of_figures() {
    let output = Command::new(env!("CARGO_BIN_EXE_headstock"))
        .args(["demo", "--json", "--time-scale", "60"])
        .env_remove("HEADSTOCK_SOCKET")
        .env_remove("HEADSTOCK_CONFIG")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["ok"], true, "{told}");
    for figure in ["lines", "lines_per_s", "starved", "interlock_ms", "points", "seconds"] {
        assert!(summary[figure].is_number(), "{figure} is missing in {summary}");
    }
    for share in ["p50", "p99"] {
        assert!(summary["hold_ms"][share].as_f64().unwrap() > 0.0, "{summary}");
    }
}
