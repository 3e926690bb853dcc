//! A configuration file with anything in it.
//!
//! Promises: it is read, or every problem has a place inside the file and can be told to a person
//! and to a program; what is read is a workshop whose machines have names of their own.

use std::collections::BTreeSet;

use headstock_config::load::{Problem, parse, render};
use headstock_config::settings::Settings;

const FILE: &str = "headstock.toml";
/// A hundred, and one that says how many more there are.
const PROBLEMS_MAX: usize = 101;

/// Reads the bytes as the configuration's only file.
pub fn config(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    match parse(&text, FILE, &["grbl"]) {
        Ok(settings) => check_settings(&settings),
        Err(problems) => check_problems(&text, &problems),
    }
}

fn check_settings(settings: &Settings) {
    let ids: BTreeSet<&str> = settings.machines.iter().map(|it| it.id.as_str()).collect();
    assert_eq!(ids.len(), settings.machines.len(), "two machines have one id");
    for machine in &settings.machines {
        let numbers = [machine.spinup_s, machine.safe_z];
        assert!(numbers.iter().all(|it| it.is_finite()), "{machine:?}");
        assert_eq!(machine.driver, "grbl");
    }
}

fn check_problems(text: &str, problems: &[Problem]) {
    assert!((1..=PROBLEMS_MAX).contains(&problems.len()), "{} problems", problems.len());
    let lines = text.split('\n').count();
    for problem in problems {
        let told = serde_json::to_value(problem).expect("a problem can be told to a program");
        let line = told["line"].as_u64().unwrap_or(0);
        assert!(line <= lines as u64, "line {line} of {lines}: {told}");
    }
    assert!(!render(problems).is_empty());
}
