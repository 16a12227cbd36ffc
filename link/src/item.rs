//! What can be sent.

use rumqttc::QoS;

/// One thing to send.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Item {
    Publish {
        topic: String,
        payload: Vec<u8>,
        retain: bool,
    },
    /// With the highest QoS that is wanted.
    Subscribe(String, QoS),
    Unsubscribe(String),
}

impl Item {
    /// Bytes of topic and payload.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Publish { topic, payload, .. } => topic.len() + payload.len(),
            Self::Subscribe(topic, _) | Self::Unsubscribe(topic) => topic.len(),
        }
    }

    /// 1 for a publication: only these are counted as dropped.
    pub(crate) fn publications(&self) -> u64 {
        match self {
            Self::Publish { .. } => 1,
            Self::Subscribe(..) | Self::Unsubscribe(_) => 0,
        }
    }
}

/// What to send next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Item(Item),
    /// Nothing now: wait for `work`.
    Wait,
    /// Everything is sent and acknowledged, and the user said good-bye.
    Disconnect,
}
