//! The trainer's thread, with a trainer that counts its steps.

use std::sync::mpsc::Receiver;

use dunlin_protocol::id::{Lineage, Name, RoundId};
use dunlin_protocol::message::WorkRef;
use dunlin_protocol::task::{
    Channel, Features, Input as TaskInput, Layer, Op, Rate, Share, Target, Task, TaskSpec,
};
use dunlin_protocol::work::Score;

use super::super::EVENTS_MAX;
use super::*;
use crate::job::{JobFailure, JobSpec, Outcome, Survey, Trained};

fn task() -> Arc<Task> {
    let channel = Channel { name: "x".into(), unit: "g".into(), offset: 0.0, scale: 1.0 };
    let input =
        TaskInput { channels: vec![channel], rate: Rate::from_millihertz(1000), window: 1, hop: 1 };
    let name = Name::new("toy").unwrap();
    let layer = Layer { op: Op::Dense { out: 1 }, share: Share::Shared };
    let (features, layers) = (Features::Raw, vec![layer]);
    let target = Target::Reconstruct;
    Arc::new(Task::new(TaskSpec { name, input, features, layers, target }).unwrap())
}

fn job(round: u32) -> Box<Job> {
    let work = WorkRef { lineage: Lineage([1; 16]), round: RoundId(round), kind: 1 };
    let model = Arc::new(vec![]);
    Box::new(Job { work, task: task(), model, local: None, spec: JobSpec::Evaluate, seed: 1 })
}

/// Says when each step begins, and takes `steps` of them unless it is stopped; each waits until it is
/// let go.
struct Stepper {
    steps: u32,
    begun: Sender<u32>,
    go_on: Receiver<()>,
}

impl Executor for Stepper {
    fn survey(&mut self, _: &Arc<Task>, _: &dyn Fn() -> bool) -> Result<Survey, JobFailure> {
        Ok(Survey::of(7))
    }

    fn run(&mut self, _: &Job, stop: &dyn Fn() -> bool) -> Result<Outcome, JobFailure> {
        for step in 0..self.steps {
            if stop() {
                return Err(JobFailure::other("stopped"));
            }
            self.begun.send(step).unwrap();
            self.go_on.recv().unwrap();
        }
        let score = Score::default();
        let (delta, local) = (vec![], vec![]);
        let trained = Trained {
            delta,
            local,
            examples: 1,
            train_loss: 0.0,
            before: score,
            after: score,
            ..Trained::default()
        };
        Ok(trained.into())
    }
}

#[test]
fn a_cancelled_job_ends_with_its_step_and_its_outcome_is_never_told() {
    let (begun, steps) = mpsc::channel();
    let (go_on, gate) = mpsc::channel();
    let (events, told) = mpsc::sync_channel(EVENTS_MAX);
    let stepper = Stepper { steps: 3, begun, go_on: gate };
    let held = Arc::new(AtomicBool::new(false));
    let (orders, worker) = spawn(Box::new(stepper), events, held, Heartbeat::default()).unwrap();
    let cancel = Arc::new(AtomicBool::new(false));
    orders.send(Order::Run(job(1), cancel.clone())).unwrap();
    assert_eq!(steps.recv().unwrap(), 0);
    // The same work begins again before the trainer has seen that it was cancelled.
    cancel.store(true, Ordering::Relaxed);
    orders.send(Order::Run(job(1), Arc::default())).unwrap();
    go_on.send(()).unwrap();
    assert_eq!(steps.recv().unwrap(), 0, "no second step of the first job");
    (0..3).for_each(|_| go_on.send(()).unwrap());
    let Event::Done(_, outcome) = told.recv().unwrap() else { panic!("no outcome") };
    assert!(outcome.is_ok(), "the outcome of the second job comes first");
    drop(orders);
    worker.join().unwrap();
    assert!(told.recv().is_err(), "nothing else was told");
}
