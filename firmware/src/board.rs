//! Boards: each is one module with the same items, and one memory map in `boards/`.
//!
//! `Board` (a [`crate::device::Port`]: clock and byte stream), `Flash` (a `NorFlash` for the state),
//! `CONFIG` and `RECORDING` (where those pages lie), `entropy`, `console`, `reset`, `ARENA_BYTES`.

#[cfg(feature = "mps2-an386")]
mod mps2_an386;
#[cfg(feature = "mps2-an386")]
pub use mps2_an386::*;
