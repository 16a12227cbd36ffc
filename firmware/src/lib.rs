#![doc = include_str!("../README.md")]
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

#[cfg(feature = "mps2-an386")]
pub mod board;
pub mod config;
#[cfg(feature = "mps2-an386")]
pub mod costs;
pub mod device;
pub mod flash;
pub mod mqtt;
pub mod sensor;
