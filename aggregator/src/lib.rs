//! The broker side of Dunlin: opens rounds, admits and combines updates, publishes models.
//!
//! The core is [`aggregator::Aggregator`], a state machine without a clock, files or sockets: the
//! same code runs in the program, in simulated fleets and in tests. It builds without std, which is
//! the proof. The shell around it, behind the feature `std`, is small: [`run::run`] connects it to a
//! broker and to its [`store::Store`].
//!
//! | part | what it does |
//! |---|---|
//! | [`settings`], [`config`] | what an operator decides, and the file that says it |
//! | [`aggregator`], [`round`] | the table of open rounds and the life of one round |
//! | [`admit`] | what an update must be before it may touch the sum |
//! | [`combine`], [`server_optimizer`] | sums in integers; from the mean update to the next version |
//! | [`snapshot`], [`store`] | what outlives the process |
//! | [`model_file`] | models for tools outside Dunlin |
//!
//! What others build with it:
//!
//! | example | what it shows |
//! |---|---|
//! | `cargo run --example in_process -- mqtt://localhost` | an aggregator in a program of one's own, settings in code, that sees each event and stops by itself |

#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

pub mod admit;
pub mod aggregator;
pub mod collect;
pub mod combine;
pub mod control;
mod device_registry;
#[cfg(test)]
mod example;
pub mod io;
mod model_store;
pub mod query;
pub mod round;
pub mod server_optimizer;
pub mod settings;
pub mod snapshot;
pub mod summary;
mod upload_assembly;
pub mod waiting;

#[cfg(feature = "std")]
pub mod config;
#[cfg(feature = "std")]
mod inbox;
#[cfg(feature = "std")]
pub mod model_file;
#[cfg(feature = "std")]
pub mod report;
#[cfg(feature = "std")]
pub mod run;
#[cfg(feature = "std")]
pub mod status;
#[cfg(feature = "std")]
pub mod store;
#[cfg(feature = "std")]
mod trouble;
