//! What happens in a world.

use std::sync::Arc;

use dunlin_protocol::message::WorkRef;
use dunlin_protocol::topic::{Down, Topic};

use super::jobs::Fate;

pub(super) enum Event {
    ServerTick,
    ServerStart,
    /// The aggregator reaches the broker again.
    ServerConnect {
        epoch: u32,
    },
    ServerCut,
    /// The broker notices that a connection is gone, and publishes the last will.
    Will {
        device: u32,
        epoch: u32,
    },
    /// A device notices that its connection is gone.
    Notice {
        device: u32,
        life: u32,
    },
    Tick {
        device: u32,
        life: u32,
    },
    /// At the broker, from a device's connection.
    Said {
        device: u32,
        epoch: u32,
        said: Said,
    },
    /// At a device, on its connection.
    Heard {
        device: u32,
        epoch: u32,
        heard: Heard,
    },
    JobDone {
        device: u32,
        life: u32,
        work: WorkRef,
        fate: Fate,
    },
    Connect {
        device: u32,
        life: u32,
    },
    PowerOn {
        device: u32,
    },
    PowerCut {
        device: u32,
    },
    Leave {
        device: u32,
        life: u32,
    },
    Cut {
        device: u32,
    },
    BrokerRestart,
    ServerKill,
    /// So many devices cannot reach the broker for so long; `again` when another will follow.
    Partition {
        share: f64,
        for_ms: u64,
        again: bool,
    },
    /// The watchers look whether things go on.
    Look,
    /// The broker gives the aggregator the presences that it keeps.
    Presences,
    /// A round has ended, and so must the work of these devices; of all where nothing is said.
    WorkOver {
        work: WorkRef,
        left: Option<Vec<u32>>,
    },
}

pub(super) enum Said {
    Publish(Topic, Vec<u8>),
    Listen(Topic),
    Unlisten(Topic),
}

#[derive(Clone)]
pub(super) enum Heard {
    Plan(Arc<[u8]>),
    Server(Arc<[u8]>),
    Object(Topic, Arc<[u8]>),
    Down(Down, Arc<[u8]>),
}

impl Heard {
    pub(super) fn payload(&self) -> &Arc<[u8]> {
        match self {
            Self::Plan(payload)
            | Self::Server(payload)
            | Self::Object(_, payload)
            | Self::Down(_, payload) => payload,
        }
    }
}
