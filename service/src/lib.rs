//! What Dunlin's programs need to be run as a service: configuration files with drop-ins, a log, and
//! word to the service manager that they are ready, how they are and that they live.

pub mod config;
pub mod logging;
mod manager;
mod watch;

pub use manager::Manager;
pub use watch::Pulse;
