//! Whether the broker carries packets as long as a chunk of an update.

use std::sync::mpsc::Receiver;
use std::time::Duration;

use dunlin_link::{Link, LinkEvent};
use dunlin_protocol::limits::CHUNK_BYTES_MIN;

use super::now;
use super::report::Finding;

/// Bytes that a chunk's packet has besides it: header, topic, name of the object.
const AROUND_BYTES: usize = 256;
/// Follows each packet that is tried: a broker keeps to the order on one topic.
const MARK: &[u8] = b"packet";

/// What became of packets of a chunk's length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Carried {
    /// They come back.
    All {
        /// Length of the chunk in bytes.
        chunk: usize,
    },
    /// They do not.
    TooLong {
        /// Length of the chunk in bytes.
        chunk: usize,
        /// Whether the broker ended the connection over it; else it acknowledged and dropped it.
        cut: bool,
        /// Whether the shortest chunks come back.
        shortest: bool,
    },
}

/// What became of one packet.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Back,
    Dropped,
    Cut,
    /// Nothing came in time.
    Unknown,
}

/// Says packets of `chunk` bytes, and of the shortest chunk where that is too long, on `topic`, which
/// this device hears. `None` where nothing can be told of it.
pub(super) fn try_out(
    link: &Link,
    events: &Receiver<LinkEvent>,
    topic: &str,
    chunk: usize,
    limit: Duration,
) -> Option<Carried> {
    let trial = Trial { link, events, topic, limit };
    let cut = match trial.fate(chunk) {
        Fate::Back => return Some(Carried::All { chunk }),
        Fate::Unknown => return None,
        Fate::Cut => true,
        Fate::Dropped => false,
    };
    if cut && !trial.is_back() {
        return None;
    }
    let shortest = trial.fate(CHUNK_BYTES_MIN as usize) == Fate::Back;
    Some(Carried::TooLong { chunk, cut, shortest })
}

struct Trial<'a> {
    link: &'a Link,
    events: &'a Receiver<LinkEvent>,
    topic: &'a str,
    limit: Duration,
}

impl Trial<'_> {
    /// What becomes of the packet of a chunk of so many bytes.
    fn fate(&self, chunk: usize) -> Fate {
        let bytes = chunk + AROUND_BYTES;
        let topic = || self.topic.to_owned();
        self.link.subscribe(topic());
        self.link.publish(topic(), vec![0; bytes], false);
        self.link.publish(topic(), MARK.to_vec(), false);
        let fate = |event| match event {
            LinkEvent::Message { topic, payload } if topic == self.topic => {
                let back = (payload.len() == bytes).then_some(Fate::Back);
                back.or((payload == MARK).then_some(Fate::Dropped))
            }
            LinkEvent::Disconnected { .. } | LinkEvent::Refused { .. } => Some(Fate::Cut),
            LinkEvent::Message { .. }
            | LinkEvent::Connected
            | LinkEvent::SubscribeRefused { .. } => None,
        };
        self.wait(fate).unwrap_or(Fate::Unknown)
    }

    /// Whether the connection stands again, after it was cut.
    fn is_back(&self) -> bool {
        self.wait(|event| (event == LinkEvent::Connected).then_some(())).is_some()
    }

    /// The first thing that `choose` makes of an event; `None` when time is over.
    fn wait<T>(&self, choose: impl Fn(LinkEvent) -> Option<T>) -> Option<T> {
        let start = now();
        loop {
            let left = self.limit.saturating_sub(now().saturating_duration_since(start));
            let event = self.events.recv_timeout(left).ok()?;
            if let Some(chosen) = choose(event) {
                return Some(chosen);
            }
        }
    }
}

impl Carried {
    /// Adds what follows for `topics`, which are in order.
    pub(super) fn told_with(self, topics: Finding) -> Finding {
        let (chunk, cut, shortest) = match self {
            Self::All { chunk } => {
                let text = format!("{}; chunks of {} KiB, too", topics.text, chunk / 1024);
                return Finding { text, ..topics };
            }
            Self::TooLong { chunk, cut, shortest } => (chunk, cut, shortest),
        };
        let how = if cut { "ends the connection over" } else { "acknowledges and drops" };
        let text = format!(
            "{}, but the broker {how} the packet of a chunk of {} KiB",
            topics.text,
            chunk / 1024
        );
        let raise = format!(
            "raise the broker's limit above {} bytes (max_packet_size, message_size_limit, max_payload)",
            chunk + AROUND_BYTES
        );
        match (shortest, cut) {
            (true, true) => Finding::warning(
                text,
                format!(
                    "nothing: agent and aggregator make chunks smaller by themselves; or {raise}"
                ),
            ),
            (true, false) => Finding::failed(
                text,
                format!(
                    "{raise}, or make chunks smaller: updates.chunk_kib of the aggregator, down to 4"
                ),
            ),
            (false, _) => Finding::failed(
                format!("{text}, and of one of {} KiB, which is the least", CHUNK_BYTES_MIN / 1024),
                format!("{raise}; neither plans and models nor updates come through now"),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::Outcome;
    use super::*;
    use dunlin_link::testing::Mosquitto;
    use std::sync::mpsc::channel;

    const CHUNK: usize = 32 * 1024;

    /// What is found out of a broker with this line in its configuration.
    fn found(limit: &str) -> Option<Carried> {
        let config = format!("allow_anonymous true\nset_tcp_nodelay true\n{limit}\n");
        let broker = Mosquitto::start(&config)?;
        let (sink, events) = channel();
        let link = Link::open(broker.client("wrist-1"), move |event| sink.send(event).is_ok());
        let link = link.unwrap();
        assert_eq!(events.recv().unwrap(), LinkEvent::Connected);
        let carried = try_out(&link, &events, "out/doctor", CHUNK, Duration::from_secs(30));
        link.close(Vec::new());
        Some(carried.unwrap())
    }

    #[test]
    fn packets_of_a_chunk_come_back_or_the_limit_of_the_broker_is_found_out() {
        let chunk = CHUNK;
        let Some(carried) = found("") else { return };
        assert_eq!(carried, Carried::All { chunk });
        for (line, cut, shortest) in [
            ("max_packet_size 10000", true, true),
            ("max_packet_size 2000", true, false),
            ("message_size_limit 10000", false, true),
        ] {
            assert_eq!(found(line), Some(Carried::TooLong { chunk, cut, shortest }), "{line}");
        }
    }

    #[test]
    fn what_follows_of_a_limit_is_told() {
        let told = |carried: Carried| carried.told_with(Finding::ok("wrist-1 hears"));
        let finding = told(Carried::All { chunk: CHUNK });
        assert_eq!(finding, Finding::ok("wrist-1 hears; chunks of 32 KiB, too"));
        let told = |cut, shortest| {
            let finding = told(Carried::TooLong { chunk: CHUNK, cut, shortest });
            (finding.outcome, finding.text + &finding.next_step.unwrap())
        };
        let (outcome, text) = told(true, true);
        assert!(outcome == Outcome::Warning && text.contains("by themselves"), "{text}");
        let (outcome, text) = told(false, true);
        assert!(outcome == Outcome::Failed && text.contains("drops"), "{text}");
        assert!(text.contains("message_size_limit") && text.contains("chunk_kib"), "{text}");
        let (outcome, text) = told(true, false);
        assert!(outcome == Outcome::Failed && text.contains("above 33024 bytes"), "{text}");
    }
}
