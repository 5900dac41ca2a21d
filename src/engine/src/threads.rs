//! The one thread pool, which every graph of the process shares.

use std::sync::{
    Arc, PoisonError, RwLock,
    atomic::{AtomicUsize, Ordering},
};

use coca_host::physical_cores;
use coca_kernels::Pool;

use crate::Error;

/// Threads in use; 0 until somebody chose.
static THREADS: AtomicUsize = AtomicUsize::new(0);

/// The pool of the fused operators, if there is more than one thread.
static POOL: RwLock<Option<Arc<Pool>>> = RwLock::new(None);

/// Sets how many threads the process computes with; `None` is one for each physical core.
///
/// # Errors
/// [`Error::Threads`] when the system refuses to start that many.
pub fn set_threads(threads: Option<usize>) -> Result<usize, Error> {
    let threads = threads.unwrap_or_else(physical_cores).max(1);
    let refused = |error: std::io::Error| Error::Threads { threads, reason: error.to_string() };
    let mut pool = None;
    if threads > 1 {
        pool = Some(Arc::new(Pool::start(threads).map_err(refused)?));
    }
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

/// The threads that fused operators share their work among; `None` for one thread.
pub(crate) fn pool() -> Option<Arc<Pool>> {
    POOL.read().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Starts the pool unless somebody already has.
pub(crate) fn start_default() -> Result<(), Error> {
    if THREADS.load(Ordering::Relaxed) == 0 {
        set_threads(None)?;
    }
    Ok(())
}
