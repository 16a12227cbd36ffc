//! Memory and bytes of whole rounds: the device as it is, over its own MQTT client and flash.

use cortex_m::singleton;
use dunlin_firmware::HEAP;
use dunlin_firmware::board::{ARENA_BYTES, Board, Flash};
use dunlin_firmware::config::Config;
use dunlin_firmware::device::{Device, Parts};
use dunlin_protocol::codec::Codec;
use dunlin_protocol::task::TaskSpec;
use embedded_storage::nor_flash::{NorFlash as _, ReadNorFlash as _};

use crate::broker::{Broker, Inbound, Outbound};
use crate::cost;
use crate::server::Server;

/// The first fetches everything; the second is like all that follow.
pub(crate) const ROUNDS: u32 = 2;

/// Where the bytes of the stream lie: outside the heap.
pub(crate) struct Buffers {
    inbound: &'static mut Inbound,
    outbound: &'static mut Outbound,
}

impl Buffers {
    /// The buffers at the first call; `None` at every other.
    pub(crate) fn take() -> Option<Self> {
        let inbound = singleton!(: Inbound = Inbound::new())?;
        let outbound = singleton!(: Outbound = Outbound::new())?;
        Some(Self { inbound, outbound })
    }
}

pub(crate) fn measure(name: &str, task: &TaskSpec, clock: &Board, buffers: &mut Buffers) {
    buffers.inbound.clear();
    buffers.outbound.clear();
    let Some(mut flash) = Flash::open() else { panic!("no flash") };
    if flash.erase(0, u32::try_from(flash.capacity()).unwrap_or(0)).is_err() {
        panic!("flash cannot be erased");
    }
    let Ok(config) = Config::parse(b"device = mcu\nfederation = lab\nwindows = 60") else {
        panic!("a page of settings is refused")
    };
    let server = Server::new(task, config.federation.clone(), Codec::Eden { bits: 4 });
    let Ok(server) = server else { panic!("the task cannot be served") };
    let broker = Broker::new(clock, (buffers.inbound, buffers.outbound), server);
    // What the other end and the caller keep is not the device's.
    let others = HEAP.used();
    HEAP.forget_peak();
    let (recording, entropy, memory) = (&[][..], [7; 32], ARENA_BYTES);
    let parts = Parts { port: &broker, flash, config, recording, entropy, memory };
    let mut device = match Device::start(parts) {
        Ok(device) => device,
        Err(why) => panic!("{why}"),
    };
    while broker.rounds() < ROUNDS {
        assert!(device.turn());
    }
    // The verdict is still on its way.
    (0..200).for_each(|_| assert!(device.turn()));
    let (up, down) = broker.bytes_of_round();
    cost(name, "bytes_up_per_round", up);
    cost(name, "bytes_down_per_round", down);
    cost(name, "peak_heap_bytes", HEAP.peak() - others);
}
