//! Boards: each is one module with the same items, and one memory map in `boards/`.
//!
//! `Board` (a [`crate::device::Port`]: clock and byte stream), `Flash` (a `NorFlash` for the state),
//! `config` and `recording` (those pages), `entropy`, `console`, `reset`, `stack_peak`, `ARENA_BYTES`;
//! for the program that counts costs `instructions` and `exit` too.

#[cfg(feature = "mps2-an386")]
mod mps2_an386;
#[cfg(feature = "mps2-an386")]
pub use mps2_an386::*;
