//! Where fragments are sealed, and what keeping them took. Knows nothing of what is in them.

use std::fmt;
use std::fs::File;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

use rustix::fs::Advice;

/// A fragment on disc later than this after its last frame ended breaks the promise that a power cut
/// costs at most 2 s.
const LATE_US: i64 = 2_000_000;
const PAGE_BYTES: u64 = 4096;

/// The buffers in which fragments are sealed and from which they are written: one a core and one more,
/// so that a thread that waits for the disc does not keep the core from sealing. They bound how many
/// fragments are worked on at once, and stay in the processor's cache.
pub(super) struct Buffers {
    free: Mutex<Vec<Vec<u8>>>,
    given_back: Condvar,
}

impl Default for Buffers {
    fn default() -> Self {
        let count = std::thread::available_parallelism().map_or(1, usize::from) + 1;
        Self { free: Mutex::new(vec![Vec::new(); count]), given_back: Condvar::new() }
    }
}

impl Buffers {
    /// Lends one out; waits while all are in use: a write to the disc at most.
    pub(super) fn lend(&self) -> Lent<'_> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(buffer) = free.pop() {
                return Lent { of: self, buffer };
            }
            free = self.given_back.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// A buffer on loan; goes back when dropped.
pub(super) struct Lent<'a> {
    of: &'a Buffers,
    pub(super) buffer: Vec<u8>,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.buffer);
        self.of.free.lock().unwrap_or_else(PoisonError::into_inner).push(buffer);
        self.of.given_back.notify_one();
    }
}

/// Tells the kernel that what was written at `from` and synced need not stay in memory: footage is
/// seldom read, and the pages that this frees are those that the next fragment is copied to, still in
/// the processor's cache. Fresh pages make the copy three times as dear, and fill the machine's memory.
pub(super) fn forget_pages(file: &File, from: u64, bytes: u64) {
    // The first page holds the end of what stands before.
    let from = from - from % PAGE_BYTES;
    let _only_advice =
        rustix::fs::fadvise(file, from, NonZeroU64::new(bytes + PAGE_BYTES), Advice::DontNeed);
}

/// What keeping fragments took, since the store was opened.
#[derive(Debug, Default)]
pub(super) struct Effort {
    fragments: AtomicU64,
    bytes: AtomicU64,
    seal_us: AtomicU64,
    write_us: AtomicU64,
    sync_us: AtomicU64,
    sync_us_max: AtomicU64,
    late: AtomicU64,
    late_us_max: AtomicU64,
}

/// One fragment's, microseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Took {
    pub(super) bytes: u64,
    pub(super) seal_us: i64,
    pub(super) write_us: i64,
    pub(super) sync_us: i64,
    /// From the end of its last frame until it was on disc.
    pub(super) behind_us: i64,
}

impl Effort {
    pub(super) fn note(&self, took: Took) {
        // Wall time: a step back is no effort.
        let us = |us: i64| u64::try_from(us).unwrap_or(0);
        self.fragments.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(took.bytes, Ordering::Relaxed);
        self.seal_us.fetch_add(us(took.seal_us), Ordering::Relaxed);
        self.write_us.fetch_add(us(took.write_us), Ordering::Relaxed);
        self.sync_us.fetch_add(us(took.sync_us), Ordering::Relaxed);
        self.sync_us_max.fetch_max(us(took.sync_us), Ordering::Relaxed);
        self.late.fetch_add(u64::from(took.behind_us > LATE_US), Ordering::Relaxed);
        self.late_us_max.fetch_max(us(took.behind_us), Ordering::Relaxed);
    }
}

impl fmt::Display for Effort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let each_us = |counter: &AtomicU64| of(counter) / of(&self.fragments).max(1);
        write!(
            f,
            "{} fragments, {} MB; of each {} us sealed, {} us written, {} us synced ({} ms at most); \
             {} were on disc more than 2 s after their last frame ({} ms at most)",
            of(&self.fragments),
            of(&self.bytes) / 1_000_000,
            each_us(&self.seal_us),
            each_us(&self.write_us),
            each_us(&self.sync_us),
            of(&self.sync_us_max) / 1000,
            of(&self.late),
            of(&self.late_us_max) / 1000,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_with_its_room() {
        let buffers = Buffers::default();
        let count = buffers.free.lock().unwrap().len();
        for _ in 0..3 * count {
            buffers.lend().buffer.reserve(1000);
        }
        let free = buffers.free.lock().unwrap();
        assert_eq!(free.len(), count);
        assert!(free.iter().any(|buffer| buffer.capacity() >= 1000));
    }

    #[test]
    fn late_is_what_is_on_disc_more_than_two_seconds_after_its_end() {
        let effort = Effort::default();
        for behind_us in [1_999_999, 2_000_001, -5] {
            effort.note(Took {
                bytes: 500_000,
                seal_us: 10,
                write_us: 20,
                sync_us: 3000,
                behind_us,
            });
        }
        let said = effort.to_string();
        for part in
            ["3 fragments, 1 MB", "10 us sealed", "3000 us synced (3 ms", "; 1 were on disc"]
        {
            assert!(said.contains(part), "{part} not in {said}");
        }
    }
}
