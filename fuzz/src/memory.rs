//! An allocator that counts, so that a reader's memory has a limit that is checked.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// Counts the bytes that each thread has allocated, and the most there ever were.
struct Counting;

thread_local! {
    // By thread, since tests run side by side. What another thread frees is not taken off here.
    static LIVE: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: hands every call to the system's allocator and only counts; the counters are constants
// without a destructor, so that reading them allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE.get().saturating_add(layout.size());
        LIVE.set(live);
        PEAK.set(PEAK.get().max(live));
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        LIVE.set(LIVE.get().saturating_sub(layout.size()));
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Runs `read`, which may allocate at most `most` bytes beyond what this thread has now.
///
/// # Panics
/// When more was allocated at any moment.
pub fn within<T>(most: usize, read: impl FnOnce() -> T) -> T {
    let before = LIVE.get();
    PEAK.set(before);
    let value = read();
    let peak = PEAK.get().saturating_sub(before);
    assert!(peak <= most, "{peak} bytes allocated, at most {most} are allowed");
    value
}
