//! Panels of sixteen expanded channels as quads: `[line][quad][16 channels][4 columns]`, or `[4 columns][16 channels]` where
//! filters are taps.

use super::{
    image::{CodeImage, PixelLines},
    packed::{DepthwiseLayer, Panels, PointwiseLayer, Requantizer, StemLayer},
};
use crate::{
    codes::{Codes, ColumnOrder, Pixels, QUAD, Words},
    lanes::LANES,
};

/// The lines and quads that a depthwise layer reads: the picture with its padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct QuadShape {
    /// Height and width of the picture.
    pub(super) input: [usize; 2],
    /// Height and width of what the depthwise layer makes.
    pub(super) output: [usize; 2],
    /// Lines above and columns before the picture.
    pub(super) pads: [usize; 2],
    /// Lines with their padding.
    pub(super) lines: usize,
    /// Quads of a line.
    pub(super) quads: usize,
}

impl QuadShape {
    /// The quads from which `layer` makes an image of `output` of one of `input`.
    pub(super) fn new(layer: &DepthwiseLayer, input: [usize; 2], output: [usize; 2]) -> Self {
        let lines = output[0].saturating_sub(1) * layer.stride + layer.size;
        // Outputs are made four at a time, and the last filter word reads into the quad behind.
        let quads = output[1].div_ceil(4) * layer.stride + 1;
        let pictured = (input[1] + layer.pads[1]).div_ceil(4);
        Self { input, output, pads: layer.pads, lines, quads: quads.max(pictured) }
    }

    /// Bytes of a line.
    pub(super) fn line_bytes(&self) -> usize {
        self.quads * QUAD
    }

    /// Bytes of sixteen channels.
    pub(super) fn panel_bytes(&self) -> usize {
        self.lines * self.line_bytes()
    }

    /// The lines of the picture that stand in the quads.
    fn pictured_lines(&self) -> usize {
        self.input[0].min(self.lines.saturating_sub(self.pads[0]))
    }
}

/// What quads are made from.
#[derive(Clone, Copy)]
pub(super) enum QuadSource<'a> {
    Stem(&'a StemLayer, &'a PixelLines),
    Expand(&'a PointwiseLayer, &'a CodeImage),
    Image(&'a CodeImage),
}

/// The first pixel of those that a line of quads is computed from.
#[derive(Clone, Copy)]
enum LineSource {
    Stem(Words),
    Pixels(Pixels),
}

impl LineSource {
    /// The sums of `N` pixels from a column on, which may be one of the padding.
    ///
    /// # Safety
    /// The pixels can be read; so can a panel of weights for them, and sixteen biases.
    #[inline(always)]
    unsafe fn products<I: Codes, const N: usize>(
        self,
        isa: I,
        column: isize,
        weights: *const u8,
        bias: *const i32,
    ) -> [I::Sums; N] {
        const STEM_STEP: usize = StemLayer::STRIDE * PixelLines::CHANNELS;
        // SAFETY: the caller promises what is read.
        unsafe {
            match self {
                Self::Stem(words) => {
                    let first = words.first.wrapping_offset(column * STEM_STEP.cast_signed());
                    let words = Words { first, ..words };
                    isa.of_words::<N, STEM_STEP, { StemLayer::WORDS }>(words, weights, bias)
                }
                Self::Pixels(pixels) => {
                    let first = pixels.first.wrapping_offset(column * LANES.cast_signed());
                    isa.of_pixels::<N>(Pixels { first, ..pixels }, weights, bias)
                }
            }
        }
    }
}

/// Where a panel's quads are written.
pub(super) struct QuadPanel<'a> {
    pub(super) shape: QuadShape,
    /// The panel's place among those of sixteen channels.
    pub(super) vector: usize,
    /// `[lines][quads][64]`, the columns in their [`ColumnOrder`], filled with padding.
    pub(super) quads: &'a mut [u8],
    /// The stored byte of padding.
    pub(super) padding: u8,
}

impl QuadPanel<'_> {
    /// Fills the panel with the picture; the padding around it stays.
    #[inline(always)]
    pub(super) fn fill<I: Codes, const M: usize>(&mut self, isa: I, source: QuadSource<'_>) {
        assert!(self.quads.len() >= self.shape.panel_bytes(), "too few quads");
        match source {
            QuadSource::Image(image) => self.transpose(isa, image),
            QuadSource::Stem(layer, lines) if M == 12 => self.stem::<I, 12>(isa, layer, lines),
            QuadSource::Stem(layer, lines) => self.stem::<I, 4>(isa, layer, lines),
            QuadSource::Expand(layer, image) if M >= 6 => self.expand::<I, 12>(isa, layer, image),
            QuadSource::Expand(layer, image) => self.expand::<I, 4>(isa, layer, image),
        }
    }

    #[inline(always)]
    fn expand<I: Codes, const N: usize>(
        &mut self,
        isa: I,
        layer: &PointwiseLayer,
        image: &CodeImage,
    ) {
        let columns = self.shape.input[1];
        if isa.column_order() == ColumnOrder::Pixels {
            let first = image.start();
            let pixels =
                Pixels { first, block_stride: image.block_stride(), channels: layer.panels.inputs };
            let count = self.shape.pictured_lines() * columns;
            let source = LineSource::Pixels(pixels);
            // SAFETY: an image has all pixels, and sixteen behind them that the last tile may read.
            unsafe {
                self.pixels(isa, source, &layer.panels, &layer.requantizer, 0, count);
            }
            return;
        }
        let pair = N == 12 && columns == 7 && matches!(self.shape.pads[1], 1 | 2);
        let mut line = 0;
        while line < self.shape.pictured_lines() {
            let first = image.start().wrapping_add(line * columns * LANES);
            let pixels =
                Pixels { first, block_stride: image.block_stride(), channels: layer.panels.inputs };
            let both = pair && line + 1 < self.shape.pictured_lines();
            // SAFETY: an image has guards of sixteen pixels, which bound what tiles of a line read around it; fourteen
            // pixels of two lines of seven, or of one of fourteen, are there.
            unsafe {
                match (N, columns, self.shape.pads[1], both) {
                    (12, 7, 1, true) => {
                        self.whole::<I, 7, 1>(isa, pixels, &layer.panels, &layer.requantizer, line)
                    }
                    (12, 7, 2, true) => {
                        self.whole::<I, 7, 2>(isa, pixels, &layer.panels, &layer.requantizer, line)
                    }
                    (12, 14, 0, _) => {
                        self.whole::<I, 14, 0>(isa, pixels, &layer.panels, &layer.requantizer, line)
                    }
                    (12, 14, 1, _) => {
                        self.whole::<I, 14, 1>(isa, pixels, &layer.panels, &layer.requantizer, line)
                    }
                    (12, 14, 2, _) => {
                        self.whole::<I, 14, 2>(isa, pixels, &layer.panels, &layer.requantizer, line)
                    }
                    _ => self.line::<I, N>(
                        isa,
                        LineSource::Pixels(pixels),
                        &layer.panels,
                        &layer.requantizer,
                        line,
                    ),
                }
            }
            line += if both { 2 } else { 1 };
        }
    }

    #[inline(always)]
    fn stem<I: Codes, const N: usize>(&mut self, isa: I, layer: &StemLayer, lines: &PixelLines) {
        for line in 0..self.shape.pictured_lines() {
            let first = lines.line(line * StemLayer::STRIDE);
            let (outer, bytes) = (StemLayer::SIZE, StemLayer::LINE);
            let words = Words { first, outer, stride: lines.stride(), tail: 0, bytes };
            let source = LineSource::Stem(words);
            // SAFETY: lines of pixels have room behind them for what the last tile reads, and `Bottleneck` has
            // compared their number with the stem's output.
            unsafe {
                if isa.column_order() == ColumnOrder::Pixels {
                    let columns = self.shape.input[1];
                    self.pixels(isa, source, &layer.panels, &layer.requantizer, line, columns);
                } else {
                    self.line::<I, N>(isa, source, &layer.panels, &layer.requantizer, line);
                }
            }
        }
    }

    /// Computes `count` pixels from the first of a line on, four at a time, in [`ColumnOrder::Pixels`].
    ///
    /// # Safety
    /// The pixels can be read, and three behind them; the picture has them.
    #[inline(always)]
    unsafe fn pixels<I: Codes>(
        &mut self,
        isa: I,
        source: LineSource,
        panels: &Panels,
        requantizer: &Requantizer,
        line: usize,
        count: usize,
    ) {
        let [columns, before] = [self.shape.input[1], self.shape.pads[1]];
        let bias = requantizer.bias[self.vector * LANES..].as_ptr();
        let mut start = (line + self.shape.pads[0]) * self.shape.line_bytes() + before * LANES;
        let mut column = 0;
        for first in (0..count).step_by(4) {
            // SAFETY: the caller promises the pixels; the panel is that of `vector`.
            let sums = unsafe {
                let weights = panels.from(self.vector);
                source.products::<I, 4>(isa, first.cast_signed(), weights, bias)
            };
            let mut codes = [0; QUAD];
            // SAFETY: 64 bytes are there.
            unsafe { isa.store_quads(self.codes(isa, requantizer, sums), codes.as_mut_ptr()) };
            for pixel in codes.as_chunks::<LANES>().0.iter().take(count - first) {
                self.quads[start + column * LANES..][..LANES].copy_from_slice(pixel);
                column += 1;
                if column == columns {
                    column = 0;
                    start += self.shape.line_bytes();
                }
            }
        }
    }

    /// One line of the picture in tiles of `N` columns, the first of which begins with the padding.
    ///
    /// # Safety
    /// All pixels of the line, sixteen behind it and as many before it as the padding is wide can be read.
    #[inline(always)]
    unsafe fn line<I: Codes, const N: usize>(
        &mut self,
        isa: I,
        source: LineSource,
        panels: &Panels,
        requantizer: &Requantizer,
        line: usize,
    ) {
        let (columns, before) = (self.shape.input[1], self.shape.pads[1]);
        let pictured = (columns + before).div_ceil(4);
        let mut quad = 0;
        while quad < pictured {
            // The last tile of a line begins where it ends with the line: what stands there is made twice.
            let start = quad.min(pictured.saturating_sub(N / 4));
            let column = (4 * start).cast_signed() - before.cast_signed();
            let bias = requantizer.bias[self.vector * LANES..][..LANES].as_ptr();
            // SAFETY: the caller promises the pixels; the panel is that of `vector`.
            let sums =
                unsafe { source.products::<I, N>(isa, column, panels.from(self.vector), bias) };
            for (i, four) in sums.as_chunks::<4>().0.iter().enumerate() {
                let at = start + i;
                if at < pictured {
                    let codes = self.codes(isa, requantizer, *four);
                    let mask = column_mask(4 * at, before, columns);
                    self.store(isa, isa.select(codes, mask, self.padding), line, at);
                }
            }
            quad = start + N / 4;
        }
    }

    /// Fourteen pixels at once: two lines of seven or one of fourteen, `W` columns behind `BEFORE` columns of padding.
    ///
    /// # Safety
    /// Fourteen pixels can be read.
    #[inline(always)]
    unsafe fn whole<I: Codes, const W: usize, const BEFORE: usize>(
        &mut self,
        isa: I,
        pixels: Pixels,
        panels: &Panels,
        requantizer: &Requantizer,
        line: usize,
    ) {
        let bias = requantizer.bias[self.vector * LANES..][..LANES].as_ptr();
        // SAFETY: the caller promises the pixels; the panel is that of `vector`.
        let sums = unsafe { isa.of_pixels::<14>(pixels, panels.from(self.vector), bias) };
        let padding = isa.to_sums(isa.splat(f32::from(self.padding ^ I::FLIP)));
        let multipliers = isa.load(&requantizer.multipliers[self.vector * LANES..]);
        let zero_point = i32::from(requantizer.zero_point);
        for (quad, columns) in const { quads_of(W, BEFORE) }.into_iter().enumerate() {
            if columns == [NONE; 4] {
                continue;
            }
            let mut codes = [padding; 4];
            for (codes, &pixel) in codes.iter_mut().zip(&columns) {
                if pixel != NONE {
                    *codes = isa.requantize(sums[pixel], multipliers, zero_point);
                }
            }
            self.store(isa, isa.pack_quads(codes), line + quad / 4, quad % 4);
        }
    }

    #[inline(always)]
    fn codes<I: Codes>(&self, isa: I, requantizer: &Requantizer, sums: [I::Sums; 4]) -> I::Quads {
        let multipliers = isa.load(&requantizer.multipliers[self.vector * LANES..]);
        let zero_point = i32::from(requantizer.zero_point);
        isa.pack_quads(isa.requantize_four(sums, multipliers, zero_point))
    }

    #[inline(always)]
    fn store<I: Codes>(&mut self, isa: I, codes: I::Quads, line: usize, quad: usize) {
        let at = (line + self.shape.pads[0]) * self.shape.line_bytes() + quad * QUAD;
        let to = &mut self.quads[at..at + QUAD];
        // SAFETY: 64 bytes are there.
        unsafe { isa.store_quads(codes, to.as_mut_ptr()) };
    }

    /// The image's own channels, without a layer between.
    #[inline(always)]
    fn transpose<I: Codes>(&mut self, isa: I, image: &CodeImage) {
        let (columns, before) = (self.shape.input[1], self.shape.pads[1]);
        let block = image.start().wrapping_add(self.vector * image.block_stride());
        for line in 0..self.shape.pictured_lines() {
            for quad in 0..(columns + before).div_ceil(4) {
                let pixel = (line * columns + 4 * quad).cast_signed() - before.cast_signed();
                // SAFETY: an image has guards of sixteen pixels around its pixels.
                let pixels =
                    unsafe { isa.load_pixels(block.wrapping_offset(pixel * LANES.cast_signed())) };
                let mask = column_mask(4 * quad, before, columns);
                let codes = isa.select(isa.pixels_to_quads(pixels), mask, self.padding);
                self.store(isa, codes, line, quad);
            }
        }
    }
}

/// Ones in the bytes of a quad, from padded column `first` on, that lie on the picture.
#[inline(always)]
fn column_mask(first: usize, before: usize, columns: usize) -> u32 {
    let on_picture = |byte: usize| (before..before + columns).contains(&(first + byte));
    (0..4).fold(0, |mask, byte| if on_picture(byte) { mask | 0xFF << (8 * byte) } else { mask })
}

/// A column of a quad that lies on no pixel.
const NONE: usize = usize::MAX;

/// For fourteen pixels in lines of `width` behind `before` columns of padding: the pixel of each column of four quads for
/// each of two lines.
const fn quads_of(width: usize, before: usize) -> [[usize; 4]; 8] {
    let mut quads = [[NONE; 4]; 8];
    let mut pixel = 0;
    while pixel < 14 {
        let column = pixel % width + before;
        quads[pixel / width * 4 + column / 4][column % 4] = pixel;
        pixel += 1;
    }
    quads
}
