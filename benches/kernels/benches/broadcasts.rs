//! Broadcasts of a pool beside rayon's, and beside one thread alone: microseconds for each, work and pause included.
//!
//! ```text
//! cargo bench -p kernel-benches --bench broadcasts -- [THREADS]
//! taskset -c 0 cargo bench -p kernel-benches --bench broadcasts -- 2
//! ```
//!
//! Rounds are interleaved, and long enough that the scheduler takes its turns within each.

#![allow(clippy::print_stdout)]

use std::{
    hint::black_box,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use coca_kernels::Pool;

/// Pieces of a broadcast, a piece's steps and the steps of one thread until the next broadcast: small layers, layers, large ones.
const WORK: [[usize; 3]; 3] = [[12, 200, 500], [12, 1_500, 1_500], [12, 8_000, 3_000]];

const ROUNDS: usize = 9;
const ROUND: Duration = Duration::from_millis(150);

/// A chain of multiply-adds, about 3 ns each.
fn steps(count: usize) {
    let mut value = 1.0_f32;
    for step in 0..count {
        value = black_box(value.mul_add(0.99, step as f32));
    }
    black_box(value);
}

/// Microseconds for each broadcast of one round.
fn round(pause: usize, broadcast: impl Fn()) -> f64 {
    let (start, mut count) = (Instant::now(), 0);
    while start.elapsed() < ROUND {
        broadcast();
        steps(pause);
        count += 1;
    }
    start.elapsed().as_secs_f64() * 1e6 / f64::from(count)
}

fn main() {
    let threads = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(2);
    let pool = Pool::start(threads).expect("threads");
    let rayon = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
    println!("{threads} threads, median (least) of {ROUNDS} rounds, µs");
    println!("{:>22} {:>18} {:>18} {:>18}", "pieces × steps, pause", "one thread", "Pool", "rayon");
    for [pieces, length, pause] in WORK {
        let next = AtomicUsize::new(0);
        let work = || {
            while next.fetch_add(1, Ordering::Relaxed) < pieces {
                steps(length);
            }
        };
        let ways: [&dyn Fn(); 3] =
            [&work, &|| Pool::broadcast(Some(&pool), work), &|| _ = rayon.broadcast(|_| work())];
        let mut times = [[0.0; ROUNDS]; 3];
        for turn in 0..ROUNDS {
            for (times, way) in times.iter_mut().zip(ways) {
                times[turn] = round(pause, || {
                    next.store(0, Ordering::Relaxed);
                    way();
                });
            }
        }
        print!("{:>22}", format!("{pieces} × {length}, {pause}"));
        for mut times in times {
            times.sort_by(f64::total_cmp);
            print!(" {:>18}", format!("{:.1} ({:.1})", times[ROUNDS / 2], times[0]));
        }
        println!();
    }
}
