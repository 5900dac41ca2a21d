//! Activation functions.

use crate::{
    lanes::Lanes,
    math::{erf, exp},
};

/// An activation function, applied to each element.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Activation {
    /// x
    Identity,
    /// x × Φ(x), exact: PyTorch's `nn.GELU()`.
    Gelu,
    /// x × σ(1.702 x): open_clip's `QuickGELU`.
    QuickGelu,
    /// x bounded to low..=high; ReLU has no upper bound.
    Clamp {
        /// The smallest result.
        low: f32,
        /// The largest result.
        high: f32,
    },
}

impl Activation {
    #[inline(always)]
    pub(crate) fn apply<L: Lanes>(self, lanes: L, x: L::F32) -> L::F32 {
        match self {
            Self::Identity => x,
            Self::Gelu => {
                let scaled = lanes.mul(x, lanes.splat(std::f32::consts::FRAC_1_SQRT_2));
                let half = lanes.mul(x, lanes.splat(0.5));
                lanes.mul_add(half, erf(lanes, scaled), half)
            }
            Self::QuickGelu => {
                let power = exp(lanes, lanes.mul(x, lanes.splat(-1.702)));
                lanes.div(x, lanes.add(power, lanes.splat(1.0)))
            }
            Self::Clamp { low, high } => {
                lanes.max(lanes.min(x, lanes.splat(high)), lanes.splat(low))
            }
        }
    }
}
