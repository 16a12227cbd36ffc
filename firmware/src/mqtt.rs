//! MQTT 3.1.1 over a byte stream that does not say when its connection was lost: QoS 1, clean
//! sessions, no sockets and no clock of its own.
//!
//! The stream is a UART that a modem, or QEMU's `-chardev socket,reconnect=1`, joins to the broker's
//! TCP port. The TCP connection may end and be made anew without a word; bytes written meanwhile
//! vanish, and the rest of a packet may come first afterwards. So:
//!
//! - Whatever the protocol does not allow means that the stream is **out of step**. The client then
//!   forgets what it has read, says DISCONNECT so that the broker closes whatever connection it
//!   holds, discards all that comes for longer than the stream needs to reconnect, and says CONNECT.
//! - An answer that stays away (CONNACK, PINGRESP, PUBACK, SUBACK) means the same. A connection
//!   that was made anew underneath shows itself only so.
//!
//! **After every [`Event::Connected`] the user says everything again.** What was published and not
//! acknowledged when a connection was lost is not repeated here.
//!
//! The user moves bytes and time. Memory: output that waits, up to its limit; one incoming
//! message of at most [`Options::packet_bytes_max`], be it on its way in or waiting to be polled;
//! and a short list of what waits for an answer.
//!
//! ```
//! # use dunlin_firmware::mqtt::{Client, Event};
//! # use dunlin_protocol::time::Instant;
//! /// One turn of the main loop: `came` is what the stream brought and nobody has taken yet.
//! fn turn(client: &mut Client, now: Instant, came: &mut Vec<u8>, mut write: impl FnMut(&[u8]) -> usize) {
//!     came.drain(..client.receive(now, came));
//!     client.tick(now);
//!     while let Some(event) = client.poll_event() {
//!         match event {
//!             Event::Connected => assert!(client.subscribe(now, "dunlin/v1/fed/gait/plan")),
//!             Event::Message { topic, payload } => { /* use it */ }
//!             _ => { /* it comes back by itself */ }
//!         }
//!     }
//!     client.written(write(client.output()));
//!     // Sleep until the stream has bytes or `client.next_deadline()` is there.
//! }
//! ```

mod answers;
mod backoff;
mod client;
mod connection;
mod outbox;
mod packet;
mod reader;
#[cfg(test)]
mod tests;

use alloc::string::String;
use alloc::vec::Vec;

pub use client::Client;

/// Shortest and longest keep-alive in seconds; other values are moved to the nearer of the two.
pub const KEEP_ALIVE_S: (u16, u16) = (5, 1160);

/// What the broker publishes when this client goes without a word: at QoS 1, retained.
#[derive(Clone, Debug)]
pub struct Will {
    /// The topic on which it is published.
    pub topic: String,
    /// What is published: in Dunlin's programs a presence message.
    pub payload: Vec<u8>,
}

/// How to introduce ourselves, and what it may cost.
#[derive(Clone)]
pub struct Options {
    /// The broker knows one connection by this name at a time.
    pub client_id: String,
    /// Account, where the broker asks for one.
    pub username: Option<String>,
    /// Its password; MQTT 3.1.1 has none without a name.
    pub password: Option<String>,
    /// The broker gives us up after one and a half times this; see [`KEEP_ALIVE_S`].
    pub keep_alive_s: u16,
    /// What the broker publishes when we go without a word.
    pub will: Will,
    /// Longest incoming packet in bytes behind its fixed header; longer ones are skipped unread.
    pub packet_bytes_max: usize,
    /// Bytes that may wait for the stream. The stream should take that many within ten seconds.
    pub out_bytes_max: usize,
}

/// Why [`Client::new`] refused its options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptionsError {
    /// There is a password and no user name.
    PasswordWithoutName,
    /// The packet CONNECT does not fit into [`Options::out_bytes_max`].
    OutputTooSmall,
}

/// Why a broker refuses a connection: the code in its CONNACK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectRefusal {
    /// It does not speak MQTT 3.1.1.
    Protocol,
    /// It does not like the client id.
    ClientId,
    /// It is there but not ready.
    Unavailable,
    /// User name or password are wrong.
    Credentials,
    /// This client may not connect.
    NotAuthorized,
}

/// What happened, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The broker took us in. Nothing that was said before counts.
    Connected,
    /// The connection that [`Event::Connected`] reported is over; the next attempt comes by itself.
    Disconnected(&'static str),
    /// An attempt to connect came to nothing; the next one comes by itself.
    Failed(&'static str),
    /// The broker answered an attempt to connect with a no; the next one comes by itself.
    Refused(ConnectRefusal),
    /// A message on a topic that we subscribed to.
    Message {
        /// The topic on which it came.
        topic: String,
        /// The bytes of its payload, 0 or more.
        payload: Vec<u8>,
    },
    /// The broker does not let us subscribe to this topic.
    SubscribeRefused {
        /// The topic that was asked for.
        topic: String,
    },
    /// A message was skipped: it is longer than the limit, or than the memory that is left.
    TooLong {
        /// Length of its packet in bytes, behind the fixed header.
        bytes: usize,
    },
}

/// What this client did since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Bytes that came from the stream.
    pub bytes_in: u64,
    /// Bytes that the stream took.
    pub bytes_out: u64,
    /// Connections that the broker accepted.
    pub connections: u32,
    /// Connections that were lost and attempts that came to nothing.
    pub losses: u32,
    /// Messages that were skipped for their length.
    pub skipped: u32,
}
