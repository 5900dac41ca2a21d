//! Results written in a thread of their own: a reader that is slow, full or gone does not stop the labels.

use std::{
    io::{ErrorKind, Write},
    sync::mpsc::{Receiver, SyncSender, TrySendError, channel, sync_channel},
    thread,
    time::{Duration, Instant},
};

use super::Error;

/// Lines that may wait for a slow reader.
const WAITING: usize = 256;
/// How long to leave a full disk alone.
const PAUSE: Duration = Duration::from_secs(5);

/// Writes lines in the background.
pub struct Lines {
    lines: SyncSender<String>,
    done: Receiver<()>,
    lost: u64,
}

impl Lines {
    /// Lines for `out`, which `name` calls by name in messages.
    ///
    /// # Errors
    /// [`Error::Thread`] when the system has no more threads.
    pub fn start(name: &'static str, out: impl Write + Send + 'static) -> Result<Self, Error> {
        let ((lines, waiting), (finished, done)) = (sync_channel(WAITING), channel());
        thread::Builder::new()
            .name("lines".to_owned())
            .spawn(move || {
                write(name, out, &waiting);
                // Nobody waits any more: nothing to tell.
                let _ = finished.send(());
            })
            .map_err(|error| Error::Thread { work: "lines", error })?;
        Ok(Self { lines, done, lost: 0 })
    }

    /// Has a line written, or drops it if the reader is too slow.
    pub fn write(&mut self, line: String) {
        match self.lines.try_send(line) {
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
            Err(TrySendError::Full(_)) => {
                if self.lost == 0 {
                    log::warn!("the reader of the results is too slow: lines are dropped");
                }
                self.lost += 1;
            }
        }
    }

    /// Waits until everything is written, for `patience` at most; tells how many lines were dropped.
    pub fn finish(self, patience: Duration) -> u64 {
        drop(self.lines);
        // What is not written by then is not waited for.
        let _ = self.done.recv_timeout(patience);
        self.lost
    }
}

fn write(name: &str, mut out: impl Write, lines: &Receiver<String>) {
    let mut trouble: Option<Instant> = None;
    for line in lines {
        if trouble.is_some_and(|since| since.elapsed() < PAUSE) {
            continue;
        }
        match writeln!(out, "{line}").and_then(|()| out.flush()) {
            Ok(()) => trouble = None,
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                log::warn!("{name} was closed: no more results are written");
                return;
            }
            Err(error) => {
                if trouble.is_none() {
                    log::warn!("{name}: {error}; tried again from time to time");
                }
                trouble = Some(Instant::now());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use super::*;

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_come_in_order_and_before_the_end() {
        let paper = Paper::default();
        let mut lines = Lines::start("paper", paper.clone()).unwrap();
        ["a", "b", "c"].iter().for_each(|line| lines.write((*line).to_owned()));
        assert_eq!(lines.finish(Duration::from_secs(10)), 0);
        assert_eq!(*paper.0.lock().unwrap(), b"a\nb\nc\n");
    }

    /// Fails for ever, or hangs for ever.
    struct Broken(Option<ErrorKind>);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            match self.0 {
                Some(kind) => Err(kind.into()),
                None => loop {
                    thread::park();
                },
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_disk_a_closed_pipe_and_a_reader_that_hangs_hold_nobody_up() {
        let start = Instant::now();
        for kind in [Some(ErrorKind::StorageFull), Some(ErrorKind::BrokenPipe), None] {
            let mut lines = Lines::start("paper", Broken(kind)).unwrap();
            (0..1000).for_each(|line| lines.write(line.to_string()));
            let lost = lines.finish(Duration::from_millis(50));
            assert!(kind.is_some() || lost > 700, "{lost}");
        }
        assert!(start.elapsed() < Duration::from_secs(5));
    }
}
