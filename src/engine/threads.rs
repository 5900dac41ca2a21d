//! The one thread pool, which every graph of the process shares.

use std::sync::{
    Arc, PoisonError, RwLock,
    atomic::{AtomicUsize, Ordering},
};

use tract_linalg::multithread::{Executor, set_default_executor};

use super::Error;

/// Threads in use; 0 until somebody chose.
static THREADS: AtomicUsize = AtomicUsize::new(0);

/// The pool, if there is more than one thread.
static POOL: RwLock<Option<Arc<rayon::ThreadPool>>> = RwLock::new(None);

/// Sets how many threads the process computes with; `None` is one for each physical core.
///
/// # Errors
/// [`Error::Threads`] when the system refuses to start that many.
pub fn set_threads(threads: Option<usize>) -> Result<usize, Error> {
    let threads = threads.unwrap_or_else(physical_cores).max(1);
    let pool = (threads > 1).then(|| start_pool(threads)).transpose()?;
    set_default_executor(match &pool {
        Some(pool) => Executor::MultiThread(pool.clone()),
        None => Executor::SingleThread,
    });
    *POOL.write().unwrap_or_else(PoisonError::into_inner) = pool;
    THREADS.store(threads, Ordering::Relaxed);
    Ok(threads)
}

/// How many threads the process computes with: what [`set_threads`] chose, else one for each physical core.
#[must_use]
pub fn threads() -> usize {
    match THREADS.load(Ordering::Relaxed) {
        0 => physical_cores(),
        chosen => chosen,
    }
}

fn start_pool(threads: usize) -> Result<Arc<rayon::ThreadPool>, Error> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .thread_name(|n| format!("coca-{n}"))
        .build()
        .map(Arc::new)
        .map_err(|e| Error::Threads { threads, reason: e.to_string() })
}

/// Runs `work` on every thread at once, and returns when all are done with it.
///
/// The calling thread takes part and never waits for another stream's work beyond the piece in hand, so
/// that a caption and a label stream share the pool without stalling each other.
pub(super) fn share(work: impl Fn() + Sync) {
    let pool = POOL.read().unwrap_or_else(PoisonError::into_inner).clone();
    match pool {
        None => work(),
        Some(pool) => pool.in_place_scope(|scope| {
            for _ in 1..pool.current_num_threads() {
                scope.spawn(|_| work());
            }
            work();
        }),
    }
}

/// Starts the pool unless somebody already has.
pub(super) fn start_default() -> Result<(), Error> {
    if THREADS.load(Ordering::Relaxed) == 0 {
        set_threads(None)?;
    }
    Ok(())
}

/// Physical cores that this process may use: a container's or a taskset's bound counts.
fn physical_cores() -> usize {
    let allowed = std::thread::available_parallelism().map_or(1, usize::from);
    num_cpus::get_physical().min(allowed)
}
