//! The thread that looks at the conditions, and tells when they change.

use std::io;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use dunlin_protocol::presence::Ineligible;

use crate::ports::Conditions;

/// Time from one look to the next while the trainer works: a device that is needed must be free
/// within a second.
const WORKING: Duration = Duration::from_millis(500);
/// Time from one look to the next otherwise.
const WAITING: Duration = Duration::from_secs(5);

/// Looks on a thread of its own until it is dropped.
pub(crate) struct Watch {
    training: Option<Sender<bool>>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Starts to look; `tell` hears of a reason only when it is another than before, `told` at first.
    /// It must not wait, and says whether it was heard; what was not is told again at the next look.
    ///
    /// # Errors
    /// When the thread cannot start.
    pub(crate) fn start(
        mut conditions: Box<dyn Conditions + Send>,
        mut told: Option<Ineligible>,
        tell: impl Fn(Option<Ineligible>) -> bool + Send + 'static,
    ) -> io::Result<Self> {
        let (sender, changes) = mpsc::channel();
        let look = move || {
            let mut training = false;
            loop {
                let wait = if training { WORKING } else { WAITING };
                // What the span until now was spent with, before it changes.
                let spent = training;
                match changes.recv_timeout(wait) {
                    Ok(change) => training = change,
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                }
                let held = conditions.held(spent);
                if held != told && tell(held) {
                    told = held;
                }
            }
        };
        let thread = std::thread::Builder::new().name("conditions".into()).spawn(look)?;
        Ok(Self { training: Some(sender), thread: Some(thread) })
    }

    /// The trainer begins or ends; looks at once.
    pub(crate) fn training(&self, on: bool) {
        // A thread that has ended has nobody to tell.
        let _ = self.training.iter().try_for_each(|thread| thread.send(on));
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.training.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            log::error!("the thread that looks at [eligibility] had failed");
        }
    }
}
