//! The interface between kernels and instruction sets.
//!
//! ```text
//! kernels (linear, attention, …)  implement Operation, generic over Isa
//! dispatch                        Cpu::run: picks the Isa of this CPU
//! scalar, avx2, neon, …           implement Isa
//! ```

use crate::{codes::Codes, lanes::Lanes};

/// A computation that is written once, for every instruction set.
pub(crate) trait Operation {
    /// Its result.
    type Output;

    /// Computes it. Implementations are `#[inline(always)]`, so that they are compiled for the caller's instruction set.
    fn run<I: Isa>(self, isa: I) -> Self::Output;
}

/// The layout of int8 weights: panels of some columns (outputs), in each the inputs in groups.
///
/// ```text
/// weights [inputs, outputs]                one panel, `columns` = 4, `depth` = 2
///
///           c0 c1 c2 c3 │ c4 …             group 0: i0 and i1 of c0, of c1, of c2, of c3
///       i0   a  b  c  d │                  │ a e │ b f │ c g │ d h │
///       i1   e  f  g  h │                  group 1: i2 and i3
///       i2   i  j  k  l │                  │ i m │ j n │ k o │ l p │
///       i3   m  n  o  p │                  … up to inputs, padded with zeros to a multiple of 16
/// ```
///
/// A product reads a panel from its first byte to its last: one load holds the same inputs of several columns, side by side
/// as its multiply-add takes them. The last panel is padded with columns of zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PanelShape {
    /// Columns of a panel.
    pub(crate) columns: usize,
    /// Inputs of a group.
    pub(crate) depth: usize,
    /// Added to every weight, modulo 256, where the instruction takes unsigned weights.
    pub(crate) offset: u8,
}

/// The most rows of f32 accumulators that any instruction set's registers hold.
pub(crate) const MAX_F32_ROWS: usize = 8;

/// Inputs of a layer are padded with zeros to a multiple of this, which every panel's depth divides.
pub(crate) const INPUT_PADDING: usize = 16;

/// One row: `(values - zero_point) × scale`.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct QuantizedRow<'a> {
    /// In -127..=127, padded with the zero point to a multiple of [`INPUT_PADDING`].
    pub(crate) values: &'a [i8],
    /// The sum of the values, for instruction sets that take unsigned weights.
    #[cfg_attr(target_arch = "aarch64", allow(dead_code))]
    pub(crate) sum: i32,
    /// 0, or -127 in a row without negative elements.
    pub(crate) zero_point: i32,
    /// What one step is worth.
    pub(crate) scale: f32,
}

/// An instruction set: its float operations and its int8 product. A value proves that the CPU has it.
pub(crate) trait Isa: Copy {
    /// Its float operations.
    type Lanes: Lanes;
    /// Its operations on codes of static int8 layers.
    type Codes: Codes;
    /// The layout of int8 weights that its product reads.
    const PANEL: PanelShape;
    /// The most rows that its int8 product takes.
    const INT8_ROWS: usize;
    /// Rows of sixteen f32 accumulators that its registers hold.
    const F32_ROWS: usize;

    /// Its float operations.
    fn lanes(self) -> Self::Lanes;

    /// Its operations on codes.
    fn codes(self) -> Self::Codes;

    /// Multiplies at most [`Isa::INT8_ROWS`] rows by a panel of weights into `sums`, `[rows, columns]`.
    ///
    /// May prefetch `ahead`, the weights that are needed next.
    fn int8_products(self, rows: &[QuantizedRow<'_>], panel: &[i8], ahead: &[i8], sums: &mut [i32]);

    /// Multiplies stored rows `[R, width]` by both planes of a query, each `[width]`, into `sums`, `[R, 2]`.
    ///
    /// The width is a multiple of [`ROW_PADDING`](crate::ROW_PADDING); no element of a plane is -128.
    fn row_products<const R: usize>(
        self,
        rows: &[i8],
        planes: [&[i8]; 2],
        sums: &mut [[i32; 2]; R],
    );
}
