//! Broadcasts: every piece of work is done once, whoever comes late, fails or is in the way.

use std::sync::PoisonError;

use super::*;
use crate::work_queue::WorkQueue;

/// Epochs of a test; an interpreter runs fewer.
const EPOCHS: usize = if cfg!(miri) { 20 } else { 500 };

/// Counts `items` on the pool's threads; gives how often each was counted.
fn count(pool: &Pool, items: usize) -> Vec<usize> {
    let counts: Vec<AtomicUsize> = (0..items).map(|_| AtomicUsize::new(0)).collect();
    let queue = WorkQueue::new(items, 1);
    Pool::broadcast(Some(pool), || {
        while let Some(taken) = queue.take() {
            counts[taken].iter().for_each(|count| _ = count.fetch_add(1, Ordering::Relaxed));
        }
    });
    counts.into_iter().map(AtomicUsize::into_inner).collect()
}

/// Broadcasts until a helper is there while the caller is, runs `caller` and `helper` there, and gives how that broadcast ended.
fn meet(pool: &Pool, caller: impl Fn() + Sync, helper: impl Fn() + Sync) -> thread::Result<()> {
    let this = thread::current().id();
    loop {
        // Whatever delays other processes have caused so far, all helpers are called.
        *pool.pace.lock().unwrap_or_else(PoisonError::into_inner) = Pace::new(pool.helpers.len());
        pool.shared.crowded.store(false, Ordering::Relaxed);
        let [arrived, met] = [AtomicBool::new(false), AtomicBool::new(false)];
        let work = || {
            if thread::current().id() != this {
                if !arrived.swap(true, Ordering::SeqCst) {
                    helper();
                }
                return;
            }
            // A helper that woke for an earlier broadcast may have seen this one already.
            let start = Instant::now();
            while !arrived.load(Ordering::SeqCst) {
                if start.elapsed() > Duration::from_millis(200) {
                    return;
                }
                thread::sleep(Duration::from_micros(50));
            }
            met.store(true, Ordering::SeqCst);
            caller();
        };
        let result = panic::catch_unwind(AssertUnwindSafe(|| Pool::broadcast(Some(pool), work)));
        if met.into_inner() {
            return result;
        }
    }
}

fn message(result: thread::Result<()>) -> &'static str {
    result.unwrap_err().downcast_ref::<&str>().unwrap()
}

#[test]
fn all_work_is_done_once_when_a_broadcast_returns() {
    let pool = Pool::start(3).unwrap();
    for epoch in 0..EPOCHS {
        assert_eq!(count(&pool, 1 + epoch % 17), vec![1; 1 + epoch % 17]);
    }
    thread::sleep(3 * SPIN);
    assert_eq!(count(&pool, 100), [1; 100]);
}

#[test]
fn helpers_that_sleep_are_woken_for_work() {
    let pool = Pool::start(2).unwrap();
    for _ in 0..3 {
        thread::sleep(3 * SPIN);
        meet(&pool, || (), || ()).unwrap();
    }
}

#[test]
fn two_callers_never_wait_for_each_other() {
    let pool = Pool::start(2).unwrap();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..EPOCHS {
                    assert_eq!(count(&pool, 3), [1; 3]);
                }
            });
        }
    });
}

#[test]
fn work_that_broadcasts_again_does_it_alone() {
    let pool = Pool::start(2).unwrap();
    Pool::broadcast(Some(&pool), || assert_eq!(count(&pool, 5), [1; 5]));
}

#[test]
fn a_helpers_panic_reaches_the_caller_and_the_pool_goes_on() {
    let pool = Pool::start(2).unwrap();
    assert_eq!(message(meet(&pool, || (), || panic!("a helper's"))), "a helper's");
    assert_eq!(count(&pool, 100), [1; 100]);
    meet(&pool, || (), || ()).unwrap();
}

#[test]
fn a_helpers_panic_beside_the_callers_does_not_end_the_next_broadcast() {
    let pool = Pool::start(2).unwrap();
    let result = meet(&pool, || panic!("the caller's"), || panic!("a helper's"));
    assert_eq!(message(result), "the caller's");
    assert_eq!(count(&pool, 100), [1; 100]);
    meet(&pool, || (), || ()).unwrap();
}

#[test]
fn a_caller_that_panics_waits_for_helpers_that_use_what_it_lent() {
    let pool = Pool::start(2).unwrap();
    let [panics, used] = [AtomicBool::new(false), AtomicBool::new(false)];
    let caller = || {
        panics.store(true, Ordering::SeqCst);
        panic!("the caller's");
    };
    let helper = || {
        while !panics.load(Ordering::SeqCst) {
            thread::yield_now();
        }
        thread::sleep(Duration::from_millis(2));
        used.store(true, Ordering::SeqCst);
    };
    assert!(meet(&pool, caller, helper).is_err());
    assert!(used.into_inner());
}
