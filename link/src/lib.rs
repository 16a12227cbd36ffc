//! The MQTT connection of Dunlin's programs: one thread that dials, keeps, loses and rebuilds it.
//!
//! MQTT 3.1.1, QoS 1 but for what is asked for again anyway, clean session. What a broker may remember of a session is never relied on:
//! **after every [`LinkEvent::Connected`] the user says everything again**, subscriptions and
//! publications. What is given while there is no connection, and what is still queued when one is
//! lost, is dropped and counted. Nothing here blocks the user and nothing grows without a limit.
//!
//! ```no_run
//! use dunlin_link::{Link, LinkConfig, LinkEvent};
//! let (events, inbox) = std::sync::mpsc::sync_channel(256);
//! let config = LinkConfig::new("mqtt://localhost".parse()?, "wrist-1");
//! let link = Link::open(config, move |event| events.try_send(event).is_ok())?;
//! for event in inbox {
//!     match event {
//!         LinkEvent::Connected => link.subscribe("dunlin/v1/fed/gait/plan".into()),
//!         LinkEvent::Message { topic, payload } => println!("{topic}: {} bytes", payload.len()),
//!         LinkEvent::SubscribeRefused { topic } => eprintln!("{topic}: refused by the broker"),
//!         LinkEvent::Disconnected { reason } | LinkEvent::Refused { reason } => {
//!             eprintln!("{reason}")
//!         }
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod attempts;
mod backoff;
mod config;
mod connection;
mod counters;
mod dialer;
mod driver;
mod error;
mod handshake;
mod item;
mod link;
mod outbox;
mod section;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "tls")]
mod tls_probe;
mod url;

pub use config::{
    KEEP_ALIVE_S_MAX, KEEP_ALIVE_S_MIN, LinkConfig, QueueLimits, TlsFiles, Will, check_filter,
};
pub use counters::{Backlog, Counters, Oversize};
pub use dialer::Dialer;
pub use error::LinkError;
pub use handshake::{HandshakeError, handshake};
pub use link::{Link, LinkEvent, LinkSender};
pub use section::BrokerSection;
pub use url::{BrokerUrl, UrlError};
