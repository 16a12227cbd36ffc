//! A whole fleet on one machine: the sessions and the aggregator of the field on virtual time, with
//! links, faults and checks. The same scenario and seed give the same bytes.
//!
//! `scenario` is what it is told, `setup` reads what that names, `simulation` is the whole as it
//! runs, `check` watches it, `run` takes it from beginning to end, and `report` shows what came out.
//!
//! The parts of a simulation own their state and know nothing of each other: `devices`, `broker`,
//! `server_host` (the aggregator's machine), `hibernation` (what waiting sessions share), `jobs`
//! (training), `chance` (what is drawn beside the devices' own draws) and `watch` (how long what may
//! take). `simulation` routes between them.

mod breakage;
mod broker;
mod chance;
mod check;
mod data;
mod devices;
mod disk;
pub mod figures;
mod hibernation;
mod jobs;
#[cfg(feature = "burn")]
mod learner;
mod profile;
mod queue;
pub mod report;
pub mod run;
pub mod scenario;
mod server_host;
pub mod setup;
mod shards;
mod simulation;
mod toy;
mod trace;
mod watch;
mod wire;
mod workers;

pub use breakage::Breakage;
pub use check::{Violation, rule};
pub use profile::Seconds;
pub use workers::Learner;

const DAY_MS: u64 = 86_400_000;
const HOUR_MS: f64 = 3_600_000.0;
/// The history of every simulation.
const LINEAGE: [u8; 16] = [5; 16];
