//! Costs of training and of whole rounds, counted: run by `scripts/firmware costs` under QEMU with
//! one nanosecond an instruction. Writes lines of `cost NAME NUMBER` to the console.
#![no_std]
#![no_main]

extern crate alloc;

mod broker;
mod rounds;
mod server;
mod training;

use dunlin_firmware::HEAP;
use dunlin_firmware::board::{self, Board, console};
use dunlin_firmware::reference;

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    console(format_args!("{info}"));
    board::exit(false)
}

/// Writes one figure of a network to the console.
fn cost(network: &str, what: &str, number: usize) {
    console(format_args!("cost {network}.{what} {number}"));
}

#[cortex_m_rt::entry]
fn main() -> ! {
    HEAP.init();
    let Some(core) = cortex_m::Peripherals::take() else { board::exit(false) };
    let clock = Board::open(core.SYST);
    let Some(mut buffers) = rounds::Buffers::take() else { board::exit(false) };
    for (name, task) in [("mlp", reference::mlp()), ("cnn", reference::cnn())] {
        cost(name, "parameters", task.layout().map_or(0, |layout| layout.n_params()));
        if let Err(error) = training::measure(name, &task) {
            panic!("{error}");
        }
        rounds::measure(name, &task, &clock, &mut buffers);
    }
    cost("all", "stack", board::stack_peak());
    cost("all", "arena", board::ARENA_BYTES);
    board::exit(true)
}
