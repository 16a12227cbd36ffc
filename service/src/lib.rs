//! What Dunlin's programs need to be run as a service: configuration files with drop-ins, and word
//! to the service manager that they are ready, how they are and that they live.

pub mod config;
mod manager;
mod watch;

pub use manager::Manager;
pub use watch::Pulse;
