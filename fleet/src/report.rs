//! What a run of a federation came to: figures for programs, a page for people, a table for a
//! terminal.
//!
//! Accuracies are parts of 1, losses are in nats a window. A figure that was not measured is NaN:
//! `null` in JSON, a dash elsewhere, and left out of charts.

pub(crate) mod chart;
mod charts;
mod html;
pub(crate) mod page;
#[cfg(test)]
mod tests;
pub(crate) mod text;

pub use html::html;
pub use text::summary_table;

use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::Serialize;

/// One finished run: what `report.json` holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// Name of the data, such as `synthetic`.
    pub dataset: String,
    /// Parameters of the model.
    pub n_params: usize,
    /// Devices in the federation.
    pub n_devices: usize,
    /// Name of the Burn backend that trained, such as `flex`.
    pub backend: String,
    /// Name of the codec of the updates, such as `int8`.
    pub codec: String,
    /// Seed of everything random.
    pub seed: u64,
    /// The rounds in order.
    pub rounds: Vec<RoundReport>,
    /// The run as a whole.
    #[serde(rename = "final")]
    pub outcome: Outcome,
    /// Each device, with models measured on its own windows.
    pub devices: Vec<DeviceReport>,
}

/// One training round of the run.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RoundReport {
    /// Number of the round, from 1.
    pub round: u32,
    /// Accuracy of the new global model on persons that no device has trained on, 0 to 1.
    pub accuracy: f64,
    /// Loss of the new global model on those persons, in nats.
    pub loss: f64,
    /// Devices whose updates were combined.
    pub devices: usize,
    /// Updates that were refused.
    pub refused: usize,
    /// Payload bytes from all devices to the aggregator.
    pub bytes_up: u64,
    /// Payload bytes from the aggregator to all devices.
    pub bytes_down: u64,
    /// Seconds since the last round's end.
    pub seconds: f64,
}

/// What came out in the end.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Outcome {
    /// Accuracy of the last global model on persons that no device has trained on, 0 to 1.
    pub accuracy: f64,
    /// Mean accuracy of the last five global models on those persons: steadier than one.
    pub accuracy_last_five: f64,
    /// The same measure for devices that train alone for as long, mean over the devices, 0 to 1.
    pub alone_accuracy_mean: f64,
    /// Bytes that one device sends in one round, on average.
    pub bytes_up_per_device_round: f64,
    /// Duration of the whole run in seconds.
    pub seconds: f64,
}

/// How one device is served by the federation, and how well it does alone.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct DeviceReport {
    /// The device's id in the federation.
    pub device: String,
    /// Windows that it trains on.
    pub windows: usize,
    /// Windows that it keeps back for measuring.
    pub held_back: usize,
    /// Accuracy of the last global model on the windows kept back, 0 to 1.
    pub global_accuracy: f64,
    /// Accuracy on the same windows of a model that this device trained alone, 0 to 1.
    pub alone_accuracy: f64,
    /// Accuracy of the model trained alone on persons that no device has trained on, 0 to 1.
    pub alone_accuracy_unseen: f64,
}

/// Where the report was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportFiles {
    /// Path of `report.json`, the figures.
    pub json: PathBuf,
    /// Path of `report.html`, the page.
    pub html: PathBuf,
}

impl RoundReport {
    /// Bytes that one combined device sent, on average; NaN when there was none.
    pub fn up_per_device(&self) -> f64 {
        per_device(self.bytes_up, self.devices)
    }

    /// Bytes that one combined device was sent, on average; NaN when there was none.
    pub fn down_per_device(&self) -> f64 {
        per_device(self.bytes_down, self.devices)
    }
}

impl Report {
    /// Points of accuracy (hundredths) that the federation is ahead of devices training alone.
    pub fn lead(&self) -> f64 {
        (self.outcome.accuracy - self.outcome.alone_accuracy_mean) * 100.0
    }

    /// The figures as JSON, with line breaks.
    ///
    /// # Errors
    /// Those of `serde_json`, which has none for numbers and texts.
    pub fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self).map(|text| text + "\n")
    }

    /// Writes `report.json` and `report.html` into `dir`, which is made where it is missing.
    ///
    /// # Errors
    /// Those of the file system, with the path that could not be written.
    pub fn write(&self, dir: &Path) -> io::Result<ReportFiles> {
        fs::create_dir_all(dir).map_err(|error| named(dir, "make the directory", &error))?;
        let files = ReportFiles { json: dir.join("report.json"), html: dir.join("report.html") };
        let json = self.json().map_err(io::Error::other)?;
        for (path, text) in [(&files.json, json), (&files.html, html(self))] {
            fs::write(path, text).map_err(|error| named(path, "write", &error))?;
        }
        Ok(files)
    }
}

fn named(path: &Path, what: &str, error: &io::Error) -> io::Error {
    let path = path.display();
    io::Error::new(
        error.kind(),
        format!("cannot {what} {path}: {error}; name a directory that can be written"),
    )
}

#[allow(clippy::cast_precision_loss)]
fn per_device(bytes: u64, devices: usize) -> f64 {
    if devices == 0 { f64::NAN } else { bytes as f64 / devices as f64 }
}
