//! ARM MPS2 with AN386, the Cortex-M4F that QEMU has: UART 0 is the byte stream, UART 1 the console,
//! and semihosting gives what the emulated board lacks, flash that outlives it and randomness.
#![allow(unsafe_code)]

use core::cell::RefCell;
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use cortex_m::interrupt::{self, InterruptNumber, Mutex};
use cortex_m::peripheral::{NVIC, SCB, SYST, syst::SystClkSource};
use cortex_m_semihosting::syscall;
use dunlin_protocol::time::Instant;
use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};
use heapless::Deque;

use crate::device::Port;

/// Bytes of the heap.
pub const ARENA_BYTES: usize = 192 * 1024;
/// Where the page with the settings lies, and its length. QEMU loads it there.
const CONFIG_AT: (usize, usize) = (0x0030_0000, 4096);
/// Where a recording may lie, and how long it may be.
const RECORDING_AT: (usize, usize) = (0x0031_0000, 0x000E_0000);
/// The host's file that is our flash.
const FLASH_FILE: &[u8] = b"flash.bin\0";
/// Two slots of it.
const FLASH_BYTES: usize = 2 * 48 * 1024;
const PAGE_BYTES: usize = 4096;
/// Frequency of the processor's clock in hertz.
const CLOCK_HZ: u32 = 25_000_000;

static MILLISECONDS: AtomicU32 = AtomicU32::new(0);

#[cortex_m_rt::exception]
fn SysTick() {
    MILLISECONDS.store(MILLISECONDS.load(Relaxed).wrapping_add(1), Relaxed);
}

#[cortex_m_rt::exception]
unsafe fn HardFault(_: &cortex_m_rt::ExceptionFrame) -> ! {
    console(format_args!("hard fault; starts again"));
    reset()
}

/// The page with the settings.
pub fn config() -> &'static [u8] {
    page(CONFIG_AT)
}

/// Flash that a recording may lie in.
pub fn recording() -> &'static [u8] {
    page(RECORDING_AT)
}

fn page((at, length): (usize, usize)) -> &'static [u8] {
    // SAFETY: read-only memory of the board that no variable lies in.
    unsafe { core::slice::from_raw_parts(at as *const u8, length) }
}

/// What the stream has brought and nobody has read: the UART itself holds one byte.
static CAME: Mutex<RefCell<Deque<u8, 512>>> = Mutex::new(RefCell::new(Deque::new()));

/// The interrupt of bytes on the stream.
#[derive(Clone, Copy)]
struct Received;

// SAFETY: the board's interrupts begin with UART 0, received.
unsafe impl InterruptNumber for Received {
    fn number(self) -> u16 {
        0
    }
}

#[cortex_m_rt::exception]
unsafe fn DefaultHandler(_: i16) {
    interrupt::free(|token| STREAM.collect(&mut CAME.borrow(token).borrow_mut()));
}

/// One of the board's UARTs (CMSDK, ARM DDI 0479).
struct Uart(usize);

const STREAM: Uart = Uart(0x4000_4000);
const CONSOLE: Uart = Uart(0x4000_5000);

impl Uart {
    const SEND_FULL: u32 = 1;
    const RECEIVED: u32 = 2;

    fn register(&self, number: usize) -> *mut u32 {
        (self.0 + 4 * number) as *mut u32
    }

    const BOTH_WAYS: u32 = 0b11;
    const INTERRUPT: u32 = 0b1000;

    fn open(&self) {
        // SAFETY: registers 4 (divisor) and 2 (enable both ways) of this board's UART.
        unsafe {
            self.register(4).write_volatile(16);
            self.register(2).write_volatile(Self::BOTH_WAYS);
        }
    }

    /// Moves what has come into `room`, and asks for an interrupt with the next byte; not while
    /// there is no room: then the sender is held up.
    fn collect<const N: usize>(&self, room: &mut Deque<u8, N>) {
        // SAFETY: register 3 clears interrupts by ones, here that of a byte received.
        unsafe { self.register(3).write_volatile(Self::RECEIVED) }
        while !room.is_full()
            && let Some(byte) = self.take()
        {
            _ = room.push_back(byte);
        }
        let interrupt = if room.is_full() { 0 } else { Self::INTERRUPT };
        // SAFETY: register 2, as when it was opened.
        unsafe { self.register(2).write_volatile(Self::BOTH_WAYS | interrupt) }
    }

    fn is(&self, state: u32) -> bool {
        // SAFETY: register 1 is the state; reading it changes nothing.
        unsafe { self.register(1).read_volatile() & state != 0 }
    }

    fn take(&self) -> Option<u8> {
        // SAFETY: register 0 holds what came.
        self.is(Self::RECEIVED)
            .then(|| unsafe { self.register(0).read_volatile() }.to_le_bytes()[0])
    }

    fn give(&self, byte: u8) -> bool {
        let room = !self.is(Self::SEND_FULL);
        if room {
            // SAFETY: register 0 takes what is to be sent.
            unsafe { self.register(0).write_volatile(byte.into()) }
        }
        room
    }
}

impl Write for Uart {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            while !self.give(byte) {}
        }
        Ok(())
    }
}

/// Writes a line to the console.
pub fn console(line: fmt::Arguments<'_>) {
    let ms = MILLISECONDS.load(Relaxed);
    let _ = writeln!(Uart(CONSOLE.0), "[{:6}.{:03}] {line}", ms / 1000, ms % 1000);
}

/// Starts the board again, in a minute: what ended this start may be there still, and each start
/// writes to flash.
pub fn reset() -> ! {
    cortex_m::asm::delay(60 * CLOCK_HZ);
    SCB::sys_reset()
}

/// The board's clock and stream.
pub struct Board {
    /// Milliseconds that the 32-bit clock has overflowed with, and its last reading.
    high: core::cell::Cell<(u64, u32)>,
}

impl Board {
    /// Opens UARTs and clock: once.
    pub fn open(mut clock: SYST) -> Self {
        STREAM.open();
        CONSOLE.open();
        clock.set_clock_source(SystClkSource::Core);
        clock.set_reload(CLOCK_HZ / 1000 - 1);
        clock.clear_current();
        clock.enable_counter();
        clock.enable_interrupt();
        // SAFETY: what the handler touches is behind a lock.
        unsafe { NVIC::unmask(Received) }
        Self { high: core::cell::Cell::new((0, 0)) }
    }
}

impl Port for Board {
    fn now(&self) -> Instant {
        let ms = MILLISECONDS.load(Relaxed);
        let (mut high, last) = self.high.get();
        if ms < last {
            high += 1 << 32;
        }
        self.high.set((high, ms));
        Instant(high + u64::from(ms))
    }

    fn read(&mut self, bytes: &mut [u8]) -> usize {
        interrupt::free(|token| {
            let mut came = CAME.borrow(token).borrow_mut();
            let mut next = || {
                if came.is_empty() {
                    STREAM.collect(&mut came);
                }
                came.pop_front()
            };
            let taken = bytes.iter_mut().zip(core::iter::from_fn(&mut next));
            let count = taken.map(|(place, byte)| *place = byte).count();
            STREAM.collect(&mut came);
            count
        })
    }

    fn write(&mut self, bytes: &[u8]) -> usize {
        bytes.iter().take_while(|byte| STREAM.give(**byte)).count()
    }

    fn rest(&mut self) {
        // The clock's interrupt ends it within a millisecond, a byte on the stream at once.
        cortex_m::asm::wfi();
    }

    fn round_ended(&mut self) {
        crate::board::console(format_args!("{}", crate::heap_figures()));
    }
}

/// A file of the host, by semihosting.
struct HostFile(usize);

impl HostFile {
    /// `path` ends in a zero byte. Modes: 1 reads, 3 also writes, 7 also makes it anew.
    fn open(path: &[u8], mode: usize) -> Option<Self> {
        // SAFETY: the parameter block has the three words that SYS_OPEN reads.
        let handle = unsafe { syscall!(OPEN, path.as_ptr(), mode, path.len() - 1) };
        (handle != usize::MAX).then_some(Self(handle))
    }

    fn seek(&self, at: usize) -> Result<(), FlashFault> {
        // SAFETY: as above, for SYS_SEEK.
        if unsafe { syscall!(SEEK, self.0, at) } == 0 { Ok(()) } else { Err(FlashFault) }
    }

    /// Reads all of `out` from `at`.
    fn read(&self, at: usize, out: &mut [u8]) -> Result<(), FlashFault> {
        self.seek(at)?;
        // SAFETY: as above, for SYS_READ; it writes at most as many bytes as `out` has.
        let left = unsafe { syscall!(READ, self.0, out.as_mut_ptr(), out.len()) };
        if left == 0 { Ok(()) } else { Err(FlashFault) }
    }

    fn write(&self, at: usize, bytes: &[u8]) -> Result<(), FlashFault> {
        self.seek(at)?;
        // SAFETY: as above, for SYS_WRITE.
        let left = unsafe { syscall!(WRITE, self.0, bytes.as_ptr(), bytes.len()) };
        if left == 0 { Ok(()) } else { Err(FlashFault) }
    }
}

impl Drop for HostFile {
    fn drop(&mut self) {
        // SAFETY: the handle is ours; SYS_CLOSE reads one word.
        unsafe { syscall!(CLOSE, self.0) };
    }
}

/// 32 random bytes of the host; `None` where it gives none.
pub fn entropy() -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    HostFile::open(b"/dev/urandom\0", 1)?.read(0, &mut bytes).ok()?;
    Some(bytes)
}

/// The flash of the state: a file beside QEMU, erased and written in small pieces, so that killing
/// QEMU tears it as a power cut tears flash.
pub struct Flash(HostFile);

/// The host's file cannot be used.
#[derive(Debug)]
pub struct FlashFault;

impl NorFlashError for FlashFault {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::Other
    }
}

impl Flash {
    /// Bytes that are written at a time.
    const PIECE: usize = 64;

    /// Opens the file, or makes it, erased.
    pub fn open() -> Option<Self> {
        if let Some(file) = HostFile::open(FLASH_FILE, 3) {
            let mut last = [0];
            if file.read(FLASH_BYTES - 1, &mut last).is_ok() {
                return Some(Self(file));
            }
        }
        let mut flash = Self(HostFile::open(FLASH_FILE, 7)?);
        flash.erase(0, u32::try_from(FLASH_BYTES).ok()?).ok()?;
        Some(flash)
    }
}

impl ErrorType for Flash {
    type Error = FlashFault;
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FlashFault> {
        if bytes.is_empty() { Ok(()) } else { self.0.read(offset as usize, bytes) }
    }

    fn capacity(&self) -> usize {
        FLASH_BYTES
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = PAGE_BYTES;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashFault> {
        let erased = [0xff; Self::PIECE];
        (from as usize..to as usize)
            .step_by(Self::PIECE)
            .try_for_each(|at| self.0.write(at, &erased))
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashFault> {
        for (at, piece) in bytes.chunks(Self::PIECE).enumerate() {
            let at = offset as usize + at * Self::PIECE;
            let mut there = [0; Self::PIECE];
            let there = &mut there[..piece.len()];
            self.0.read(at, there)?;
            // Flash only clears bits.
            there.iter_mut().zip(piece).for_each(|(old, new)| *old &= new);
            self.0.write(at, there)?;
        }
        Ok(())
    }
}

/// Ends the emulator, whose exit code says whether all went well.
pub fn exit(success: bool) -> ! {
    use cortex_m_semihosting::debug;
    debug::exit(if success { debug::EXIT_SUCCESS } else { debug::EXIT_FAILURE });
    loop {
        cortex_m::asm::wfi();
    }
}

/// Instructions since some start, under `-icount shift=0`: there the emulated clock runs one
/// nanosecond an instruction. Wraps after four seconds of it; exact to 40 instructions.
pub fn instructions() -> u32 {
    let reload = CLOCK_HZ / 1000;
    loop {
        let ms = MILLISECONDS.load(Relaxed);
        // The interrupt comes with 0, a tick before the counter starts again.
        let ticks = (reload - SYST::get_current()) % reload;
        if ms == MILLISECONDS.load(Relaxed) {
            return ms.wrapping_mul(1_000_000).wrapping_add(ticks * 40);
        }
    }
}

/// Most bytes of stack that were ever in use: below them lies what was painted at the start.
pub fn stack_peak() -> usize {
    unsafe extern "C" {
        static _stack_start: u32;
        static _stack_end: u32;
    }
    let (end, start) = (&raw const _stack_end, &raw const _stack_start);
    let words = (start as usize - end as usize) / 4;
    // SAFETY: the region of the stack; what is in use is not reached.
    let clean = (0..words).take_while(|at| unsafe { end.add(*at).read_volatile() } == PAINT);
    (words - clean.count()) * 4
}

/// What cortex-m-rt paints the stack with.
const PAINT: u32 = 0xcccc_cccc;
