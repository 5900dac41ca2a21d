//! A thread that reads frames, and one that watches over it.
//!
//! A source may block for ever, fail, or break down. The watchdog then says so, closes it, and opens it again, waiting
//! longer each time. A thread that hangs in a source is left behind: whatever it still delivers is ignored.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{
    Error, Frame, NewestFrame, Taken,
    source::{FrameSource, Interrupt, Read},
};

/// How patient the watchdog is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// How long a source may take to open, and between two frames. A slow source gets at least three of its intervals.
    pub stall: Duration,
    /// How long to wait before a source is opened again; doubled each time up to [`longest`](Self::longest).
    pub first: Duration,
    /// The longest time before a source is opened again.
    pub longest: Duration,
}

impl Default for Patience {
    /// 5 s; from 0.5 s to 30 s.
    fn default() -> Self {
        Self {
            stall: Duration::from_secs(5),
            first: Duration::from_millis(500),
            longest: Duration::from_secs(30),
        }
    }
}

/// How a capture is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CaptureStatus {
    /// Frames that came.
    pub frames: u64,
    /// Frames that newer ones replaced before anybody took them.
    pub dropped: u64,
    /// Frames that the driver called damaged: they were dropped too.
    pub damaged: u64,
    /// How often the source was opened again.
    pub reopened: u64,
    /// Why no frames come at the moment.
    pub trouble: Option<String>,
}

/// A source that is read in the background; the newest frame is there to be taken.
pub struct Capture {
    shared: Arc<Shared>,
    watchdog: Option<JoinHandle<()>>,
}

type Open = dyn Fn() -> Result<Box<dyn FrameSource>, Error> + Send + Sync;

struct Shared {
    name: String,
    newest: NewestFrame,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    status: CaptureStatus,
    /// Which thread reads at the moment: what the ones before it still do is ignored.
    reader: u64,
    /// Since when the reader gave no sign of life.
    since: Option<Instant>,
    interval: Duration,
    interrupt: Option<Interrupt>,
    /// How the reader ended.
    end: Option<Result<(), Error>>,
    /// Frames since the source was opened.
    delivered: u64,
    final_error: Option<Error>,
    is_stopped: bool,
}

impl Capture {
    /// Starts reading the source that `open` opens, now and whenever it was lost. `name` is for messages.
    ///
    /// # Errors
    /// [`Error::BrokenDown`] when the system has no more threads.
    pub fn start(
        name: impl Into<String>,
        patience: Patience,
        open: impl Fn() -> Result<Box<dyn FrameSource>, Error> + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let shared = Arc::new(Shared {
            name: name.into(),
            newest: NewestFrame::default(),
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let (watched, open) = (Arc::clone(&shared), Arc::new(open));
        let watchdog = spawn("watchdog", move || watched.watch(patience, open))
            .map_err(|error| shared.broken_down(error))?;
        Ok(Self { shared, watchdog: Some(watchdog) })
    }

    /// Waits for a frame newer than the last one, for `patience` at most; leaves an old buffer in its place.
    ///
    /// # Errors
    /// Why the source can give no more frames, unless it came to its natural end: [`Taken::Closed`].
    pub fn take(&self, frame: &mut Frame, patience: Duration) -> Result<Taken, Error> {
        let taken = self.shared.newest.take(frame, patience);
        match taken {
            Taken::Closed => match self.shared.lock().final_error.take() {
                Some(error) => Err(error),
                None => Ok(Taken::Closed),
            },
            taken => Ok(taken),
        }
    }

    /// How it is doing.
    #[must_use]
    pub fn status(&self) -> CaptureStatus {
        let dropped = self.shared.newest.dropped();
        CaptureStatus { dropped, ..self.shared.lock().status.clone() }
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.is_stopped = true;
        drop(state);
        self.shared.changed.notify_all();
        if let Some(watchdog) = self.watchdog.take() {
            // A panic in the watchdog was reported where it happened.
            let _ = watchdog.join();
        }
    }
}

impl Shared {
    fn watch(self: Arc<Self>, patience: Patience, open: Arc<Open>) {
        let mut pause = patience.first;
        loop {
            let error = match self.read_once(patience, &open) {
                Ok(()) => break,
                Err(error) => error,
            };
            let delivered = self.lock().delivered;
            if error.is_final() && self.lock().status.frames == 0 {
                self.lock().final_error = Some(error);
                break;
            }
            if delivered > 0 {
                pause = patience.first;
            }
            log::warn!("{error}; opening it again in {:.1} s", pause.as_secs_f32());
            self.newest.clear();
            self.lock().status.trouble = Some(format!("{error}; opening it again"));
            if self.is_stopped_within(pause) {
                break;
            }
            self.lock().status.reopened += 1;
            pause = (pause * 2).min(patience.longest);
        }
        self.newest.close();
    }

    /// Reads until the source ends, fails or hangs, or until the capture is over.
    fn read_once(self: &Arc<Self>, patience: Patience, open: &Arc<Open>) -> Result<(), Error> {
        let mut state = self.lock();
        state.reader += 1;
        state.since = Some(Instant::now());
        (state.interval, state.end, state.delivered) = (Duration::ZERO, None, 0);
        let reader = state.reader;
        drop(state);
        let (shared, open) = (Arc::clone(self), Arc::clone(open));
        spawn("capture", move || shared.read(reader, &*open))
            .map_err(|error| self.broken_down(error))?;

        let mut state = self.lock();
        let outcome = loop {
            if state.is_stopped {
                break Ok(());
            }
            if let Some(end) = state.end.take() {
                break end;
            }
            let allowed = patience.stall.max(3 * state.interval);
            let waited = state.since.map_or(Duration::ZERO, |since| since.elapsed());
            if waited >= allowed {
                break Err(Error::Stalled { source_name: self.name.clone(), waited });
            }
            state = self
                .changed
                .wait_timeout(state, allowed - waited)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        };
        // From here on the reader is ignored.
        state.reader += 1;
        let interrupt = state.interrupt.take();
        drop(state);
        if let Some(interrupt) = interrupt {
            interrupt();
        }
        outcome
    }

    /// The reader's thread.
    fn read(&self, reader: u64, open: &Open) {
        let end = catch_unwind(AssertUnwindSafe(|| self.read_frames(reader, open)));
        let end = end.unwrap_or_else(|_| Err(self.broken_down("it panicked")));
        self.as_reader(reader, |state| state.end = Some(end));
        self.changed.notify_all();
    }

    fn read_frames(&self, reader: u64, open: &Open) -> Result<(), Error> {
        let mut source = open()?;
        let (interrupt, interval) = (source.interrupt(), source.interval());
        let is_wanted = self.as_reader(reader, |state| {
            (state.interrupt, state.interval) = (Some(interrupt), interval);
            state.since = Some(Instant::now());
        });
        if !is_wanted {
            return Ok(());
        }
        let mut frame = Frame::default();
        loop {
            let read = source.read(&mut frame)?;
            let mut number = None;
            let is_wanted = self.as_reader(reader, |state| {
                state.since = Some(Instant::now());
                match read {
                    Read::Frame => {
                        state.status.frames += 1;
                        state.delivered += 1;
                        state.status.trouble = None;
                        number = Some(state.status.frames);
                    }
                    Read::Damaged => state.status.damaged += 1,
                    Read::End => {}
                }
            });
            if !is_wanted || read == Read::End {
                return Ok(());
            }
            if let Some(number) = number {
                frame.number = number;
                self.newest.put(&mut frame);
            }
        }
    }

    /// Changes the state unless another reader has taken over; tells whether it did.
    fn as_reader(&self, reader: u64, change: impl FnOnce(&mut State)) -> bool {
        let mut state = self.lock();
        let is_wanted = state.reader == reader;
        if is_wanted {
            change(&mut state);
        }
        is_wanted
    }

    fn is_stopped_within(&self, pause: Duration) -> bool {
        let end = Instant::now() + pause;
        let mut state = self.lock();
        while !state.is_stopped {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state =
                self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    fn broken_down(&self, reason: impl ToString) -> Error {
        Error::BrokenDown { source_name: self.name.clone(), reason: reason.to_string() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<JoinHandle<()>> {
    thread::Builder::new().name(name.to_owned()).spawn(work)
}
