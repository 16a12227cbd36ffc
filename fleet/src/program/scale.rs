//! `dunlin-fleet scale`: what fleets of growing size cost, each in a process of its own.

use dunlin_service::output::{print, say};
use std::fmt::Write as _;
use std::process::Command;

use clap::Args;
use serde::Serialize;
use serde_json::Value;

use super::{Failure, bar, failed};

/// The scenario that grows.
const PRESET: &str = "million";
/// Of so many devices one sends an update in each round.
const DEVICES_AN_UPDATE: u32 = 100;

#[derive(Args)]
pub(crate) struct Arguments {
    /// Devices of each fleet, 100 to 1,048,576.
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 10_000, 100_000, 1_000_000],
          value_parser = clap::value_parser!(u32).range(100..=1_048_576))]
    devices: Vec<u32>,
    /// Rounds that each fleet goes through.
    #[arg(long, default_value_t = 20)]
    rounds: u32,
    /// Print JSON instead of the table.
    #[arg(long)]
    json: bool,
}

/// What one fleet cost.
#[derive(Debug, Serialize)]
struct Row {
    devices: u32,
    device_rounds: u64,
    seconds: f64,
    client_rounds_per_second: f64,
    /// Seconds for each device and round, whether it took part or not, in millionths.
    us_per_device_and_round: f64,
    peak_memory_bytes: u64,
    bytes_per_device: f64,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let bar = bar(arguments.devices.len() as u64, !arguments.json);
    let mut rows = Vec::new();
    for devices in &arguments.devices {
        bar.set_message(format!("fleets, now of {devices}"));
        rows.push(measure(*devices, arguments.rounds)?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    if arguments.json {
        say(&serde_json::to_string_pretty(&rows).map_err(failed)?).map_err(failed)?;
    } else {
        print(&table(&rows)).map_err(failed)?;
    }
    Ok(())
}

/// Runs this program once more: peak memory belongs to a process.
fn measure(devices: u32, rounds: u32) -> Result<Row, Failure> {
    let program = std::env::current_exe().map_err(failed)?;
    let folder = tempfile::tempdir().map_err(failed)?;
    let number = |value: u32| value.to_string();
    let output = Command::new(program)
        .args(["simulate", PRESET, "--json", "--threads", "1", "--devices", &number(devices)])
        .args(["--rounds", &number(rounds), "--target", &number(devices / DEVICES_AN_UPDATE)])
        .arg("--report")
        .arg(folder.path())
        .output()
        .map_err(failed)?;
    if !output.status.success() {
        return Err(failed(String::from_utf8_lossy(&output.stderr)));
    }
    let report: Value = serde_json::from_slice(&output.stdout).map_err(failed)?;
    let cost = |key: &str| report["final"][key].as_f64().unwrap_or(f64::NAN);
    let (seconds, memory) = (cost("seconds"), cost("peak_memory_bytes"));
    Ok(Row {
        devices,
        device_rounds: report["outcome"]["accepted"].as_u64().unwrap_or(0),
        seconds,
        client_rounds_per_second: cost("client_rounds_per_second"),
        us_per_device_and_round: seconds * 1e6 / f64::from(devices) / f64::from(rounds.max(1)),
        peak_memory_bytes: report["final"]["peak_memory_bytes"].as_u64().unwrap_or(0),
        bytes_per_device: memory / f64::from(devices),
    })
}

fn table(rows: &[Row]) -> String {
    let mut text = String::from(
        "| devices | updates | seconds | updates a second | us a device and round | peak memory, MB | bytes a device |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| {} | {} | {:.1} | {:.0} | {:.2} | {:.0} | {:.0} |",
            row.devices,
            row.device_rounds,
            row.seconds,
            row.client_rounds_per_second,
            row.us_per_device_and_round,
            row.peak_memory_bytes as f64 / 1e6,
            row.bytes_per_device,
        );
    }
    text
}
