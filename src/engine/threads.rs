//! The one thread pool, which every graph of the process shares.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tract_linalg::multithread::{Executor, set_default_executor};

use super::Error;

/// Threads in use; 0 until somebody chose.
static THREADS: AtomicUsize = AtomicUsize::new(0);

/// Sets how many threads the process computes with; `None` is one for each physical core.
///
/// # Errors
/// [`Error::Threads`] when the system refuses to start that many.
pub fn set_threads(threads: Option<usize>) -> Result<usize, Error> {
    let threads = threads.unwrap_or_else(physical_cores).max(1);
    let executor = if threads == 1 {
        Executor::SingleThread
    } else {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|n| format!("coca-{n}"))
            .build()
            .map_err(|e| Error::Threads { threads, reason: e.to_string() })?;
        Executor::MultiThread(Arc::new(pool))
    };
    set_default_executor(executor);
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
