//! Adding an image of other scales to what a layer makes, or to another image.

use super::{image::CodeImage, packed::Requantizer};
use crate::{
    codes::{Codes, QUAD, Tiled},
    dispatch::Cpu,
    isa::{Isa, Operation},
    lanes::LANES,
};

/// Adding an image to a layer's codes, scale by scale: `code = clamp(round(t' × own + r' × other) + zero point)`, where `t'` and `r'`
/// are codes less their zero points.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Residual {
    /// The scale of the layer's codes over that of the sum.
    pub own_multiplier: f32,
    /// The scale of the other image's codes over that of the sum.
    pub other_multiplier: f32,
    /// The code of zero in the other image.
    pub other_zero_point: u8,
    /// The code of zero in the sum.
    pub zero_point: u8,
}

impl Residual {
    /// The codes, not yet clamped, of a layer's own codes plus another image's.
    #[inline(always)]
    pub(super) fn add<I: Codes>(
        &self,
        isa: I,
        requantizer: &Requantizer,
        sums: I::Sums,
        multipliers: I::F32,
        other: I::F32,
    ) -> I::Sums {
        let zero_point = f32::from(requantizer.zero_point);
        let own = isa.round(isa.mul(isa.to_f32(sums), multipliers));
        let own = isa.max(own, isa.splat(-zero_point));
        let own = isa.min(own, isa.splat(255.0 - zero_point));
        self.sum(isa, own, other)
    }

    /// `own × own multiplier + (other − its zero point) × its multiplier`, rounded, plus the sum's zero point.
    #[inline(always)]
    fn sum<I: Codes>(&self, isa: I, own: I::F32, other: I::F32) -> I::Sums {
        let other = isa.sub(other, isa.splat(f32::from(self.other_zero_point)));
        let other = isa.mul(other, isa.splat(self.other_multiplier));
        let sum = isa.mul_add(own, isa.splat(self.own_multiplier), other);
        isa.add_sums(isa.to_sums(sum), i32::from(self.zero_point))
    }
}

/// The sum of two images, of whatever scales.
pub struct Sum<'a> {
    cpu: Cpu,
    residual: &'a Residual,
    own: (&'a CodeImage, u8),
    other: &'a CodeImage,
    output: &'a mut CodeImage,
}

impl<'a> Sum<'a> {
    /// Prepares the sum of `own`, with the code of zero in it, and `other`. `None` if images differ in size or channels.
    #[must_use]
    pub fn new(
        cpu: Cpu,
        residual: &'a Residual,
        own: (&'a CodeImage, u8),
        other: &'a CodeImage,
        output: &'a mut CodeImage,
    ) -> Option<Self> {
        let fits = own.0.has_shape_of(output) && other.has_shape_of(output);
        fits.then_some(Self { cpu, residual, own, other, output })
    }

    /// Computes it.
    pub fn run(self) {
        self.cpu.run(self);
    }
}

impl Operation for Sum<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        isa.codes().with_tiles(self);
    }
}

impl Tiled for Sum<'_> {
    #[inline(always)]
    fn run<I: Codes, const M: usize>(self, isa: I) {
        let (own, zero_point) = self.own;
        let length = own.block_stride() * own.channels().div_ceil(LANES);
        let zero_point = isa.splat(f32::from(zero_point));
        let output = &mut self.output.blocks_mut()[..length];
        for (at, to) in output.chunks_mut(QUAD).enumerate() {
            let own = own.start().wrapping_add(at * QUAD);
            let other = self.other.start().wrapping_add(at * QUAD);
            // SAFETY: the images have the output's size and channels, and a guard behind the last pixel; the array has 64 bytes.
            unsafe {
                let mut sums = [isa.to_sums(zero_point); 4];
                for (i, sum) in sums.iter_mut().enumerate() {
                    let own = isa.sub(isa.load_codes(own.add(i * LANES)), zero_point);
                    *sum = self.residual.sum(isa, own, isa.load_codes(other.add(i * LANES)));
                }
                let mut bytes = [0; QUAD];
                isa.store_quads(isa.pack_pixels(sums), bytes.as_mut_ptr());
                to.copy_from_slice(&bytes[..to.len()]);
            }
        }
    }
}
