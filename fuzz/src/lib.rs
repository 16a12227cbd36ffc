//! One check for each reader of a peer's bytes: it may refuse them, but not panic, not allocate
//! more than its limit, and what it reads can be written again.
//!
//! `cargo test -p dunlin-fuzz` runs each check over its corpus; `scripts/fuzz` looks for new inputs.

mod codec;
pub mod memory;
pub mod targets;
