//! What a task costs on this board: time, memory and bytes, measured on made-up windows.

pub mod cli;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dunlin_models::Backend;
use dunlin_protocol::codec::{Codec, Seeds};
use dunlin_protocol::id::{Lineage, Name, RoundId};
use dunlin_protocol::limits::TASK_BYTES_MAX;
use dunlin_protocol::message::WorkRef;
use dunlin_protocol::rng::Rng;
use dunlin_protocol::task::{Task, TaskSpec};
use dunlin_protocol::wire::WireError;
use dunlin_protocol::work::{Training, WorkKind};
use dunlin_service::config::{ConfigFileError, read_file};
use dunlin_service::machine::peak_memory;

use crate::data::WindowSet;
use crate::job::{Job, JobFailure, JobSpec, Trained};
use crate::network::NetworkTrainer;
use crate::trainer::view;

/// Times that one window is judged; the mean counts.
const JUDGED: u32 = 50;

/// What to measure: one round of training on made-up windows.
#[derive(Clone, Debug)]
pub struct BenchSettings {
    /// Training windows, 1 to 100,000.
    pub windows: u32,
    /// Passes over the windows in that round, 1 or more.
    pub epochs: u16,
    /// Windows in a batch.
    pub batch: u16,
    /// Seed of windows, model and shuffles.
    pub seed: u64,
    /// Which of Burn's backends computes.
    pub backend: Backend,
}

/// What a task costs here.
#[derive(Clone, Debug, PartialEq)]
pub struct BenchReport {
    /// Parameters of the network.
    pub n_params: usize,
    /// Training steps of the round: batches of all epochs.
    pub steps: u32,
    /// Training of one round, evaluations excluded.
    pub training: Duration,
    /// One window judged, as local inference does.
    pub judging: Duration,
    /// Highest resident memory of this process in KiB; 0 where the system does not tell.
    pub peak_kib: u64,
    /// Payload bytes of the update, by codec.
    pub bytes: Vec<(Codec, usize)>,
    /// Trained minus base, `[n_update]`.
    pub delta: Vec<f32>,
}

/// Why a task file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TaskFileError {
    /// It cannot be read, or is not the TOML that it should be.
    #[error(transparent)]
    File(#[from] ConfigFileError),
    /// What it says is no task.
    #[error("{}: {source}", .path.display())]
    Task {
        /// The task file that was asked for.
        path: PathBuf,
        /// The rule that the task breaks.
        source: WireError,
    },
}

/// Reads the task file at `path`.
///
/// # Errors
/// What is wrong with it.
pub fn read_task(path: &Path) -> Result<Task, TaskFileError> {
    let spec: TaskSpec = read_file(path, TASK_BYTES_MAX as u64)?;
    Task::new(spec).map_err(|source| TaskFileError::Task { path: path.to_owned(), source })
}

/// Trains one round of `task` on made-up windows and measures.
///
/// # Errors
/// When the task cannot be trained as `settings` say.
pub fn run(task: Task, settings: &BenchSettings) -> Result<BenchReport, JobFailure> {
    let task = Arc::new(task);
    let layout = task.layout();
    let model = layout.model_of(&layout.initial_params(settings.seed));
    let windows = made_up(&task, settings.windows, settings.seed);
    let job = Job {
        work: WorkRef { lineage: Lineage([0; 16]), round: RoundId(1), kind: WorkKind::Train as u8 },
        task: task.clone(),
        model: Arc::new(model.clone()),
        local: None,
        spec: JobSpec::Train(training(settings)),
        seed: settings.seed,
    };
    let mut trainer = NetworkTrainer::new(settings.backend);
    let none = WindowSet::empty(task.window_values());
    let started = now();
    let trained = trainer.run(&job, &view(&windows, &task)?, &view(&none, &task)?, &|| false)?;
    let training = started.elapsed();
    let one = made_up(&task, 1, settings.seed);
    let one = view(&one, &task)?;
    let started = now();
    for _ in 0..JUDGED {
        trainer.score(&task, &model, settings.seed, &one)?;
    }
    let judging = started.elapsed() / JUDGED;
    let batches = settings.windows.div_ceil(u32::from(settings.batch));
    Ok(BenchReport {
        n_params: layout.n_params(),
        steps: batches * u32::from(settings.epochs),
        training,
        judging,
        peak_kib: peak_memory() / 1024,
        bytes: coded(&trained),
        delta: trained.delta,
    })
}

#[allow(clippy::disallowed_methods)] // it measures time
fn now() -> Instant {
    Instant::now()
}

fn training(settings: &BenchSettings) -> Training {
    Training { momentum: 0.9, ..Training::sgd(settings.epochs, settings.batch, 0.02) }
}

/// `count` windows of noise, each label with a mean of its own, so that there is something to learn.
fn made_up(task: &TaskSpec, count: u32, seed: u64) -> WindowSet {
    let mut rng = Rng::for_stream(seed, 0xbe);
    let mut windows = WindowSet::empty(task.window_values());
    let classes = u32::try_from(task.labels().len()).unwrap_or(1).max(1);
    for window in 0..count {
        let label = window % classes;
        let mean = f64::from(label) / f64::from(classes) - 0.5;
        #[allow(clippy::cast_possible_truncation)] // a mean below 1
        let mean = mean as f32;
        windows.values.extend((0..windows.window_values).map(|_| mean + 0.5 * rng.normal()));
        if task.needs_labels() {
            windows.labels.push(u16::try_from(label).unwrap_or(0));
        }
    }
    windows
}

/// Bytes of the update as each codec writes it.
fn coded(trained: &Trained) -> Vec<(Codec, usize)> {
    let codecs = [Codec::F32, Codec::INT8, Codec::Ecdq { step: 1.0 }, Codec::Ecdq { step: 3.0 }];
    let device = Name::new("bench").ok();
    let seeds = device.map(|device| Seeds::of_update(&device, Lineage([0; 16]), RoundId(1), 1));
    let length = |codec: Codec| {
        let payload = codec.encode(&mut trained.delta.clone(), seeds?, 7).ok()?;
        Some((codec, payload.len()))
    };
    codecs.into_iter().filter_map(length).collect()
}

impl BenchReport {
    /// The figures as one JSON object.
    pub fn to_json(&self) -> String {
        let bytes = self.bytes.iter().map(|&(codec, bytes)| (codec.to_string(), bytes.into()));
        let bytes: serde_json::Map<String, serde_json::Value> = bytes.collect();
        let json = serde_json::json!({
            "parameters": self.n_params,
            "steps": self.steps,
            "training_s": self.training.as_secs_f64(),
            "window_ms": self.judging.as_secs_f64() * 1e3,
            "peak_kib": self.peak_kib,
            "update_bytes": bytes,
        });
        json.to_string()
    }
}

impl fmt::Display for BenchReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.training.as_secs_f64();
        let speed = f64::from(self.steps) / seconds.max(1e-9);
        writeln!(f, "parameters         {}", self.n_params)?;
        writeln!(
            f,
            "one round          {seconds:.2} s, {} steps, {speed:.1} a second",
            self.steps
        )?;
        writeln!(f, "one window judged  {:.2} ms", self.judging.as_secs_f64() * 1e3)?;
        #[allow(clippy::cast_precision_loss)] // for people
        let mib = self.peak_kib as f64 / 1024.0;
        write!(f, "peak memory        {mib:.1} MiB, of the whole program so far")?;
        for (codec, bytes) in &self.bytes {
            write!(f, "\nupdate, {:<10} {bytes} bytes", codec.to_string())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bench_trains_and_repeats_its_update_from_the_same_seed() {
        let task = Task::new(dunlin_models::tasks::har_cnn()).unwrap();
        let backend = Backend::default();
        let settings = BenchSettings { windows: 40, epochs: 1, batch: 16, seed: 3, backend };
        let first = run(task.clone(), &settings).unwrap();
        assert_eq!((first.steps, first.n_params), (3, 5734));
        assert!(first.delta.iter().any(|x| *x != 0.0) && first.delta.iter().all(|x| x.is_finite()));
        assert_eq!(first.bytes[0].1, 4 * first.delta.len());
        assert_eq!(run(task, &settings).unwrap().delta, first.delta);
        assert!(first.to_json().contains("\"int8\":"), "{}", first.to_json());
    }

    #[test]
    fn a_task_file_that_is_none_is_named() {
        let error = read_task(Path::new("/no/such/task.toml")).unwrap_err().to_string();
        assert!(error.contains("/no/such/task.toml"), "{error}");
    }
}
