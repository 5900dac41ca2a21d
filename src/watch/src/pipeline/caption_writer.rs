//! Captions, written beside the labels in a thread of their own, one image at a time.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, Sender, TryRecvError, channel},
    },
    thread,
    time::{Duration, Instant, SystemTime},
};

use super::{Error, Event, EventKind, report::milliseconds};
use crate::{FrameCaption, camera::Frame};
use coca_engine::Engine;
use coca_model::{Caption, CaptionOptions, Coca, Embedding, EncodedImage, tasks};

/// Moments at which a caption is due; none by default.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CaptionTriggers {
    /// On a new scene: when the cosine to the last captioned image falls below this, -1 to 1.
    pub scene: Option<f32>,
    /// When one of these labels enters.
    pub labels: Vec<String>,
    /// When any label enters.
    pub any_label: bool,
    /// When this much time has passed since the last one.
    pub every: Option<Duration>,
    /// On request of the caller or of a display's viewer.
    pub request: bool,
}

impl CaptionTriggers {
    /// Whether any caption can ever be due.
    #[must_use]
    pub fn is_any(&self) -> bool {
        let Self { scene, labels, any_label, every, request } = self;
        scene.is_some() || !labels.is_empty() || *any_label || every.is_some() || *request
    }
}

/// Number and times of a frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    frame: u64,
    captured: Instant,
    captured_at: SystemTime,
}

impl Moment {
    pub(super) fn of(frame: &Frame) -> Self {
        Self { frame: frame.number, captured: frame.captured, captured_at: frame.time }
    }
}

/// An image to caption.
struct Job {
    image: EncodedImage,
    moment: Moment,
}

/// Decides when captions are due, and has them written.
pub(super) struct CaptionWriter {
    triggers: CaptionTriggers,
    jobs: Sender<Job>,
    done: Receiver<Result<FrameCaption, tasks::Error>>,
    is_writing: bool,
    /// A request or a label that entered while another caption was being written.
    is_due: bool,
    started: Option<Instant>,
    /// Embedding of the last captioned image.
    scene: Option<Embedding>,
}

impl CaptionWriter {
    /// # Errors
    /// When the model cannot caption, `options` are out of their range, or there is too little memory.
    pub(super) fn start(
        coca: Arc<Coca>,
        triggers: CaptionTriggers,
        options: CaptionOptions,
    ) -> Result<Self, Error> {
        coca.caption_settings(&options)?;
        coca.check_memory_for_captions()?;
        let ((jobs, waiting), (finished, done)) = (channel::<Job>(), channel());
        let (ready, started) = channel();
        thread::Builder::new()
            .name("captions".to_owned())
            .spawn(move || {
                yield_to_labels();
                let engine = match caption_engine(coca.engine()) {
                    Ok(engine) => engine,
                    Err(error) => return ready.send(Err(error)).unwrap_or_default(),
                };
                let coca = coca.with_caption_engine(&engine);
                ready.send(Ok(())).unwrap_or_default();
                for job in waiting {
                    let caption = coca.caption(&job.image, &options);
                    if finished.send(caption.map(|caption| job.describe(caption))).is_err() {
                        return;
                    }
                }
            })
            .map_err(|error| Error::Thread { work: "captions", error })?;
        if let Ok(Err(error)) = started.recv() {
            return Err(tasks::Error::from(error).into());
        }
        Ok(Self {
            triggers,
            jobs,
            done,
            is_writing: false,
            is_due: false,
            started: None,
            scene: None,
        })
    }

    /// Makes a caption of the next frame due, if requests are among the triggers.
    pub(super) fn request(&mut self) {
        self.is_due |= self.triggers.request;
    }

    /// A caption that was finished since the last call.
    pub(super) fn finished(&mut self) -> Option<FrameCaption> {
        match self.done.try_recv() {
            Ok(caption) => {
                self.is_writing = false;
                caption.inspect_err(|error| log::warn!("no caption: {error}")).ok()
            }
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => {
                if std::mem::take(&mut self.is_writing) {
                    log::warn!("no more captions: their thread broke down");
                }
                self.triggers = CaptionTriggers::default();
                None
            }
        }
    }

    /// Has a caption written if one is due and none is being written.
    pub(super) fn consider(&mut self, image: EncodedImage, events: &[Event], moment: Moment) {
        let Self { triggers, .. } = self;
        self.is_due |= events.iter().any(|event| {
            event.event == EventKind::Entered
                && (triggers.any_label || triggers.labels.contains(&event.label))
        });
        if self.is_writing {
            return;
        }
        let is_late = |every: Duration| self.started.is_none_or(|at| at.elapsed() >= every);
        let is_new = |threshold: f32| {
            let cosine = self.scene.as_ref().and_then(|scene| scene.cosine(image.embedding()));
            cosine.is_none_or(|cosine| cosine < threshold)
        };
        let is_due = self.is_due
            || self.triggers.every.is_some_and(is_late)
            || self.triggers.scene.is_some_and(is_new);
        if !is_due {
            return;
        }
        (self.is_due, self.started) = (false, Some(Instant::now()));
        self.scene = Some(image.embedding().clone());
        self.is_writing = self.jobs.send(Job { image, moment }).is_ok();
    }
}

/// Niceness of captions beyond that of labels: 5 steps leave them about a third of a busy processor.
const NICENESS: i32 = 5;

/// Starts an engine for captions alone: a label never waits until a caption gives the engine's threads back.
///
/// Threads inherit the niceness of the thread that starts them.
fn caption_engine(labels: &Engine) -> Result<Engine, coca_engine::Error> {
    Engine::builder().threads(labels.threads()).cpu(labels.cpu()).rules(labels.rules()).build()
}

/// Lowers the priority of this thread: under Linux each has a niceness of its own.
fn yield_to_labels() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(NICENESS) {
        log::debug!("captions keep their priority: {error}");
    }
}

impl Job {
    fn describe(&self, caption: Caption) -> FrameCaption {
        let Moment { frame, captured, captured_at } = self.moment;
        FrameCaption {
            text: caption.text,
            frame,
            latency_ms: milliseconds(captured.elapsed()),
            captured_at,
        }
    }
}
