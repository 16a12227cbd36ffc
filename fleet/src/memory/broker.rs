//! The broker: connections by number, retained messages, wills, and who hears what.

use std::collections::{BTreeMap, BTreeSet};

use super::Client;

/// A topic and a payload.
pub(super) type Message = (String, Vec<u8>);

/// One end's connection: its number grows with each reconnect.
#[derive(Debug, Default)]
struct Connection {
    epoch: u32,
    up: bool,
    filters: BTreeSet<String>,
    will: Option<(String, Vec<u8>)>,
}

/// Knows any filter of any client, since a test may say anything. (The simulator's broker knows the
/// three kinds of topics that a million devices share, by number.)
#[derive(Debug, Default)]
pub(super) struct Broker {
    retained: BTreeMap<String, Vec<u8>>,
    connections: BTreeMap<Client, Connection>,
}

impl Broker {
    /// Whether a client is connected.
    pub(super) fn is_connected(&self, client: Client) -> bool {
        self.connections.get(&client).is_some_and(|connection| connection.up)
    }

    /// The number of a client's last connection; 0 before the first.
    pub(super) fn epoch(&self, client: Client) -> u32 {
        self.connections.get(&client).map_or(0, |connection| connection.epoch)
    }

    /// Whether a client's connection of this number still stands.
    pub(super) fn is_current(&self, client: Client, epoch: u32) -> bool {
        self.is_connected(client) && self.epoch(client) == epoch
    }

    /// The clients that are connected now, the aggregator first.
    pub(super) fn connected(&self) -> Vec<Client> {
        let up = self.connections.iter().filter(|(_, connection)| connection.up);
        up.map(|(client, _)| *client).collect()
    }

    /// A client connects with this last will.
    pub(super) fn connect(&mut self, client: Client, will: Option<Message>) {
        let connection = self.connections.entry(client).or_default();
        connection.epoch += 1;
        connection.up = true;
        connection.will = will;
    }

    /// The last will of a client is not to be published any more.
    pub(super) fn drop_will(&mut self, client: Client) {
        if let Some(connection) = self.connections.get_mut(&client) {
            connection.will = None;
        }
    }

    /// A client's connection ends; whether it had one ever, and the will to publish.
    pub(super) fn disconnect(&mut self, client: Client) -> Option<Option<Message>> {
        let connection = self.connections.get_mut(&client)?;
        connection.up = false;
        connection.filters.clear();
        Some(connection.will.take())
    }

    /// A client's filter, added or removed; the retained messages that it brings.
    pub(super) fn subscribe(&mut self, from: Client, filter: String, on: bool) -> Vec<Message> {
        let Some(connection) = self.connections.get_mut(&from) else { return Vec::new() };
        if !on {
            connection.filters.remove(&filter);
            return Vec::new();
        }
        let matching = self.retained.iter().filter(|(topic, _)| matches(&filter, topic));
        let kept = matching.map(|(topic, payload)| (topic.clone(), payload.clone())).collect();
        connection.filters.insert(filter);
        kept
    }

    /// A message is published; the clients that hear it and the numbers of their connections.
    pub(super) fn publish(
        &mut self,
        topic: &str,
        payload: &[u8],
        retain: bool,
    ) -> Vec<(Client, u32)> {
        let hears = |c: &Connection| c.up && c.filters.iter().any(|filter| matches(filter, topic));
        let listening = self.connections.iter().filter(|(_, connection)| hears(connection));
        let to = listening.map(|(client, c)| (*client, c.epoch)).collect();
        if retain && payload.is_empty() {
            self.retained.remove(topic);
        } else if retain {
            self.retained.insert(topic.to_owned(), payload.to_vec());
        }
        to
    }

    /// What is retained, by topic.
    pub(super) fn retained(&self) -> impl Iterator<Item = (&String, &Vec<u8>)> {
        self.retained.iter()
    }

    /// A restart without persistence.
    pub(super) fn forget(&mut self) {
        self.retained.clear();
    }
}

/// Whether an MQTT filter with `+` levels matches a topic.
fn matches(filter: &str, topic: &str) -> bool {
    let mut levels = topic.split('/');
    let fits = filter
        .split('/')
        .all(|level| levels.next().is_some_and(|found| level == "+" || level == found));
    fits && levels.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_brings_what_is_retained_and_then_what_is_published_on_this_connection() {
        let (mut broker, device) = (Broker::default(), Client::Device(0));
        assert!(broker.publish("a/b", &[1], true).is_empty());
        broker.connect(device, Some(("will".into(), vec![9])));
        assert_eq!(broker.subscribe(device, "a/+".into(), true), [("a/b".into(), vec![1])]);
        assert_eq!(broker.publish("a/c", &[2], false), [(device, 1)]);
        assert!(broker.publish("a/c/d", &[2], false).is_empty());
        broker.publish("a/b", &[], true);
        assert_eq!(broker.retained().count(), 0);
        assert_eq!(broker.disconnect(device), Some(Some(("will".into(), vec![9]))));
        assert!(broker.publish("a/c", &[2], false).is_empty() && !broker.is_current(device, 1));
        broker.connect(device, None);
        assert!(broker.is_current(device, 2) && broker.publish("a/c", &[2], false).is_empty());
    }
}
