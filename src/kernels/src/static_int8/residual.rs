//! Adding an image of other scales to what a layer makes.

use super::packed::Requantizer;
use crate::codes::Codes;

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
        let other = isa.sub(other, isa.splat(f32::from(self.other_zero_point)));
        let other = isa.mul(other, isa.splat(self.other_multiplier));
        let sum = isa.mul_add(own, isa.splat(self.own_multiplier), other);
        isa.add_sums(isa.to_sums(sum), i32::from(self.zero_point))
    }
}
