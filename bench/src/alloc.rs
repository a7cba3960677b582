//! Counts allocations where asked to; elsewhere it costs the test of one flag.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};

#[global_allocator]
static COUNTING: Counting = Counting;

static ON: AtomicBool = AtomicBool::new(false);
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);
static LIVE: AtomicI64 = AtomicI64::new(0);

struct Counting;

/// What was allocated by all threads together since counting began. Growing a block counts as an allocation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counts {
    pub(crate) allocations: u64,
    /// Asked for, without what the allocator adds.
    pub(crate) bytes: u64,
    /// Allocated less freed.
    #[cfg_attr(
        not(feature = "full"),
        expect(dead_code, reason = "only the large build looks at the memory of stores")
    )]
    pub(crate) live: i64,
}

/// From now on everything is counted, from zero.
pub(crate) fn start() {
    ALLOCATIONS.store(0, Relaxed);
    BYTES.store(0, Relaxed);
    LIVE.store(0, Relaxed);
    ON.store(true, Relaxed);
}

pub(crate) fn so_far() -> Counts {
    Counts { allocations: ALLOCATIONS.load(Relaxed), bytes: BYTES.load(Relaxed), live: LIVE.load(Relaxed) }
}

pub(crate) fn stop() -> Counts {
    ON.store(false, Relaxed);
    so_far()
}

fn grown(by: usize, freed: usize) {
    ALLOCATIONS.fetch_add(1, Relaxed);
    BYTES.fetch_add(by as u64, Relaxed);
    LIVE.fetch_add(signed(by) - signed(freed), Relaxed);
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[allow(unsafe_code)] // The trait is an unsafe one; what is asked for goes to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if ON.load(Relaxed) {
            grown(layout.size(), 0);
        }
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if ON.load(Relaxed) {
            LIVE.fetch_sub(signed(layout.size()), Relaxed);
        }
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if ON.load(Relaxed) {
            grown(layout.size(), 0);
        }
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if ON.load(Relaxed) {
            grown(size, layout.size());
        }
        unsafe { System.realloc(block, layout, size) }
    }
}
