//! Separating frames into planes.

use yuv::{
    BufferStoreMut, YuvPackedImage, YuvPlanarImageMut, YuvRange, YuvStandardMatrix,
    yuyv422_to_yuv420,
};

use super::{FrameView, PixelFormat, YuvMatrix, scaler::Plane};
use crate::{
    Detail, Error, Limits, decode,
    jpeg::{MAX_FRAME_PIXELS, Scaled, ScaledDecoder},
};

/// Limits of rare kinds of JPEG.
const LIMITS: Limits = Limits {
    pixels: MAX_FRAME_PIXELS as u64,
    bytes: 3 * MAX_FRAME_PIXELS as u64,
    scanned_pixels: 2 * MAX_FRAME_PIXELS as u64,
};

/// The planes of a frame; those of chroma may be smaller.
pub(super) enum Planes<'a> {
    Ycbcr { planes: [Plane<'a, 1>; 3], range: YuvRange, matrix: YuvStandardMatrix },
    Grey(Plane<'a, 1>),
    Rgb(Plane<'a, 3>),
    Bgr(Plane<'a, 3>),
}

impl Planes<'_> {
    /// Columns and rows of the largest plane.
    pub(super) fn size(&self) -> (usize, usize) {
        match self {
            Self::Ycbcr { planes: [luma, ..], .. } => (luma.width, luma.height),
            Self::Grey(plane) => (plane.width, plane.height),
            Self::Rgb(plane) | Self::Bgr(plane) => (plane.width, plane.height),
        }
    }
}

/// Takes frames apart; its buffers last from one frame to the next.
#[derive(Default)]
pub(super) struct Separator {
    jpeg: ScaledDecoder,
    /// Planes one after the other.
    samples: Vec<u8>,
}

impl Separator {
    /// A JPEG comes at the smallest scale at which it still has `least` columns and rows.
    pub(super) fn separate<'a>(
        &'a mut self,
        frame: FrameView<'a>,
        least: (usize, usize),
    ) -> Result<Planes<'a>, Error> {
        let bytes = frame.bytes();
        let size = frame.size();
        let (width, height) = (size.0 as usize, size.1 as usize);
        match frame.format() {
            PixelFormat::Mjpeg => return self.decode_jpeg(bytes, least),
            PixelFormat::Rgb | PixelFormat::Bgr => {
                let plane = Plane { samples: bytes, width, height, stride: 3 * width };
                let is_rgb = frame.format() == PixelFormat::Rgb;
                return Ok(if is_rgb { Planes::Rgb(plane) } else { Planes::Bgr(plane) });
            }
            PixelFormat::Grey => return Ok(Planes::Grey(Plane::tight(bytes, width, height))),
            PixelFormat::Yuv420 | PixelFormat::Nv12 | PixelFormat::Yuyv => {}
        }
        let (luma, chroma) = match frame.format() {
            PixelFormat::Yuyv => {
                self.unpack(bytes, size)?;
                self.samples.split_at(width * height)
            }
            PixelFormat::Nv12 => {
                let (luma, pairs) = bytes.split_at(width * height);
                self.part(pairs);
                (luma, &self.samples[..])
            }
            _ => bytes.split_at(width * height),
        };
        let (u, v) = chroma.split_at(chroma.len() / 2);
        let (half_width, half_height) = (width.div_ceil(2), height.div_ceil(2));
        let matrix = match frame.yuv_matrix() {
            YuvMatrix::Bt601 => YuvStandardMatrix::Bt601,
            YuvMatrix::Bt709 => YuvStandardMatrix::Bt709,
        };
        Ok(Planes::Ycbcr {
            planes: [
                Plane::tight(luma, width, height),
                Plane::tight(u, half_width, half_height),
                Plane::tight(v, half_width, half_height),
            ],
            range: YuvRange::Limited,
            matrix,
        })
    }

    fn decode_jpeg(&mut self, file: &[u8], least: (usize, usize)) -> Result<Planes<'_>, Error> {
        let decoded = match self.jpeg.decode_covering(file, least) {
            Scaled::Planes(planes) => planes,
            Scaled::Damaged => return Err(Error::DamagedFrame),
            Scaled::Unsupported => return decode_any_jpeg(file, &mut self.samples),
        };
        Ok(match decoded {
            [Some(y), Some(u), Some(v)] => Planes::Ycbcr {
                planes: [y, u, v].map(Plane::from),
                range: YuvRange::Full,
                matrix: YuvStandardMatrix::Bt601,
            },
            [Some(grey), ..] => Planes::Grey(Plane::from(grey)),
            [None, ..] => return Err(Error::DamagedFrame),
        })
    }

    /// Parts the U and V of NV12.
    fn part(&mut self, pairs: &[u8]) {
        self.samples.resize(pairs.len(), 0);
        let (u, v) = self.samples.split_at_mut(pairs.len() / 2);
        for ((pair, u), v) in pairs.as_chunks::<2>().0.iter().zip(u).zip(v) {
            [*u, *v] = *pair;
        }
    }

    /// Parts YUYV into the planes of 4:2:0: the model looks at less than half of the rows.
    fn unpack(&mut self, bytes: &[u8], (width, height): (u32, u32)) -> Result<(), Error> {
        let luma = width as usize * height as usize;
        let half_width = width.div_ceil(2);
        let chroma = half_width as usize * height.div_ceil(2) as usize;
        self.samples.resize(luma + 2 * chroma, 0);
        let (y, uv) = self.samples.split_at_mut(luma);
        let (u, v) = uv.split_at_mut(chroma);
        let packed = YuvPackedImage { yuy: bytes, yuy_stride: half_width * 4, width, height };
        let mut planes = YuvPlanarImageMut {
            y_plane: BufferStoreMut::Borrowed(y),
            y_stride: width,
            u_plane: BufferStoreMut::Borrowed(u),
            u_stride: half_width,
            v_plane: BufferStoreMut::Borrowed(v),
            v_stride: half_width,
            width,
            height,
        };
        yuyv422_to_yuv420(&mut planes, &packed).map_err(Error::resize)
    }
}

/// Progressive files and other rarities that no camera sends, at full size.
fn decode_any_jpeg<'a>(file: &[u8], samples: &'a mut Vec<u8>) -> Result<Planes<'a>, Error> {
    let picture = decode(file, &LIMITS, Detail::Full)?;
    let (width, height) = picture.rgb().dimensions();
    let (width, height) = (width as usize, height as usize);
    samples.clear();
    samples.extend_from_slice(picture.rgb());
    Ok(Planes::Rgb(Plane { samples, width, height, stride: 3 * width }))
}
