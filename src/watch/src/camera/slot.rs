//! A slot for the newest frame instead of a queue.

use std::{
    mem,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::Frame;

/// Longest single wait on the condition variable.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// Holds the newest frame until somebody takes it. A newer one replaces it: the older one is dropped and counted.
///
/// Frames are swapped, not copied: three buffers (the reader's, the slot's, the taker's) serve for ever.
#[derive(Default)]
pub struct NewestFrame {
    slot: Mutex<Slot>,
    changed: Condvar,
}

#[derive(Default)]
struct Slot {
    frame: Frame,
    is_new: bool,
    is_closed: bool,
    dropped: u64,
}

/// Outcome of waiting for a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// The newest frame.
    Frame,
    /// No frame came in time.
    TimedOut,
    /// No more frames will come.
    Closed,
}

impl NewestFrame {
    /// Makes `frame` the newest one; swaps it for an old buffer.
    pub fn put(&self, frame: &mut Frame) {
        let mut slot = self.lock();
        mem::swap(&mut slot.frame, frame);
        slot.dropped += u64::from(mem::replace(&mut slot.is_new, true));
        drop(slot);
        self.changed.notify_one();
    }

    /// Waits for a frame that nobody has taken yet, for `timeout` at most, and swaps it with `frame`.
    pub fn take(&self, frame: &mut Frame, timeout: Duration) -> Taken {
        // `None` is a deadline beyond what an Instant can hold: never.
        let end = Instant::now().checked_add(timeout);
        let mut slot = self.lock();
        while !slot.is_new {
            let left =
                end.map_or(Duration::MAX, |end| end.saturating_duration_since(Instant::now()));
            if slot.is_closed {
                return Taken::Closed;
            }
            if left.is_zero() {
                return Taken::TimedOut;
            }
            slot = self
                .changed
                .wait_timeout(slot, left.min(MAX_WAIT))
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        slot.is_new = false;
        mem::swap(&mut slot.frame, frame);
        Taken::Frame
    }

    /// Ends all waits: no more frames will come.
    pub fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
    }

    /// Drops a frame that nobody took.
    pub fn clear(&self) {
        let mut slot = self.lock();
        slot.dropped += u64::from(mem::take(&mut slot.is_new));
    }

    /// Frames that were replaced by newer ones before anybody took them.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    fn lock(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use proptest::prelude::*;

    use super::*;

    fn numbered(number: u64) -> Frame {
        Frame { number, ..Frame::default() }
    }

    #[test]
    fn a_frame_is_taken_once() {
        let newest = NewestFrame::default();
        newest.put(&mut numbered(1));
        let mut frame = Frame::default();
        assert_eq!(newest.take(&mut frame, Duration::ZERO), Taken::Frame);
        assert_eq!((frame.number, newest.dropped()), (1, 0));
        assert_eq!(newest.take(&mut frame, Duration::ZERO), Taken::TimedOut);
        newest.close();
        assert_eq!(newest.take(&mut frame, Duration::from_secs(9)), Taken::Closed);
    }

    #[test]
    fn the_last_frame_can_still_be_taken_after_the_end() {
        let newest = NewestFrame::default();
        newest.put(&mut numbered(7));
        newest.close();
        let mut frame = Frame::default();
        assert_eq!(newest.take(&mut frame, Duration::ZERO), Taken::Frame);
        assert_eq!(frame.number, 7);
    }

    #[test]
    fn buffers_are_swapped_and_never_copied() {
        let newest = NewestFrame::default();
        let mut given = Frame { bytes: Vec::with_capacity(100), ..Frame::default() };
        let address = given.bytes.as_ptr();
        newest.put(&mut given);
        let mut taken = Frame::default();
        newest.take(&mut taken, Duration::ZERO);
        assert_eq!(taken.bytes.as_ptr(), address);
    }

    proptest! {
        /// `true` puts a frame, `false` takes one.
        #[test]
        fn a_taken_frame_is_the_newest_and_every_frame_is_taken_or_dropped(
            steps in prop::collection::vec(any::<bool>(), 0..50),
        ) {
            let newest = NewestFrame::default();
            let (mut put, mut taken, mut last) = (0, 0, 0);
            let mut frame = Frame::default();
            for is_put in steps {
                if is_put {
                    put += 1;
                    newest.put(&mut numbered(put));
                } else if newest.take(&mut frame, Duration::ZERO) == Taken::Frame {
                    taken += 1;
                    prop_assert_eq!(frame.number, put);
                    last = put;
                } else {
                    prop_assert_eq!(last, put);
                }
            }
            let waiting = u64::from(last != put);
            prop_assert_eq!(taken + newest.dropped() + waiting, put);
        }
    }

    #[test]
    fn between_threads_frames_only_get_newer() {
        let newest = NewestFrame::default();
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut frame = Frame::default();
                for number in 1..=2000 {
                    frame.number = number;
                    newest.put(&mut frame);
                }
                newest.close();
            });
            let (mut last, mut taken) = (0, 0);
            let mut frame = Frame::default();
            while newest.take(&mut frame, Duration::from_secs(5)) == Taken::Frame {
                assert!(frame.number > last);
                (last, taken) = (frame.number, taken + 1);
            }
            assert_eq!((last, taken + newest.dropped()), (2000, 2000));
        });
    }
}
