//! The threads that kernels share their work among.
//!
//! A graph hands out work every few tens of microseconds, so a thread that has nothing to do looks for
//! more a while before it goes to sleep.

use std::{
    hint, io,
    panic::{self, AssertUnwindSafe},
    sync::{
        Arc, Condvar, Mutex, PoisonError, TryLockError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// How long a thread looks for work before it sleeps.
const PATIENCE: Duration = Duration::from_micros(200);

/// Threads that help whoever asks first.
pub struct Pool {
    shared: Arc<Shared>,
    helpers: usize,
    /// Held by the caller whose work is being done.
    busy: Mutex<()>,
}

struct Shared {
    /// Counts the pieces of work that were handed out; changes when there is a new one.
    turn: AtomicUsize,
    /// The work of this turn. It is borrowed: valid until `working` is zero again.
    work: Mutex<Option<Work>>,
    /// Helpers that are not done with this turn.
    working: AtomicUsize,
    /// Whether a helper panicked in this turn.
    panicked: AtomicBool,
    sleeping: AtomicUsize,
    bed: Mutex<()>,
    alarm: Condvar,
    closed: AtomicBool,
}

/// A borrowed closure whose lifetime the pool watches over.
#[derive(Clone, Copy)]
struct Work(*const (dyn Fn() + Sync));

// SAFETY: the closure is `Sync`, so it may be called from any thread while it is borrowed.
unsafe impl Send for Work {}

impl Pool {
    /// Starts `threads - 1` helpers: the caller of [`Pool::share`] is the other one.
    ///
    /// # Errors
    /// What the system says when it refuses a thread.
    pub fn start(threads: usize) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            turn: AtomicUsize::new(0),
            work: Mutex::new(None),
            working: AtomicUsize::new(0),
            panicked: AtomicBool::new(false),
            sleeping: AtomicUsize::new(0),
            bed: Mutex::new(()),
            alarm: Condvar::new(),
            closed: AtomicBool::new(false),
        });
        let pool = Self { shared, helpers: threads.saturating_sub(1), busy: Mutex::new(()) };
        for n in 1..threads {
            let shared = Arc::clone(&pool.shared);
            thread::Builder::new().name(format!("kernels-{n}")).spawn(move || shared.help())?;
        }
        Ok(pool)
    }

    /// Helpers and the caller together.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.helpers + 1
    }

    /// Runs `work` on every thread at once, and returns when all are done with it.
    ///
    /// A caller who finds the helpers at another's work does its own alone rather than wait.
    ///
    /// # Panics
    /// When `work` does, on any thread.
    pub fn share(pool: Option<&Self>, work: impl Fn() + Sync) {
        match pool.map(|pool| (pool, pool.busy.try_lock())) {
            None | Some((_, Err(TryLockError::WouldBlock))) => work(),
            // What panicked in an earlier turn left nothing half done.
            Some((pool, Ok(_) | Err(TryLockError::Poisoned(_)))) => pool.hand_out(&work),
        }
    }

    fn hand_out(&self, work: &(dyn Fn() + Sync)) {
        // SAFETY: only the lifetime changes. `Finish` waits, also when `work` panics, until no helper
        // uses the closure any more.
        let erased: *const (dyn Fn() + Sync) =
            unsafe { std::mem::transmute::<&(dyn Fn() + Sync), &'static (dyn Fn() + Sync)>(work) };
        *self.shared.work.lock().unwrap_or_else(PoisonError::into_inner) = Some(Work(erased));
        self.shared.working.store(self.helpers, Ordering::SeqCst);
        self.shared.turn.fetch_add(1, Ordering::SeqCst);
        let finish = Finish(&self.shared);
        if self.shared.sleeping.load(Ordering::SeqCst) > 0 {
            drop(self.shared.bed.lock().unwrap_or_else(PoisonError::into_inner));
            self.shared.alarm.notify_all();
        }
        work();
        drop(finish);
        assert!(!self.shared.panicked.swap(false, Ordering::SeqCst), "a kernel panicked");
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::SeqCst);
        self.shared.turn.fetch_add(1, Ordering::SeqCst);
        drop(self.shared.bed.lock().unwrap_or_else(PoisonError::into_inner));
        self.shared.alarm.notify_all();
    }
}

/// Waits until every helper is done.
struct Finish<'a>(&'a Shared);

impl Drop for Finish<'_> {
    fn drop(&mut self) {
        let start = Instant::now();
        while self.0.working.load(Ordering::SeqCst) > 0 {
            hint::spin_loop();
            // A helper that lost its core needs ours.
            if start.elapsed() > PATIENCE {
                thread::yield_now();
            }
        }
    }
}

impl Shared {
    fn help(&self) {
        let mut seen = 0;
        while let Some(turn) = self.next_turn(seen) {
            seen = turn;
            let work = *self.work.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(Work(work)) = work {
                // SAFETY: whoever handed the work out waits until `working` is zero, and this helper
                // counts in it until the line below.
                let result = panic::catch_unwind(AssertUnwindSafe(|| unsafe { (*work)() }));
                if result.is_err() {
                    self.panicked.store(true, Ordering::SeqCst);
                }
            }
            self.working.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// The number of the next turn after `seen`, when there is one; `None` when the pool is closed.
    fn next_turn(&self, seen: usize) -> Option<usize> {
        let start = Instant::now();
        loop {
            for _ in 0..64 {
                let turn = self.turn.load(Ordering::SeqCst);
                if turn != seen {
                    return (!self.closed.load(Ordering::SeqCst)).then_some(turn);
                }
                hint::spin_loop();
            }
            if start.elapsed() > PATIENCE {
                let mut bed = self.bed.lock().unwrap_or_else(PoisonError::into_inner);
                self.sleeping.fetch_add(1, Ordering::SeqCst);
                while self.turn.load(Ordering::SeqCst) == seen {
                    bed = self.alarm.wait(bed).unwrap_or_else(PoisonError::into_inner);
                }
                self.sleeping.fetch_sub(1, Ordering::SeqCst);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_thread_works_once_a_turn() {
        let pool = Pool::start(3).unwrap();
        let count = AtomicUsize::new(0);
        for turn in 1..=1000 {
            Pool::share(Some(&pool), || {
                count.fetch_add(1, Ordering::SeqCst);
            });
            assert_eq!(count.load(Ordering::SeqCst), 3 * turn);
        }
        thread::sleep(3 * PATIENCE);
        Pool::share(Some(&pool), || {
            count.fetch_add(1, Ordering::SeqCst);
        });
        assert_eq!(count.load(Ordering::SeqCst), 3003);
    }

    #[test]
    fn two_streams_never_wait_for_each_other() {
        let pool = Pool::start(2).unwrap();
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        let done = AtomicUsize::new(0);
                        Pool::share(Some(&pool), || {
                            done.fetch_add(1, Ordering::SeqCst);
                        });
                        assert!((1..=2).contains(&done.into_inner()));
                    }
                });
            }
        });
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_pool_goes_on() {
        let pool = Pool::start(2).unwrap();
        let caller = thread::current().id();
        let result = panic::catch_unwind(AssertUnwindSafe(|| {
            Pool::share(Some(&pool), || assert_eq!(thread::current().id(), caller));
        }));
        assert!(result.is_err());
        let count = AtomicUsize::new(0);
        Pool::share(Some(&pool), || {
            count.fetch_add(1, Ordering::SeqCst);
        });
        assert_eq!(count.into_inner(), 2);
    }
}
