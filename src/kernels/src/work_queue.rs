//! Work that threads take until nothing is left.

use std::{
    ops::Range,
    sync::atomic::{AtomicUsize, Ordering},
};

/// Items `0..total`, each taken once.
pub(crate) struct WorkQueue {
    next: AtomicUsize,
    total: usize,
    chunk: usize,
}

impl WorkQueue {
    /// Queues the items `0..total`, taken `chunk` at a time, at least one.
    pub(crate) fn new(total: usize, chunk: usize) -> Self {
        Self { next: AtomicUsize::new(0), total, chunk: chunk.max(1) }
    }

    /// Takes the next items; `None` when all are taken.
    pub(crate) fn take(&self) -> Option<Range<usize>> {
        // Each thread asks once in vain, which must not wrap the counter round to items that are taken already.
        if self.next.load(Ordering::Relaxed) >= self.total {
            return None;
        }
        let start = self.next.fetch_add(self.chunk, Ordering::Relaxed);
        (start < self.total).then(|| start..start + self.chunk.min(self.total - start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_taken_once() {
        let queue = WorkQueue::new(7, 3);
        assert_eq!(
            [queue.take(), queue.take(), queue.take()],
            [Some(0..3), Some(3..6), Some(6..7)]
        );
        assert_eq!((queue.take(), queue.take()), (None, None));
    }
}
