//! Entries for the workspace's `fuzz`: what comes over pipes and connections, read from bytes that are there already.
//!
//! Not for others: there is no promise that these stay.

use crate::{camera, display};

/// Reads a stream of JPEG files up to its end; returns the bytes of all of them.
#[must_use]
pub fn read_stream(bytes: &[u8]) -> usize {
    camera::read_stream(bytes)
}

/// Reads a network camera's answer to a request; returns the bytes of all pictures in it.
#[must_use]
pub fn read_answer(bytes: &[u8]) -> usize {
    camera::read_answer(bytes)
}

/// Answers the requests of a connection to the web page; returns how many there were.
#[must_use]
pub fn answer_requests(bytes: &[u8]) -> usize {
    display::answer_requests(bytes)
}
