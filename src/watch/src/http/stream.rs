//! A TCP connection with a deadline.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    time::{Duration, Instant},
};

/// Bytes that a peer may still send after the last answer before the connection is cut.
const MAX_LINGER_BYTES: u64 = 1 << 20;
/// Time that a peer has to read the last answer before the connection is cut.
const LINGER_TIMEOUT: Duration = Duration::from_secs(1);

/// A connection whose reads and writes, together, end by a deadline: a peer that sends or takes a byte now and then
/// gains no time.
#[derive(Debug)]
pub(crate) struct TimedStream {
    stream: TcpStream,
    deadline: Instant,
}

impl TimedStream {
    /// A connection whose deadline has passed: [`allow`](Self::allow) sets the first.
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream, deadline: Instant::now() }
    }

    /// Sends small packets without waiting for more (`TCP_NODELAY`).
    pub(super) fn send_at_once(&self) -> io::Result<()> {
        self.stream.set_nodelay(true)
    }

    /// Sets the deadline `time` from now.
    pub(crate) fn allow(&mut self, time: Duration) {
        self.deadline = Instant::now() + time;
    }

    fn remaining(&self) -> io::Result<Duration> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }

    /// Closes the connection such that a peer that is still sending gets to read the answer: a close with unread input
    /// would reset it.
    pub(crate) fn finish(mut self) {
        if self.stream.shutdown(Shutdown::Write).is_ok() {
            self.allow(LINGER_TIMEOUT);
            // The input is discarded, and the connection is over whether or not reading it fails.
            let _ = io::copy(&mut Read::by_ref(&mut self).take(MAX_LINGER_BYTES), &mut io::sink());
        }
    }
}

impl Read for TimedStream {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.remaining()?))?;
        self.stream.read(bytes)
    }
}

impl Write for TimedStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.remaining()?))?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
