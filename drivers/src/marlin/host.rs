//! What the firmware asks of its operator or its host.
//!
//! Source: Marlin `src/feature/host_actions.cpp`: `//action:pause`, `paused`, `resume`, `resumed`,
//! `cancel`, `start`, `kill`, `poweroff`, `out_of_filament`, `notification`, and a prompt of
//! `prompt_begin`, `prompt_choice` or `prompt_button`, `prompt_show`, `prompt_end`. The words
//! without `d` ask us to act; those with it tell what the firmware has done by itself.

use std::time::Instant;

use headstock_config::command::Stop;
use headstock_config::event::Event;

use super::Marlin;
use crate::{Outbox, Refusal};

/// More choices than any prompt offers.
const CHOICES_MAX: usize = 8;

/// What is asked.
#[derive(Debug, Default)]
pub(super) struct Prompt {
    text: String,
    choices: Vec<String>,
    shown: bool,
    /// `busy: paused for user`: it waits, whether or not it has said for what.
    paused: bool,
}

impl Prompt {
    /// A person is waited for.
    pub(super) fn waits(&self) -> bool {
        self.paused
    }

    /// The choice that goes on.
    fn going_on(&self) -> Option<usize> {
        let goes_on = |choice: &String| {
            ["continue", "resume"].iter().any(|word| choice.trim().eq_ignore_ascii_case(word))
        };
        self.choices.iter().position(goes_on)
    }

    fn told(&self) -> String {
        let mut told = if self.text.is_empty() { "the operator".into() } else { self.text.clone() };
        for (number, choice) in self.choices.iter().enumerate() {
            told += &format!("{} {number} = {choice}", if number == 0 { ":" } else { "," });
        }
        told
    }
}

impl Marlin {
    /// `//action:…`.
    pub(super) fn acted(&mut self, now: Instant, action: &str, out: &mut Outbox) {
        let (word, rest) = action.split_once(' ').unwrap_or((action, ""));
        let rest: String = rest.chars().take(120).collect();
        match word {
            "prompt_begin" => self.prompt = Prompt { text: rest, ..Prompt::default() },
            "prompt_choice" | "prompt_button" => {
                if self.prompt.choices.len() < CHOICES_MAX {
                    self.prompt.choices.push(rest);
                }
            }
            "prompt_show" => {
                self.prompt.shown = true;
                self.ask(out);
            }
            "prompt_end" => self.prompt_over(),
            "pause" => self.pause_asked("the printer asks for a pause", now, out),
            "paused" => self.ask_for("paused at the printer", out),
            "out_of_filament" => {
                self.pause_asked(&format!("out of filament {rest}"), now, out);
            }
            // Nothing moves past the desk and its interlocks: a person here decides.
            "resume" => self.remark_in_time(now, "the printer asks to go on: resume it here", out),
            "resumed" => self.prompt_over(),
            "cancel" => self.stop_by(now, Stop::Stop, out),
            "notification" | "start" => (),
            _ => {
                let text = format!("the printer says: {action}");
                out.events.push_back(Event::Message { text: text.chars().take(200).collect() });
            }
        }
    }

    /// Told once, and heeded however often it has been told.
    fn pause_asked(&mut self, why: &str, now: Instant, out: &mut Outbox) {
        self.ask_for(why.trim(), out);
        self.hold_program(now, out);
    }

    /// What was asked before this print is not asked of it, but for a prompt that is still open.
    pub(super) fn asks_of_before(&mut self) {
        if !self.prompt.shown {
            self.live.asks = None;
        }
    }

    /// The firmware waits by itself.
    pub(super) fn waits_for_person(&mut self, out: &mut Outbox) {
        if !std::mem::replace(&mut self.prompt.paused, true) {
            self.ask(out);
        }
    }

    fn ask(&mut self, out: &mut Outbox) {
        let told = self.prompt.told();
        self.ask_for(&told, out);
    }

    fn ask_for(&mut self, why: &str, out: &mut Outbox) {
        let tells = self.live.asks.as_deref() != Some(why);
        self.live.asks = Some(why.to_owned());
        if self.program.is_some() && tells {
            let line = self.progress.map_or(0, |it| it.line);
            out.events.push_back(Event::Asks { why: why.to_owned(), line });
        }
    }

    /// Nothing is asked any more.
    pub(super) fn prompt_over(&mut self) {
        self.prompt = Prompt::default();
        self.live.asks = None;
    }

    /// A person answers a prompt.
    pub(super) fn answer(&mut self, choice: u32, out: &mut Outbox) -> Result<(), Refusal> {
        let offered = self.prompt.choices.len();
        if !self.prompt.shown {
            return Err(Refusal::Unready("the printer asks nothing".into()));
        }
        if offered <= choice as usize {
            return Err(Refusal::BadCommand(format!(
                "the printer offers 0 to {}",
                offered.max(1) - 1
            )));
        }
        self.speak_past_the_queue(&format!("M876 S{choice}"), out);
        self.prompt_over();
        Ok(())
    }

    /// Lets a firmware go on that waits for a person. Among choices only one that says so goes on:
    /// another may purge more filament.
    pub(super) fn wake(&mut self, out: &mut Outbox) -> Result<(), Refusal> {
        let asks = self.prompt.shown && self.it.prompts && !self.prompt.choices.is_empty();
        let line = match self.prompt.going_on() {
            Some(choice) if asks => format!("M876 S{choice}"),
            None if asks => {
                let text = format!("the printer asks: {}; answer that", self.prompt.told());
                return Err(Refusal::Unready(text));
            }
            _ => "M108".into(),
        };
        self.speak_past_the_queue(&line, out);
        self.prompt_over();
        Ok(())
    }

    /// A command that takes effect as soon as it is received (EMERGENCY_PARSER). What may have been
    /// cut off before it is ended first, and spoilt by that: it has no checksum.
    pub(super) fn speak_past_the_queue(&self, line: &str, out: &mut Outbox) {
        out.urgent.extend_from_slice(format!("\n{line}\n").as_bytes());
    }
}
