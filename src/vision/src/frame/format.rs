//! Pixel formats of camera frames.

use std::{fmt, str::FromStr};

use crate::Error;

/// Pixel format of a camera frame, 8 bits a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PixelFormat {
    /// A JPEG file for each frame.
    Mjpeg,
    /// 4:2:2, two pixels in four bytes: Y, U, Y, V.
    Yuyv,
    /// 4:2:0, a plane of Y and one of U and V by turns.
    Nv12,
    /// 4:2:0, three planes: Y, U, V.
    Yuv420,
    /// Red, green, blue.
    Rgb,
    /// Blue, green, red: the order of OpenCV's arrays and of picamera2's "RGB888".
    Bgr,
    /// Luminance alone.
    Grey,
}

/// YCbCr encoding of a raw frame. JPEG frames are always BT.601 in full range; RGB frames have none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum YuvMatrix {
    /// ITU-R BT.601, luminance from 16 to 235: what USB cameras send.
    Bt601,
    /// ITU-R BT.709, luminance from 16 to 235: high-definition video.
    Bt709,
}

impl PixelFormat {
    const ALL: [(Self, &'static str); 7] = [
        (Self::Mjpeg, "mjpeg"),
        (Self::Yuyv, "yuyv"),
        (Self::Nv12, "nv12"),
        (Self::Yuv420, "yuv420"),
        (Self::Rgb, "rgb"),
        (Self::Bgr, "bgr"),
        (Self::Grey, "grey"),
    ];

    /// Length in bytes of a frame of `width` × `height` pixels; `None` for JPEG, whose frames vary. Halved sides are
    /// rounded up.
    #[must_use]
    pub fn frame_bytes(self, width: u32, height: u32) -> Option<usize> {
        let [width, height] = [width as usize, height as usize];
        let chroma = width.div_ceil(2) * height.div_ceil(2);
        match self {
            Self::Mjpeg => None,
            Self::Yuyv => Some(width.div_ceil(2) * 4 * height),
            Self::Nv12 | Self::Yuv420 => Some(width * height + 2 * chroma),
            Self::Rgb | Self::Bgr => Some(3 * width * height),
            Self::Grey => Some(width * height),
        }
    }
}

impl YuvMatrix {
    /// The encoding that libcamera's tools choose for a video of this size: BT.709 from 1280×720 on.
    #[must_use]
    pub fn of_video(width: u32, height: u32) -> Self {
        if width >= 1280 || height >= 720 { Self::Bt709 } else { Self::Bt601 }
    }
}

impl fmt::Display for PixelFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.iter().find(|(format, _)| format == self).map_or("", |(_, name)| name);
        f.write_str(name)
    }
}

impl FromStr for PixelFormat {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(format, _)| *format).ok_or(())
    }
}

/// The bytes of a camera frame, checked to be whole.
#[derive(Clone, Copy, Debug)]
pub struct FrameView<'a> {
    format: PixelFormat,
    width: u32,
    height: u32,
    yuv_matrix: YuvMatrix,
    bytes: &'a [u8],
}

impl<'a> FrameView<'a> {
    /// A frame of `width` × `height` pixels; both are ignored for JPEG, which tells its own size. Bytes after the frame are cut off.
    ///
    /// # Errors
    /// [`Error::FrameLength`] if bytes are missing, [`Error::Empty`] for a frame without pixels.
    pub fn new(
        format: PixelFormat,
        (width, height): (u32, u32),
        yuv_matrix: YuvMatrix,
        bytes: &'a [u8],
    ) -> Result<Self, Error> {
        let Some(expected) = format.frame_bytes(width, height) else {
            return Ok(Self { format, width, height, yuv_matrix, bytes });
        };
        if width == 0 || height == 0 {
            return Err(Error::Empty { width, height });
        }
        let found = bytes.len();
        let bytes = bytes.get(..expected).ok_or(Error::FrameLength {
            format,
            width,
            height,
            expected,
            found,
        })?;
        Ok(Self { format, width, height, yuv_matrix, bytes })
    }

    /// Pixel format.
    #[must_use]
    pub fn format(&self) -> PixelFormat {
        self.format
    }

    /// Columns and rows; of a JPEG frame those that the caller gave.
    #[must_use]
    pub fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// YCbCr encoding.
    #[must_use]
    pub fn yuv_matrix(&self) -> YuvMatrix {
        self.yuv_matrix
    }

    /// The bytes of the frame, without trailing ones.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(format: PixelFormat, size: (u32, u32), bytes: usize) -> Result<usize, String> {
        FrameView::new(format, size, YuvMatrix::Bt601, &vec![0; bytes])
            .map(|frame| frame.bytes().len())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn bytes_behind_a_frame_are_cut_off() {
        assert_eq!(view(PixelFormat::Yuyv, (640, 360), 640 * 480 * 2), Ok(460_800));
        assert_eq!(view(PixelFormat::Mjpeg, (640, 360), 6_792), Ok(6_792));
    }

    #[test]
    fn a_frame_with_missing_bytes_is_refused_with_both_numbers() {
        assert_eq!(
            view(PixelFormat::Nv12, (4, 4), 23),
            Err("not a whole frame: nv12 of 4×4 pixels takes 24 bytes, found 23".to_owned())
        );
    }

    #[test]
    fn odd_sides_round_their_chroma_up() {
        assert_eq!(PixelFormat::Yuv420.frame_bytes(5, 3), Some(15 + 2 * 6));
        assert_eq!(PixelFormat::Yuyv.frame_bytes(5, 3), Some(36));
    }

    #[test]
    fn every_format_is_read_by_the_name_it_is_written_with() {
        for (format, name) in PixelFormat::ALL {
            assert_eq!((name.parse(), format.to_string()), (Ok(format), name.to_owned()));
        }
        assert_eq!("h264".parse::<PixelFormat>(), Err(()));
    }
}
