//! The trainer's thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender, SyncSender};
use std::thread::JoinHandle;
use std::time::Duration;

use dunlin_protocol::task::Task;
use dunlin_service::Heartbeat;

use super::{Event, RunError};
use crate::data::trouble::DataReport;
use crate::job::Job;
use crate::ports::Executor;

/// How often windows are counted again.
const RECOUNT: Duration = Duration::from_secs(60);

/// What the trainer is to do.
pub(super) enum Order {
    UseTask(Arc<Task>),
    Run(Box<Job>, Arc<AtomicBool>),
}

/// Starts the trainer's thread: it takes orders one by one and counts windows between them.
pub(super) fn spawn(
    mut trainer: Box<dyn Executor + Send>,
    events: SyncSender<Event>,
    held: Arc<AtomicBool>,
    heartbeat: Heartbeat,
) -> Result<(Sender<Order>, JoinHandle<()>), RunError> {
    let (orders, inbox) = mpsc::channel::<Order>();
    let work = move || {
        let mut task: Option<Arc<Task>> = None;
        let mut told = DataReport::default();
        // A large ring on a slow disk takes a while: that is progress too.
        let counting = || {
            heartbeat.beat();
            false
        };
        loop {
            heartbeat.rest();
            let order = inbox.recv_timeout(RECOUNT);
            heartbeat.beat();
            let event = match (order, &task) {
                (Ok(Order::UseTask(new)), _) => {
                    let survey = trainer.survey(&new, &counting);
                    task = Some(new);
                    Some(Event::Survey(survey))
                }
                (Ok(Order::Run(job, cancel)), _) => {
                    let stop = || {
                        heartbeat.beat();
                        cancel.load(Ordering::Relaxed)
                    };
                    let outcome = trainer.run(&job, &stop);
                    if stop() {
                        // The same work may begin again: its outcome must not be taken for that one's.
                        continue;
                    }
                    Some(Event::Done(job.work, outcome))
                }
                (Err(RecvTimeoutError::Timeout), Some(task)) if !held.load(Ordering::Relaxed) => {
                    Some(Event::Survey(trainer.survey(task, &counting)))
                }
                (Err(RecvTimeoutError::Timeout), _) => None,
                (Err(RecvTimeoutError::Disconnected), _) => return,
            };
            let data = trainer.data();
            let news = (data != told).then(|| Event::Data(data.clone()));
            told = data;
            if event.into_iter().chain(news).any(|event| events.send(event).is_err()) {
                return;
            }
        }
    };
    std::thread::Builder::new()
        .name("trainer".into())
        .spawn(work)
        .map(|worker| (orders, worker))
        .map_err(|source| RunError::Thread { what: "the trainer's thread cannot start", source })
}

#[cfg(test)]
mod tests;
