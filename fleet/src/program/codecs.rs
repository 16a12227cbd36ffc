//! `dunlin-fleet codecs`: what each codec makes of updates recorded from real training.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use clap::Args;
use dunlin_fleet::federate::{Recorded, Recorder, federate};
use dunlin_protocol::codec::{Codec, Seeds};
use serde::Serialize;

use super::plot::{self, Axes, Series};
use super::{Common, Failure, bar, failed, usage};
use plotters::prelude::SeriesLabelPosition::LowerLeft;

/// Codecs that are compared when none is named.
const LADDER: [&str; 17] = [
    "f32",
    "int8",
    "ecdq=0.25",
    "ecdq=0.5",
    "ecdq=1",
    "ecdq=2",
    "ecdq=3",
    "ecdq=4",
    "ecdq=6",
    "eden=1",
    "eden=2",
    "eden=4",
    "uniform=4",
    "uniform=8",
    "sparse=2",
    "sparse=4",
    "sparse=8",
];
/// Updates that are looked at, spread over the rounds.
const UPDATES_MAX: usize = 160;

#[derive(Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    common: Common,
    /// Codec to compare; may be given several times [default: a ladder of all].
    #[arg(long, value_name = "CODEC")]
    codec: Vec<Codec>,
    /// Rounds to record updates from.
    #[arg(long, default_value_t = 12)]
    rounds: u32,
    /// Seed of weights and shuffles.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// What one codec makes of the recorded updates: means over them.
#[derive(Serialize)]
struct Row {
    codec: String,
    bits_per_coordinate: f64,
    payload_bytes: f64,
    nmse: f64,
    nmse_theory: Option<f64>,
    encode_us: f64,
    decode_us: f64,
    /// Encoding time as a share of the local training of the same updates.
    encode_share_of_training: f64,
    scratch_bytes: usize,
}

#[derive(Serialize)]
struct Figures {
    dataset: String,
    task: String,
    coordinates: usize,
    updates: usize,
    training_ms: f64,
    codecs: Vec<Row>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let experiment = arguments.common.experiment(arguments.rounds, arguments.seed)?;
    let settings = Common::settings(&experiment, Codec::INT8)?;
    let bar = bar(u64::from(arguments.rounds), !arguments.common.json);
    bar.set_message("recording updates");
    let recorder: Recorder = Arc::new(Mutex::new(Vec::new()));
    federate(&experiment, &settings, arguments.seed, Some(&recorder), |_| bar.inc(1))
        .map_err(failed)?;
    let all = std::mem::take(&mut *recorder.lock().map_err(failed)?);
    let training = all.iter().map(|one| one.seconds).sum::<f64>() / all.len().max(1) as f64;
    // The last round of a falling learning rate trains nothing.
    let moved: Vec<&Recorded> =
        all.iter().filter(|one| one.delta.iter().any(|value| *value != 0.0)).collect();
    let every = moved.len().div_ceil(UPDATES_MAX).max(1);
    let updates: Vec<&Recorded> = moved.into_iter().step_by(every).collect();
    let n = updates.first().map(|one| one.delta.len()).ok_or_else(|| failed("no updates"))?;
    bar.set_length(LADDER.len() as u64);
    bar.set_position(0);
    bar.set_message("comparing codecs");
    let codecs = match &arguments.codec[..] {
        [] => LADDER.iter().map(|text| text.parse()).collect::<Result<Vec<Codec>, _>>(),
        named => Ok(named.to_vec()),
    };
    let mut rows = Vec::new();
    for codec in codecs.map_err(failed)? {
        rows.push(measure(codec, &updates, training)?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let figures = Figures {
        dataset: experiment.dataset,
        task: experiment.task.name.to_string(),
        coordinates: n,
        updates: updates.len(),
        training_ms: training * 1e3,
        codecs: rows,
    };
    arguments.common.write("codecs", draw(&figures.codecs), &figures, &table(&figures))
}

/// Mean squared error in shares of the squared norm by the formula of the codec.
fn theory(codec: Codec) -> Option<f64> {
    match codec {
        Codec::F32 => Some(0.0),
        Codec::Ecdq { step } => Some(f64::from(step) * f64::from(step) / 12.0),
        Codec::Eden { bits: 1 } => Some(0.570_796),
        Codec::Eden { bits: 2 } => Some(0.133_121),
        Codec::Eden { .. } => Some(0.009_592),
        Codec::Int8 { .. }
        | Codec::EcdqWithin { .. }
        | Codec::Uniform { .. }
        | Codec::Sparse { .. } => None,
    }
}

#[allow(clippy::disallowed_methods, clippy::cast_precision_loss)] // measures time
fn measure(codec: Codec, updates: &[&Recorded], training: f64) -> Result<Row, Failure> {
    let norm =
        |values: &[f32]| values.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>().sqrt();
    let longest = updates.iter().map(|one| norm(&one.delta)).fold(0.0, f64::max);
    let n = updates.first().map_or(0, |one| one.delta.len());
    #[allow(clippy::cast_possible_truncation)]
    let resolved = codec.with_step_for(n, longest as f32);
    let (mut bytes, mut error, mut encoding, mut decoding) = (0, 0.0, 0.0, 0.0);
    for (device, one) in (0..).zip(updates) {
        let seeds = Seeds { round: 1, device };
        let mut values = one.delta.clone();
        let started = Instant::now();
        let payload = resolved.encode(&mut values, seeds, device).map_err(usage)?;
        encoding += started.elapsed().as_secs_f64();
        let started = Instant::now();
        let decoded = resolved.decode(&payload, n, seeds).map_err(failed)?;
        decoding += started.elapsed().as_secs_f64();
        let lost: Vec<f32> = decoded.iter().zip(&one.delta).map(|(a, b)| a - b).collect();
        let square = norm(&one.delta).powi(2);
        error += norm(&lost).powi(2) / square;
        bytes += payload.len();
    }
    let count = updates.len() as f64;
    Ok(Row {
        codec: codec.to_string(),
        bits_per_coordinate: bytes as f64 * 8.0 / count / n as f64,
        payload_bytes: bytes as f64 / count,
        nmse: error / count,
        nmse_theory: theory(codec),
        encode_us: encoding / count * 1e6,
        decode_us: decoding / count * 1e6,
        encode_share_of_training: encoding / count / training,
        scratch_bytes: codec.scratch_bytes(n),
    })
}

fn table(figures: &Figures) -> String {
    let mut text = format!(
        "{}, {}: {} updates of {} coordinates; local training {:.1} ms a round\n\n\
         codec        bits/coord    bytes     NMSE   theory  encode us  % of training  decode us  scratch B\n",
        figures.dataset, figures.task, figures.updates, figures.coordinates, figures.training_ms
    );
    for row in &figures.codecs {
        let theory = row.nmse_theory.map_or("-".into(), |theory| format!("{theory:.4}"));
        let _ = writeln!(
            text,
            "{:12} {:10.3} {:8.0} {:8.4} {theory:>8} {:10.0} {:14.2} {:10.0} {:10}",
            row.codec,
            row.bits_per_coordinate,
            row.payload_bytes,
            row.nmse,
            row.encode_us,
            row.encode_share_of_training * 100.0,
            row.decode_us,
            row.scratch_bytes
        );
    }
    text
}

/// Error over bits on logarithmic axes, one series a family, beside the bound of any code for a
/// normal source, `4^-bits`.
fn draw(rows: &[Row]) -> Option<String> {
    let mut series: Vec<Series> = Vec::new();
    for row in rows.iter().filter(|row| row.nmse > 0.0) {
        let family = row.codec.split('=').next().unwrap_or(&row.codec);
        let point = (row.bits_per_coordinate, row.nmse);
        match series.iter_mut().find(|one| one.name == family) {
            Some(one) => one.points.push(point),
            None => {
                let (name, points) = (family.to_owned(), vec![point]);
                series.push(Series { name, points, joined: family == "ecdq" });
            }
        }
    }
    let bound = (-10..=26).map(|at| f64::from(at) / 8.0).map(f64::exp2);
    let points = bound.map(|bits| (bits, 4.0_f64.powf(-bits))).filter(|(_, y)| *y > 1e-5);
    series.push(Series {
        name: "4^-bits, bound for a normal source".into(),
        points: points.collect(),
        joined: true,
    });
    let axes = Axes {
        x: "bits a coordinate",
        y: "squared error / squared norm",
        log_y: true,
        legend: LowerLeft,
    };
    plot::draw(&axes, &series)
}
