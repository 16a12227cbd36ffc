#![no_std]
#![no_main]
extern crate alloc;
use alloc::{sync::Arc, vec, vec::Vec, string::ToString};
use cortex_m_semihosting::{hprintln, debug};
use dunlin_models::*;
use dunlin_protocol::task::*;
use dunlin_protocol::id::*;
use dunlin_protocol::plan::*;
use dunlin_protocol::rng::Rng;
use core::alloc::{GlobalAlloc, Layout};
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

struct Counting { inner: embedded_alloc::TlsfHeap, now: AtomicUsize, peak: AtomicUsize, count: AtomicUsize }
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, l: Layout) -> *mut u8 {
        let p = unsafe { self.inner.alloc(l) };
        let n = self.now.load(Relaxed) + l.size();
        self.now.store(n, Relaxed);
        self.count.store(self.count.load(Relaxed) + 1, Relaxed);
        if n > self.peak.load(Relaxed) { self.peak.store(n, Relaxed) }
        p
    }
    unsafe fn dealloc(&self, p: *mut u8, l: Layout) {
        self.now.store(self.now.load(Relaxed) - l.size(), Relaxed);
        unsafe { self.inner.dealloc(p, l) }
    }
}
#[global_allocator]
static HEAP: Counting = Counting { inner: embedded_alloc::TlsfHeap::empty(), now: AtomicUsize::new(0), peak: AtomicUsize::new(0), count: AtomicUsize::new(0) };
const ARENA: usize = 200 * 1024;
static mut ARENA_BYTES: [u8; ARENA] = [0; ARENA];

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    hprintln!("{}", info);
    debug::exit(debug::EXIT_FAILURE);
    loop {}
}

fn ticks() -> u32 { cortex_m::peripheral::SYST::get_current() }

fn task() -> TaskSpec {
    let channel = |n: usize| Channel { name: n.to_string(), unit: "g".into(), offset: 0.0, scale: 1.0 };
    let layer = |op| Layer { op, share: Share::Shared };
    TaskSpec {
        name: Name::new("mlp").unwrap(),
        input: Input { channels: (0..6).map(channel).collect(), rate_millihertz: 50_000, window: 9, hop: 9 },
        features: Features::Raw,
        layers: [Op::Dense { out: 32 }, Op::Relu, Op::Dense { out: 6 }].map(layer).to_vec(),
        target: Target::Classes((0..6).map(|c: usize| c.to_string()).collect()),
    }
}

#[cortex_m_rt::entry]
fn main() -> ! {
    unsafe { HEAP.inner.init(core::ptr::addr_of_mut!(ARENA_BYTES) as usize, ARENA) }
    let mut p = cortex_m::Peripherals::take().unwrap();
    p.SYST.set_clock_source(cortex_m::peripheral::syst::SystClkSource::Core);
    p.SYST.set_reload(0xff_ffff);
    p.SYST.clear_current();
    p.SYST.enable_counter();
    let task = task();
    let mut rng = Rng::new(1);
    for batch in [8, 1] {
    let n = 8;
    let values: Vec<f32> = (0..n * 54).map(|_| rng.normal()).collect();
    let labels: Vec<u16> = (0..n as u16).map(|l| l % 6).collect();
    let windows = Windows::new(&task, &values, &labels).unwrap();
    let mut network = Network::new(&task, Backend::default()).unwrap();
    network.set_params(&network.layout().initial_params(1)).unwrap();
    let mut stamps: Vec<(u32, usize)> = Vec::with_capacity(64);
    let training = Training { epochs: 4, batch, learning_rate: 0.05, momentum: 0.0, weight_decay: 0.0, prox: 0.0, label_smoothing: 0.0, augment: Augment::default() };
    let base = HEAP.now.load(Relaxed);
    HEAP.peak.store(base, Relaxed);
    let r = network.train(&windows, &training, 1, &mut || { stamps.push((ticks(), HEAP.count.load(Relaxed))); false }).unwrap();
    hprintln!("batch {} loss {} base {} peak {}", batch, r.mean_loss, base, HEAP.peak.load(Relaxed));
    for pair in stamps.windows(2) { hprintln!("{} instr, {} allocs", (pair[0].0.wrapping_sub(pair[1].0) & 0xff_ffff) * 40, pair[1].1 - pair[0].1); }
    }
    debug::exit(debug::EXIT_SUCCESS);
    loop {}
}
