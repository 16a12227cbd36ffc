//! `dunlin-fleet curve`: accuracy against bytes, a whole federation for each codec and seed.

use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use clap::Args;
use dunlin_aggregator::settings::{ANCHOR_EVERY, Downlink};
use dunlin_fleet::federate::{Step, federate};
use dunlin_protocol::codec::Codec;
use serde::Serialize;

use super::plot::{self, Axes, Series};
use super::{Common, Failure, bar, failed, usage};
use plotters::prelude::SeriesLabelPosition::LowerRight;

/// Versions whose mean accuracy counts as the end of a federation.
const LAST: usize = 5;
/// Federations that run at one time.
const WORKERS: usize = 2;

#[derive(Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    common: Common,
    /// How updates are written; may be given several times [default: f32, int8, ecdq=1, ecdq=3,
    /// ecdq=6, eden=1, sparse=4].
    #[arg(long, value_name = "CODEC")]
    codec: Vec<Codec>,
    /// As a codec: at most so many bytes an update message, framing included.
    #[arg(long, value_name = "BYTES")]
    budget: Vec<u32>,
    /// How versions go down, with each codec but f32 [default: deltas by ecdq=1].
    #[arg(long, value_name = "CODEC", default_value = "ecdq=1")]
    downlink: Codec,
    /// Rounds of each federation, 1 or more.
    #[arg(long, default_value_t = 50)]
    rounds: u32,
    /// Seeds, each a federation of its own.
    #[arg(long, value_delimiter = ',', default_value = "1,2,3")]
    seeds: Vec<u64>,
    /// Accuracy in per cent whose price in bytes is told.
    #[arg(long, default_value_t = 85.0, value_name = "PERCENT")]
    reach: f64,
}

/// One way to write updates and versions.
#[derive(Clone, Copy)]
struct Way {
    codec: Codec,
    downlink: Downlink,
}

/// What one way came to, over all seeds.
#[derive(Serialize)]
struct Row {
    codec: String,
    downlink: String,
    /// Mean accuracy of the last versions in per cent, one a seed.
    accuracy: Vec<f64>,
    accuracy_mean: f64,
    up_per_device_round: f64,
    down_per_device_round: f64,
    /// Bytes of one device, both ways, until `reach` was first passed; the mean over seeds, none
    /// when one never did.
    bytes_to_reach: Option<f64>,
    rounds_to_reach: Option<f64>,
    steps: Vec<Vec<Point>>,
}

#[derive(Clone, Copy, Serialize)]
struct Point {
    accuracy: f64,
    up: f64,
    down: f64,
}

#[derive(Serialize)]
struct Figures {
    dataset: String,
    task: String,
    rounds: u32,
    seeds: Vec<u64>,
    reach: f64,
    codecs: Vec<Row>,
}

fn ways(arguments: &Arguments) -> Result<Vec<Way>, Failure> {
    let mut codecs = arguments.codec.clone();
    for &bytes in &arguments.budget {
        let codec = Codec::within_message(bytes);
        codecs.push(codec.ok_or_else(|| usage(format!("--budget {bytes}: 65 or more")))?);
    }
    if codecs.is_empty() {
        let ladder = ["f32", "int8", "ecdq=1", "ecdq=3", "ecdq=6", "eden=1", "sparse=4"];
        codecs = ladder.map(|text| text.parse().unwrap_or(Codec::F32)).into();
    }
    let deltas = Downlink::new(arguments.downlink, ANCHOR_EVERY).map_err(usage)?;
    let downlink = |codec| if codec == Codec::F32 { Downlink::Plain } else { deltas };
    Ok(codecs.into_iter().map(|codec| Way { codec, downlink: downlink(codec) }).collect())
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let ways = ways(arguments)?;
    let experiment = arguments.common.experiment(arguments.rounds, 1)?;
    for way in &ways {
        Common::settings(&experiment, way.codec)?;
    }
    let jobs: Vec<(Way, u64)> =
        ways.iter().flat_map(|way| arguments.seeds.iter().map(|seed| (*way, *seed))).collect();
    let bar = bar(jobs.len() as u64 * u64::from(arguments.rounds), !arguments.common.json);
    bar.set_message("federations");
    let (next, done) = (AtomicUsize::new(0), Mutex::new(vec![None; jobs.len()]));
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some((at, (way, seed))) = take(&next, &jobs) {
                    let outcome = one(arguments, way, seed, &|| bar.inc(1));
                    if let Ok(mut done) = done.lock() {
                        done[at] = Some(outcome);
                    }
                }
            });
        }
    });
    bar.finish_and_clear();
    let mut done = done.into_inner().map_err(failed)?.into_iter();
    let mut rows = Vec::new();
    for way in ways {
        let of_seeds = done.by_ref().take(arguments.seeds.len());
        let lost = || failed("a federation was lost");
        let runs: Result<Vec<Vec<Step>>, Failure> =
            of_seeds.map(|run| run.ok_or_else(lost)?.map_err(failed)).collect();
        rows.push(row(way, &runs?, arguments.reach));
    }
    let figures = Figures {
        dataset: experiment.dataset,
        task: experiment.task.name.to_string(),
        rounds: arguments.rounds,
        seeds: arguments.seeds.clone(),
        reach: arguments.reach,
        codecs: rows,
    };
    arguments.common.write("curve", draw(&figures.codecs), &figures, &table(&figures))
}

/// The next job and its place.
fn take(next: &AtomicUsize, jobs: &[(Way, u64)]) -> Option<(usize, (Way, u64))> {
    let at = next.fetch_add(1, Ordering::Relaxed);
    jobs.get(at).map(|job| (at, *job))
}

fn one(
    arguments: &Arguments,
    way: Way,
    seed: u64,
    progress: &dyn Fn(),
) -> Result<Vec<Step>, String> {
    let told = |failure| match failure {
        Failure::Usage(problem) | Failure::Run(problem) => problem,
    };
    let experiment = arguments.common.experiment(arguments.rounds, seed).map_err(told)?;
    let mut settings = Common::settings(&experiment, way.codec).map_err(told)?;
    settings.downlink = way.downlink;
    federate(&experiment, &settings, seed, None, |_| progress())
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len().max(1) as f64;
    values.sum::<f64>() / count
}

fn row(way: Way, runs: &[Vec<Step>], reach: f64) -> Row {
    let last = |run: &Vec<Step>| {
        let end = &run[run.len().saturating_sub(LAST)..];
        100.0 * mean(end.iter().map(|step| step.accuracy))
    };
    let accuracy: Vec<f64> = runs.iter().map(last).collect();
    let a_round = |bytes: fn(&Step) -> f64| {
        mean(runs.iter().map(|run| run.last().map_or(0.0, bytes) / run.len().max(1) as f64))
    };
    let first = |run: &Vec<Step>| run.iter().position(|step| step.accuracy * 100.0 >= reach);
    let reached: Option<Vec<usize>> = runs.iter().map(first).collect();
    let price = |(at, run): (&usize, &Vec<Step>)| run[*at].up + run[*at].down;
    Row {
        codec: way.codec.to_string(),
        downlink: match way.downlink {
            Downlink::Plain => "f32".into(),
            Downlink::Deltas { codec, .. } => codec.to_string(),
        },
        accuracy_mean: mean(accuracy.iter().copied()),
        accuracy,
        up_per_device_round: a_round(|step| step.up),
        down_per_device_round: a_round(|step| step.down),
        bytes_to_reach: reached.as_ref().map(|reached| mean(reached.iter().zip(runs).map(price))),
        rounds_to_reach: reached
            .as_ref()
            .map(|reached| mean(reached.iter().map(|at| (at + 1) as f64))),
        steps: runs.iter().map(|run| run.iter().map(|step| point(*step)).collect()).collect(),
    }
}

fn point(step: Step) -> Point {
    Point { accuracy: step.accuracy, up: step.up, down: step.down }
}

fn table(figures: &Figures) -> String {
    let base = figures.codecs.iter().find(|row| row.codec == "f32");
    let factor = |mine: f64, base: Option<f64>| {
        base.map_or(String::new(), |base| format!("{:.0}x", base / mine))
    };
    let mut text = format!(
        "{}, {}, {} rounds, seeds {:?}; payload bytes of every message of one device\n\n\
         codec        down         accuracy %   by seed             up/round        down/round      \
         bytes to {} %   rounds\n",
        figures.dataset, figures.task, figures.rounds, figures.seeds, figures.reach
    );
    for row in &figures.codecs {
        let seeds: Vec<String> = row.accuracy.iter().map(|one| format!("{one:.1}")).collect();
        let up = factor(row.up_per_device_round, base.map(|base| base.up_per_device_round));
        let down = factor(row.down_per_device_round, base.map(|base| base.down_per_device_round));
        let reach = row.bytes_to_reach.map_or("never".into(), |bytes| {
            format!("{bytes:.0} {}", factor(bytes, base.and_then(|base| base.bytes_to_reach)))
        });
        let rounds = row.rounds_to_reach.map_or(String::new(), |rounds| format!("{rounds:.1}"));
        let _ = writeln!(
            text,
            "{:12} {:12} {:10.2}   {:18} {:9.0} {up:>5} {:10.0} {down:>5}   {reach:>14} {rounds:>6}",
            row.codec,
            row.downlink,
            row.accuracy_mean,
            seeds.join(" "),
            row.up_per_device_round,
            row.down_per_device_round
        );
    }
    text
}

/// Accuracy over the bytes that a device has spent both ways, the first seed of each way.
fn draw(rows: &[Row]) -> Option<String> {
    let series = |row: &Row| {
        let steps = row.steps.first().into_iter().flatten();
        let points = steps.map(|step| (step.up + step.down, step.accuracy * 100.0));
        let name = format!("{} up, {} down", row.codec, row.downlink);
        Series { name, points: points.collect(), joined: true }
    };
    let axes = Axes {
        x: "bytes of a device, both ways",
        y: "accuracy on unseen persons, %",
        log_y: false,
        legend: LowerRight,
    };
    plot::draw(&axes, &rows.iter().map(series).collect::<Vec<_>>())
}
