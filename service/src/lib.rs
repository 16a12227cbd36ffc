//! What Dunlin's programs need to be run as a service: configuration files with drop-ins, files that
//! outlive a power cut and are nobody else's business, a log, answers on standard output, signals,
//! figures of the machine, and word to the service manager that they are ready, how they are and that
//! they live.

#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

pub mod problems;

#[cfg(feature = "std")]
pub mod config;
#[cfg(feature = "std")]
pub mod file;
#[cfg(feature = "std")]
pub mod html;
#[cfg(feature = "std")]
pub mod logging;
#[cfg(feature = "std")]
pub mod machine;
#[cfg(feature = "std")]
mod notifier;
#[cfg(feature = "std")]
pub mod output;
#[cfg(feature = "std")]
pub mod signals;
#[cfg(feature = "std")]
mod watch;

#[cfg(feature = "std")]
pub use notifier::ServiceNotifier;
#[cfg(feature = "std")]
pub use watch::Heartbeat;
