//! What happens, and who hears of it first.

use std::sync::Arc;

use dunlin_agent::session::Input;
use dunlin_aggregator::io::Input as ServerInput;
use dunlin_protocol::message::WorkRef;
use dunlin_protocol::topic::{Down, Topic};

use super::Simulation;
use crate::sim::breakage::Breakage;
use crate::sim::jobs::JobEnd;

pub(super) enum Event {
    ServerTick,
    ServerStart,
    /// The operator asks what is due.
    Ask,
    /// The aggregator reaches the broker again.
    ServerConnect {
        epoch: u32,
    },
    ServerCut,
    /// At the aggregator, on its connection: what stands on a topic of its own.
    ServerHears {
        epoch: u32,
        topic: Topic,
        payload: Arc<[u8]>,
    },
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
        end: JobEnd,
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
    /// Somebody changes a retained message.
    Spoil,
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
    /// What the broker keeps of the device itself.
    Own(Arc<[u8]>),
}

impl Heard {
    pub(super) fn payload(&self) -> &Arc<[u8]> {
        match self {
            Self::Plan(payload)
            | Self::Server(payload)
            | Self::Object(_, payload)
            | Self::Own(payload)
            | Self::Down(_, payload) => payload,
        }
    }
}

impl Simulation {
    pub(super) fn happen(&mut self, event: Event) {
        let now = self.queue.now();
        match event {
            Event::ServerTick => {
                if self.server.take_tick(now) {
                    self.tell_server(ServerInput::Tick);
                }
            }
            Event::ServerConnect { epoch } => self.server_connects(epoch),
            Event::ServerCut => self.server_cut(),
            Event::ServerHears { epoch, topic, payload } => {
                self.server_hears(epoch, topic, &payload);
            }
            Event::Will { device, epoch } => self.will(device, epoch),
            Event::Notice { device, life } => self.notice(device, life),
            Event::Ask => self.ask(),
            Event::ServerStart => self.restart_server(),
            Event::Tick { device, life } => {
                if self.devices[device].take_tick(now, life) {
                    self.tick(device);
                }
            }
            Event::Said { device, epoch, said } => {
                if self.devices[device].link.is_current(epoch) {
                    self.said(device, said);
                }
            }
            Event::Heard { device, epoch, heard } => {
                if self.devices[device].link.is_current(epoch) {
                    self.heard(device, &heard);
                }
            }
            Event::JobDone { device, life, work, end } => self.job_ends(device, life, work, end),
            Event::Connect { device, life } => {
                let one = &self.devices[device];
                if one.life() == life && !one.link.is_connected() {
                    self.connect(device);
                }
            }
            Event::PowerOn { device } => self.power_on(device),
            Event::PowerCut { device } => self.power_cut(device),
            Event::Leave { device, life } => self.leave(device, life),
            Event::Cut { device } => self.cut(device),
            Event::BrokerRestart => self.broker_restart(),
            Event::Spoil => self.spoil(),
            Event::ServerKill => self.server_kill(),
            Event::Partition { share, for_ms, again } => self.partition(share, for_ms, again),
            Event::Presences => self.tell_presences(),
            Event::Look => self.look(),
            Event::WorkOver { work, left } => self.work_over(work, left),
        }
    }

    fn tick(&mut self, device: u32) {
        if self.breakage == Some(Breakage::StuckDevices) && device % 10 == 3 {
            return;
        }
        self.tell(device, Input::Tick);
    }
}
