//! Codes, sums and quads on every instruction set.

use crate::lanes::{LANES, Lanes};

/// Bytes of sixteen lanes with four codes each.
pub(crate) const QUAD: usize = 4 * LANES;

/// Neighbouring pixels of an image in blocks of sixteen channels, `[block][pixel][16]`.
#[derive(Clone, Copy)]
pub(crate) struct Pixels {
    /// The first pixel, in the first block.
    pub(crate) first: *const u8,
    /// Bytes from one block to the next.
    pub(crate) block_stride: usize,
    /// Channels of a pixel, padded to a multiple of [`Products::PADDING`].
    pub(crate) channels: usize,
}

/// Work that is written for tiles of `M` pixels, 12 or 4, or for pairs of tiles of 6.
pub(crate) trait Tiled {
    /// Does it. Implementations are `#[inline(always)]`.
    fn run<I: Codes, const M: usize>(self, isa: I);
}

/// Words of neighbouring pixels that meet weights: `outer` runs of words for each, `stride` bytes apart, and
/// `tail` words more.
#[derive(Clone, Copy)]
pub(crate) struct Words {
    /// The first word of the first pixel.
    pub(crate) first: *const u8,
    pub(crate) outer: usize,
    pub(crate) stride: usize,
    pub(crate) tail: usize,
    /// Bytes of a run that meet weights other than zero.
    pub(crate) bytes: usize,
}

/// The order of sixteen channels of four neighbouring columns that depthwise filters read, and of the filters' weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ColumnOrder {
    /// `[channel][4 columns]`, quads: filters stand as words of four weights.
    Quads,
    /// `[4 columns][channel]`: filters stand as taps of sixteen channels.
    Pixels,
}

/// Lines of quads, or of as many columns in the order of pixels, under a depthwise filter.
#[derive(Clone, Copy)]
pub(crate) struct QuadLines {
    /// The first quad of the first line.
    pub(crate) first: *const u8,
    /// Bytes from one line to the next.
    pub(crate) line_bytes: usize,
}

/// Products of lanes of four bytes: stored codes with weights.
///
/// Its lanes are all sixteen of a vector, or a part of them that follows the others' in memory.
pub(crate) trait Dots: Copy {
    /// 32-bit sums.
    type Sums: Copy;
    /// Lanes of four stored codes or four weights.
    type Quads: Copy;

    /// Loads sums.
    ///
    /// # Safety
    /// As many elements as there are lanes can be read at `from`.
    unsafe fn load_sums(self, from: *const i32) -> Self::Sums;
    /// Loads stored codes or weights.
    ///
    /// # Safety
    /// Four bytes for each lane can be read at `from`.
    unsafe fn load_quads(self, from: *const u8) -> Self::Quads;
    /// Loads one word of four stored codes into every lane.
    ///
    /// # Safety
    /// Four bytes can be read at `from`.
    unsafe fn broadcast(self, from: *const u8) -> Self::Quads;
    /// Adds to each lane's sum the four products of its stored codes with its weights.
    fn dot(self, sums: Self::Sums, codes: Self::Quads, weights: Self::Quads) -> Self::Sums;
    /// The last two codes of each lane of `a`, then the first two of `b`.
    fn middle(self, a: Self::Quads, b: Self::Quads) -> Self::Quads;

    /// [`Dots::dot`] four times.
    #[inline(always)]
    fn dots(
        self,
        [a, b, c, d]: [Self::Sums; 4],
        codes: [Self::Quads; 4],
        weights: [Self::Quads; 4],
    ) -> [Self::Sums; 4] {
        [
            self.dot(a, codes[0], weights[0]),
            self.dot(b, codes[1], weights[1]),
            self.dot(c, codes[2], weights[2]),
            self.dot(d, codes[3], weights[3]),
        ]
    }
}

/// Sums of products with sixteen lanes of outputs, each lane one channel.
///
/// Instruction sets whose registers take the lanes of [`Dots`] get it from those.
pub(crate) trait Products: Copy {
    /// Sixteen 32-bit sums.
    type Sums: Copy;
    /// Sixteen lanes of four stored codes.
    type Quads: Copy;
    /// Inputs of an output that stand side by side in a panel of pointwise weights, `[inputs / DEPTH][16][DEPTH]`.
    const DEPTH: usize;
    /// The inputs of pointwise weights are padded with zeros to a multiple of this, at most sixteen.
    const PADDING: usize;

    /// The order that [`Products::of_quads`] reads columns in.
    #[inline(always)]
    fn column_order(self) -> ColumnOrder {
        ColumnOrder::Quads
    }

    /// The sums of `M` neighbouring pixels with a panel of sixteen outputs.
    ///
    /// # Safety
    /// All channels of the pixels can be read, sixteen times as many weights, and sixteen biases.
    unsafe fn of_pixels<const M: usize>(
        self,
        pixels: Pixels,
        weights: *const u8,
        bias: *const i32,
    ) -> [Self::Sums; M];

    /// The sums of the words of `M` pixels, `STEP` bytes apart, with a panel of sixteen outputs; a run has `INNER` words.
    /// In [`ColumnOrder::Pixels`] the bytes of all runs meet weights as so many channels of [`Products::of_pixels`] do.
    ///
    /// # Safety
    /// All words of all pixels can be read, and sixteen bytes of each run; a vector of weights for each word, or for four
    /// channels; and sixteen biases.
    unsafe fn of_words<const M: usize, const STEP: usize, const INNER: usize>(
        self,
        words: Words,
        weights: *const u8,
        bias: *const i32,
    ) -> [Self::Sums; M];

    /// The sums of `G` times four neighbouring outputs of a depthwise filter of `K` lines that moves by `S`.
    ///
    /// # Safety
    /// `G × S + 1` quads of each of `K` lines can be read, the words or taps of a filter, and a vector of biases.
    unsafe fn of_quads<const K: usize, const S: usize, const G: usize>(
        self,
        quads: QuadLines,
        filter: *const u8,
        bias: *const i32,
    ) -> [[Self::Sums; 4]; G];
}

/// An instruction set's integer operations on sixteen lanes: each lane is one channel.
///
/// Codes are unsigned, 0 to 255. How they stand in memory is the instruction set's own: [`Codes::FLIP`] is applied to each
/// stored byte by exclusive or, so that an instruction for signed bytes finds `code - 128`.
pub(crate) trait Codes: Lanes + Products {
    /// `0x80` where products take signed activations, else 0.
    const FLIP: u8;

    /// Runs a job with as many pixels at once as the registers hold sums for.
    fn with_tiles<T: Tiled>(self, job: T);

    /// Loads 64 stored codes.
    ///
    /// # Safety
    /// 64 bytes can be read at `from`.
    unsafe fn load_pixels(self, from: *const u8) -> Self::Quads;
    /// Stores 64 bytes.
    ///
    /// # Safety
    /// 64 bytes can be written at `to`.
    unsafe fn store_quads(self, quads: Self::Quads, to: *mut u8);
    /// Keeps the columns where `mask`, a byte a column, has ones and puts `fill` elsewhere.
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

    /// Four columns of sixteen channels, clamped to codes, in the order of [`Products::column_order`].
    fn pack_quads(self, columns: [Self::Sums; 4]) -> Self::Quads;
    /// Four pixels of sixteen channels, clamped to codes, pixel after pixel.
    fn pack_pixels(self, pixels: [Self::Sums; 4]) -> Self::Quads;
    /// Four pixels of sixteen stored codes, pixel after pixel, in the order of [`Products::column_order`].
    fn pixels_to_quads(self, pixels: Self::Quads) -> Self::Quads;

    /// The codes of sums, not yet clamped.
    #[inline(always)]
    fn requantize(self, sums: Self::Sums, multipliers: Self::F32, zero_point: i32) -> Self::Sums {
        let codes = self.to_sums(self.mul(self.to_f32(sums), multipliers));
        // The zero point of what ReLU6 bounds.
        if zero_point == 0 { codes } else { self.add_sums(codes, zero_point) }
    }

    /// [`Codes::requantize`] four times, side by side. Arrays are not mapped here: their closures are compiled for no instruction
    /// set.
    #[inline(always)]
    fn requantize_four(
        self,
        [a, b, c, d]: [Self::Sums; 4],
        multipliers: Self::F32,
        zero_point: i32,
    ) -> [Self::Sums; 4] {
        let [a, b, c, d] = [self.to_f32(a), self.to_f32(b), self.to_f32(c), self.to_f32(d)];
        let [a, b] = [self.mul(a, multipliers), self.mul(b, multipliers)];
        let [c, d] = [self.mul(c, multipliers), self.mul(d, multipliers)];
        let codes = [self.to_sums(a), self.to_sums(b), self.to_sums(c), self.to_sums(d)];
        if zero_point == 0 {
            return codes;
        }
        let [a, b, c, d] = codes;
        [
            self.add_sums(a, zero_point),
            self.add_sums(b, zero_point),
            self.add_sums(c, zero_point),
            self.add_sums(d, zero_point),
        ]
    }
}
