//! Displays in a thread of their own: a slow or failing one never holds up the labels.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

use coca_vision::{FrameConverter, Orientation};

use super::Error;
use crate::{
    camera::{Frame, NewestFrame, Taken},
    display::{Display, DisplaySpec, Request, View},
};

/// Columns of the pictures that displays get.
const MAX_WIDTH: u32 = 1280;
/// Time after which displays are refreshed while no frames come.
const REFRESH_INTERVAL: Duration = Duration::from_millis(500);
/// First pause before a failed display is tried again; doubled with each failure.
const MIN_PAUSE: Duration = Duration::from_secs(1);
/// Longest pause before a failed display is tried again.
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// Time for the last view to be shown when everything else is over.
const LAST_VIEW_TIMEOUT: Duration = Duration::from_millis(300);

/// All displays of a watch.
pub(super) struct Displays {
    shared: Arc<Shared>,
    /// Disconnected when the displays' thread has ended.
    done: Receiver<()>,
    names: Vec<String>,
    requests: Receiver<Request>,
}

#[derive(Default)]
struct Shared {
    frames: NewestFrame,
    /// The view without its picture.
    view: Mutex<View>,
    /// The labels that are looked for, until the displays are told.
    vocabulary: Mutex<Option<Vec<String>>>,
}

/// A display that is tried again after failures.
struct Screen {
    display: Box<dyn Display>,
    failure: Option<Failure>,
}

#[derive(Clone, Copy)]
struct Failure {
    retry_at: Instant,
    pause: Duration,
}

impl Displays {
    /// Opens the displays; their frames are upright after `orientation`.
    pub(super) fn open(specs: &[DisplaySpec], orientation: Orientation) -> Result<Self, Error> {
        let (sender, requests) = channel();
        let displays = specs.iter().map(|spec| spec.open(sender.clone()));
        let displays: Vec<Box<dyn Display>> = displays.collect::<Result<_, _>>()?;
        let names: Vec<String> = displays.iter().map(|display| display.name().to_owned()).collect();
        let shared = Arc::new(Shared::default());
        let (running, done) = channel();
        if !displays.is_empty() {
            let shown = Arc::clone(&shared);
            let screen = |display| Screen { display, failure: None };
            let screens = displays.into_iter().map(screen).collect();
            thread::Builder::new()
                .name("displays".to_owned())
                .spawn(move || {
                    let _running: Sender<()> = running;
                    shown.run(screens, FrameConverter::new(orientation, MAX_WIDTH));
                })
                .map_err(|error| Error::Thread { work: "displays", error })?;
        }
        Ok(Self { shared, done, names, requests })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// Requests of viewers since the last call.
    pub(super) fn requests(&self) -> impl Iterator<Item = Request> {
        self.requests.try_iter()
    }

    /// Changes what is shown beside the picture.
    pub(super) fn update(&self, change: impl FnOnce(&mut View)) {
        change(&mut lock(&self.shared.view));
    }

    /// Tells the displays which labels are looked for.
    pub(super) fn set_vocabulary(&self, labels: &[String]) {
        *lock(&self.shared.vocabulary) = Some(labels.to_vec());
    }

    /// Shows a frame; swaps it for an old buffer.
    pub(super) fn show(&self, frame: &mut Frame) {
        self.shared.frames.put(frame);
    }
}

impl Drop for Displays {
    /// Waits for the last view, so that no file is left half written, but not for a display that hangs.
    fn drop(&mut self) {
        self.shared.frames.close();
        let _ = self.done.recv_timeout(LAST_VIEW_TIMEOUT);
    }
}

impl Shared {
    fn run(&self, mut screens: Vec<Screen>, mut converter: FrameConverter) {
        let mut frame = Frame::default();
        let mut picture = None;
        loop {
            match self.frames.take(&mut frame, REFRESH_INTERVAL) {
                Taken::Frame => {
                    let new = frame.view().and_then(|view| converter.convert(view));
                    // A damaged frame is reported where it is labelled.
                    picture = new.ok().map(Arc::new).or(picture);
                }
                Taken::TimedOut => {}
                Taken::Closed => return,
            }
            if let Some(labels) = lock(&self.vocabulary).take() {
                screens.iter_mut().for_each(|screen| screen.display.set_vocabulary(&labels));
            }
            let mut view = lock(&self.view).clone();
            view.picture = picture.clone();
            screens.iter_mut().for_each(|screen| screen.show(&view));
        }
    }
}

impl Screen {
    fn show(&mut self, view: &View) {
        if self.failure.is_some_and(|failure| Instant::now() < failure.retry_at) {
            return;
        }
        match (self.display.show(view), self.failure.take()) {
            (Ok(()), None) => {}
            (Ok(()), Some(_)) => log::warn!("{}: shows again", self.display.name()),
            (Err(error), failure) => {
                if failure.is_none() {
                    log::warn!("{}: {error}; tried again from time to time", self.display.name());
                }
                let pause = failure.map_or(MIN_PAUSE, |failure| failure.pause * 2).min(MAX_PAUSE);
                self.failure = Some(Failure { retry_at: Instant::now() + pause, pause });
            }
        }
    }
}

/// Locks `mutex`. A thread that panicked while it held the lock left a whole value behind: changes are assignments.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
