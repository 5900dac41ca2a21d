//! One output that several threads write, each its own elements.

use std::marker::PhantomData;

/// A slice whose parts are borrowed mutably by several threads at once.
pub(crate) struct DisjointMut<'a, T> {
    start: *mut T,
    length: usize,
    borrowed: PhantomData<&'a mut [T]>,
}

// SAFETY: threads reach the elements only through `slice_mut`, whose callers promise disjoint parts.
unsafe impl<T: Send> Sync for DisjointMut<'_, T> {}
// SAFETY: it is an exclusive borrow of elements that any thread may hold.
unsafe impl<T: Send> Send for DisjointMut<'_, T> {}

impl<'a, T> DisjointMut<'a, T> {
    pub(crate) fn new(slice: &'a mut [T]) -> Self {
        Self { start: slice.as_mut_ptr(), length: slice.len(), borrowed: PhantomData }
    }

    /// Borrows `length` elements from `at` on.
    ///
    /// # Safety
    /// While the part lives, no other part overlaps it.
    ///
    /// # Panics
    /// When the part ends beyond the slice.
    #[allow(clippy::mut_from_ref)]
    pub(crate) unsafe fn slice_mut(&self, at: usize, length: usize) -> &mut [T] {
        assert!(
            at <= self.length && length <= self.length - at,
            "a part beyond the end of the output"
        );
        // SAFETY: the range lies in the borrowed slice, and the caller promises that no other part overlaps it.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(at), length) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{pool::Pool, work_queue::WorkQueue};

    #[test]
    fn threads_write_their_parts_side_by_side() {
        let pool = Pool::start(3).unwrap();
        let mut written = [0; 100];
        let (output, queue) = (DisjointMut::new(&mut written), WorkQueue::new(10, 1));
        Pool::broadcast(Some(&pool), || {
            while let Some(parts) = queue.take() {
                for part in parts {
                    // SAFETY: the queue gives out each part once.
                    unsafe { output.slice_mut(10 * part, 10) }.fill(part);
                }
            }
        });
        assert!(written.iter().enumerate().all(|(i, &part)| part == i / 10));
    }

    #[test]
    #[should_panic(expected = "beyond the end")]
    fn a_part_whose_end_wraps_round_is_refused() {
        let mut numbers = [0; 4];
        // SAFETY: the only part.
        unsafe { DisjointMut::new(&mut numbers).slice_mut(2, usize::MAX) };
    }
}
