//! The heap: a fixed arena that counts what is taken from it.
#![allow(unsafe_code)]

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use embedded_alloc::TlsfHeap;

/// An allocator in an arena of `N` bytes.
pub struct Arena<const N: usize> {
    heap: TlsfHeap,
    bytes: UnsafeCell<MaybeUninit<[u8; N]>>,
    used: AtomicUsize,
    peak: AtomicUsize,
    count: AtomicUsize,
}

// SAFETY: `bytes` is touched through `heap` alone, which locks, after `init` gave it away.
unsafe impl<const N: usize> Sync for Arena<N> {}

impl<const N: usize> Arena<N> {
    /// An arena that [`Arena::init`] opens.
    #[allow(clippy::new_without_default)] // a static needs a const function
    pub const fn new() -> Self {
        Self {
            heap: TlsfHeap::empty(),
            bytes: UnsafeCell::new(MaybeUninit::uninit()),
            used: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            count: AtomicUsize::new(0),
        }
    }

    /// Opens the arena: once, before the first allocation.
    pub fn init(&'static self) {
        // SAFETY: the arena is static and nobody else takes a pointer to it.
        unsafe { self.heap.init(self.bytes.get() as usize, N) }
    }

    /// Bytes in use now, as they were asked for.
    pub fn used(&self) -> usize {
        self.used.load(Relaxed)
    }

    /// Most bytes in use since the start or [`Arena::forget_peak`].
    pub fn peak(&self) -> usize {
        self.peak.load(Relaxed)
    }

    /// Begins to look for the peak anew.
    pub fn forget_peak(&self) {
        self.peak.store(self.used(), Relaxed);
    }

    /// Does `act`; what it takes of the heap meanwhile leaves the peak as it was.
    pub fn uncounted(&self, act: impl FnOnce()) {
        let peak = self.peak();
        act();
        self.peak.store(peak, Relaxed);
    }

    /// Allocations since the start.
    pub fn count(&self) -> usize {
        self.count.load(Relaxed)
    }
}

// SAFETY: the arena's heap does the work; one core and no allocation in interrupts, so loads and
// stores of the counters need not be one step.
unsafe impl<const N: usize> GlobalAlloc for Arena<N> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        let place = unsafe { self.heap.alloc(layout) };
        if !place.is_null() {
            let used = self.used() + layout.size();
            self.used.store(used, Relaxed);
            self.count.store(self.count() + 1, Relaxed);
            if used > self.peak() {
                self.peak.store(used, Relaxed);
            }
        }
        place
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        self.used.store(self.used() - layout.size(), Relaxed);
        // SAFETY: as the caller promises.
        unsafe { self.heap.dealloc(place, layout) }
    }
}
