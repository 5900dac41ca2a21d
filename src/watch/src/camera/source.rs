//! What every source of frames can do.

use std::time::{Duration, Instant};

use super::{Error, Frame, SourceSpec, device, folder::Folder, http, pattern::Pattern, pipe};

/// What the user asks of a source; it may deliver something near.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SourceSettings {
    /// Columns and rows.
    pub size: Option<(u32, u32)>,
    /// Frames a second, above 0.
    pub fps: Option<f32>,
}

/// What [`FrameSource::read`] ended in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// A frame.
    Frame,
    /// A frame that the driver itself calls damaged.
    Damaged,
    /// There are no more frames.
    End,
}

/// Ends a [`FrameSource::read`] that waits in another thread, as far as that can be done.
pub type Interrupt = Box<dyn Fn() + Send>;

/// Something that gives frame after frame. It may block: a [`Capture`](super::Capture) watches over it.
pub trait FrameSource: Send {
    /// Waits for the next frame and puts it into `frame`, whose buffer is used again.
    ///
    /// # Errors
    /// When no more frames can come before the source is opened again.
    fn read(&mut self, frame: &mut Frame) -> Result<Read, Error>;

    /// What ends a wait in [`read`](Self::read).
    fn interrupt(&self) -> Interrupt {
        Box::new(|| ())
    }

    /// The usual time from one frame to the next, if it is known.
    fn interval(&self) -> Duration {
        Duration::ZERO
    }
}

impl SourceSpec {
    /// Opens the source. Cameras, connections and pipes may take a while.
    ///
    /// # Errors
    /// When it is not there or gives nothing that can be read.
    pub fn open(&self, settings: &SourceSettings) -> Result<Box<dyn FrameSource>, Error> {
        Ok(match self {
            Self::Test => Box::new(Pattern::new(settings)),
            Self::Folder { path, fps } => Box::new(Folder::open(path, fps.or(settings.fps))?),
            Self::File(path) => Box::new(Folder::open_file(path, settings.fps)?),
            Self::Stdin(format) => Box::new(pipe::stdin(*format)),
            Self::Command { format, command } => Box::new(pipe::Command::start(*format, command)?),
            Self::Http(address) => Box::new(http::MjpegStream::connect(address)?),
            Self::Auto | Self::Device(_) | Self::Camera(_) => device::open(self, settings)?,
        })
    }
}

/// Keeps a steady rate.
pub(super) struct Pace {
    interval: Duration,
    next: Instant,
}

impl Pace {
    pub(super) fn new(fps: f32) -> Self {
        Self { interval: Duration::from_secs_f32(1.0 / fps.max(0.01)), next: Instant::now() }
    }

    pub(super) fn interval(&self) -> Duration {
        self.interval
    }

    /// Waits until the next frame is due. What is late is not made up for.
    pub(super) fn wait(&mut self) {
        let now = Instant::now();
        std::thread::sleep(self.next.saturating_duration_since(now));
        self.next = self.next.max(now) + self.interval;
    }
}
