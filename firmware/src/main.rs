//! The firmware: what runs from reset on.
#![no_std]
#![no_main]

use dunlin_firmware::HEAP;
use dunlin_firmware::board::{self, Board, Flash, console};
use dunlin_firmware::config::Config;
use dunlin_firmware::device::{Device, Parts};
use log::{LevelFilter, Log, Metadata, Record};

struct Console;

impl Log for Console {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn log(&self, record: &Record<'_>) {
        if record.level() <= log::max_level() {
            console(format_args!("{} {}", record.level(), record.args()));
        }
    }
    fn flush(&self) {}
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    console(format_args!("{info}; starts again"));
    board::reset()
}

/// Says why nothing can be done, again and again: somebody has to write a page.
fn stuck(port: &mut Board, why: &dyn core::fmt::Display) -> ! {
    use dunlin_firmware::device::Port;
    loop {
        console(format_args!("ERROR {why}"));
        let again = port.now().after(10_000);
        while port.now() < again {
            port.rest();
        }
    }
}

#[cortex_m_rt::entry]
fn main() -> ! {
    HEAP.init();
    // The processor's own peripherals are there once.
    let Some(core) = cortex_m::Peripherals::take() else { board::reset() };
    let mut port = Board::open(core.SYST);
    if log::set_logger(&Console).is_ok() {
        log::set_max_level(LevelFilter::Info);
    }
    let config = match Config::parse(board::config()) {
        Ok(config) => config,
        Err(error) => stuck(&mut port, &error),
    };
    let Some(flash) = Flash::open() else { stuck(&mut port, &"no flash for the state") };
    let Some(entropy) = board::entropy() else { stuck(&mut port, &"no random bytes") };
    console(format_args!(
        "dunlin-firmware {}, device {}",
        env!("CARGO_PKG_VERSION"),
        config.device
    ));
    let (recording, memory) = (board::recording(), board::ARENA_BYTES);
    let parts = Parts { port, flash, config, recording, entropy, memory };
    match Device::start(parts) {
        Ok(device) => device.run(),
        Err(why) => console(format_args!("ERROR {why}; starts again")),
    }
    board::reset()
}
