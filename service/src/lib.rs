//! What Dunlin's programs need to be run as a service: configuration files with drop-ins, files that
//! outlive a power cut, a log, figures of the machine, and word to the service manager that they are
//! ready, how they are and that they live.

pub mod config;
pub mod file;
pub mod logging;
pub mod machine;
mod manager;
mod watch;

pub use manager::Manager;
pub use watch::Pulse;
