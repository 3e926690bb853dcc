//! What the firmware has told about itself, and what follows from it.
//!
//! Source: Marlin `src/gcode/host/M115.cpp`: one `FIRMWARE_NAME:` line, then `Cap:` lines.

use headstock_config::machine::Controller;

use super::line::TEXT_MAX;
use super::protocol::firmware_field;

/// See the file's head. What has not been told is taken to be missing.
#[derive(Clone, Debug, Default)]
pub(super) struct Capabilities {
    name: String,
    version: String,
    told: Vec<String>,
    /// M108, M112 and M410 take effect when they are received, not when their turn comes.
    pub(super) emergency_parser: bool,
    pub(super) reports_temperatures: bool,
    pub(super) reports_position: bool,
    pub(super) prompts: bool,
    pub(super) extruders: u32,
    /// M105 is answered by `ok T:…`.
    pub(super) answers_temperatures: bool,
    /// `busy:` has been heard: silence means something.
    pub(super) keepalive: bool,
    pub(super) chamber: bool,
    planner_blocks: usize,
    /// It has answered a question as only that question is answered.
    pub(super) heard: bool,
    /// Times that it was asked all questions.
    asked: u32,
}

/// Times that all questions are asked of a firmware that answers none of them but with `ok`.
const ASKED_MAX: u32 = 4;

impl Capabilities {
    /// It is about to be asked everything.
    pub(super) fn forget_answers(&mut self) {
        (self.heard, self.asked) = (false, 0);
    }

    /// All questions have been answered by something. Whether they are to be asked once more.
    pub(super) fn is_mute(&mut self) -> bool {
        self.asked += 1;
        !self.heard && self.asked < ASKED_MAX
    }

    /// The `FIRMWARE_NAME:` line.
    pub(super) fn take_firmware(&mut self, text: &str) {
        self.heard = true;
        self.told.clear();
        let said = firmware_field(text, "FIRMWARE_NAME").unwrap_or_default();
        let (name, version) = said.split_once(' ').unwrap_or((said, ""));
        (self.name, self.version) = (name.to_owned(), version.to_owned());
        let extruders = firmware_field(text, "EXTRUDER_COUNT").and_then(|it| it.parse().ok());
        self.extruders = extruders.unwrap_or(1).clamp(1, 8);
    }

    /// A `Cap:` line.
    pub(super) fn take(&mut self, name: &str, on: bool) {
        match name {
            "EMERGENCY_PARSER" => self.emergency_parser = on,
            "AUTOREPORT_TEMP" => self.reports_temperatures = on,
            "AUTOREPORT_POS" => self.reports_position = on,
            "PROMPT_SUPPORT" => self.prompts = on,
            "CHAMBER_TEMPERATURE" => self.chamber = on,
            _ => (),
        }
        if on && self.told.len() < 64 && name.len() <= 40 {
            self.told.push(name.to_owned());
        }
    }

    /// Free planner blocks were told: when nothing moves, all of them are.
    pub(super) fn saw_planner(&mut self, free: usize) {
        self.planner_blocks = self.planner_blocks.max(free.min(1024));
    }

    /// Answers tell how many planner blocks are free.
    pub(super) fn tells_planner(&self) -> bool {
        0 < self.planner_blocks
    }

    /// For the house.
    pub(super) fn controller(&self) -> Controller {
        let name = if self.name.is_empty() { "RepRap" } else { &self.name };
        Controller {
            dialect: name.to_owned(),
            version: self.version.clone(),
            rx_bytes: 128,
            planner_blocks: self.planner_blocks.max(16),
            line_max: TEXT_MAX,
            options: self.told.join(" "),
            ..Controller::default()
        }
    }
}
