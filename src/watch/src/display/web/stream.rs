//! A connection that gives up on a peer that is too slow.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    time::{Duration, Instant},
};

/// What a refused peer may still send before the connection is cut, and for how long.
const LINGER_BYTES: u64 = 1 << 20;
const LINGER: Duration = Duration::from_secs(1);

/// A connection whose reads and writes, together, end by a point in time: a peer that sends or takes a byte now and then gains nothing.
#[derive(Debug)]
pub(super) struct TimedStream {
    stream: TcpStream,
    deadline: Instant,
}

impl TimedStream {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, deadline: Instant::now() }
    }

    /// Gives the peer `time` from now on.
    pub(super) fn allow(&mut self, time: Duration) {
        self.deadline = Instant::now() + time;
    }

    fn time_left(&self) -> io::Result<Duration> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }

    /// Ends the connection so that a peer that is still sending gets to read the answer.
    pub(super) fn finish(mut self) {
        if self.stream.shutdown(Shutdown::Write).is_ok() {
            self.allow(LINGER);
            // What comes is of no interest, and neither is how it ends.
            let _ = io::copy(&mut Read::by_ref(&mut self).take(LINGER_BYTES), &mut io::sink());
        }
    }
}

impl Read for TimedStream {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.time_left()?))?;
        self.stream.read(bytes)
    }
}

impl Write for TimedStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.time_left()?))?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
