//! Displays in a thread of their own: a slow or failing one never holds up the labels.

use std::{
    sync::{Arc, Mutex, PoisonError, mpsc::Sender},
    thread,
    time::{Duration, Instant},
};

use coca_vision::{FrameConverter, Turn};

use super::Error;
use crate::{
    camera::{Frame, NewestFrame, Taken},
    display::{self, Display, DisplaySpec, Request, View},
};

/// The widest picture that displays get.
const WIDEST: u32 = 1280;
/// How often displays are refreshed while no frames come.
const REFRESH: Duration = Duration::from_millis(500);
/// The longest pause before a failed display is tried again.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Everything that shows.
pub(super) struct Screens {
    shared: Arc<Shared>,
    names: Vec<String>,
}

#[derive(Default)]
struct Shared {
    frames: NewestFrame,
    /// All but the picture.
    view: Mutex<View>,
    /// The labels that are looked for, until the displays know them.
    vocabulary: Mutex<Option<Vec<String>>>,
}

struct Screen {
    display: Box<dyn Display>,
    /// When to try again, and how long to wait after that, if it failed.
    trouble: Option<(Instant, Duration)>,
}

impl Screens {
    /// Opens displays; whatever their users ask for goes to `requests`.
    pub(super) fn open(
        specs: &[DisplaySpec],
        turn: Turn,
        requests: &Sender<Request>,
    ) -> Result<Self, Error> {
        let displays = specs.iter().map(|spec| display::open(spec, requests.clone()));
        Self::start(displays.collect::<Result<_, _>>()?, turn)
    }

    fn start(displays: Vec<Box<dyn Display>>, turn: Turn) -> Result<Self, Error> {
        let shared = Arc::new(Shared::default());
        if displays.is_empty() {
            return Ok(Self { shared, names: Vec::new() });
        }
        let names = displays.iter().map(|display| display.name().to_owned()).collect();
        let shown = Arc::clone(&shared);
        let screen = |display| Screen { display, trouble: None };
        let screens = displays.into_iter().map(screen).collect();
        thread::Builder::new()
            .name("displays".to_owned())
            .spawn(move || shown.run(screens, FrameConverter::new(turn, WIDEST)))
            .map_err(|error| Error::Thread { work: "displays", error })?;
        Ok(Self { shared, names })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// Changes what is shown beside the picture.
    pub(super) fn update(&self, change: impl FnOnce(&mut View)) {
        change(&mut self.shared.view.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Says which labels are looked for now.
    pub(super) fn set_vocabulary(&self, labels: &[String]) {
        let mut vocabulary = self.shared.vocabulary.lock().unwrap_or_else(PoisonError::into_inner);
        *vocabulary = Some(labels.to_vec());
    }

    /// Gives a frame away to be shown, and leaves an old buffer in its place.
    pub(super) fn show(&self, frame: &mut Frame) {
        if !self.is_empty() {
            self.shared.frames.put(frame);
        }
    }
}

impl Drop for Screens {
    /// Does not wait: a display may hang.
    fn drop(&mut self) {
        self.shared.frames.close();
    }
}

impl Shared {
    fn run(&self, mut screens: Vec<Screen>, mut converter: FrameConverter) {
        let mut frame = Frame::default();
        let mut picture = None;
        loop {
            match self.frames.take(&mut frame, REFRESH) {
                Taken::Frame => {
                    let new = frame.view().and_then(|view| converter.convert(view));
                    // A damaged frame is reported where it is labelled.
                    picture = new.ok().map(Arc::new).or(picture);
                }
                Taken::Nothing => {}
                Taken::Closed => return,
            }
            let vocabulary = self.vocabulary.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(labels) = vocabulary {
                screens.iter_mut().for_each(|screen| screen.display.set_vocabulary(&labels));
            }
            let mut view = self.view.lock().unwrap_or_else(PoisonError::into_inner).clone();
            view.picture = picture.clone();
            screens.iter_mut().for_each(|screen| screen.show(&view));
        }
    }
}

impl Screen {
    fn show(&mut self, view: &View) {
        if self.trouble.is_some_and(|(again, _)| Instant::now() < again) {
            return;
        }
        match (self.display.show(view), self.trouble.take()) {
            (Ok(()), None) => {}
            (Ok(()), Some(_)) => log::warn!("{}: shows again", self.display.name()),
            (Err(error), trouble) => {
                if trouble.is_none() {
                    log::warn!("{}: {error}; tried again from time to time", self.display.name());
                }
                let pause = trouble.map_or(Duration::from_secs(1), |(_, pause)| pause * 2);
                let pause = pause.min(LONGEST_PAUSE);
                self.trouble = Some((Instant::now() + pause, pause));
            }
        }
    }
}
