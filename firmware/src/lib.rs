#![doc = include_str!("../README.md")]
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

#[cfg(feature = "mps2-an386")]
pub mod board;
pub mod config;
pub mod device;
pub mod flash;
#[cfg(feature = "mps2-an386")]
pub mod heap;
pub mod mqtt;
#[cfg(test)]
mod ram;
pub mod reference;
pub mod sensor;

/// The heap of the firmware.
#[cfg(feature = "mps2-an386")]
#[global_allocator]
pub static HEAP: heap::Arena<{ board::ARENA_BYTES }> = heap::Arena::new();

/// What the memory has seen, for the console.
#[cfg(feature = "mps2-an386")]
pub(crate) fn heap_figures() -> alloc::string::String {
    let (peak, stack) = (HEAP.peak(), board::stack_peak());
    alloc::format!(
        "heap {} bytes in use, {peak} at the most; stack {stack} at the most",
        HEAP.used()
    )
}
