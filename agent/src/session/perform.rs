//! The one loop that does what a session asks for, in order.

use alloc::sync::Arc;
use alloc::vec::Vec;

use dunlin_protocol::message::WorkRef;
use dunlin_protocol::task::Task;
use dunlin_protocol::topic::Topic;

use super::{Output, Session};
use crate::job::{Job, ModelInUse};
use crate::state::DeviceState;

/// What a session acts on: a connection, a store and an executor.
///
/// A connection without room takes nothing: the session keeps that and everything behind it until
/// [`Session::perform`] is called again. What is said while there is no connection may be dropped: the
/// session says it again after the next one.
pub trait Ports {
    /// Why the device cannot go on.
    type Error;

    /// Subscribes to `topic` with QoS 1; false where there is no room now.
    fn subscribe(&mut self, topic: &Topic) -> bool;

    /// Unsubscribes from `topic`; false where there is no room now.
    fn unsubscribe(&mut self, topic: &Topic) -> bool;

    /// Publishes with QoS 1, for later subscribers too if `retain`.
    ///
    /// # Errors
    /// The payload, where there is no room now.
    fn publish(&mut self, topic: &Topic, payload: Vec<u8>, retain: bool) -> Result<(), Vec<u8>>;

    /// Keeps `state`; returns when it outlives a power cut. Nothing behind it is done before.
    ///
    /// # Errors
    /// When it cannot be kept: then nothing more must be said.
    fn save(&mut self, state: &DeviceState) -> Result<(), Self::Error>;

    /// Surveys what there is for `task`, now and whenever it changes much, and tells the session by
    /// [`Input::Survey`](super::Input::Survey).
    ///
    /// # Errors
    /// When nobody can do it any more.
    fn use_task(&mut self, task: Arc<Task>) -> Result<(), Self::Error>;

    /// Classifies with `model` from now on. Only asked for after [`Session::infer`].
    fn use_model(&mut self, model: ModelInUse);

    /// Starts `job` and tells the session of its end by [`Input::Done`](super::Input::Done).
    ///
    /// # Errors
    /// When nobody can do it any more.
    fn start(&mut self, job: Job) -> Result<(), Self::Error>;

    /// Stops the job for `work`, whose end must not be told any more.
    fn cancel(&mut self, work: WorkRef);

    /// Leaves the broker in an orderly way, once everything before is said, and connects again after
    /// `ms` milliseconds.
    fn sleep(&mut self, ms: u64);
}

impl Session {
    /// Does everything that the session asks for, in order; whether there was room for all of it.
    ///
    /// # Errors
    /// What the ports cannot do; then what came before is done, and nothing behind it.
    pub fn perform<P: Ports>(&mut self, ports: &mut P) -> Result<bool, P::Error> {
        while let Some(output) = self.outputs.pop_front() {
            let kept = match output {
                Output::Subscribe(topic) if !ports.subscribe(&topic) => Output::Subscribe(topic),
                Output::Unsubscribe(topic) if !ports.unsubscribe(&topic) => {
                    Output::Unsubscribe(topic)
                }
                Output::Subscribe(_) | Output::Unsubscribe(_) => continue,
                Output::Publish { topic, payload, retain } => {
                    match ports.publish(&topic, payload, retain) {
                        Ok(()) => continue,
                        Err(payload) => Output::Publish { topic, payload, retain },
                    }
                }
                Output::Save => {
                    ports.save(&self.state)?;
                    continue;
                }
                Output::UseTask(task) => {
                    ports.use_task(task)?;
                    continue;
                }
                Output::UseModel(model) => {
                    ports.use_model(*model);
                    continue;
                }
                Output::Start(job) => {
                    ports.start(*job)?;
                    continue;
                }
                Output::Cancel(work) => {
                    ports.cancel(work);
                    continue;
                }
                Output::Sleep { ms } => {
                    ports.sleep(ms);
                    continue;
                }
            };
            self.outputs.push_front(kept);
            return Ok(false);
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use alloc::boxed::Box;
    use alloc::string::String;
    use alloc::vec;

    use super::*;
    use crate::session::tests::Bench;

    /// Ports with room for so many messages.
    #[derive(Default)]
    struct Narrow {
        room: usize,
        done: Vec<String>,
        broken: bool,
    }

    impl Narrow {
        fn take(&mut self, what: &str) -> bool {
            let fits = self.room > 0;
            self.room = self.room.saturating_sub(1);
            self.done.extend(fits.then(|| what.into()));
            fits
        }
    }

    impl Ports for Narrow {
        type Error = &'static str;

        fn subscribe(&mut self, _: &Topic) -> bool {
            self.take("subscribe")
        }
        fn unsubscribe(&mut self, _: &Topic) -> bool {
            self.take("unsubscribe")
        }
        fn publish(&mut self, _: &Topic, payload: Vec<u8>, _: bool) -> Result<(), Vec<u8>> {
            if self.take("publish") { Ok(()) } else { Err(payload) }
        }
        fn save(&mut self, _: &DeviceState) -> Result<(), Self::Error> {
            self.done.push("save".into());
            if self.broken { Err("full") } else { Ok(()) }
        }
        fn use_task(&mut self, _: Arc<Task>) -> Result<(), Self::Error> {
            Ok(())
        }
        fn use_model(&mut self, _: ModelInUse) {}
        fn start(&mut self, _: Job) -> Result<(), Self::Error> {
            Ok(())
        }
        fn cancel(&mut self, _: WorkRef) {
            self.done.push("cancel".into());
        }
        fn sleep(&mut self, _: u64) {}
    }

    fn outputs() -> [Output; 4] {
        let topic = Box::new(Topic::Plan(Bench::joined().session.settings.federation));
        [
            Output::Subscribe(topic.clone()),
            Output::Publish { topic: topic.clone(), payload: vec![1, 2], retain: false },
            Output::Save,
            Output::Unsubscribe(topic),
        ]
    }

    #[test]
    fn what_finds_no_room_waits_with_everything_behind_it_and_is_done_once() {
        let mut session = Bench::joined().session;
        session.outputs.extend(outputs());
        let mut ports = Narrow { room: 1, ..Narrow::default() };
        assert_eq!(session.perform(&mut ports), Ok(false));
        assert_eq!(session.perform(&mut ports), Ok(false));
        assert_eq!(ports.done, ["subscribe"]);
        ports.room = 1;
        assert_eq!(session.perform(&mut ports), Ok(false));
        assert_eq!(ports.done, ["subscribe", "publish", "save"]);
        ports.room = 5;
        assert_eq!(session.perform(&mut ports), Ok(true));
        assert_eq!(ports.done, ["subscribe", "publish", "save", "unsubscribe"]);
    }

    #[test]
    fn nothing_is_said_behind_a_state_that_cannot_be_kept() {
        let mut session = Bench::joined().session;
        session.outputs.extend(outputs());
        let mut ports = Narrow { room: 9, broken: true, ..Narrow::default() };
        assert_eq!(session.perform(&mut ports), Err("full"));
        assert_eq!(ports.done, ["subscribe", "publish", "save"]);
    }
}
