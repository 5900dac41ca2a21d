//! The end of a program whose mapped files are cut.
#![cfg(unix)]

use std::io;

use signal_hook::{
    consts::SIGBUS,
    low_level::{exit, register},
};

/// Lets the program end with `sentence` on standard error and exit status 1 where it reads a mapped file behind its new end, or on
/// a disk that went away. Without this the system ends it by SIGBUS, without a word.
///
/// # Errors
/// The system's, if the handler cannot be set.
pub fn exit_on_lost_file(sentence: &str) -> io::Result<()> {
    let sentence = format!("{sentence}\n");
    let tell = move || {
        // Nobody has to read it.
        let _ = rustix::io::write(rustix::stdio::stderr(), sentence.as_bytes());
        exit(1);
    };
    // SAFETY: what runs in the handler is async-signal-safe: it writes bytes that were made before, by write(2), and ends the
    // process by _exit(2). It allocates nothing, takes no lock and does not panic.
    unsafe { register(SIGBUS, tell) }.map(drop)
}
