//! Lines of results, written in a thread of their own: a reader that is slow or gone and a full disk do not stop the
//! labels.

use std::{
    io::{ErrorKind, Write},
    sync::mpsc::{Receiver, SyncSender, TrySendError, channel, sync_channel},
    thread,
    time::{Duration, Instant},
};

use super::Error;

/// Lines that wait for a slow reader.
const MAX_WAITING: usize = 256;
/// Pause after an error before the next line is tried.
const ERROR_PAUSE: Duration = Duration::from_secs(5);

/// Writes lines in the background.
///
/// ```
/// use std::{io, time::Duration};
/// use coca_watch::pipeline::LineWriter;
///
/// let mut lines = LineWriter::start("standard output", io::stdout())?;
/// lines.write("a line".to_owned());
/// assert_eq!(lines.finish(Duration::from_secs(5)), 0); // none was dropped
/// # Ok::<(), coca_watch::pipeline::Error>(())
/// ```
pub struct LineWriter {
    lines: SyncSender<String>,
    done: Receiver<()>,
    lost: u64,
}

impl LineWriter {
    /// Starts writing to `out`, which messages call `name`.
    ///
    /// # Errors
    /// [`Error::Thread`] when the system has no more threads.
    pub fn start(name: &'static str, out: impl Write + Send + 'static) -> Result<Self, Error> {
        let ((lines, waiting), (finished, done)) = (sync_channel(MAX_WAITING), channel());
        thread::Builder::new()
            .name("lines".to_owned())
            .spawn(move || {
                write(name, out, &waiting);
                // An error means that nobody waits for the end any more.
                let _ = finished.send(());
            })
            .map_err(|error| Error::Thread { work: "lines", error })?;
        Ok(Self { lines, done, lost: 0 })
    }

    /// Queues a line, or drops it if the reader is too slow.
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

    /// Waits until everything is written, for `timeout` at most; returns the number of lines that were dropped.
    pub fn finish(self, timeout: Duration) -> u64 {
        drop(self.lines);
        // Lines that are not written by then are not waited for.
        let _ = self.done.recv_timeout(timeout);
        self.lost
    }
}

fn write(name: &str, mut out: impl Write, lines: &Receiver<String>) {
    let mut failed_at: Option<Instant> = None;
    for line in lines {
        if failed_at.is_some_and(|at| at.elapsed() < ERROR_PAUSE) {
            continue;
        }
        match writeln!(out, "{line}").and_then(|()| out.flush()) {
            Ok(()) => failed_at = None,
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                log::warn!("{name} was closed: no more results are written");
                return;
            }
            Err(error) => {
                if failed_at.is_none() {
                    log::warn!("{name}: {error}; tried again from time to time");
                }
                failed_at = Some(Instant::now());
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
        let mut lines = LineWriter::start("paper", paper.clone()).unwrap();
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
            let mut lines = LineWriter::start("paper", Broken(kind)).unwrap();
            (0..1000).for_each(|line| lines.write(line.to_string()));
            let lost = lines.finish(Duration::from_millis(50));
            assert!(kind.is_some() || lost > 700, "{lost}");
        }
        assert!(start.elapsed() < Duration::from_secs(5));
    }
}
