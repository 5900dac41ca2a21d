//! Pointwise layers: every pixel times a panel of weights after the other, codes written to an image.

use super::{image::CodeImage, packed::PointwiseLayer, residual::Residual};
use crate::{
    codes::{Codes, Pixels, QUAD, Tiled},
    disjoint::DisjointMut,
    dispatch::Cpu,
    isa::{Isa, Operation},
    lanes::LANES,
    pool::Pool,
    work_queue::WorkQueue,
};

/// Pixels that meet all panels before the next ones do.
const STRIP: usize = 48;

/// A pointwise layer of its own, with a residual added if there is one.
pub struct Pointwise<'a> {
    cpu: Cpu,
    layer: &'a PointwiseLayer,
    input: &'a CodeImage,
    residual: Option<(&'a Residual, &'a CodeImage)>,
    output: &'a mut CodeImage,
}

impl<'a> Pointwise<'a> {
    /// Prepares a layer. `None` if the images do not fit it.
    #[must_use]
    pub fn new(
        cpu: Cpu,
        layer: &'a PointwiseLayer,
        input: &'a CodeImage,
        residual: Option<(&'a Residual, &'a CodeImage)>,
        output: &'a mut CodeImage,
    ) -> Option<Self> {
        let fits = input.channels() == layer.inputs
            && output.channels() == layer.outputs
            && input.size() == output.size()
            && residual.is_none_or(|(_, image)| image.has_shape_of(output));
        fits.then_some(Self { cpu, layer, input, residual, output })
    }

    /// Computes it on the threads of `pool`.
    pub fn run(self, pool: Option<&Pool>) {
        let source = Blocks { start: self.input.start(), stride: self.input.block_stride() };
        let projection = Projection::new(self.layer, source, self.residual, self.output);
        Pool::broadcast(pool, || self.cpu.run(&projection));
    }
}

/// Blocks of sixteen channels, `[block][pixel][16]`, with sixteen readable pixels behind the last.
#[derive(Clone, Copy)]
pub(super) struct Blocks {
    pub(super) start: *const u8,
    pub(super) stride: usize,
}

/// One use of a pointwise layer, which any number of threads work on.
pub(super) struct Projection<'a> {
    layer: &'a PointwiseLayer,
    source: Blocks,
    residual: Option<(&'a Residual, &'a CodeImage)>,
    pixels: usize,
    output: DisjointMut<'a, u8>,
    /// Strips of pixels, panel by panel.
    queue: WorkQueue,
}

// SAFETY: the blocks of `source` are only read, and outlive the projection, as callers of `new` see to.
unsafe impl Sync for Projection<'_> {}

impl<'a> Projection<'a> {
    /// Prepares the layer for the blocks of `source`, which hold its inputs for every pixel of `output` and stay as they are
    /// while the projection lives.
    pub(super) fn new(
        layer: &'a PointwiseLayer,
        source: Blocks,
        residual: Option<(&'a Residual, &'a CodeImage)>,
        output: &'a mut CodeImage,
    ) -> Self {
        let pixels = output.pixels();
        let queue = WorkQueue::new(pixels.div_ceil(STRIP) * layer.panels.vectors, 1);
        let output = DisjointMut::new(output.blocks_mut());
        Self { layer, source, residual, pixels, output, queue }
    }

    /// The pixels and the vector of outputs of an item of the queue.
    fn item(&self, item: usize) -> (std::ops::Range<usize>, usize) {
        let vectors = self.layer.panels.vectors;
        let first = item / vectors * STRIP;
        (first..(first + STRIP).min(self.pixels), item % vectors)
    }
}

impl Operation for &Projection<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        isa.codes().with_tiles(self);
    }
}

impl Tiled for &Projection<'_> {
    #[inline(always)]
    fn run<I: Codes, const M: usize>(self, isa: I) {
        while let Some(items) = self.queue.take() {
            for item in items {
                let (pixels, vector) = self.item(item);
                let mut first = pixels.start;
                while first < pixels.end {
                    let left = pixels.end - first;
                    // SAFETY: an item is taken once, and its pixels of its vector are written only with it.
                    first += unsafe {
                        match left {
                            9.. if M != 4 => self.tile::<I, 12>(isa, first, vector),
                            5.. if M == 12 => self.tile::<I, 8>(isa, first, vector),
                            _ => self.tile::<I, 4>(isa, first, vector),
                        }
                    };
                }
            }
        }
    }
}

impl Projection<'_> {
    /// Computes and writes the codes of `N` pixels, or as many as are left, of sixteen outputs; gives `N`.
    ///
    /// # Safety
    /// Nobody else writes these pixels of the outputs.
    #[inline(always)]
    unsafe fn tile<I: Codes, const N: usize>(&self, isa: I, first: usize, vector: usize) -> usize {
        let panels = &self.layer.panels;
        let bias = self.layer.requantizer.bias[vector * LANES..][..LANES].as_ptr();
        // SAFETY: pixel `first` lies in the source, and sixteen can be read behind its last; so can the panel and its biases.
        let sums = unsafe {
            let first = self.source.start.add(first * LANES);
            let block_stride = self.source.stride;
            let pixels = Pixels { first, block_stride, channels: panels.inputs };
            isa.of_pixels::<N>(pixels, panels.from(vector), bias)
        };
        for (group, four) in sums.as_chunks::<4>().0.iter().enumerate() {
            let pixel = first + 4 * group;
            let bytes = self.pixels.saturating_sub(pixel).min(4) * LANES;
            if bytes == 0 {
                break;
            }
            let codes = self.codes(isa, *four, vector, pixel);
            // SAFETY: the caller promises that these pixels are nobody else's; 64 bytes are there in the first case and
            // in the array.
            unsafe {
                let to = self.output.slice_mut((vector * self.pixels + pixel) * LANES, bytes);
                if bytes == QUAD {
                    isa.store_quads(codes, to.as_mut_ptr());
                } else {
                    let mut part = [0; QUAD];
                    isa.store_quads(codes, part.as_mut_ptr());
                    to.copy_from_slice(&part[..bytes]);
                }
            }
        }
        N
    }

    /// The codes of four pixels of sixteen outputs.
    #[inline(always)]
    fn codes<I: Codes>(&self, isa: I, sums: [I::Sums; 4], vector: usize, pixel: usize) -> I::Quads {
        let requantizer = &self.layer.requantizer;
        let multipliers = isa.load(&requantizer.multipliers[vector * LANES..]);
        let zero_point = i32::from(requantizer.zero_point);
        let Some((residual, image)) = self.residual else {
            return isa.pack_pixels(isa.requantize_four(sums, multipliers, zero_point));
        };
        let other = image.start().wrapping_add(vector * image.block_stride() + pixel * LANES);
        let mut added = sums;
        for (i, added) in added.iter_mut().enumerate() {
            // SAFETY: the image has the output's size and channels, and a guard behind its last pixel.
            let other = unsafe { isa.load_codes(other.add(i * LANES)) };
            *added = residual.add(isa, requantizer, sums[i], multipliers, other);
        }
        isa.pack_pixels(added)
    }
}
