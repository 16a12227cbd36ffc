#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

pub mod ab_slots;
pub mod holdout;
pub mod job;
pub mod meter;
#[cfg(feature = "burn")]
pub mod network;
pub mod session;
pub mod state;
pub mod sums;

#[cfg(all(feature = "std", feature = "burn"))]
pub mod bench;
#[cfg(feature = "std")]
pub mod config;
#[cfg(feature = "std")]
mod connection;
#[cfg(feature = "std")]
pub mod data;
#[cfg(feature = "std")]
pub mod doctor;
#[cfg(feature = "std")]
pub mod driver;
#[cfg(feature = "std")]
pub mod eligibility;
#[cfg(feature = "std")]
pub mod inference;
#[cfg(feature = "std")]
pub mod instance;
#[cfg(feature = "std")]
pub mod nice;
#[cfg(feature = "std")]
pub mod origin;
#[cfg(feature = "std")]
pub mod ports;
#[cfg(all(feature = "std", feature = "burn"))]
pub mod show;
#[cfg(feature = "std")]
pub mod store;
#[cfg(all(feature = "std", feature = "burn"))]
pub mod trainer;
