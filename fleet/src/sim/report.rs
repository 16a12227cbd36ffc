//! What is shown of a simulation: figures for programs, a page for people, a table for a terminal.

mod page;
mod text;

use std::path::{Path, PathBuf};

use serde::Serialize;

pub use page::html;
pub use text::table;

use super::figures::Outcome;
use super::profile::Seconds;
use super::scenario::Scenario;

/// A finished simulation: what `report.json` holds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// What was simulated, defaults included.
    pub scenario: Scenario,
    /// What came out: the same for the same scenario and seed.
    pub outcome: Outcome,
    /// What it cost this machine: the only part that differs from run to run.
    #[serde(rename = "final")]
    pub cost: Cost,
}

/// What a simulation cost this machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Cost {
    /// Duration in seconds of this machine, not of virtual time.
    pub seconds: f64,
    /// Threads that trained, the one that decides included.
    pub threads: usize,
    /// Updates in versions, a second.
    pub client_rounds_per_second: f64,
    /// Most memory that the process ever had, in bytes; 0 where the system does not tell.
    pub peak_memory_bytes: u64,
    /// Where the time went on the thread that decides, where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spent: Option<Seconds>,
}

impl Cost {
    /// The cost of a run of `seconds` that counted so many updates.
    pub fn new(seconds: f64, threads: usize, accepted: u64, spent: Option<Seconds>) -> Self {
        let client_rounds_per_second = accepted as f64 / seconds.max(1e-9);
        let peak_memory_bytes = dunlin_service::machine::peak_memory();
        Self { seconds, threads, client_rounds_per_second, peak_memory_bytes, spent }
    }
}

impl Report {
    /// The figures as JSON, with line breaks.
    ///
    /// # Errors
    /// Those of `serde_json`, which has none for numbers and texts.
    pub fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self).map(|text| text + "\n")
    }

    /// Writes `report.json` and `report.html` into `dir`, which is made where it is missing; gives
    /// the path of the page.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn write(&self, dir: &Path) -> std::io::Result<PathBuf> {
        std::fs::create_dir_all(dir)?;
        let json = self.json().map_err(std::io::Error::other)?;
        std::fs::write(dir.join("report.json"), json)?;
        let page = dir.join("report.html");
        std::fs::write(&page, html(self))?;
        Ok(page)
    }
}
