//! Separating frames into planes.

use coca_kernels::Ycbcr;

use super::{FrameView, PixelFormat, YuvMatrix, scaler::Plane};
use crate::{
    Detail, Error, Limits, decode,
    jpeg::{MAX_FRAME_PIXELS, Scaled, ScaledDecoder},
};

/// Limits of rare kinds of JPEG.
const LIMITS: Limits = Limits {
    pixels: MAX_FRAME_PIXELS as u64,
    bytes: 3 * MAX_FRAME_PIXELS as u64,
    // A progressive frame of five megapixels. A Zen 4 core decodes them in 0.22 s.
    scanned_samples: 75_000_000,
};

/// The planes of a frame; those of chroma may be smaller.
pub(super) enum Planes<'a> {
    Ycbcr { planes: [Plane<'a, 1>; 3], encoding: Ycbcr },
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
        let (width, height) = frame.size();
        let (width, height) = (width as usize, height as usize);
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
                self.unpack(bytes, (width, height));
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
        Ok(Planes::Ycbcr {
            planes: [
                Plane::tight(luma, width, height),
                Plane::tight(u, half_width, half_height),
                Plane::tight(v, half_width, half_height),
            ],
            encoding: match frame.yuv_matrix() {
                YuvMatrix::Bt601 => Ycbcr::Bt601,
                YuvMatrix::Bt709 => Ycbcr::Bt709,
            },
        })
    }

    fn decode_jpeg(&mut self, file: &[u8], least: (usize, usize)) -> Result<Planes<'_>, Error> {
        let decoded = match self.jpeg.decode_covering(file, least) {
            Scaled::Planes(planes) => planes,
            Scaled::Damaged => return Err(Error::DamagedFrame),
            Scaled::Unsupported => return decode_any_jpeg(file, &mut self.samples),
        };
        Ok(match decoded {
            [Some(y), Some(u), Some(v)] => {
                Planes::Ycbcr { planes: [y, u, v].map(Plane::from), encoding: Ycbcr::FullBt601 }
            }
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

    /// Parts YUYV into the planes of 4:2:0: the model looks at less than half of the rows, so each pair of rows keeps the chroma
    /// of the second.
    fn unpack(&mut self, bytes: &[u8], (width, height): (usize, usize)) {
        let half_width = width.div_ceil(2);
        let chroma = half_width * height.div_ceil(2);
        self.samples.resize(width * height + 2 * chroma, 0);
        let (y, uv) = self.samples.split_at_mut(width * height);
        let (u, v) = uv.split_at_mut(chroma);
        // Shifted words become vectors; bytes taken by their index do not.
        for (y, row) in y.chunks_exact_mut(width).zip(bytes.chunks_exact(4 * half_width)) {
            for (y, pair) in y.iter_mut().zip(row.as_chunks::<2>().0) {
                *y = u16::from_le_bytes(*pair) as u8;
            }
        }
        let chroma_rows = u.chunks_exact_mut(half_width).zip(v.chunks_exact_mut(half_width));
        for ((u, v), rows) in chroma_rows.zip(bytes.chunks(2 * 4 * half_width)) {
            let (quads, _) = rows[rows.len() - 4 * half_width..].as_chunks::<4>();
            for (u, quad) in u.iter_mut().zip(quads) {
                *u = (u32::from_le_bytes(*quad) >> 8) as u8;
            }
            for (v, quad) in v.iter_mut().zip(quads) {
                *v = (u32::from_le_bytes(*quad) >> 24) as u8;
            }
        }
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
