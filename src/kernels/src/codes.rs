//! Codes, sums and quads on every instruction set.

use crate::lanes::{LANES, Lanes};

/// Bytes of sixteen lanes with four codes each.
pub(crate) const QUAD: usize = 4 * LANES;

/// Work that is written for tiles of `M` pixels: 12 or 4.
pub(crate) trait Tiled {
    /// Does it. Implementations are `#[inline(always)]`.
    fn run<I: Codes, const M: usize>(self, isa: I);
}

/// An instruction set's integer operations on sixteen lanes: each lane is one channel.
///
/// Codes are unsigned, 0 to 255. How they stand in memory is the instruction set's own: [`Codes::FLIP`] is applied to each
/// stored byte by exclusive or, so that an instruction for signed bytes finds `code - 128`.
pub(crate) trait Codes: Lanes {
    /// Sixteen 32-bit sums.
    type Sums: Copy;
    /// Sixteen lanes of four stored codes or four weights.
    type Quads: Copy;

    /// `0x80` where products take signed activations, else 0.
    const FLIP: u8;
    /// Vectors of sixteen outputs that a panel of weights holds.
    const VECTORS: usize;

    /// Runs a job with as many pixels at once as the registers hold sums for.
    fn with_tiles<T: Tiled>(self, job: T);

    /// Loads sixteen sums.
    ///
    /// # Safety
    /// Sixteen elements can be read at `from`.
    unsafe fn load_sums(self, from: *const i32) -> Self::Sums;
    /// Loads 64 stored codes or weights.
    ///
    /// # Safety
    /// 64 bytes can be read at `from`.
    unsafe fn load_quads(self, from: *const u8) -> Self::Quads;
    /// Loads one word of four stored codes into every lane.
    ///
    /// # Safety
    /// Four bytes can be read at `from`.
    unsafe fn broadcast(self, from: *const u8) -> Self::Quads;
    /// Stores 64 bytes.
    ///
    /// # Safety
    /// 64 bytes can be written at `to`.
    unsafe fn store_quads(self, quads: Self::Quads, to: *mut u8);
    /// Adds to each lane's sum the four products of its stored codes with its weights.
    fn dot(self, sums: Self::Sums, codes: Self::Quads, weights: Self::Quads) -> Self::Sums;
    /// The last two codes of each lane of `a`, then the first two of `b`.
    fn middle(self, a: Self::Quads, b: Self::Quads) -> Self::Quads;
    /// Keeps the bytes of every lane where `mask` has ones and puts `fill` elsewhere.
    fn select(self, quads: Self::Quads, mask: u32, fill: u8) -> Self::Quads;

    /// The sums as floats, rounded once.
    fn to_f32(self, sums: Self::Sums) -> Self::F32;
    /// The nearest integers, ties to even.
    fn to_sums(self, values: Self::F32) -> Self::Sums;
    /// `a + b` in every lane.
    fn add_sums(self, a: Self::Sums, b: i32) -> Self::Sums;
    /// Sixteen stored codes as floats.
    ///
    /// # Safety
    /// Sixteen bytes can be read at `from`.
    unsafe fn load_codes(self, from: *const u8) -> Self::F32;

    /// Four columns of sixteen channels, clamped to codes, as quads: lane `c` holds columns 0 to 3 of channel `c`.
    fn pack_quads(self, columns: [Self::Sums; 4]) -> Self::Quads;
    /// Four pixels of sixteen channels, clamped to codes, pixel after pixel.
    fn pack_pixels(self, pixels: [Self::Sums; 4]) -> Self::Quads;
    /// Four pixels of sixteen stored codes, pixel after pixel, as quads.
    fn pixels_to_quads(self, pixels: Self::Quads) -> Self::Quads;

    /// The codes of sums, not yet clamped.
    #[inline(always)]
    fn requantize(self, sums: Self::Sums, multipliers: Self::F32, zero_point: i32) -> Self::Sums {
        let codes = self.to_sums(self.mul(self.to_f32(sums), multipliers));
        // The zero point of what ReLU6 bounds.
        if zero_point == 0 { codes } else { self.add_sums(codes, zero_point) }
    }

    /// [`Codes::requantize`] four times. Arrays are not mapped here: their closures are compiled for no instruction set.
    #[inline(always)]
    fn requantize_four(
        self,
        sums: [Self::Sums; 4],
        multipliers: Self::F32,
        zero_point: i32,
    ) -> [Self::Sums; 4] {
        let [a, b, c, d] = sums;
        [
            self.requantize(a, multipliers, zero_point),
            self.requantize(b, multipliers, zero_point),
            self.requantize(c, multipliers, zero_point),
            self.requantize(d, multipliers, zero_point),
        ]
    }
}
