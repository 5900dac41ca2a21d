//! Static int8 convolutions: activations stay bytes from the first layer to the last.
//!
//! Scales of activations are fixed when the model is made (`QuantizeLinear` in ONNX), so a layer's sums become the next
//! layer's codes at once, without a picture in f32 between them:
//!
//! ```text
//! code = clamp(round_ties_even(f32(sum + bias) × multiplier) + zero point, 0, 255)      multiplier = s_x · s_w / s_y
//! ```
//!
//! Sums are exact, and each of convert, multiply and convert rounds once by IEEE 754: every CPU gives the same codes, and
//! they are ONNX Runtime's `QLinearConv`.
//!
//! # Layouts
//! A [`CodeImage`] holds blocks of sixteen channels, `[channels / 16][height × width][16]`: four neighbouring inputs of a pixel
//! are one 32-bit word, and neighbouring pixels stand behind each other. An inverted residual never stores its expanded
//! channels as an image. It makes sixteen of them at a time, as *quads*, convolves them and forgets them:
//!
//! ```text
//!             expand (1×1)                  depthwise k×k                     project (1×1)
//! CodeImage ──────────────▶ quads of a panel ─────────────▶ [ce/16][pixel][16] ─────────────▶ CodeImage
//!                           [line][quad][16 channels][4 columns]
//! ```
//!
//! A quad's 32-bit lane holds four neighbouring columns of one channel, so that the same instruction that multiplies four
//! inputs of a pixel multiplies four columns of a line: depthwise filters are stored as words that are shifted to where
//! they meet the columns, and no activation is shuffled. NEON without `sdot` multiplies no words: there, the same 64 bytes hold
//! four columns of sixteen channels one after the other, and a filter is stored tap by tap.

mod bottleneck;
mod depthwise;
mod filter;
mod filter_layout;
mod image;
mod isa;
mod packed;
mod patches;
mod pointwise;
mod quads;
mod quantization;
#[cfg(test)]
mod reference;
mod residual;
#[cfg(test)]
mod tests;
mod tile;

pub use bottleneck::{Bottleneck, Scratch, Source};
pub use image::{CodeImage, PixelLines};
pub use packed::{DepthwiseLayer, LayerError, LayerParameters, PointwiseLayer, StemLayer};
pub use patches::Patches;
pub use pointwise::Pointwise;
pub use quantization::Quantization;
pub use residual::{Residual, Sum};
