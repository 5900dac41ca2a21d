//! Threads that help a caller with its work.
//!
//! A graph broadcasts work every few tens of microseconds, and shares its cores with whatever else the machine does. So
//! - a helper that has nothing to do spins a moment for the next broadcast before it sleeps;
//! - a broadcast ends when its work is done and those who run it have returned: it waits for no helper that is still asleep;
//! - a helper without a core of its own costs more than it gives, and is left asleep for a while (see [`pace`]).

mod epoch;
mod pace;

use std::{
    hint, io,
    panic::{self, AssertUnwindSafe},
    sync::{
        Arc, Mutex, TryLockError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use epoch::{Epoch, MAX_HELPERS};
use pace::Pace;

/// Time that a helper spins for the next epoch before it sleeps.
const SPIN: Duration = Duration::from_micros(200);

/// Time that the scheduler takes a core away at least, when another process wants it: far more than a turn of a spinning
/// loop takes, and than helpers finish apart from each other.
const DELAY: Duration = Duration::from_micros(300);

/// Threads that help one caller at a time.
///
/// ```
/// use std::sync::atomic::{AtomicU32, Ordering};
///
/// let pool = coca_kernels::Pool::start(2)?;
/// let [next, sum] = [AtomicU32::new(1), AtomicU32::new(0)];
/// coca_kernels::Pool::broadcast(Some(&pool), || {
///     // Whoever runs this takes what nobody else has taken, until nothing is left.
///     while let number @ ..=100 = next.fetch_add(1, Ordering::Relaxed) {
///         sum.fetch_add(number, Ordering::Relaxed);
///     }
/// });
/// assert_eq!(sum.into_inner(), 5050);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Pool {
    shared: Arc<Shared>,
    helpers: Vec<Helper>,
    /// Held by the caller whose work is being done.
    pace: Mutex<Pace>,
}

/// A helper as callers see it.
struct Helper {
    thread: JoinHandle<()>,
    asleep: Arc<AtomicBool>,
}

struct Shared {
    epoch: Epoch,
    /// Helpers of a number beyond stay asleep; the first has the number 1.
    in_use: AtomicUsize,
    /// A helper found that it has no core of its own.
    crowded: AtomicBool,
    /// The core that the caller was last seen on.
    core: AtomicUsize,
    closed: AtomicBool,
}

impl Pool {
    /// Starts `threads - 1` helpers: the caller of [`Pool::broadcast`] is the other thread.
    ///
    /// # Errors
    /// The system's error when it refuses a thread, or `InvalidInput` for more than 4096 threads.
    pub fn start(threads: usize) -> io::Result<Self> {
        let helpers = threads.saturating_sub(1);
        if helpers > MAX_HELPERS {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "more than 4096 threads"));
        }
        let shared = Arc::new(Shared {
            epoch: Epoch::new(),
            in_use: AtomicUsize::new(helpers),
            crowded: AtomicBool::new(false),
            core: AtomicUsize::new(usize::MAX),
            closed: AtomicBool::new(false),
        });
        let mut pool = Self { shared, helpers: Vec::new(), pace: Mutex::new(Pace::new(helpers)) };
        for number in 1..threads {
            let (shared, asleep) = (Arc::clone(&pool.shared), Arc::new(AtomicBool::new(false)));
            let seat = Seat { number, asleep: Arc::clone(&asleep) };
            let builder = thread::Builder::new().name(format!("kernels-{number}"));
            let thread = builder.spawn(move || shared.help(&seat))?;
            pool.helpers.push(Helper { thread, asleep });
        }
        Ok(pool)
    }

    /// Helpers and the caller together.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.helpers.len() + 1
    }

    /// Runs `work` on the calling thread and on every helper that is ready before the caller is done with it. Each run takes
    /// from one queue until nothing is left, so that all work is done when the first run ends; the broadcast returns when
    /// all runs that began have ended.
    ///
    /// While the helpers do another caller's work, this one does its own alone rather than wait.
    ///
    /// # Panics
    /// When `work` does, on any thread: the caller's panic if there is one, else a helper's.
    pub fn broadcast(pool: Option<&Self>, work: impl Fn() + Sync) {
        match pool.map(|pool| (pool, pool.pace.try_lock())) {
            None | Some((_, Err(TryLockError::WouldBlock))) => work(),
            Some((pool, Ok(mut pace))) => pool.run(&mut pace, &work),
            // A panic in an earlier epoch left nothing half done.
            Some((pool, Err(TryLockError::Poisoned(pace)))) => {
                pool.run(&mut pace.into_inner(), &work);
            }
        }
    }

    fn run(&self, pace: &mut Pace, work: &(dyn Fn() + Sync)) {
        let start = Instant::now();
        let helpers = self.helpers_in_use(pace, start);
        if helpers == 0 {
            return work();
        }
        // SAFETY: the lock on `pace` keeps other callers out. Nothing between here and `close` unwinds but `work`, whose panic
        // is caught, so that the epoch is closed while `work` is still borrowed.
        unsafe { self.shared.epoch.open(work) };
        self.helpers[..helpers].iter().for_each(|helper| self.shared.wake(helper));
        let own = panic::catch_unwind(AssertUnwindSafe(work));
        let worked = start.elapsed();
        let (waited, panic) = self.shared.epoch.close();
        if waited > worked.max(DELAY) {
            pace.slow_down(start + worked + waited);
        }
        if let Some(panic) = own.err().or(panic) {
            panic::resume_unwind(panic);
        }
    }
}

impl Pool {
    /// Helpers to call at `now`, after what was noticed in the last epoch.
    fn helpers_in_use(&self, pace: &mut Pace, now: Instant) -> usize {
        if self.shared.crowded.load(Ordering::Relaxed) {
            self.shared.crowded.store(false, Ordering::Relaxed);
            pace.slow_down(now);
        }
        let helpers = pace.in_use(now);
        if self.shared.in_use.load(Ordering::Relaxed) != helpers {
            self.shared.in_use.store(helpers, Ordering::SeqCst);
        }
        helpers
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::SeqCst);
        self.helpers.iter().for_each(|helper| self.shared.wake(helper));
        for helper in self.helpers.drain(..) {
            // Panics of work are caught; a helper itself has none to tell of.
            let _ = helper.thread.join();
        }
    }
}

/// A helper as it sees itself.
struct Seat {
    /// Counted from 1.
    number: usize,
    asleep: Arc<AtomicBool>,
}

impl Shared {
    /// Wakes a helper if it sleeps.
    fn wake(&self, helper: &Helper) {
        // A helper that announces its sleep after this look finds what is new before it does sleep: all of these operations
        // are sequentially consistent.
        if helper.asleep.load(Ordering::SeqCst) {
            self.core.store(current_core().unwrap_or(usize::MAX), Ordering::Relaxed);
            helper.asleep.store(false, Ordering::SeqCst);
            helper.thread.thread().unpark();
        }
    }

    /// The life of a helper.
    fn help(&self, seat: &Seat) {
        let mut seen = 0;
        loop {
            let slept = !self.spin(seat, seen);
            if slept {
                self.sleep(seat, seen);
            }
            if self.closed.load(Ordering::SeqCst) {
                return;
            }
            if slept && current_core() == Some(self.core.load(Ordering::Relaxed)) {
                // On the caller's own core: whatever is done here, the caller does not do meanwhile.
                self.crowded.store(true, Ordering::Relaxed);
                seen = self.epoch.number();
                continue;
            }
            let (number, registered) = self.epoch.register();
            if number != seen
                && let Some(registered) = registered
            {
                registered.run();
            }
            seen = number;
        }
    }

    /// Spins for an epoch after `seen`; gives whether there is one.
    fn spin(&self, seat: &Seat, seen: usize) -> bool {
        let start = Instant::now();
        let mut last = start;
        while last - start < SPIN && self.is_in_use(seat) && !self.crowded.load(Ordering::Relaxed) {
            for _ in 0..64 {
                if self.is_wanted(seat, seen) {
                    return true;
                }
                hint::spin_loop();
            }
            let now = Instant::now();
            if now - last > DELAY {
                self.crowded.store(true, Ordering::Relaxed);
            }
            last = now;
        }
        false
    }

    /// Sleeps until a caller wants this helper.
    fn sleep(&self, seat: &Seat, seen: usize) {
        seat.asleep.store(true, Ordering::SeqCst);
        if self.is_wanted(seat, seen) {
            seat.asleep.store(false, Ordering::SeqCst);
        }
        while seat.asleep.load(Ordering::SeqCst) {
            thread::park();
        }
    }

    /// Whether there is something to do for a helper that has seen the epoch `seen`.
    fn is_wanted(&self, seat: &Seat, seen: usize) -> bool {
        self.epoch.number() != seen && self.is_in_use(seat) || self.closed.load(Ordering::SeqCst)
    }

    fn is_in_use(&self, seat: &Seat) -> bool {
        seat.number <= self.in_use.load(Ordering::SeqCst)
    }
}

/// The core that the calling thread runs on, where the system tells.
fn current_core() -> Option<usize> {
    // Tests need helpers that come also where there is one core for all threads.
    #[cfg(all(target_os = "linux", not(any(miri, test))))]
    return Some(rustix::thread::sched_getcpu());
    #[cfg(any(not(target_os = "linux"), miri, test))]
    return None;
}

#[cfg(test)]
mod tests;
