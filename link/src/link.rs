//! The user's side of a link.

use std::sync::Arc;
use std::thread::JoinHandle;

use rumqttc::QoS;

use crate::config::{LinkConfig, Will, check_filter, check_publish};
use crate::counters::{Backlog, Counters, Oversize};
use crate::dialer::Dialer;
use crate::driver;
use crate::error::LinkError;
use crate::item::Item;
use crate::outbox::Outbox;

/// What a link tells its user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkEvent {
    /// A new connection stands, and the broker remembers nothing: say everything again.
    Connected,
    /// The connection was lost, or an attempt failed; the next follows after 1 to 60 s, or at once
    /// where there is another URL to try.
    Disconnected {
        /// What happened, for the log.
        reason: String,
    },
    /// The broker does not want us (a wrong password, say); the next attempt follows after 10 s to
    /// 4 min, but a person has to mend this.
    Refused {
        /// What to look at.
        reason: String,
    },
    /// The broker refused a subscription; the connection stays.
    SubscribeRefused {
        /// The topic filter that was refused; empty when it is not known.
        topic: String,
    },
    /// A message arrived on a topic that was subscribed to.
    Message {
        /// Where it was published.
        topic: String,
        /// What was published; never over [`LinkConfig::message_bytes_max`].
        payload: Vec<u8>,
    },
}

/// A connection to the broker that is kept up by a thread of its own.
///
/// Dropping it is [`Link::abort`].
pub struct Link {
    sender: LinkSender,
    thread: Option<JoinHandle<bool>>,
}

/// The sending half of a [`Link`]: cheap to clone, for other threads and for the sink itself.
#[derive(Clone)]
pub struct LinkSender(Arc<Outbox>);

impl Link {
    /// Checks `config`, reads the TLS files and starts the thread that dials.
    ///
    /// `sink` is called on that thread and must not block. It returns whether it took the event: a
    /// message that is not taken (the user's queue is full) is counted as dropped and gone; a
    /// `Connected` that is not taken drops the connection, so that nobody is connected unknowingly.
    ///
    /// # Errors
    /// A setting out of its range, a file that cannot be used, or no thread. A broker that cannot
    /// be reached is no error: see [`LinkEvent`].
    pub fn open(
        config: LinkConfig,
        sink: impl FnMut(LinkEvent) -> bool + Send + 'static,
    ) -> Result<Self, LinkError> {
        let dialer = Dialer::new(config)?;
        let will = dialer.config().will.clone();
        Self::open_with(&dialer, will, sink)
    }

    /// Like [`Link::open`], with what an earlier link of this dialer has found out: the URL that
    /// works, and files that could be read when those of now cannot. `will`: the last will.
    ///
    /// # Errors
    /// A last will that cannot be published, or when the system gives no thread.
    pub fn open_with(
        dialer: &Dialer,
        will: Option<Will>,
        sink: impl FnMut(LinkEvent) -> bool + Send + 'static,
    ) -> Result<Self, LinkError> {
        if let Some(will) = &will {
            check_publish(&will.topic, will.payload.len())
                .map_err(|problem| LinkError::setting("will", problem))?;
        }
        let outbox = Arc::new(Outbox::new(dialer.config().queue));
        will.into_iter().for_each(|will| outbox.set_will(will));
        let thread = driver::start(dialer.clone(), Arc::clone(&outbox), Box::new(sink))?;
        Ok(Self { sender: LinkSender(outbox), thread: Some(thread) })
    }

    /// The sending half, to be used elsewhere.
    pub fn sender(&self) -> LinkSender {
        self.sender.clone()
    }

    /// Queues a publication with QoS 1; see [`LinkSender::publish`].
    pub fn publish(&self, topic: String, payload: Vec<u8>, retain: bool) {
        self.sender.publish(topic, payload, retain);
    }

    /// Queues a subscription with QoS 1; see [`LinkSender::subscribe`].
    pub fn subscribe(&self, topic: String) {
        self.sender.subscribe(topic);
    }

    /// Queues a subscription with QoS 0; see [`LinkSender::subscribe_once`].
    pub fn subscribe_once(&self, topic: String) {
        self.sender.subscribe_once(topic);
    }

    /// Queues the end of a subscription.
    pub fn unsubscribe(&self, topic: String) {
        self.sender.unsubscribe(topic);
    }

    /// What has gone through since the link was opened.
    pub fn counters(&self) -> Counters {
        self.sender.counters()
    }

    /// Gives the connections to come another last will; that of this one stays.
    pub fn set_will(&self, will: Will) {
        match check_publish(&will.topic, will.payload.len()) {
            Ok(()) => self.sender.0.set_will(will),
            Err(problem) => log::error!("no other last will: {problem}"),
        }
    }

    /// What the broker may be refusing for its length; see [`Oversize`].
    pub fn oversize(&self) -> Option<Oversize> {
        self.sender.0.oversize()
    }

    /// What waits to be sent or acknowledged now; bulk senders pace themselves by it.
    pub fn backlog(&self) -> Backlog {
        self.sender.backlog()
    }

    /// Asks the thread for a sign of life, and says how many it has given: a watchdog that asks
    /// again a little later sees the number grow, connected or not, or the thread is stuck.
    pub fn heartbeat(&self) -> u64 {
        self.sender.0.heartbeat()
    }

    /// Sends what is queued and `last` (topic, payload, retain), waits at most 2 s until all of it
    /// is acknowledged, says good-bye so that the last will stays unsaid, and ends the thread.
    ///
    /// Returns whether everything was acknowledged; `false` as well when there is no connection.
    /// No event follows.
    pub fn close(mut self, last: Vec<(String, Vec<u8>, bool)>) -> bool {
        let mut items = Vec::with_capacity(last.len());
        for (topic, payload, retain) in last {
            match check_publish(&topic, payload.len()) {
                Ok(()) => items.push(Item::Publish { topic, payload, retain }),
                Err(problem) => self.sender.refuse(&problem),
            }
        }
        self.sender.0.close(items);
        self.join()
    }

    /// Ends the connection without a word, so that the broker publishes the last will.
    pub fn abort(mut self) {
        self.sender.0.abort();
        self.join();
    }

    fn join(&mut self) -> bool {
        let Some(thread) = self.thread.take() else { return false };
        if thread.thread().id() == std::thread::current().id() {
            // The sink owns the link and drops it: the thread cannot wait for itself.
            return false;
        }
        thread.join().unwrap_or(false)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.sender.0.abort();
            self.join();
        }
    }
}

impl LinkSender {
    /// Queues a publication with QoS 1. Without a connection it is dropped and counted, as is one
    /// with a topic that is none or a packet over `limits::PACKET_BYTES_MAX`. Never blocks.
    pub fn publish(&self, topic: String, payload: Vec<u8>, retain: bool) {
        match check_publish(&topic, payload.len()) {
            Ok(()) => self.0.push(Item::Publish { topic, payload, retain }),
            Err(problem) => self.refuse(&problem),
        }
    }

    /// Queues a subscription with QoS 1 to a topic filter. Dropped without a connection.
    pub fn subscribe(&self, topic: String) {
        match check_filter(&topic) {
            Ok(()) => self.0.push(Item::Subscribe(topic, QoS::AtLeastOnce)),
            Err(problem) => log::error!("not subscribed: {problem}"),
        }
    }

    /// Queues a subscription with QoS 0, for messages that the user asks for again when they do not
    /// come: brokers count those of QoS 1 against limits of their queues. Dropped without a
    /// connection.
    pub fn subscribe_once(&self, topic: String) {
        match check_filter(&topic) {
            Ok(()) => self.0.push(Item::Subscribe(topic, QoS::AtMostOnce)),
            Err(problem) => log::error!("not subscribed: {problem}"),
        }
    }

    /// Queues the end of a subscription.
    pub fn unsubscribe(&self, topic: String) {
        match check_filter(&topic) {
            Ok(()) => self.0.push(Item::Unsubscribe(topic)),
            Err(problem) => log::error!("not unsubscribed: {problem}"),
        }
    }

    /// What has gone through since the link was opened.
    pub fn counters(&self) -> Counters {
        self.0.counters()
    }

    /// What waits to be sent or acknowledged now.
    pub fn backlog(&self) -> Backlog {
        self.0.backlog()
    }

    fn refuse(&self, problem: &str) {
        log::error!("not published: {problem}");
        self.0.count_dropped();
    }
}
