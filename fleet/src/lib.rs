//! Many Dunlin devices on one machine: data, reports, and a federation in memory.

pub mod memory;
