//! The other end of the stream, on the device itself: a broker with one client, in front of the
//! [`Server`]. What it takes of the heap is not the device's and not counted.

use core::cell::{Cell, RefCell};

use dunlin_firmware::HEAP;
use dunlin_firmware::board::Board;
use dunlin_firmware::device::Port;
use dunlin_protocol::time::Instant;
use heapless::{Deque, Vec};

use crate::server::Server;

/// Bytes on their way to the device.
pub(crate) type Inbound = Deque<u8, { 16 * 1024 }>;
/// The packet that the device is writing.
pub(crate) type Outbound = Vec<u8, { 8 * 1024 }>;

pub(crate) struct Broker<'a> {
    clock: &'a Board,
    to_device: RefCell<&'a mut Inbound>,
    from_device: RefCell<&'a mut Outbound>,
    server: RefCell<Server>,
    /// Bytes to and from the device so far.
    down: Cell<usize>,
    up: Cell<usize>,
    /// Both when the last round but one ended, and when the last one did.
    ended: Cell<[(usize, usize); 2]>,
    next_id: Cell<u16>,
}

impl<'a> Broker<'a> {
    pub(crate) fn new(
        clock: &'a Board,
        buffers: (&'a mut Inbound, &'a mut Outbound),
        server: Server,
    ) -> Self {
        let (to_device, from_device) = (RefCell::new(buffers.0), RefCell::new(buffers.1));
        let server = RefCell::new(server);
        Self {
            clock,
            to_device,
            from_device,
            server,
            down: Cell::new(0),
            up: Cell::new(0),
            ended: Cell::default(),
            next_id: Cell::new(0),
        }
    }

    /// Rounds that ended with an accepted update.
    pub(crate) fn rounds(&self) -> u32 {
        self.server.borrow().rounds()
    }

    /// Bytes up and down between the ends of the last two rounds.
    pub(crate) fn bytes_of_round(&self) -> (usize, usize) {
        let [before, after] = self.ended.get();
        (after.0 - before.0, after.1 - before.1)
    }

    fn give(&self, bytes: &[u8]) {
        let mut to_device = self.to_device.borrow_mut();
        bytes.iter().for_each(|byte| assert!(to_device.push_back(*byte).is_ok(), "too many bytes"));
    }

    /// Publishes at QoS 1.
    fn publish(&self, topic: &str, payload: &[u8]) {
        let length = topic.len() + payload.len() + 4;
        let id = self.next_id.get() % u16::MAX + 1;
        self.next_id.set(id);
        // Three bytes say lengths up to two million; two of them go on with the high bit.
        let seven = |shift: usize| u8::try_from(length >> shift & 0x7f).unwrap_or(0);
        self.give(&[0x32, seven(0) | 0x80, seven(7) | 0x80, seven(14)]);
        self.give(&u16::try_from(topic.len()).unwrap_or(0).to_be_bytes());
        self.give(topic.as_bytes());
        self.give(&id.to_be_bytes());
        self.give(payload);
    }

    /// Answers a whole packet: its first byte and what follows its length.
    fn answer(&self, first: u8, body: &[u8]) {
        let field = |at: usize| {
            let length = usize::from(u16::from_be_bytes([body[at], body[at + 1]]));
            (&body[at + 2..at + 2 + length], at + 2 + length)
        };
        let say = |topic: &str, payload: &[u8]| self.publish(topic, payload);
        match first >> 4 {
            1 => self.give(&[0x20, 2, 0, 0]),
            3 => {
                let (topic, end) = field(0);
                self.give(&[0x40, 2, body[end], body[end + 1]]);
                let topic = core::str::from_utf8(topic).unwrap_or("");
                let before = self.rounds();
                self.server.borrow_mut().on_message(topic, &body[end + 2..], &say);
                if self.rounds() > before {
                    let [_, last] = self.ended.get();
                    self.ended.set([last, (self.up.get(), self.down.get())]);
                }
            }
            8 => {
                self.give(&[0x90, 3, body[0], body[1], 1]);
                let topic = core::str::from_utf8(field(2).0).unwrap_or("");
                self.server.borrow_mut().on_subscription(topic, &say);
            }
            10 => self.give(&[0xb0, 2, body[0], body[1]]),
            12 => self.give(&[0xd0, 0]),
            _ => {}
        }
    }

    /// Where the body of the packet in `bytes` begins and the packet ends, once it is all there.
    fn whole(bytes: &[u8]) -> Option<(usize, usize)> {
        let mut length = 0;
        for (at, byte) in bytes.iter().enumerate().skip(1).take(4) {
            length |= usize::from(byte & 0x7f) << (7 * (at - 1));
            if byte & 0x80 == 0 {
                let end = at + 1 + length;
                return (bytes.len() == end).then_some((at + 1, end));
            }
        }
        None
    }
}

impl Port for &Broker<'_> {
    fn now(&self) -> Instant {
        self.clock.now()
    }

    fn read(&mut self, bytes: &mut [u8]) -> usize {
        let mut to_device = self.to_device.borrow_mut();
        let came = bytes.iter_mut().zip(core::iter::from_fn(|| to_device.pop_front()));
        let count = came.map(|(place, byte)| *place = byte).count();
        self.down.set(self.down.get() + count);
        count
    }

    fn write(&mut self, bytes: &[u8]) -> usize {
        for byte in bytes {
            self.up.set(self.up.get() + 1);
            let mut packet = self.from_device.borrow_mut();
            assert!(
                packet.push(*byte).is_ok(),
                "the device writes a longer packet than its chunks"
            );
            if let Some((body, end)) = Broker::whole(&packet) {
                HEAP.uncounted(|| self.answer(packet[0], &packet[body..end]));
                packet.clear();
            }
        }
        bytes.len()
    }

    fn rest(&mut self) {
        cortex_m::asm::wfi();
    }
}
