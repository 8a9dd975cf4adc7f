//! dlmalloc, which gives the pages of large blocks back while a model is loaded.

#![allow(unsafe_code, reason = "an allocator is one")]

use std::alloc::{GlobalAlloc, Layout};

use dlmalloc::GlobalDlmalloc;

use super::Loading;

/// Most weights are larger; what is smaller fragments anyway.
const LARGE_BYTES: usize = 32 << 10;
/// Of all systems that we build for. Where a system's are larger, it refuses, and the pages stay.
const PAGE_BYTES: usize = 4096;

/// The allocator of static programs.
#[derive(Debug)]
pub struct Allocator;

// SAFETY: all blocks are dlmalloc's, unchanged; `give_back` touches only the inside of a block that is being freed.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { GlobalDlmalloc.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { GlobalDlmalloc.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { GlobalDlmalloc.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if layout.size() >= LARGE_BYTES && Loading::is_going_on() {
            // SAFETY: the caller gives the block up.
            unsafe { give_back(block, layout.size()) };
        }
        // SAFETY: the caller's promise.
        unsafe { GlobalDlmalloc.dealloc(block, layout) }
    }
}

/// Gives the whole pages inside a block back; they read as zero from now on.
///
/// # Safety
/// The block has this many bytes, and nobody reads them any more.
unsafe fn give_back(block: *mut u8, bytes: usize) {
    let skipped = block.align_offset(PAGE_BYTES);
    let whole = bytes.saturating_sub(skipped) / PAGE_BYTES * PAGE_BYTES;
    if whole > 0 {
        let from = block.wrapping_add(skipped);
        // SAFETY: pages that lie within the block. A refusal leaves them as they are.
        unsafe { libc::madvise(from.cast(), whole, libc::MADV_DONTNEED) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCKS: usize = 1024;

    /// Resident memory of its own, as the kernel counts it.
    fn resident_bytes() -> u64 {
        crate::measure::memory_bytes("RssAnon").unwrap_or(0)
    }

    #[test]
    fn what_a_load_frees_goes_back_to_the_system_though_blocks_that_stay_lie_between() {
        let layout = Layout::new::<[u8; 100_000]>();
        let written = |_| {
            // SAFETY: a layout that is not empty; a block is written within its bytes.
            unsafe {
                let block = Allocator.alloc(layout);
                block.write_bytes(1, layout.size());
                block
            }
        };
        let blocks: Vec<*mut u8> = (0..BLOCKS).map(written).collect();
        let (freed, kept): (Vec<_>, Vec<_>) = blocks.iter().enumerate().partition(|(index, _)| index % 2 == 0);
        let before = resident_bytes();
        let loading = Loading::begin();
        for (_, block) in &freed {
            // SAFETY: allocated above with this layout.
            unsafe { Allocator.dealloc(**block, layout) };
        }
        drop(loading);
        let gone = before.saturating_sub(resident_bytes());
        let all = (freed.len() * layout.size()) as u64;
        assert!(gone > all / 2, "{gone} of {all} bytes went back");
        for (_, block) in kept {
            // SAFETY: allocated above with this layout and written.
            unsafe {
                let bytes = std::slice::from_raw_parts(*block, layout.size());
                assert!(bytes.iter().all(|byte| *byte == 1), "a block that stayed was touched");
                Allocator.dealloc(*block, layout);
            }
        }
    }
}
