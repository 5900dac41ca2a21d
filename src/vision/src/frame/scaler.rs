//! Resizing one plane of samples again and again.

use std::{borrow::Cow, sync::Arc};

use pic_scale::{
    ImageSize, ImageStore, ImageStoreMut, Resampling, ResamplingFunction, Scaler, ThreadingPolicy,
};

use crate::{Error, Interpolation, jpeg::ScaledPlane};

/// A rectangle of a plane of bytes with `N` samples a pixel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plane<'a, const N: usize> {
    /// From the first sample on.
    pub(super) samples: &'a [u8],
    pub(super) width: usize,
    pub(super) height: usize,
    /// Samples from one row to the next.
    pub(super) stride: usize,
}

impl<'a> Plane<'a, 1> {
    /// A plane without gaps between its rows.
    pub(super) fn tight(samples: &'a [u8], width: usize, height: usize) -> Self {
        Self { samples, width, height, stride: width }
    }
}

impl<'a> From<ScaledPlane<'a>> for Plane<'a, 1> {
    fn from(plane: ScaledPlane<'a>) -> Self {
        let ScaledPlane { samples, width, height, stride } = plane;
        Self { samples, width, height, stride }
    }
}

impl<'a, const N: usize> Plane<'a, N> {
    /// The part between two columns and two rows, given as parts of the whole, rounded to whole pixels.
    pub(super) fn crop(self, columns: (f64, f64), rows: (f64, f64)) -> Self {
        let range = |(from, to): (f64, f64), side: usize| {
            let from = ((from * side as f64).round() as usize).min(side.saturating_sub(1));
            (from, ((to * side as f64).round() as usize).clamp(from + 1, side))
        };
        let (left, right) = range(columns, self.width);
        let (top, bottom) = range(rows, self.height);
        Self {
            samples: &self.samples[top * self.stride + left * N..],
            width: right - left,
            height: bottom - top,
            stride: self.stride,
        }
    }
}

/// Resizes planes; the filter's weights and the buffers last until a size changes.
pub(super) struct PlaneScaler<const N: usize> {
    interpolation: Interpolation,
    plan: Option<Plan<N>>,
}

/// A filter's weights and buffers for one pair of sizes.
struct Plan<const N: usize> {
    /// Columns and rows, before and after.
    sizes: [usize; 4],
    resampling: Arc<Resampling<u8, N>>,
    scratch: Vec<u8>,
    resized: Vec<u8>,
}

/// The planner of pic-scale for a number of samples a pixel.
pub(super) trait Plannable {
    fn plan(
        scaler: &Scaler,
        from: ImageSize,
        to: ImageSize,
    ) -> Result<Arc<Self>, pic_scale::PicScaleError>;
}

impl Plannable for Resampling<u8, 1> {
    fn plan(
        scaler: &Scaler,
        from: ImageSize,
        to: ImageSize,
    ) -> Result<Arc<Self>, pic_scale::PicScaleError> {
        scaler.plan_planar_resampling(from, to)
    }
}

impl Plannable for Resampling<u8, 3> {
    fn plan(
        scaler: &Scaler,
        from: ImageSize,
        to: ImageSize,
    ) -> Result<Arc<Self>, pic_scale::PicScaleError> {
        scaler.plan_rgb_resampling(from, to)
    }
}

impl<const N: usize> PlaneScaler<N>
where
    Resampling<u8, N>: Plannable,
{
    pub(super) fn new(interpolation: Interpolation) -> Self {
        Self { interpolation, plan: None }
    }

    /// The plane resized to `width` × `height` pixels, without gaps between rows.
    pub(super) fn resize(
        &mut self,
        plane: Plane<N>,
        (width, height): (usize, usize),
    ) -> Result<&[u8], Error> {
        let sizes = [plane.width, plane.height, width, height];
        let plan = match self.plan.take() {
            Some(plan) if plan.sizes == sizes => plan,
            _ => Plan::new(self.interpolation, sizes)?,
        };
        let Plan { resampling, scratch, resized, .. } = self.plan.insert(plan);
        let source = ImageStore::<u8, N> {
            buffer: Cow::Borrowed(plane.samples),
            channels: N,
            width: plane.width,
            height: plane.height,
            stride: plane.stride,
            bit_depth: 8,
        };
        let mut target =
            ImageStoreMut::<u8, N>::borrow(resized, width, height).map_err(Error::resize)?;
        resampling.resample_with_scratch(&source, &mut target, scratch).map_err(Error::resize)?;
        Ok(resized)
    }
}

impl<const N: usize> Plan<N>
where
    Resampling<u8, N>: Plannable,
{
    fn new(interpolation: Interpolation, sizes: [usize; 4]) -> Result<Self, Error> {
        let filter = match interpolation {
            Interpolation::Bicubic => ResamplingFunction::CatmullRom,
            Interpolation::Bilinear => ResamplingFunction::Bilinear,
        };
        let mut scaler = Scaler::new(filter);
        scaler.set_threading_policy(ThreadingPolicy::Single);
        let [from_width, from_height, width, height] = sizes;
        let resampling = <Resampling<u8, N> as Plannable>::plan(
            &scaler,
            ImageSize::new(from_width, from_height),
            ImageSize::new(width, height),
        )
        .map_err(Error::resize)?;
        let (scratch, resized) = (resampling.alloc_scratch(), vec![0; N * width * height]);
        Ok(Self { sizes, resampling, scratch, resized })
    }
}
