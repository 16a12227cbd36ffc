use core::cell::{Cell, RefCell};

use dunlin_protocol::id::Name;
use dunlin_protocol::presence::Ineligible;

use super::*;
use crate::ram::Ram;

/// A stream whose other end is the test.
#[derive(Default)]
struct Wire {
    now: Cell<u64>,
    /// What the device will read.
    inbound: RefCell<VecDeque<u8>>,
    /// What the device wrote and the test has not read.
    outbound: RefCell<Vec<u8>>,
    blocked: Cell<bool>,
}

impl Port for &Wire {
    fn now(&self) -> Instant {
        Instant(self.now.get())
    }
    fn read(&mut self, bytes: &mut [u8]) -> usize {
        let mut inbound = self.inbound.borrow_mut();
        let came = bytes.iter_mut().zip(core::iter::from_fn(|| inbound.pop_front()));
        came.map(|(place, byte)| *place = byte).count()
    }
    fn write(&mut self, bytes: &[u8]) -> usize {
        if self.blocked.get() {
            return 0;
        }
        self.outbound.borrow_mut().extend_from_slice(bytes);
        bytes.len()
    }
    fn rest(&mut self) {
        self.now.set(self.now.get() + 1);
    }
}

fn start<'a>(wire: &'a Wire, flash: Ram<'a>) -> Device<'static, &'a Wire, Ram<'a>> {
    let config = Config::parse(b"device = mcu-1\nfederation = lab").unwrap();
    let (recording, entropy, memory) = (&[][..], [7; 32], 64 * 1024);
    Device::start(Parts { port: wire, flash, config, recording, entropy, memory }).unwrap()
}

/// Turns until CONNECT was written, and lets the broker take the device in.
fn connect(device: &mut Device<'_, &Wire, Ram<'_>>, wire: &Wire) {
    while wire.outbound.borrow().iter().all(|byte| *byte != 0x10) {
        assert!(device.turn() && wire.now.get() < 10_000, "no CONNECT");
    }
    wire.inbound.borrow_mut().extend([0x20, 2, 0, 0]);
    wire.outbound.borrow_mut().clear();
    assert!(device.turn());
}

#[test]
fn a_device_connects_by_itself_and_asks_for_its_federation() {
    let (wire, mut bytes) = (Wire::default(), [0xff; 4096]);
    let mut device = start(&wire, Ram { bytes: &mut bytes, left: usize::MAX });
    connect(&mut device, &wire);
    let said = wire.outbound.borrow();
    let plan = b"dunlin/v1/fed/lab/plan";
    assert!(said.windows(plan.len()).any(|part| part == plan));
}

#[test]
fn what_comes_while_the_stream_takes_nothing_is_not_lost() {
    const MESSAGES: u16 = 3_000;
    let (wire, mut bytes) = (Wire::default(), [0xff; 4096]);
    let mut device = start(&wire, Ram { bytes: &mut bytes, left: usize::MAX });
    connect(&mut device, &wire);
    wire.outbound.borrow_mut().clear();
    wire.blocked.set(true);
    for id in 1..=MESSAGES {
        let [high, low] = id.to_be_bytes();
        wire.inbound.borrow_mut().extend([0x32, 6, 0, 1, b'x', high, low, b'!']);
    }
    // Fewer turns than keep-alive allows: the acknowledgements fill the room for output.
    (0..500).for_each(|_| assert!(device.turn()));
    assert!(!wire.inbound.borrow().is_empty(), "the stream was never held back");
    wire.blocked.set(false);
    (0..500).for_each(|_| assert!(device.turn()));
    let said = wire.outbound.borrow();
    let acks = (1..=MESSAGES).map(|id| {
        let [high, low] = id.to_be_bytes();
        [0x40, 2, high, low]
    });
    let mut rest = said.as_slice();
    for ack in acks {
        assert_eq!(rest.split_off(..4), Some(&ack[..]));
    }
}

#[test]
fn a_device_that_cannot_keep_its_state_says_nothing() {
    let (wire, mut bytes) = (Wire::default(), [0xff; 4096]);
    let mut device = start(&wire, Ram { bytes: &mut bytes, left: 5 });
    assert!(!device.turn());
    assert!(!wire.outbound.borrow().contains(&0x10));
}

#[test]
fn what_has_no_room_waits_for_it_and_what_never_has_is_dropped() {
    let (wire, mut bytes) = (Wire::default(), [0xff; 4096]);
    let mut device = start(&wire, Ram { bytes: &mut bytes, left: usize::MAX });
    connect(&mut device, &wire);
    assert!(device.turn());
    wire.outbound.borrow_mut().clear();
    wire.blocked.set(true);
    {
        let core = &mut *device.core.borrow_mut();
        for length in [900, 400, 200, 100, 50, 20] {
            while core.client.publish(Instant(wire.now.get()), "f", &[0; 900][..length], false) {}
        }
    }
    let later = alloc::vec![0; 1000];
    assert_eq!(publish(&device, "later", &later), Err(later.clone()), "it is given back");
    // What the session says meanwhile waits in it, and goes out by itself, once.
    device.core.borrow_mut().tell(Input::Ineligible(Some(Ineligible::Hot)));
    (0..20).for_each(|_| assert!(device.turn()));
    assert!(device.core.borrow().waiting);
    let sent = || wire.outbound.borrow().windows(3).filter(|part| part == b"hot").count();
    assert_eq!(sent(), 0);
    wire.blocked.set(false);
    (0..20).for_each(|_| assert!(device.turn()));
    assert!(!device.core.borrow().waiting);
    assert_eq!(sent(), 1);
    assert_eq!(publish(&device, "long", &[0; 60_000]), Ok(()), "it never has room: it is dropped");
}

/// Publishes below `name` as the session would.
fn publish(device: &Device<'_, &Wire, Ram<'_>>, name: &str, payload: &[u8]) -> Result<(), Vec<u8>> {
    let (mut core, mut left) = (device.core.borrow_mut(), false);
    let (_, mut ports) = core.split(Instant(0), &mut left);
    let topic = Topic::Plan(Name::new(name).unwrap());
    ports.publish(&topic, payload.into(), false)
}
