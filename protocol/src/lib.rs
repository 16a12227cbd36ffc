#![doc = include_str!("../README.md")]
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod backoff;
pub mod codec;
pub mod crc32;
pub mod delta;
pub mod extension;
pub mod give_up;
pub mod id;
pub mod limits;
pub mod lottery;
pub mod message;
pub mod model;
pub mod object;
pub mod plan;
pub mod presence;
pub mod report;
pub mod retained;
pub mod rng;
pub mod seeded;
pub mod task;
pub mod time;
pub mod topic;
pub mod wire;
pub mod work;
