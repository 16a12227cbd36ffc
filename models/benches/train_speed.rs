//! Training steps a second of the ready-made tasks on each backend, one thread, batches of 32.
//!
//! `cargo run --example train_speed -- [--pytorch PYTHON] [--rounds N] [--backend flex|ndarray]`
//! also runs the same networks in PyTorch, in turns with ours, and prints how many times faster
//! ours is.

#![allow(missing_docs, clippy::print_stdout)]

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use dunlin_models::{Backend, Network, Windows, tasks};
use dunlin_protocol::rng::Rng;
use dunlin_protocol::task::{Features, Layer, MOTION_FEATURES, Op, TaskSpec};
use dunlin_protocol::work::Training;

const BATCH: u16 = 32;
const BATCHES: usize = 10;
const RUN: Duration = Duration::from_secs(1);

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let (mut python, mut rounds, mut backends) = (None, 5, Backend::ALL.to_vec());
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let value = arguments.next().ok_or("each option takes a value")?;
        match argument.as_str() {
            "--pytorch" => python = Some(value),
            "--rounds" => rounds = value.parse()?,
            "--backend" => backends.retain(|backend| backend.name() == value),
            _ => return Err("options are --pytorch, --rounds and --backend".into()),
        }
    }
    if backends.is_empty() {
        return Err("backends are flex and ndarray".into());
    }
    println!("training steps a second, batch {BATCH}, one thread, median of {rounds} runs");
    for (name, task) in [
        ("har-cnn", tasks::har_cnn()),
        ("har-mlp", tasks::har_mlp()),
        ("cnn-6454", cnn_6454()),
        ("mlp-561", mlp_561()),
    ] {
        compare(name, &task, &backends, python.as_deref(), rounds)?;
    }
    Ok(())
}

/// A plain 1-D CNN of 6,454 parameters: three convolutions, no averages.
fn cnn_6454() -> TaskSpec {
    let block = |out, size| [Op::Conv1d { out, kernel: 5 }, Op::Relu, Op::MaxPool { size }];
    let ops = [block(16, 2), block(24, 2), block(24, 4)].concat();
    let mut task = tasks::har_cnn();
    let share = task.layers[0].share;
    let ops = ops.into_iter().chain([Op::Dense { out: 6 }]);
    task.layers = ops.map(|op| Layer { op, share }).collect();
    task
}

/// The dense network of many papers on the UCI HAR data set: its 561 features, 64 hidden, 6 out.
fn mlp_561() -> TaskSpec {
    let mut task = tasks::har_mlp();
    task.features = Features::Raw;
    task.input.channels.truncate(1);
    task.input.window = 561;
    task
}

/// Runs all backends and PyTorch in turns, so that a busy machine slows all of them.
fn compare(
    name: &str,
    task: &TaskSpec,
    backends: &[Backend],
    python: Option<&str>,
    rounds: usize,
) -> Outcome<()> {
    let mut pytorch = python.map(|python| PyTorch::start(python, task)).transpose()?;
    let mut ours = vec![Vec::new(); backends.len()];
    let mut theirs = Vec::new();
    for _ in 0..rounds {
        for (&backend, speeds) in backends.iter().zip(&mut ours) {
            speeds.push(speed(task, backend)?);
            if let Some(pytorch) = pytorch.as_mut().filter(|_| backend == Backend::Flex) {
                theirs.push(pytorch.run()?);
            }
        }
    }
    let pytorch = (!theirs.is_empty()).then(|| median(&mut theirs));
    if let Some(speed) = pytorch {
        println!("{name:8} pytorch  {speed:8.0}");
    }
    for (backend, speeds) in backends.iter().zip(&mut ours) {
        let speed = median(speeds);
        let ratio = pytorch.map_or(String::new(), |other| format!("  x{:.2}", speed / other));
        println!("{name:8} {:8} {speed:8.0}{ratio}", backend.name());
    }
    Ok(())
}

/// Steps a second of `Network::train` on random windows.
fn speed(task: &TaskSpec, backend: Backend) -> Outcome<f64> {
    let mut rng = Rng::new(1);
    let count = BATCHES * usize::from(BATCH);
    let values: Vec<f32> = (0..count * task.window_values()).map(|_| rng.normal()).collect();
    let classes = task.labels().len();
    let labels = (0..count).map(|_| u16::try_from(rng.below(classes)));
    let labels = labels.collect::<Result<Vec<_>, _>>()?;
    let windows = Windows::new(task, &values, &labels)?;
    let mut network = Network::new(task, backend)?;
    let start_params = network.layout().initial_params(1);
    let training = Training { momentum: 0.9, ..Training::sgd(20, BATCH, 0.01) };
    let (mut steps, clock) = (0, now());
    while clock.elapsed() < RUN {
        network.set_params(&start_params)?;
        steps += network.train(&windows, &training, 1, &mut || false)?.steps;
    }
    #[allow(clippy::cast_precision_loss)]
    Ok(steps as f64 / clock.elapsed().as_secs_f64())
}

#[allow(clippy::disallowed_methods)]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}

fn median(speeds: &mut [f64]) -> f64 {
    speeds.sort_by(f64::total_cmp);
    speeds[speeds.len() / 2]
}

/// A running `pytorch_train_speed.py`, asked through its standard input.
struct PyTorch {
    child: Child,
    answers: BufReader<ChildStdout>,
}

impl PyTorch {
    fn start(python: &str, task: &TaskSpec) -> Outcome<Self> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/pytorch_train_speed.py");
        let input = match task.features {
            Features::Raw => (usize::from(task.input.window), task.input.channels.len()),
            Features::Motion => (1, MOTION_FEATURES),
        };
        let layers: Vec<String> = task.layers.iter().map(|layer| describe(layer.op)).collect();
        let mut child = Command::new(python)
            .arg(script)
            .arg(format!("{}x{}", input.0, input.1))
            .args([layers.join(","), BATCH.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let answers = BufReader::new(child.stdout.take().ok_or("no pipe from Python")?);
        Ok(Self { child, answers })
    }

    fn run(&mut self) -> Outcome<f64> {
        self.child.stdin.as_mut().ok_or("no pipe to Python")?.write_all(b"go\n")?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        line.trim().parse().map_err(|_| "Python gave no answer; does it have torch?".into())
    }
}

impl Drop for PyTorch {
    fn drop(&mut self) {
        // The script ends with its standard input.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

fn describe(op: Op) -> String {
    match op {
        Op::Conv1d { out, kernel } => format!("conv:{out}:{kernel}"),
        Op::Relu => "relu".into(),
        Op::Tanh => "tanh".into(),
        Op::MaxPool { size } => format!("max:{size}"),
        Op::MeanPool { size } => format!("mean:{size}"),
        Op::Dense { out } => format!("dense:{out}"),
    }
}
