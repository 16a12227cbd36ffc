//! A whole fleet on one machine: the sessions and the aggregator of the field on virtual time, with
//! links, faults and checks. The same scenario and seed give the same bytes.
//!
//! `scenario` is what it is told, `setup` reads what that names, `world` is the simulation, `check`
//! watches it, `run` takes it from beginning to end, and `report` shows what came out.

mod breakage;
mod broker;
mod check;
mod data;
mod disk;
pub mod figures;
mod hibernation;
#[cfg(feature = "burn")]
mod learner;
mod profile;
mod queue;
pub mod report;
pub mod run;
pub mod scenario;
pub mod setup;
mod shards;
mod toy;
mod trace;
mod wire;
mod workers;
mod world;

pub use breakage::Breakage;
pub use check::{Violation, rule};
pub use profile::Seconds;
pub use workers::Learner;

const DAY_MS: u64 = 86_400_000;
const HOUR_MS: f64 = 3_600_000.0;
