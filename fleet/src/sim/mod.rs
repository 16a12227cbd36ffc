//! A whole fleet on one machine: the sessions and the aggregator of the field on virtual time, with
//! links, faults and checks. The same scenario and seed give the same bytes.

mod broker;
mod check;
mod data;
#[cfg(feature = "burn")]
mod learner;
mod queue;
pub mod run;
pub mod scenario;
pub mod setup;
mod toy;
mod wire;
mod workers;
mod world;

pub use check::Violation;
pub use workers::Learner;
pub use world::{Step, Tally, World, server_name};
