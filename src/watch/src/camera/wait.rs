//! Reads that another thread can end.

use std::{
    io::{self, Read},
    os::fd::AsFd,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};

/// Time between two looks at whether a wait is to end.
const PERIOD: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// A stream whose reads can be ended by another thread, though nothing comes and nobody closes it.
pub(super) struct Endable<S> {
    stream: S,
    end: End,
}

/// Ends the reads of an [`Endable`].
#[derive(Clone, Default)]
pub(super) struct End(Arc<AtomicBool>);

impl<S> Endable<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, end: End::default() }
    }

    /// What ends this stream's reads.
    pub(super) fn end(&self) -> End {
        self.end.clone()
    }
}

impl End {
    /// Makes the present read, and all later ones, an error.
    pub(super) fn end(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn is_ended(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl<S: Read + AsFd> Read for Endable<S> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.end.is_ended() {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            let mut streams = [PollFd::new(&self.stream, PollFlags::IN)];
            match poll(&mut streams, Some(&PERIOD)) {
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) => return self.stream.read(out),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Write, os::unix::net::UnixStream, thread};

    use super::*;

    #[test]
    fn a_read_that_nothing_comes_for_ends_when_it_is_told_to() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut stream = Endable::new(ours);
        theirs.write_all(b"abc").unwrap();
        let mut bytes = [0; 8];
        assert_eq!(stream.read(&mut bytes).unwrap(), 3);
        let end = stream.end();
        let reader = thread::spawn(move || stream.read(&mut bytes).unwrap_err().kind());
        end.end();
        assert_eq!(reader.join().unwrap(), io::ErrorKind::ConnectionAborted);
        drop(theirs);
    }
}
