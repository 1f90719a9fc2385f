//! What has to hold for bytes from outside, whatever they are: a module for each kind of them.

pub mod boot;
pub mod http;
pub mod image;
pub mod inspect;
pub mod json;
pub mod metadata;
pub mod partition;
pub mod repository;

use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Runs `work`, and tells how much heap it had at once beyond what was there before, in bytes.
pub fn memory_of<R>(work: impl FnOnce() -> R) -> (R, usize) {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let result = work();
    (result, MEMORY.peak_usage().saturating_sub(before))
}
