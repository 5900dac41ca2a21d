//! Pictures of codes.

use super::packed::flip;
use crate::{dispatch::Cpu, lanes::LANES};

/// Pixels that a tile may read before the first and behind the last one.
const GUARD: usize = 16;

/// Pixels before each line of a picture that a tile may read: as many as four columns of a stem are wide, and one more.
const LEAD: usize = 9;

/// An image of codes, `[channels / 16][height × width][16]`: what static int8 layers read and write.
///
/// The bytes are stored as one instruction set's products read them, so an image belongs to the [`Cpu`] it was made for.
#[derive(Clone)]
pub struct CodeImage {
    stored: Vec<u8>,
    size: [usize; 2],
    channels: usize,
    flip: u8,
}

impl CodeImage {
    /// An image of `size` (height and width) whose codes are all 0.
    ///
    /// # Panics
    /// When its bytes exceed the address space.
    #[must_use]
    pub fn new(cpu: Cpu, size: [usize; 2], channels: usize) -> Self {
        let pixels = size[0].checked_mul(size[1]).and_then(|pixels| pixels.checked_add(2 * GUARD));
        let bytes =
            pixels.and_then(|pixels| pixels.checked_mul(channels.div_ceil(LANES).max(1) * LANES));
        let Some(bytes) = bytes else {
            panic!("an image of {size:?} × {channels} exceeds the address space")
        };
        let flip = flip(cpu);
        Self { stored: vec![flip; bytes], size, channels, flip }
    }

    /// Height and width.
    #[must_use]
    pub fn size(&self) -> [usize; 2] {
        self.size
    }

    /// Height times width.
    #[must_use]
    pub fn pixels(&self) -> usize {
        self.size[0] * self.size[1]
    }

    /// The number of channels.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Whether another image has the same size and channels.
    pub(super) fn has_shape_of(&self, other: &Self) -> bool {
        self.size == other.size && self.channels == other.channels
    }

    /// The code of a channel of the pixel at `index`, counted line by line.
    #[must_use]
    pub fn code(&self, index: usize, channel: usize) -> u8 {
        self.stored[self.at(index, channel)] ^ self.flip
    }

    /// Sets one code.
    pub fn set(&mut self, index: usize, channel: usize, code: u8) {
        let at = self.at(index, channel);
        self.stored[at] = code ^ self.flip;
    }

    fn at(&self, index: usize, channel: usize) -> usize {
        assert!(index < self.pixels() && channel < self.channels, "no such pixel or channel");
        GUARD * LANES + (channel / LANES * self.pixels() + index) * LANES + channel % LANES
    }

    /// The stored bytes of the first block's first pixel and all that follow; [`GUARD`] pixels stand before and behind.
    pub(super) fn start(&self) -> *const u8 {
        // Of the whole, so that the guard before it may be read too.
        self.stored.as_ptr().wrapping_add(GUARD * LANES)
    }

    /// All blocks, without the guards.
    pub(super) fn blocks(&self) -> &[u8] {
        &self.stored[GUARD * LANES..self.stored.len() - GUARD * LANES]
    }

    /// All blocks, without the guards.
    pub(super) fn blocks_mut(&mut self) -> &mut [u8] {
        let end = self.stored.len() - GUARD * LANES;
        &mut self.stored[GUARD * LANES..end]
    }

    /// The mask that stored codes are codes by exclusive or with.
    pub(super) fn flip(&self) -> u8 {
        self.flip
    }

    /// Bytes from one block to the next.
    pub(super) fn block_stride(&self) -> usize {
        self.pixels() * LANES
    }
}

impl std::fmt::Debug for CodeImage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "codes of {}×{}×{}", self.size[0], self.size[1], self.channels)
    }
}

/// Lines of a picture's pixels as codes, `[line][column][3]`, with padding around them: what a stem reads.
#[derive(Clone)]
pub struct PixelLines {
    stored: Vec<u8>,
    size: [usize; 2],
    pads: [usize; 2],
    stride: usize,
    flip: u8,
}

impl PixelLines {
    /// Channels of a pixel.
    pub(super) const CHANNELS: usize = 3;

    /// Lines of `size` (height and width) with `pads` lines above and columns before, as the stem pads; what lies around the
    /// picture is `padding`, the code of zero.
    #[must_use]
    pub fn new(cpu: Cpu, size: [usize; 2], pads: [usize; 2], padding: u8) -> Self {
        // A tile reads a few pixels further than the last filter.
        let stride = (LEAD + pads[1] + size[1] + 2 * GUARD) * Self::CHANNELS;
        let lines = pads[0] + size[0] + 4;
        let flip = flip(cpu);
        Self { stored: vec![padding ^ flip; lines * stride], size, pads, stride, flip }
    }

    /// Height and width of the picture.
    #[must_use]
    pub fn size(&self) -> [usize; 2] {
        self.size
    }

    /// Writes a line of the picture, `[column][3]` bytes, each through the `codes` of its channel.
    ///
    /// # Panics
    /// When there is no such line, or the bytes are not the line's.
    pub fn write_line(&mut self, line: usize, bytes: &[u8], codes: &[[u8; 256]; 3]) {
        assert!(
            line < self.size[0] && bytes.len() == self.size[1] * Self::CHANNELS,
            "not a line of the picture"
        );
        let flip = self.flip;
        let to = self.line_mut(line);
        for (to, pixel) in to.as_chunks_mut().0.iter_mut().zip(bytes.as_chunks::<3>().0) {
            *to = [0, 1, 2].map(|channel| codes[channel][usize::from(pixel[channel])] ^ flip);
        }
    }

    /// Writes a line of codes, `[column][3]`.
    ///
    /// # Panics
    /// When there is no such line, or the codes are not the line's.
    pub fn write_codes(&mut self, line: usize, codes: &[u8]) {
        assert!(line < self.size[0], "not a line of the picture");
        let flip = self.flip;
        let to = self.line_mut(line);
        assert_eq!(to.len(), codes.len(), "not a line of the picture");
        for (to, &code) in to.iter_mut().zip(codes) {
            *to = code ^ flip;
        }
    }

    /// The stored bytes of a line of the picture, `[column][3]`.
    pub(super) fn line_mut(&mut self, line: usize) -> &mut [u8] {
        let at = (line + self.pads[0]) * self.stride + (LEAD + self.pads[1]) * Self::CHANNELS;
        &mut self.stored[at..at + self.size[1] * Self::CHANNELS]
    }

    /// The mask that stored codes are codes by exclusive or with.
    pub(super) fn flip(&self) -> u8 {
        self.flip
    }

    pub(super) fn pads(&self) -> [usize; 2] {
        self.pads
    }

    /// Bytes from one line to the next.
    pub(super) fn stride(&self) -> usize {
        self.stride
    }

    /// The first byte of a line and its padding; [`LEAD`] pixels stand before it.
    pub(super) fn line(&self, line: usize) -> *const u8 {
        let at = line * self.stride + LEAD * Self::CHANNELS;
        assert!(at <= self.stored.len(), "no such line");
        // Of the whole, so that the pixels before it may be read too.
        self.stored.as_ptr().wrapping_add(at)
    }

    /// Padded lines.
    pub(super) fn lines(&self) -> usize {
        self.stored.len() / self.stride
    }

    #[cfg(test)]
    pub(super) fn code(&self, line: usize, column: usize, channel: usize) -> u8 {
        self.stored[line * self.stride + (LEAD + column) * Self::CHANNELS + channel] ^ self.flip
    }
}
