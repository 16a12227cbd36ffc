//! The thread that looks for new windows and asks the model about them.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use dunlin_protocol::id::ModelVersion;
use dunlin_protocol::task::{Task, TaskSpec};
use log::{info, warn};

use super::{Finding, clock};
use crate::data::WindowSource;
use crate::job::{JobFailure, ModelInUse};
use crate::ports::Classifier;

/// Starts the thread; it ends when the sender is dropped or `sink` does not want more.
///
/// # Errors
/// When the operating system gives no thread.
pub(super) fn spawn(
    source: Box<dyn WindowSource>,
    classifier: Box<dyn Classifier + Send>,
    every: Duration,
    sink: impl Fn(Finding) -> bool + Send + 'static,
) -> std::io::Result<(Sender<ModelInUse>, JoinHandle<()>)> {
    let (models, inbox) = mpsc::channel();
    let worker = Worker { source, classifier, every, model: None, seen: None, problem: None };
    let thread = std::thread::Builder::new()
        .name("inference".into())
        .spawn(move || worker.run(&inbox, &sink))?;
    Ok((models, thread))
}

struct Worker {
    source: Box<dyn WindowSource>,
    classifier: Box<dyn Classifier + Send>,
    every: Duration,
    /// Task and version of the model in use.
    model: Option<(Arc<Task>, ModelVersion)>,
    /// End of the window that was looked at last.
    seen: Option<i64>,
    /// What went wrong last: said once.
    problem: Option<String>,
}

impl Worker {
    fn run(mut self, inbox: &Receiver<ModelInUse>, sink: &impl Fn(Finding) -> bool) {
        let mut due = clock();
        loop {
            let order = match self.model {
                None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(_) => inbox.recv_timeout(due.saturating_duration_since(clock())),
            };
            match order {
                Ok(model) => self.use_model(&model),
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    due = clock() + self.interval();
                    if let Some(finding) = self.look()
                        && !sink(finding)
                    {
                        return;
                    }
                }
            }
        }
    }

    fn use_model(&mut self, model: &ModelInUse) {
        let version = model.model.version;
        match self.classifier.use_model(model) {
            Ok(()) => self.model = Some((model.task.clone(), version)),
            Err(JobFailure { why, .. }) => {
                self.model = None;
                warn!("version {version} cannot classify: {why}");
            }
        }
    }

    /// Time between two looks: at least the hop of the task, for nothing is new before.
    fn interval(&self) -> Duration {
        let Some((task, _)) = &self.model else { return self.every };
        let hop = u64::from(task.input.hop).saturating_mul(task.input.period_ns());
        let hop = Duration::from_nanos(hop);
        self.every.max(hop)
    }

    /// Asks the model about the newest window, if that is a new one.
    fn look(&mut self) -> Option<Finding> {
        let (task, version) = self.model.clone()?;
        match self.try_look(&task, version) {
            Ok(finding) => {
                if finding.is_some() && self.problem.take().is_some() {
                    info!("classifies again");
                }
                finding
            }
            Err(problem) => {
                if self.problem.as_ref() != Some(&problem) {
                    warn!("nothing is classified: {problem}");
                    self.problem = Some(problem);
                }
                None
            }
        }
    }

    fn try_look(
        &mut self,
        task: &TaskSpec,
        version: ModelVersion,
    ) -> Result<Option<Finding>, String> {
        let start = clock();
        let window = self.source.newest_window(task).map_err(|error| error.to_string())?;
        let Some(window) = window.filter(|window| self.seen != Some(window.end_us)) else {
            return Ok(None);
        };
        self.seen = Some(window.end_us);
        let answer = self.classifier.classify(&window.values);
        let estimate = answer.map_err(|JobFailure { why, .. }| why)?;
        let (end_us, latency) = (window.end_us, start.elapsed());
        Ok(Some(Finding { version, estimate, end_us, latency }))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::data::{DataError, LiveWindow, WindowSet};
    use crate::inference::Estimate;
    use crate::job::KeptModel;
    use dunlin_protocol::id::{LayoutHash, Lineage, Name};
    use dunlin_protocol::task::{Channel, Features, Input, Layer, Op, Rate, Share, Target};
    use std::collections::VecDeque;
    use std::sync::Mutex;

    /// A model of 40 parameters for windows of 4 samples, 2 apart, at 50 Hz.
    pub(in crate::inference) fn model(version: u32) -> ModelInUse {
        let channel = Channel { name: "x".into(), unit: "g".into(), offset: 0.0, scale: 1.0 };
        let task = TaskSpec {
            name: Name::new("test").unwrap(),
            input: Input {
                channels: vec![channel],
                rate: Rate::from_millihertz(50_000),
                window: 4,
                hop: 2,
            },
            features: Features::Raw,
            layers: vec![Layer { op: Op::Dense { out: 4 }, share: Share::Shared }],
            target: Target::Reconstruct,
        };
        let params = Arc::new(vec![0.25; 40]);
        let task = Arc::new(Task::new(task).unwrap());
        let (version, lineage) = (ModelVersion(version), Lineage([9; 16]));
        let model = KeptModel { task: task.digest(), lineage, version, params };
        ModelInUse { model, layout: LayoutHash([7; 8]), task, local: None }
    }

    /// Gives these windows, by end and only value; `None` for a fault of the source.
    struct Script(Mutex<VecDeque<Option<(i64, f32)>>>);

    impl WindowSource for Script {
        fn windows(&self, _task: &TaskSpec) -> Result<WindowSet, DataError> {
            Ok(WindowSet::default())
        }
        fn newest_window(&self, _task: &TaskSpec) -> Result<Option<LiveWindow>, DataError> {
            match self.0.lock().unwrap().pop_front() {
                Some(Some((end_us, value))) => Ok(Some(LiveWindow { end_us, values: vec![value] })),
                Some(None) => Err(DataError::Window { task: 1, has: 2 }),
                None => Ok(None),
            }
        }
    }

    /// Gives the first value back; cannot use version 13 and cannot classify a 13.
    struct Echo;

    impl Classifier for Echo {
        fn use_model(&mut self, model: &ModelInUse) -> Result<(), JobFailure> {
            match model.model.version {
                ModelVersion(13) => Err(JobFailure::other("unlucky")),
                _ => Ok(()),
            }
        }
        fn classify(&mut self, window: &[f32]) -> Result<Estimate, JobFailure> {
            match window[0] {
                13.0 => Err(JobFailure::other("unlucky")),
                value => Ok(Estimate::Error(value)),
            }
        }
    }

    fn worker(script: &[Option<(i64, f32)>]) -> Worker {
        let source = Box::new(Script(Mutex::new(script.iter().copied().collect())));
        let (classifier, every) = (Box::new(Echo), Duration::from_millis(1));
        let mut worker =
            Worker { source, classifier, every, model: None, seen: None, problem: None };
        worker.use_model(&model(3));
        worker
    }

    fn errors(worker: &mut Worker, looks: usize) -> Vec<f32> {
        let found = (0..looks).filter_map(|_| worker.look());
        let error = |finding: Finding| match finding.estimate {
            Estimate::Error(error) => error,
            Estimate::Class { .. } | Estimate::Values(_) => panic!("{finding:?}"),
        };
        found.map(error).collect()
    }

    #[test]
    fn a_window_is_classified_once() {
        let script = [(1, 0.1), (1, 0.1), (2, 0.2), (2, 0.2), (1, 0.3)].map(Some);
        assert_eq!(errors(&mut worker(&script), 7), [0.1, 0.2, 0.3]);
    }

    #[test]
    fn after_a_fault_of_source_or_model_the_next_window_is_classified() {
        let script = [None, Some((1, 0.1)), Some((2, 13.0)), Some((3, 0.3))];
        assert_eq!(errors(&mut worker(&script), 4), [0.1, 0.3]);
    }

    #[test]
    fn without_a_usable_model_no_window_is_looked_at() {
        let mut worker = worker(&[Some((1, 0.1))]);
        worker.use_model(&model(13));
        assert_eq!(errors(&mut worker, 1), [0.0f32; 0]);
        worker.use_model(&model(14));
        assert_eq!(worker.look().unwrap().version, ModelVersion(14));
    }

    #[test]
    fn looks_lie_at_least_a_hop_apart() {
        let mut worker = worker(&[]);
        assert_eq!(worker.interval(), Duration::from_millis(40), "2 samples at 50 Hz");
        worker.every = Duration::from_secs(2);
        assert_eq!(worker.interval(), Duration::from_secs(2));
    }

    #[test]
    fn the_thread_ends_when_nobody_gives_models_or_wants_results() {
        let start = |wanted: bool| {
            let script = Script(Mutex::new([Some((1, 0.5))].into()));
            let (sender, found) = mpsc::channel();
            let sink = move |finding| sender.send(finding).is_ok() && wanted;
            let every = Duration::from_millis(1);
            let (models, thread) = spawn(Box::new(script), Box::new(Echo), every, sink).unwrap();
            models.send(model(3)).unwrap();
            assert_eq!(found.recv().unwrap().estimate, Estimate::Error(0.5));
            (models, thread)
        };
        let (models, thread) = start(false);
        thread.join().unwrap();
        drop(models);
        let (models, thread) = start(true);
        drop(models);
        thread.join().unwrap();
    }
}
