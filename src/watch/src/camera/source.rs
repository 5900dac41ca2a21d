//! Sources of frames: the trait.

use std::time::Duration;

use super::{Error, Frame};

/// Size and rate to ask a source for. A source may deliver others.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SourceSettings {
    /// Columns and rows.
    pub size: Option<(u32, u32)>,
    /// Frames a second, above 0.
    pub fps: Option<f32>,
}

/// Outcome of [`FrameSource::read`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// A frame.
    Frame,
    /// A frame that is known to be damaged: flagged by the driver, or cut off by the end of a stream.
    Damaged,
    /// No more frames.
    End,
}

/// Ends a [`FrameSource::read`] that waits in another thread, as far as that is possible.
pub type Interrupt = Box<dyn Fn() + Send>;

/// A source of frames, one after the other.
///
/// Reading may block: a [`Capture`](super::Capture) reads in a thread of its own and watches over it.
///
/// ```
/// use coca_watch::camera::{Error, Frame, FrameSource, Read};
///
/// /// Three black frames.
/// struct Black(u32);
///
/// impl FrameSource for Black {
///     fn read(&mut self, frame: &mut Frame) -> Result<Read, Error> {
///         if self.0 == 3 {
///             return Ok(Read::End);
///         }
///         self.0 += 1;
///         frame.size = (320, 240);
///         frame.bytes.clear();
///         frame.bytes.resize(3 * 320 * 240, 0);
///         frame.stamp();
///         Ok(Read::Frame)
///     }
/// }
/// ```
pub trait FrameSource: Send {
    /// Waits for the next frame and writes it into `frame`, whose buffer is reused.
    ///
    /// # Errors
    /// When no more frames can come before the source is opened again.
    fn read(&mut self, frame: &mut Frame) -> Result<Read, Error>;

    /// Returns what ends a wait in [`read`](Self::read). Does nothing by default.
    fn interrupt(&self) -> Interrupt {
        Box::new(|| ())
    }

    /// Usual time from one frame to the next; zero if it is not known.
    fn interval(&self) -> Duration {
        Duration::ZERO
    }
}
