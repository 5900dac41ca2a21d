//! Frames as a source delivers them.

use std::time::{Duration, Instant, SystemTime};

use coca_vision::{self as vision, FrameView, PixelFormat, YuvMatrix};

/// A frame in a reusable buffer.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Layout of the bytes.
    pub format: PixelFormat,
    /// Columns and rows. Not used for a JPEG, which holds its own size.
    pub size: (u32, u32),
    /// Colour space of YCbCr samples.
    pub yuv_matrix: YuvMatrix,
    /// The frame; bytes behind it are ignored.
    pub bytes: Vec<u8>,
    /// Time of capture, or of arrival where the source does not tell the former.
    pub captured: Instant,
    /// The same by the wall clock.
    pub time: SystemTime,
    /// Number among all frames of the capture, from 1. Numbers of dropped frames are missing.
    pub number: u64,
}

impl Frame {
    /// The frame without the bytes behind it.
    ///
    /// # Errors
    /// [`vision::Error::FrameLength`] when bytes are missing.
    pub fn view(&self) -> Result<FrameView<'_>, vision::Error> {
        FrameView::new(self.format, self.size, self.yuv_matrix, &self.bytes)
    }

    /// Sets the time of capture to now.
    pub fn stamp(&mut self) {
        self.stamp_aged(Duration::ZERO);
    }

    /// Sets the time of capture to `age` ago.
    pub fn stamp_aged(&mut self, age: Duration) {
        let (now, time) = (Instant::now(), SystemTime::now());
        // An age beyond the clock's beginning cannot be true.
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
            yuv_matrix: YuvMatrix::Bt601,
            bytes: Vec::new(),
            captured: Instant::now(),
            time: SystemTime::now(),
            number: 0,
        }
    }
}
