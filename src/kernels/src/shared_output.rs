//! One output that several threads fill, each its own places, and the counter that shares out the work.

use std::{
    marker::PhantomData,
    ops::Range,
    sync::atomic::{AtomicUsize, Ordering},
};

/// Pieces of work 0..total, each given out once.
pub(crate) struct Shares {
    next: AtomicUsize,
    total: usize,
    at_once: usize,
}

impl Shares {
    /// `total` pieces, given out `at_once` at a time.
    pub(crate) fn new(total: usize, at_once: usize) -> Self {
        Self { next: AtomicUsize::new(0), total, at_once: at_once.max(1) }
    }

    /// The next pieces, or `None` when all are given out. No piece is given out twice.
    pub(crate) fn take(&self) -> Option<Range<usize>> {
        let start = self.next.fetch_add(self.at_once, Ordering::Relaxed);
        (start < self.total).then(|| start..(start + self.at_once).min(self.total))
    }
}

/// Numbers that several threads write to.
pub(crate) struct SharedOutput<'a, T> {
    start: *mut T,
    length: usize,
    borrowed: PhantomData<&'a mut [T]>,
}

// SAFETY: threads reach the numbers only through `part`, whose callers promise disjoint parts.
unsafe impl<T: Send> Sync for SharedOutput<'_, T> {}
// SAFETY: it is an exclusive borrow of numbers, which any thread may hold.
unsafe impl<T: Send> Send for SharedOutput<'_, T> {}

impl<'a, T> SharedOutput<'a, T> {
    pub(crate) fn new(output: &'a mut [T]) -> Self {
        Self { start: output.as_mut_ptr(), length: output.len(), borrowed: PhantomData }
    }

    /// `length` numbers from `at` on.
    ///
    /// # Safety
    /// While the slice lives, nobody else asks for any of its numbers.
    #[allow(clippy::mut_from_ref)]
    pub(crate) unsafe fn part(&self, at: usize, length: usize) -> &mut [T] {
        assert!(at + length <= self.length, "a part beyond the output");
        // SAFETY: the range lies in the borrowed slice, and the caller promises that it is theirs alone.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(at), length) }
    }
}
