#![doc = include_str!("../README.md")]
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod augment;
mod batch;
mod device;
mod error;
mod evaluate;
mod features;
mod fused;
mod gather;
mod kernel;
mod network;
#[cfg(feature = "ndarray")]
mod plain;
#[cfg(test)]
mod sample;
mod sgd;
mod targets;
pub mod tasks;
mod train;
mod windows;

pub use device::{Backend, ParseBackendError};
pub use error::ModelError;
pub use evaluate::Prediction;
pub use network::Network;
pub use train::TrainReport;
pub use windows::{ReadWindows, Windows};
