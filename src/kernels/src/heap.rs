//! The heap of the C library, where addresses are few.
#![cfg(unix)]

/// Lets all threads allocate from one heap if the address space of this process is limited (`ulimit -v`), for as long as it lives.
///
/// The GNU C library otherwise gives each thread a heap of its own, for which it reserves 64 MiB of addresses: as much as a board's
/// service may have in all. Threads then wait for each other where they allocate, which the engine does rarely. Other C
/// libraries stay as they are.
pub fn share_heap_within_address_limit() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    if rustix::process::getrlimit(rustix::process::Resource::As).current.is_some() {
        // SAFETY: mallopt takes two integers and no pointers, and may be called at any time. A heap that a thread has already stays.
        unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
    }
}
