//! Formats of frames in a stream of bytes.

use std::{fmt, str::FromStr};

use coca_vision::PixelFormat;

/// Largest number of columns or rows.
const MAX_SIDE: u32 = 16_384;

/// Frames as they follow each other in a stream of bytes.
///
/// ```
/// use coca_watch::camera::{RawFormat, StreamFormat};
/// use coca_watch::vision::PixelFormat;
///
/// let format: StreamFormat = "yuv420:640x480".parse()?;
/// assert_eq!(format, StreamFormat::Raw(RawFormat::new(PixelFormat::Yuv420, (640, 480)).unwrap()));
/// assert_eq!("mjpeg".parse(), Ok(StreamFormat::Mjpeg));
/// # Ok::<(), coca_watch::camera::UnknownFormat>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamFormat {
    /// JPEG files one after the other.
    Mjpeg,
    /// Raw frames of one size, one after the other.
    Raw(RawFormat),
}

/// Pixel format and size of raw frames, all of the same number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawFormat {
    pixels: PixelFormat,
    size: (u32, u32),
    frame_bytes: usize,
}

impl RawFormat {
    /// `None` for [`PixelFormat::Mjpeg`], whose frames vary in length, and for sides that are not 1 to 16384.
    #[must_use]
    pub fn new(pixels: PixelFormat, (width, height): (u32, u32)) -> Option<Self> {
        let is_side = |side| (1..=MAX_SIDE).contains(&side);
        let frame_bytes = pixels.frame_bytes(width, height)?;
        (is_side(width) && is_side(height)).then_some(Self {
            pixels,
            size: (width, height),
            frame_bytes,
        })
    }

    /// Pixel format of a frame.
    #[must_use]
    pub fn pixels(self) -> PixelFormat {
        self.pixels
    }

    /// Columns and rows of a frame.
    #[must_use]
    pub fn size(self) -> (u32, u32) {
        self.size
    }

    /// Bytes of a frame, at least 1.
    #[must_use]
    pub fn frame_bytes(self) -> usize {
        self.frame_bytes
    }
}

/// A text that names no [`StreamFormat`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected mjpeg, or yuv420, yuyv, nv12, rgb, bgr or grey and a size, as in yuv420:640x480")]
pub struct UnknownFormat;

impl FromStr for StreamFormat {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        if text == "mjpeg" {
            return Ok(Self::Mjpeg);
        }
        let raw = || {
            let (pixels, size) = text.split_once(':')?;
            RawFormat::new(pixels.parse().ok()?, parse_size(size)?)
        };
        raw().map(Self::Raw).ok_or(UnknownFormat)
    }
}

impl fmt::Display for StreamFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mjpeg => f.write_str("mjpeg"),
            Self::Raw(RawFormat { pixels, size: (width, height), .. }) => {
                write!(f, "{pixels}:{width}x{height}")
            }
        }
    }
}

/// Reads columns and rows written as `640x480`, each 1 to 16384.
#[must_use]
pub fn parse_size(text: &str) -> Option<(u32, u32)> {
    let (width, height) = text.split_once('x')?;
    let side = |text: &str| text.parse().ok().filter(|side| (1..=MAX_SIDE).contains(side));
    Some((side(width)?, side(height)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_without_a_known_length_are_no_raw_format() {
        assert_eq!(RawFormat::new(PixelFormat::Mjpeg, (640, 480)), None);
        assert_eq!(RawFormat::new(PixelFormat::Grey, (0, 480)), None);
        assert_eq!(RawFormat::new(PixelFormat::Grey, (640, 16_385)), None);
        assert_eq!(RawFormat::new(PixelFormat::Rgb, (4, 2)).unwrap().frame_bytes(), 24);
    }
}
