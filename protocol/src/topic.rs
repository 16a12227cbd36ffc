//! Topics, both ways, in one place: `Topic` to text and text to `Topic`.

use alloc::{format, string::String};
use core::fmt;

use crate::id::{DeviceId, FederationId, InstanceId, Name, ShortDigest};

/// Last level of the topic on which a device hears itself.
pub const ECHO: &str = "doctor";

/// What the aggregator tells one device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Down {
    /// The [`Go`](crate::message::Go) that answers a claim.
    Go,
    /// Which chunks have arrived.
    Ack,
    /// What became of an update.
    Verdict,
}

impl Down {
    /// All kinds, for subscriptions.
    pub const ALL: [Self; 3] = [Self::Go, Self::Ack, Self::Verdict];

    fn level(self) -> &'static str {
        match self {
            Self::Go => "go",
            Self::Ack => "ack",
            Self::Verdict => "verdict",
        }
    }
}

/// One topic, without the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topic {
    /// Presence of one device: retained, and its last will.
    DeviceState(DeviceId),
    /// From a device to the aggregator of a shard.
    Up(DeviceId, FederationId, u16),
    /// From an aggregator to a device.
    Down(DeviceId, Down),
    /// What a device makes of its own data, under a name of its choice: for people and programs
    /// beside the federation.
    Out(DeviceId, Name),
    /// The plan of a federation, retained.
    Plan(FederationId),
    /// One chunk of an object, retained.
    Object(FederationId, ShortDigest, u16),
    /// Presence of one aggregator: retained, and its last will.
    ServerState(InstanceId),
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DeviceState(device) => write!(f, "v1/dev/{device}/state"),
            Self::Up(device, federation, shard) => {
                write!(f, "v1/dev/{device}/up/{federation}/{shard}")
            }
            Self::Down(device, down) => write!(f, "v1/dev/{device}/down/{}", down.level()),
            Self::Out(device, name) => write!(f, "v1/dev/{device}/out/{name}"),
            Self::Plan(federation) => write!(f, "v1/fed/{federation}/plan"),
            Self::Object(federation, object, chunk) => {
                write!(f, "v1/fed/{federation}/obj/{object}/{chunk}")
            }
            Self::ServerState(instance) => write!(f, "v1/srv/{instance}/state"),
        }
    }
}

/// The topic tree under one root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topics {
    root: Name,
}

impl Default for Topics {
    fn default() -> Self {
        let Ok(root) = Name::new("dunlin") else { unreachable!("a constant, valid name") };
        Self { root }
    }
}

impl Topics {
    /// The tree under `root`, one level.
    pub fn new(root: Name) -> Self {
        Self { root }
    }

    /// The topic's text with the root in front, as MQTT takes it.
    pub fn name(&self, topic: &Topic) -> String {
        format!("{}/{topic}", self.root)
    }

    /// Bytes of the topic's text with the root in front.
    pub fn length(&self, topic: &Topic) -> usize {
        struct Count(usize);
        impl fmt::Write for Count {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                self.0 += text.len();
                Ok(())
            }
        }
        let mut count = Count(self.root.as_str().len() + 1);
        // Counting never fails.
        let _ = fmt::Write::write_fmt(&mut count, format_args!("{topic}"));
        count.0
    }

    /// The topic on which a device hears itself, to try its rights out.
    pub fn echo(&self, device: &DeviceId) -> String {
        format!("{}/v1/dev/{device}/out/{ECHO}", self.root)
    }

    /// The filter by which everybody who may sees the plans of all federations.
    pub fn all_plans(&self) -> String {
        format!("{}/v1/fed/+/plan", self.root)
    }

    /// The filter by which everybody who may sees every aggregator's presence.
    pub fn all_server_states(&self) -> String {
        format!("{}/v1/srv/+/state", self.root)
    }

    /// The filter by which an aggregator sees every device's presence.
    pub fn all_device_states(&self) -> String {
        format!("{}/v1/dev/+/state", self.root)
    }

    /// The filter by which an aggregator sees what the broker keeps of its federation's objects.
    pub fn all_objects(&self, federation: &FederationId) -> String {
        format!("{}/v1/fed/{federation}/obj/+/+", self.root)
    }

    /// The filter by which an aggregator hears the devices of one shard.
    pub fn all_up(&self, federation: &FederationId, shard: u16) -> String {
        format!("{}/v1/dev/+/up/{federation}/{shard}", self.root)
    }

    /// Reads a topic's text; `None` when it is not one of ours.
    pub fn parse(&self, text: &str) -> Option<Topic> {
        let rest = text.strip_prefix(self.root.as_str())?.strip_prefix("/v1/")?;
        let mut levels: heapless::Vec<&str, 6> = heapless::Vec::new();
        for level in rest.split('/') {
            levels.push(level).ok()?;
        }
        let name = |text: &str| Name::new(text).ok();
        match levels.as_slice() {
            ["dev", device, "state"] => Some(Topic::DeviceState(name(device)?)),
            ["dev", device, "up", federation, shard] => {
                Some(Topic::Up(name(device)?, name(federation)?, number(shard)?))
            }
            ["dev", device, "down", level] => {
                let down = Down::ALL.into_iter().find(|down| down.level() == *level)?;
                Some(Topic::Down(name(device)?, down))
            }
            ["dev", device, "out", out] => Some(Topic::Out(name(device)?, name(out)?)),
            ["fed", federation, "plan"] => Some(Topic::Plan(name(federation)?)),
            ["fed", federation, "obj", object, chunk] => {
                Some(Topic::Object(name(federation)?, object.parse().ok()?, number(chunk)?))
            }
            ["srv", instance, "state"] => Some(Topic::ServerState(name(instance)?)),
            _ => None,
        }
    }
}

/// A decimal number written in the one way that we write it: no sign, no leading zeros.
fn number(text: &str) -> Option<u16> {
    let plain =
        text.bytes().all(|b| b.is_ascii_digit()) && (text.len() == 1 || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

/// The shard that a device's updates go to: 32-bit FNV-1a of its name modulo `shards`.
#[allow(clippy::cast_possible_truncation)] // below shards
pub fn shard_of(device: &DeviceId, shards: u16) -> u16 {
    let hash = device
        .as_str()
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    (hash % u32::from(shards.max(1))) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Digest;
    use std::vec;

    #[test]
    fn every_topic_reads_back_what_it_prints_and_has_at_most_six_slashes() {
        let topics = Topics::default();
        let name = |text| Name::new(text).unwrap();
        let mut all = vec![
            Topic::DeviceState(name("wrist-1")),
            Topic::Up(name("wrist-1"), name("gait"), 3),
            Topic::Out(name("wrist-1"), name("activity")),
            Topic::Plan(name("gait")),
            Topic::Object(name("gait"), Digest::of(b"x").short(), 1023),
            Topic::ServerState(name("agg-1")),
        ];
        all.extend(Down::ALL.map(|down| Topic::Down(name("wrist-1"), down)));
        for topic in all {
            let text = topics.name(&topic);
            assert_eq!(topics.parse(&text), Some(topic), "{text}");
            assert!(text.matches('/').count() <= 6, "{text}");
            let topic = topics.parse(&text).unwrap();
            assert_eq!(topics.length(&topic), text.len(), "{text}");
        }
    }

    #[test]
    fn foreign_topics_are_not_ours() {
        let topics = Topics::default();
        for text in [
            "",
            "dunlin",
            "dunlin/v2/dev/a/state",
            "dunlin/v1/dev/a b/state",
            "dunlin/v1/dev/a/up/f/01",
            "dunlin/v1/dev/a/up/f/70000",
            "dunlin/v1/dev/a/state/x/y/z/w",
            "dunlin/v1/dev/a/out/b c",
            "dunlin/v1/fed/f/obj/zz/0",
            "other/v1/dev/a/state",
        ] {
            assert_eq!(topics.parse(text), None, "{text}");
        }
    }
}
