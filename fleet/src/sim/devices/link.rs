//! A device's connection to the broker, and what the broker knows of it.

use dunlin_protocol::rng::Rng;
use dunlin_protocol::time::Instant;
use dunlin_protocol::topic::Topic;

use crate::sim::scenario::Class;
use crate::sim::wire::{Arrival, Pipe};

/// A device's link: both ways to the broker, and what it carried.
#[derive(Debug)]
pub(in crate::sim) struct Link {
    up: Pipe,
    down: Pipe,
    /// Since when it is connected, or was last.
    connected_at: Instant,
    /// Until when the broker cannot be reached.
    cut_off_until: Instant,
    /// Payload bytes that the session said and heard since the device was switched on.
    bytes_out: u64,
    bytes_in: u64,
    /// Topics of single objects that the device listens to.
    objects: Vec<Topic>,
    /// Number of the connection.
    epoch: u32,
    connected: bool,
    /// Whether it listens to what is for it alone.
    hears_down: bool,
    /// Whether it listens to what the broker keeps of it.
    hears_own: bool,
    /// Whether the broker has a last will of a connection that is gone.
    has_will: bool,
    /// The start and the connection that the last will names.
    will: (u32, u32),
}

impl Link {
    pub(super) fn new() -> Self {
        Self {
            up: Pipe::default(),
            down: Pipe::default(),
            connected_at: Instant(0),
            cut_off_until: Instant(0),
            bytes_out: 0,
            bytes_in: 0,
            objects: Vec::new(),
            epoch: 0,
            connected: false,
            hears_down: false,
            hears_own: false,
            has_will: false,
            will: (0, 0),
        }
    }

    pub(in crate::sim) fn is_connected(&self) -> bool {
        self.connected
    }

    /// Since when it is connected, if it is.
    pub(in crate::sim) fn connected_since(&self) -> Option<Instant> {
        self.connected.then_some(self.connected_at)
    }

    pub(in crate::sim) fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Whether this connection still stands.
    pub(in crate::sim) fn is_current(&self, epoch: u32) -> bool {
        self.connected && self.epoch == epoch
    }

    /// Connects anew; whether there was no connection. What an old one still had to carry is gone
    /// with it.
    pub(super) fn connect(&mut self, now: Instant) -> bool {
        self.epoch += 1;
        self.connected_at = now;
        (self.hears_down, self.hears_own) = (false, false);
        (self.up, self.down) = Default::default();
        !std::mem::replace(&mut self.connected, true)
    }

    /// The connection is gone; the objects that the device listened to.
    pub(super) fn disconnect(&mut self) -> Vec<Topic> {
        self.connected = false;
        (self.hears_down, self.hears_own) = (false, false);
        std::mem::take(&mut self.objects)
    }

    /// Keeps the device from the broker until `until` at least.
    pub(in crate::sim) fn cut_off(&mut self, until: Instant) {
        self.cut_off_until = self.cut_off_until.max(until);
    }

    /// Until when the broker cannot be reached, if it cannot.
    pub(in crate::sim) fn cut_off_until(&self, now: Instant) -> Option<Instant> {
        Some(self.cut_off_until).filter(|until| *until > now)
    }

    /// The broker has a last will to publish once it notices that the connection is gone.
    pub(in crate::sim) fn leave_will(&mut self) {
        self.has_will = true;
    }

    /// Takes the last will of this connection, if there is one.
    pub(in crate::sim) fn take_will(&mut self, epoch: u32) -> bool {
        self.epoch == epoch && std::mem::take(&mut self.has_will)
    }

    /// The last will of this connection names this start and connection.
    pub(in crate::sim) fn set_will(&mut self, will: (u32, u32)) {
        self.will = will;
    }

    /// The start and the connection that the last will names.
    pub(in crate::sim) fn will(&self) -> (u32, u32) {
        self.will
    }

    /// Listens to what the broker keeps of this device.
    pub(in crate::sim) fn hear_own(&mut self) {
        self.hears_own = true;
    }

    pub(in crate::sim) fn hears_own(&self) -> bool {
        self.hears_own
    }

    /// The broker has forgotten the last will.
    pub(in crate::sim) fn forget_will(&mut self) {
        self.has_will = false;
    }

    /// Listens to what is for this device alone.
    pub(in crate::sim) fn hear_down(&mut self) {
        self.hears_down = true;
    }

    pub(in crate::sim) fn hears_down(&self) -> bool {
        self.hears_down
    }

    /// Listens to the topic of an object.
    pub(in crate::sim) fn listen(&mut self, object: Topic) {
        self.objects.push(object);
    }

    pub(in crate::sim) fn unlisten(&mut self, object: &Topic) {
        self.objects.retain(|known| known != object);
    }

    /// Carries `bytes` to the broker.
    pub(super) fn carry_up(
        &mut self,
        now: Instant,
        bytes: usize,
        class: &Class,
        rng: &mut Rng,
    ) -> Arrival {
        self.up.carry(now, bytes, class.up_kbps, class, rng)
    }

    /// Carries `bytes` to the device.
    pub(super) fn carry_down(
        &mut self,
        now: Instant,
        bytes: usize,
        class: &Class,
        rng: &mut Rng,
    ) -> Arrival {
        self.down.carry(now, bytes, class.down_kbps, class, rng)
    }

    /// Whether everything for the device has arrived.
    pub(in crate::sim) fn is_quiet(&self, now: Instant) -> bool {
        self.down.is_quiet(now)
    }

    /// The device was switched on: its session counts from here.
    pub(super) fn restart_counts(&mut self) {
        (self.bytes_out, self.bytes_in) = (0, 0);
    }

    /// The session has said so many bytes.
    pub(in crate::sim) fn said(&mut self, bytes: u64) {
        self.bytes_out += bytes;
    }

    /// The session hears so many bytes.
    pub(in crate::sim) fn heard(&mut self, bytes: u64) {
        self.bytes_in += bytes;
    }

    /// Payload bytes said and heard.
    pub(in crate::sim) fn counted(&self) -> (u64, u64) {
        (self.bytes_out, self.bytes_in)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_will_is_that_of_its_connection_and_is_published_once() {
        let mut link = Link::new();
        assert!(link.connect(Instant(5)));
        let epoch = link.epoch();
        assert!(link.is_current(epoch));
        assert_eq!(link.connected_since(), Some(Instant(5)));
        assert!(!link.take_will(epoch), "nothing has happened to it");
        link.disconnect();
        link.leave_will();
        assert!(!link.take_will(epoch + 1));
        assert!(link.take_will(epoch));
        assert!(!link.take_will(epoch));
        assert!(!link.is_current(epoch));
    }

    #[test]
    fn a_new_connection_listens_to_nothing_and_has_nothing_on_its_way() {
        let (mut link, mut rng) = (Link::new(), Rng::new(1));
        link.connect(Instant(0));
        link.hear_down();
        link.carry_down(Instant(0), 1_000_000, &Class::default(), &mut rng);
        assert!(link.hears_down() && !link.is_quiet(Instant(1)));
        assert!(!link.connect(Instant(1)), "it was connected");
        assert!(!link.hears_down() && link.is_quiet(Instant(1)));
    }

    #[test]
    fn of_two_partitions_the_longer_one_counts() {
        let mut link = Link::new();
        link.cut_off(Instant(90));
        link.cut_off(Instant(50));
        assert_eq!(link.cut_off_until(Instant(89)), Some(Instant(90)));
        assert_eq!(link.cut_off_until(Instant(90)), None);
    }
}
