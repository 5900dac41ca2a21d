//! A thread that reads frames, and a watchdog over it.
//!
//! ```text
//! watchdog ── starts, replaces ──▶ reader: FrameSource::read ──▶ NewestFrame ──▶ Capture::take
//!     ▲                                        │
//!     └──────── sign of life, end, error ──────┘
//! ```
//!
//! A source may block for ever, fail, or panic. The watchdog then logs it, closes the source, and opens it again after a
//! pause that grows with each failure. A reader that hangs in a source is left behind: what it still delivers is ignored.
//! While [`MAX_HANGING`] of them hang, the source is not opened again, so that threads and memory have a ceiling.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use coca_host::catch_panic;

use super::{Error, Frame, FrameSource, Interrupt, NewestFrame, Read, Taken};
use crate::Counters;

/// Most readers that were left behind and have not ended yet.
const MAX_HANGING: usize = 2;

/// Times after which a source is given up and tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Time for a source to open, and from one frame to the next. A slow source gets at least three of its intervals.
    pub stall_timeout: Duration,
    /// Pause before a source is opened again; doubled with each failure up to [`max_pause`](Self::max_pause).
    pub min_pause: Duration,
    /// Longest pause before a source is opened again.
    pub max_pause: Duration,
    /// Pause after a source has refused user or password: many lock an account after a few wrong ones.
    pub refused_pause: Duration,
}

impl Default for RetryPolicy {
    /// 5 s; from 0.5 s to 30 s; 10 min.
    fn default() -> Self {
        Self {
            stall_timeout: Duration::from_secs(5),
            min_pause: Duration::from_millis(500),
            max_pause: Duration::from_secs(30),
            refused_pause: Duration::from_secs(600),
        }
    }
}

/// State of a capture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CaptureStatus {
    /// Frames captured, dropped and damaged, and reopenings; the other totals are 0.
    pub counters: Counters,
    /// Reason why no frames come at the moment.
    pub trouble: Option<String>,
}

/// A source that is read in the background, and its newest frame.
///
/// ```
/// use std::time::Duration;
/// use coca_watch::camera::{Capture, Frame, RetryPolicy, SourceSettings, SourceSpec, Taken};
///
/// let source: SourceSpec = "test".parse()?;
/// let open = move || source.open(&SourceSettings::default());
/// let capture = Capture::start("test", RetryPolicy::default(), open)?;
/// let mut frame = Frame::default();
/// assert_eq!(capture.take(&mut frame, Duration::from_secs(5))?, Taken::Frame);
/// assert_eq!(frame.size, (640, 480));
/// # Ok::<(), coca_watch::camera::Error>(())
/// ```
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
    /// Number of the present reader: what earlier ones still deliver is ignored.
    reader: u64,
    /// Last sign of life of the reader.
    since: Option<Instant>,
    interval: Duration,
    interrupt: Option<Interrupt>,
    /// Outcome of the reader.
    end: Option<Result<(), Error>>,
    /// Frames since the source was opened.
    delivered: u64,
    final_error: Option<Error>,
    is_stopped: bool,
}

impl Capture {
    /// Starts reading the source that `open` opens, now and after each failure. `name` is for messages.
    ///
    /// # Errors
    /// [`Error::BrokenDown`] when the system has no more threads.
    pub fn start(
        name: impl Into<String>,
        policy: RetryPolicy,
        open: impl Fn() -> Result<Box<dyn FrameSource>, Error> + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let shared = Arc::new(Shared {
            name: name.into(),
            newest: NewestFrame::default(),
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let (watched, open) = (Arc::clone(&shared), Arc::new(open));
        let watchdog = spawn("watchdog", move || watched.watch(policy, open))
            .map_err(|error| shared.broken_down(error))?;
        Ok(Self { shared, watchdog: Some(watchdog) })
    }

    /// Waits for a frame newer than the last one, for `timeout` at most, and swaps it with `frame`.
    ///
    /// # Errors
    /// When the source can give no more frames. One that came to its natural end is [`Taken::Closed`] instead.
    pub fn take(&self, frame: &mut Frame, timeout: Duration) -> Result<Taken, Error> {
        let taken = self.shared.newest.take(frame, timeout);
        match taken {
            Taken::Closed => match self.shared.lock().final_error.take() {
                Some(error) => Err(error),
                None => Ok(Taken::Closed),
            },
            taken => Ok(taken),
        }
    }

    /// Totals so far and the present trouble.
    #[must_use]
    pub fn status(&self) -> CaptureStatus {
        let mut status = self.shared.lock().status.clone();
        status.counters.dropped = self.shared.newest.dropped();
        status
    }

    /// Totals so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let counters = self.shared.lock().status.counters;
        Counters { dropped: self.shared.newest.dropped(), ..counters }
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
    fn watch(self: Arc<Self>, policy: RetryPolicy, open: Arc<Open>) {
        let mut pause = policy.min_pause;
        let mut readers = Vec::new();
        loop {
            let error = match self.read_once(policy, &open, &mut readers) {
                Ok(()) => break,
                Err(error) => error,
            };
            let delivered = self.lock().delivered;
            if error.is_final() && self.lock().status.counters.captured == 0 {
                self.lock().final_error = Some(error);
                break;
            }
            if delivered > 0 {
                pause = policy.min_pause;
            }
            let present_pause = if error.is_refusal() {
                policy.refused_pause
            } else if error.is_misconfiguration() {
                policy.max_pause
            } else {
                pause
            };
            log::warn!("{error}; opening it again in {:.1} s", present_pause.as_secs_f32());
            self.report(&error);
            if self.is_stopped_within(present_pause) {
                break;
            }
            // A frame that nobody took until now is stale.
            self.newest.clear();
            pause = (pause * 2).min(policy.max_pause);
        }
        self.newest.close();
    }

    /// Puts the failure into the status.
    fn report(&self, error: &Error) {
        let mut state = self.lock();
        state.status.trouble = Some(format!("{error}; opening it again"));
        if matches!(error, Error::CutOff { .. }) {
            state.status.counters.damaged += 1;
        }
    }

    /// Reads until the source ends, fails or hangs, or until the capture is over. `readers` are the threads so far.
    fn read_once(
        self: &Arc<Self>,
        policy: RetryPolicy,
        open: &Arc<Open>,
        readers: &mut Vec<JoinHandle<()>>,
    ) -> Result<(), Error> {
        readers.retain(|reader| !reader.is_finished());
        let mut state = self.lock();
        state.delivered = 0;
        if readers.len() >= MAX_HANGING {
            return Err(Error::Hanging { source_name: self.name.clone(), readers: readers.len() });
        }
        state.status.counters.reopened += u64::from(state.reader > 0);
        state.reader += 1;
        state.since = Some(Instant::now());
        (state.interval, state.end) = (Duration::ZERO, None);
        let reader = state.reader;
        drop(state);
        let (shared, open) = (Arc::clone(self), Arc::clone(open));
        let thread = spawn("capture", move || shared.read(reader, &*open));
        readers.push(thread.map_err(|error| self.broken_down(error))?);

        let mut state = self.lock();
        let outcome = loop {
            if state.is_stopped {
                break Ok(());
            }
            if let Some(end) = state.end.take() {
                break end;
            }
            let allowed = policy.stall_timeout.max(3 * state.interval);
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
        let end = catch_panic(|| self.read_frames(reader, open))
            .unwrap_or_else(|panic| Err(self.broken_down(format_args!("it panicked: {panic}"))));
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
                        state.status.counters.captured += 1;
                        state.delivered += 1;
                        state.status.trouble = None;
                        number = Some(state.status.counters.captured);
                    }
                    Read::Damaged => state.status.counters.damaged += 1,
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
