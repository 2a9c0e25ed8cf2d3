//! Memory: an allocator that counts, and a bound on what one inspection may hold at a time.
//!
//! The fuzzer's own limits see the whole process with its corpus, and only as pages; this sees bytes.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
static RECORD: AtomicUsize = AtomicUsize::new(0);
/// What may be held in all; beyond it an allocation fails.
static CEILING: AtomicUsize = AtomicUsize::new(usize::MAX);
static STRUCK: AtomicBool = AtomicBool::new(false);

/// The system's allocator with a count. The target runs in one thread, so that plain loads and stores will do.
pub struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

impl Counting {
    fn add(bytes: usize) -> bool {
        let held = HELD.load(Relaxed).saturating_add(bytes);
        if held > CEILING.load(Relaxed) {
            return false;
        }
        HELD.store(held, Relaxed);
        if held > PEAK.load(Relaxed) {
            PEAK.store(held, Relaxed);
        }
        true
    }

    fn subtract(bytes: usize) {
        HELD.store(HELD.load(Relaxed).saturating_sub(bytes), Relaxed);
    }
}

// SAFETY: every call goes to the system's allocator with the same arguments, or fails with a null pointer as it may.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !Self::add(layout.size()) {
            return std::ptr::null_mut();
        }
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if !Self::add(layout.size()) {
            return std::ptr::null_mut();
        }
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        Self::subtract(layout.size());
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if size > layout.size() && !Self::add(size - layout.size()) {
            return std::ptr::null_mut();
        }
        if size < layout.size() {
            Self::subtract(layout.size() - size);
        }
        unsafe { System.realloc(place, layout, size) }
    }
}

/// Runs something that may hold at most `bound` bytes at a time.
pub fn bounded<T>(bound: usize, run: impl FnOnce() -> T) -> T {
    let before = HELD.load(Relaxed);
    PEAK.store(before, Relaxed);
    let result = run();
    let most = PEAK.load(Relaxed).saturating_sub(before);
    assert!(most <= bound, "{most} bytes of memory, the bound is {bound}");
    note(most);
    result
}

/// Runs something that cannot hold more than `ceiling` bytes at a time: `None` if it wanted more. What it held is then lost.
pub fn confined<T>(ceiling: usize, run: impl FnOnce() -> T) -> Option<T> {
    let before = HELD.load(Relaxed);
    PEAK.store(before, Relaxed);
    CEILING.store(before.saturating_add(ceiling), Relaxed);
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
    CEILING.store(usize::MAX, Relaxed);
    match result {
        Ok(result) => {
            note(PEAK.load(Relaxed).saturating_sub(before));
            Some(result)
        }
        Err(_) if STRUCK.swap(false, Relaxed) => None,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Prepares [`confined`]: a refused allocation unwinds quietly, and so does a panic of the template engine or, below it, of the standard
/// library: the engine's caller has to catch it, or libFuzzer does. Every other panic ends the process as before.
pub fn unwind_when_exhausted() {
    let end = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let file = panic.location().map_or("", |location| location.file());
        if !file.contains("/minijinja-") && !file.contains("/library/") {
            end(panic);
        }
    }));
    std::alloc::set_alloc_error_hook(|_| {
        CEILING.store(usize::MAX, Relaxed);
        STRUCK.store(true, Relaxed);
        std::panic::resume_unwind(Box::new("out of memory"));
    });
}

/// Tells of the largest inspection so far, in steps of a sixteenth, for `scripts/fuzz` to read.
fn note(most: usize) {
    let record = RECORD.load(Relaxed);
    if most > record + record / 16 + 1024 {
        RECORD.store(most, Relaxed);
        eprintln!("HELD: {most}");
    }
}
