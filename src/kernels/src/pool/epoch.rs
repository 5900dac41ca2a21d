//! One broadcast: a borrowed closure that helpers may run while its caller lets them.

use std::{
    any::Any,
    cell::UnsafeCell,
    hint,
    panic::{self, AssertUnwindSafe},
    sync::{
        Condvar, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// Registered helpers, in the low bits of the state.
const HELPERS: usize = 0xfff;
/// Helpers may register.
const OPEN: usize = 1 << 12;
/// The caller sleeps until the last helper has left.
const WAITING: usize = 1 << 13;
/// A helper panicked in this epoch.
const PANICKED: usize = 1 << 14;
/// The number of the epoch, in the high bits.
const NUMBER: usize = !(NEXT - 1);
const NEXT: usize = 1 << 15;

/// Helpers that an epoch can count.
pub(super) const MAX_HELPERS: usize = HELPERS;

/// Time that a caller spins for the last helper before it sleeps.
const SPIN: Duration = Duration::from_micros(100);

/// A message that a panic carried.
pub(super) type Panic = Box<dyn Any + Send>;

/// The borrowed closure of the current epoch and who runs it.
///
/// ```text
/// caller       open ─── work ──── close ─ wait ─┐
/// helper         └ register ─── work ─── leave ─┘
/// late helper                         └ finds the epoch closed
/// ```
///
/// The closure is borrowed from the caller's stack. It is read only by registered helpers; none can register once
/// the caller has closed the epoch, and the caller returns when all that did have left.
pub(super) struct Epoch {
    state: AtomicUsize,
    work: UnsafeCell<Work>,
    /// The payload of the first helper that panicked.
    panic: Mutex<Option<Panic>>,
    /// Guards nothing: with it, a helper that leaves last cannot slip between the caller's look and its sleep.
    waiting: Mutex<()>,
    left: Condvar,
}

/// A closure without its lifetime.
#[derive(Clone, Copy)]
struct Work(*const (dyn Fn() + Sync));

// SAFETY: the closure is `Sync`: any thread may call it through a shared reference.
unsafe impl Send for Work {}

// SAFETY: `work` is written only by `open`, whose caller promises that the epoch is closed and no helper registered, and is
// read only by registered helpers. The release store of `open` and the acquiring exchange of `register` order the two.
unsafe impl Sync for Epoch {}

impl Epoch {
    pub(super) fn new() -> Self {
        const NOTHING: &(dyn Fn() + Sync) = &|| {};
        Self {
            state: AtomicUsize::new(0),
            work: UnsafeCell::new(Work(NOTHING)),
            panic: Mutex::new(None),
            waiting: Mutex::new(()),
            left: Condvar::new(),
        }
    }

    /// The number of the latest epoch, which changes whenever one is opened.
    pub(super) fn number(&self) -> usize {
        // Sequentially consistent, as the store in `open`: a helper that announces its sleep and finds no new epoch here
        // is seen by the caller that opens one.
        self.state.load(Ordering::SeqCst) & NUMBER
    }

    /// Opens the next epoch: helpers may run `work`.
    ///
    /// # Safety
    /// Only one thread at a time opens and closes. It calls [`Epoch::close`] before the borrow of `work` ends, also if it
    /// panics between.
    pub(super) unsafe fn open(&self, work: &(dyn Fn() + Sync)) {
        // SAFETY: only the lifetime changes, and the caller promises to close in time.
        let work = unsafe {
            std::mem::transmute::<*const (dyn Fn() + Sync + '_), *const (dyn Fn() + Sync)>(work)
        };
        // SAFETY: the epoch is closed and `close` saw the last helper leave, so nobody reads.
        unsafe { *self.work.get() = Work(work) };
        let number = self.state.load(Ordering::Relaxed) & NUMBER;
        self.state.store(number.wrapping_add(NEXT) | OPEN, Ordering::SeqCst);
    }

    /// Registers the calling thread for the current epoch, if it is open. Gives the number of the epoch, too.
    pub(super) fn register(&self) -> (usize, Option<Registered<'_>>) {
        let mut state = self.state.load(Ordering::Relaxed);
        while state & OPEN != 0 {
            match self.state.compare_exchange_weak(
                state,
                state + 1,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return (state & NUMBER, Some(Registered(self))),
                Err(now) => state = now,
            }
        }
        (state & NUMBER, None)
    }

    /// Closes the epoch and waits for the helpers that registered; gives how long that took and the panic of one of them.
    pub(super) fn close(&self) -> (Duration, Option<Panic>) {
        let state = self.state.fetch_and(!OPEN, Ordering::Acquire);
        let mut waited = Duration::ZERO;
        if state & HELPERS != 0 {
            let start = Instant::now();
            self.wait(start);
            waited = start.elapsed();
        }
        let panicked = self.state.load(Ordering::Relaxed) & PANICKED != 0;
        let panic = panicked.then(|| lock(&self.panic).take()).flatten();
        (waited, panic)
    }

    /// Waits until no helper is registered: what they wrote is visible then.
    fn wait(&self, start: Instant) {
        while start.elapsed() < SPIN {
            for _ in 0..64 {
                if self.state.load(Ordering::Acquire) & HELPERS == 0 {
                    return;
                }
                hint::spin_loop();
            }
        }
        // A helper that lost its core may need this one.
        let mut guard = lock(&self.waiting);
        let mut state = self.state.fetch_or(WAITING, Ordering::Acquire);
        while state & HELPERS != 0 {
            guard = self.left.wait(guard).unwrap_or_else(PoisonError::into_inner);
            state = self.state.load(Ordering::Acquire);
        }
    }
}

/// A helper that may run the closure of the current epoch: it stays borrowed until this is dropped.
pub(super) struct Registered<'a>(&'a Epoch);

impl Registered<'_> {
    /// Runs the closure; a panic is kept for the caller.
    pub(super) fn run(self) {
        // SAFETY: a registered helper was ordered behind `open`, and nobody writes until it has left.
        let Work(work) = unsafe { *self.0.work.get() };
        // SAFETY: `close` waits for this helper to leave, and the borrow ends after it.
        let result = panic::catch_unwind(AssertUnwindSafe(|| unsafe { (*work)() }));
        if let Err(panic) = result {
            lock(&self.0.panic).get_or_insert(panic);
            self.0.state.fetch_or(PANICKED, Ordering::Relaxed);
        }
    }
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        let state = self.0.state.fetch_sub(1, Ordering::Release);
        if state & HELPERS == 1 && state & WAITING != 0 {
            drop(lock(&self.0.waiting));
            self.0.left.notify_one();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Nothing that could panic runs under these locks.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::{sync::atomic::AtomicBool, thread};

    use super::*;

    #[test]
    fn an_epoch_ends_without_helpers_that_have_not_come_and_locks_them_out() {
        let (epoch, runs) = (Epoch::new(), AtomicUsize::new(0));
        let work = || _ = runs.fetch_add(1, Ordering::SeqCst);
        // SAFETY: closed below, while `work` lives.
        unsafe { epoch.open(&work) };
        let (first, registered) = epoch.register();
        registered.unwrap().run();
        assert!(epoch.close().1.is_none());
        let (late, registered) = epoch.register();
        assert!(registered.is_none() && late == first);
        assert_eq!(runs.load(Ordering::SeqCst), 1);
        // SAFETY: as above.
        unsafe { epoch.open(&work) };
        assert_ne!(epoch.number(), first);
        epoch.close();
    }

    #[test]
    fn closing_waits_for_those_who_registered() {
        let (epoch, left) = (Epoch::new(), AtomicBool::new(false));
        let work = || {
            thread::sleep(5 * SPIN);
            left.store(true, Ordering::SeqCst);
        };
        // SAFETY: closed below, while `work` lives.
        unsafe { epoch.open(&work) };
        let (_, registered) = epoch.register();
        thread::scope(|scope| {
            scope.spawn(|| registered.unwrap().run());
            epoch.close();
            assert!(left.load(Ordering::SeqCst));
        });
    }
}
