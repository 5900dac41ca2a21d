//! Keeps the C library from giving freed buffers back to the system after every run.
//!
//! glibc gives free memory at the end of its heap back once there is more of it than twice its largest freed mapping. A
//! step of six beams frees two buffers of 1.2 MB, for the logits, which is enough: the next step then takes 600 fresh
//! pages, a tenth of its time. Freeing a large mapping raises both limits (`M_MMAP_THRESHOLD` in mallopt(3)).

use std::{hint::black_box, sync::Once};

/// Far more than the buffers of a run; at most twice as much stays with the process once it was used.
const MAPPING: usize = 16 << 20;

/// From now on freed buffers are used again. Does nothing where the C library is another.
pub(crate) fn keep() {
    static ONCE: Once = Once::new();
    if cfg!(all(target_os = "linux", target_env = "gnu")) {
        // Its pages are never touched: they cost nothing.
        ONCE.call_once(|| drop(black_box(Vec::<u8>::with_capacity(MAPPING))));
    }
}

#[cfg(test)]
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod tests {
    use super::*;

    /// Pages that this thread had to be given so far.
    fn fresh_pages() -> u64 {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        let behind_name = stat.rsplit(')').next().unwrap();
        behind_name.split_whitespace().nth(7).unwrap().parse().unwrap()
    }

    #[test]
    fn buffers_that_are_freed_and_taken_again_need_no_fresh_pages() {
        keep();
        let run = || drop(black_box([vec![1_u8; 1_200_000], vec![2; 1_200_000]]));
        (0..3).for_each(|_| run());
        let before = fresh_pages();
        (0..20).for_each(|_| run());
        let taken = fresh_pages() - before;
        // 20 runs over 2.4 MB of fresh memory would be 11,700.
        assert!(taken < 600, "{taken} fresh pages");
    }
}
