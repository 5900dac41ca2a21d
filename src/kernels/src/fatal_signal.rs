//! The end of a program by a signal that the system or Rust's runtime raises, with a sentence.
#![cfg(unix)]

use std::{ffi::c_int, io};

use signal_hook::{
    consts::{SIGABRT, SIGBUS},
    low_level::{exit, register},
};

/// Lets the program end with `sentence` on standard error and exit status 1 where it reads a mapped file behind its new end, or on
/// a disk that went away. Without this the system ends it by SIGBUS, without a word.
///
/// # Errors
/// The system's, if the handler cannot be set.
pub fn exit_on_lost_file(sentence: &str) -> io::Result<()> {
    exit_on(SIGBUS, sentence)
}

/// Lets the program end with `sentence` on standard error and exit status 1 where Rust's runtime aborts it: when memory cannot be
/// allocated, which the runtime says before, with the size. Without this it ends by SIGABRT, which may dump all of its memory.
///
/// # Errors
/// The system's, if the handler cannot be set.
pub fn exit_on_abort(sentence: &str) -> io::Result<()> {
    exit_on(SIGABRT, sentence)
}

fn exit_on(signal: c_int, sentence: &str) -> io::Result<()> {
    let sentence = format!("{sentence}\n");
    let tell = move || {
        // Nobody has to read it.
        let _ = rustix::io::write(rustix::stdio::stderr(), sentence.as_bytes());
        exit(1);
    };
    // SAFETY: what runs in the handler is async-signal-safe: it writes bytes that were made before, by write(2), and ends the
    // process by _exit(2). It allocates nothing, takes no lock and does not panic.
    unsafe { register(signal, tell) }.map(drop)
}
