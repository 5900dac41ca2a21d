//! Products of bytes, in which 64-bit Arm cores differ.

use std::{
    arch::{aarch64::*, asm},
    convert::Infallible,
};

use crate::{isa::Operation, lanes::LANES};

/// Bytes that a row gives to one step of a product.
pub(crate) const BLOCK: usize = 16;

/// A way to multiply signed bytes in 128-bit registers. A value proves that the CPU has NEON and its instruction.
///
/// Products are of an element of -128..=127 with one of -127..=127.
pub(crate) trait ByteProduct: Copy {
    /// Inputs of a column that stand side by side in a panel: see [`PanelShape`](crate::isa::PanelShape).
    const DEPTH: usize;
    /// The most rows that go through a panel at once.
    const ROWS: usize;
    /// Its instruction that adds four products to each sum; [`Infallible`] if there is none.
    type Words: WordProduct;

    /// The proof, if the CPU has them.
    fn detect() -> Option<Self>;

    /// Runs an operation compiled for NEON and its instruction.
    fn run<O: Operation>(self, operation: O) -> O::Output;

    /// The products of `R` rows with a panel of sixteen columns, added to `start`: sixteen sums for each row.
    ///
    /// # Safety
    /// All blocks of the rows can be read, and as many times 256 bytes of the panel.
    unsafe fn products<const R: usize>(
        self,
        rows: Rows<R>,
        panel: *const i8,
        start: [int32x4_t; 4],
    ) -> [[int32x4_t; 4]; R];

    /// Adds the sixteen products of `a` and `b` to four sums, spread over them in an order of its own; `N` times.
    fn add_products<const N: usize>(
        self,
        sums: &mut [int32x4_t; N],
        a: [int8x16_t; N],
        b: [int8x16_t; N],
    );

    /// Its instruction for words, if there is one.
    fn words(self) -> Option<Self::Words>;
}

/// An instruction that adds four products of bytes to each of four sums.
pub(crate) trait WordProduct: Copy {
    /// Adds to each of four sums the products of its four bytes of `a` and of `b`.
    fn dot(self, sums: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t;
}

impl WordProduct for Infallible {
    fn dot(self, _: int32x4_t, _: int8x16_t, _: int8x16_t) -> int32x4_t {
        match self {}
    }
}

/// Rows in blocks of sixteen bytes.
#[derive(Clone, Copy)]
pub(crate) struct Rows<const R: usize> {
    /// The first block of each row.
    pub(crate) first: [*const i8; R],
    /// Bytes from one block of a row to the next.
    pub(crate) step: usize,
    /// Blocks of a row.
    pub(crate) blocks: usize,
}

impl<const R: usize> Rows<R> {
    /// A block of each row.
    ///
    /// # Safety
    /// `block` is below [`Rows::blocks`], and all blocks of the rows can be read.
    #[inline(always)]
    pub(crate) unsafe fn load(&self, block: usize) -> [int8x16_t; R] {
        // SAFETY: the caller promises the block; the loads need no alignment.
        std::array::from_fn(|r| unsafe { vld1q_s8(self.first[r].add(block * self.step)) })
    }
}

/// Bytes of a panel that meet one block of a row.
pub(crate) const PANEL_BLOCK: usize = BLOCK * LANES;

/// Bytes between the product and the weights that are prefetched.
pub(crate) const PREFETCH: usize = 1024;

/// Asks for the cache line at an address, which may be any.
#[inline(always)]
pub(crate) fn prefetch(at: *const i8) {
    // SAFETY: a prefetch of an address that is not there does nothing.
    unsafe {
        asm!("prfm pldl1keep, [{at}]", at = in(reg) at.addr(), options(nomem, nostack, preserves_flags));
    }
}
