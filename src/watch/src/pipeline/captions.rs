//! Captions, written beside the labels: a thread of their own takes one picture at a time.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, Sender, TryRecvError, channel},
    },
    thread,
    time::{Duration, Instant, SystemTime},
};

use coca_model::{Caption, CaptionOptions, Coca, EncodedImage, tasks};
use serde::Serialize;

use super::{Error, Event, EventKind};

/// When a caption is due. Nothing is, by default.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CaptionTriggers {
    /// On a new scene: when the cosine to the last captioned picture falls below this, -1 to 1.
    pub scene: Option<f32>,
    /// When one of these labels comes into view.
    pub labels: Vec<String>,
    /// When any label comes into view.
    pub any_label: bool,
    /// When so much time has passed since the last one.
    pub every: Option<Duration>,
    /// On request: the caller's key, or a display's user.
    pub request: bool,
}

impl CaptionTriggers {
    /// Whether any caption will ever be due.
    #[must_use]
    pub fn is_any(&self) -> bool {
        let Self { scene, labels, any_label, every, request } = self;
        scene.is_some() || !labels.is_empty() || *any_label || every.is_some() || *request
    }
}

/// A caption of an earlier frame.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FrameCaption {
    /// The sentence.
    pub text: String,
    /// The number of the frame that it describes.
    pub frame: u64,
    /// Milliseconds from the capture of that frame to this caption.
    pub latency_ms: f64,
    /// When that frame was captured.
    #[serde(skip)]
    pub at: SystemTime,
}

/// A picture to write about.
struct Job {
    picture: EncodedImage,
    frame: u64,
    captured: Instant,
    at: SystemTime,
}

/// Decides when captions are due, and has them written.
pub(super) struct Captions {
    triggers: CaptionTriggers,
    jobs: Sender<Job>,
    done: Receiver<Result<FrameCaption, tasks::Error>>,
    is_writing: bool,
    /// Somebody asked, or a label came, while another caption was being written.
    is_due: bool,
    started: Option<Instant>,
    /// The embedding of the last captioned picture.
    scene: Option<coca_model::Embedding>,
}

impl Captions {
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
        thread::Builder::new()
            .name("captions".to_owned())
            .spawn(move || {
                yield_to_labels();
                for job in waiting {
                    let caption = coca.caption(&job.picture, &options);
                    if finished.send(caption.map(|caption| job.describe(caption))).is_err() {
                        return;
                    }
                }
            })
            .map_err(|error| Error::Thread { work: "captions", error })?;
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

    /// Somebody wants a caption now.
    pub(super) fn request(&mut self) {
        self.is_due |= self.triggers.request;
    }

    /// A caption that was finished since the last call.
    pub(super) fn finished(&mut self) -> Option<FrameCaption> {
        match self.done.try_recv() {
            Ok(caption) => {
                self.is_writing = false;
                caption.map_err(|error| log::warn!("no caption: {error}")).ok()
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

    /// Looks at a frame, and has a caption written if one is due and none is being written.
    pub(super) fn consider(
        &mut self,
        picture: EncodedImage,
        events: &[Event],
        (frame, captured, at): (u64, Instant, SystemTime),
    ) {
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
            let cosine = self.scene.as_ref().and_then(|scene| scene.cosine(picture.embedding()));
            cosine.is_none_or(|cosine| cosine < threshold)
        };
        let is_due = self.is_due
            || self.triggers.every.is_some_and(is_late)
            || self.triggers.scene.is_some_and(is_new);
        if !is_due {
            return;
        }
        (self.is_due, self.started) = (false, Some(Instant::now()));
        self.scene = Some(picture.embedding().clone());
        self.is_writing = self.jobs.send(Job { picture, frame, captured, at }).is_ok();
    }
}

/// How much less of a busy processor captions get than labels: 5 steps of `nice` are a third.
const NICENESS: i32 = 5;

/// Under Linux each thread has a niceness of its own. Where it cannot be lowered, captions share as they did.
fn yield_to_labels() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(NICENESS) {
        log::debug!("captions keep their priority: {error}");
    }
}

impl Job {
    fn describe(&self, caption: Caption) -> FrameCaption {
        let latency = self.captured.elapsed();
        FrameCaption {
            text: caption.text,
            frame: self.frame,
            latency_ms: super::report::milliseconds(latency),
            at: self.at,
        }
    }
}
