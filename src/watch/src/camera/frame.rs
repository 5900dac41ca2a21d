//! Frames as they come from a source.

use std::time::{Duration, Instant, SystemTime};

use coca_vision::{self as vision, Colours, FrameView, PixelFormat};

/// A frame in a buffer that is used again and again.
#[derive(Clone, Debug)]
pub struct Frame {
    /// How the bytes are laid out.
    pub format: PixelFormat,
    /// Columns and rows; of a JPEG frame only what the source said.
    pub size: (u32, u32),
    /// Which YCbCr the samples are.
    pub colours: Colours,
    /// The frame, and perhaps more behind it.
    pub bytes: Vec<u8>,
    /// When it was captured, or else when it arrived.
    pub captured: Instant,
    /// The same by the clock on the wall.
    pub time: SystemTime,
    /// Its number among all frames of this run, from 1. The numbers of dropped frames are missing.
    pub number: u64,
}

impl Frame {
    /// The frame without what stands behind it.
    ///
    /// # Errors
    /// [`vision::Error::FrameLength`] when bytes are missing.
    pub fn view(&self) -> Result<FrameView<'_>, vision::Error> {
        FrameView::new(self.format, self.size, self.colours, &self.bytes)
    }

    /// Says that the frame was captured now.
    pub fn stamp(&mut self) {
        self.stamp_aged(Duration::ZERO);
    }

    /// Says that the frame was captured so long ago.
    pub fn stamp_aged(&mut self, age: Duration) {
        let (now, time) = (Instant::now(), SystemTime::now());
        self.captured = now.checked_sub(age).unwrap_or(now);
        self.time = time.checked_sub(age).unwrap_or(time);
    }
}

impl Default for Frame {
    /// No bytes yet.
    fn default() -> Self {
        Self {
            format: PixelFormat::Rgb,
            size: (0, 0),
            colours: Colours::Bt601,
            bytes: Vec::new(),
            captured: Instant::now(),
            time: SystemTime::now(),
            number: 0,
        }
    }
}
