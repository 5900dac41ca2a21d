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
            samples: self.samples.get(top * self.stride + left * N..).unwrap_or_default(),
            width: right - left,
            height: bottom - top,
            stride: self.stride,
        }
    }
}

/// Resizes planes of one size to another; its filter's weights and its buffers last until a size changes.
pub(super) struct PlaneScaler<const N: usize> {
    interpolation: Interpolation,
    sizes: [usize; 4],
    plan: Option<Arc<Resampling<u8, N>>>,
    scratch: Vec<u8>,
    resized: Vec<u8>,
}

/// How many samples a pixel has decides which of pic-scale's planners makes the plan.
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
        Self { interpolation, sizes: [0; 4], plan: None, scratch: Vec::new(), resized: Vec::new() }
    }

    /// The plane resized to `width` × `height` pixels, without gaps between rows.
    pub(super) fn resize(
        &mut self,
        plane: Plane<N>,
        (width, height): (usize, usize),
    ) -> Result<&[u8], Error> {
        let sizes = [plane.width, plane.height, width, height];
        if self.sizes != sizes || self.plan.is_none() {
            self.plan(sizes)?;
        }
        let Some(plan) = &self.plan else { return Ok(&[]) };
        let source = ImageStore::<u8, N> {
            buffer: Cow::Borrowed(plane.samples),
            channels: N,
            width: plane.width,
            height: plane.height,
            stride: plane.stride,
            bit_depth: 8,
        };
        let mut target = ImageStoreMut::<u8, N>::borrow(&mut self.resized, width, height)
            .map_err(Error::resize)?;
        plan.resample_with_scratch(&source, &mut target, &mut self.scratch)
            .map_err(Error::resize)?;
        Ok(&self.resized)
    }

    fn plan(&mut self, sizes: [usize; 4]) -> Result<(), Error> {
        let filter = match self.interpolation {
            Interpolation::Bicubic => ResamplingFunction::CatmullRom,
            Interpolation::Bilinear => ResamplingFunction::Bilinear,
        };
        let mut scaler = Scaler::new(filter);
        scaler.set_threading_policy(ThreadingPolicy::Single);
        let [from_width, from_height, width, height] = sizes;
        let plan = <Resampling<u8, N> as Plannable>::plan(
            &scaler,
            ImageSize::new(from_width, from_height),
            ImageSize::new(width, height),
        )
        .map_err(Error::resize)?;
        self.scratch = plan.alloc_scratch();
        self.resized = vec![0; N * width * height];
        self.plan = Some(plan);
        self.sizes = sizes;
        Ok(())
    }
}
