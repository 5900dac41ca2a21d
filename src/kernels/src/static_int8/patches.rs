//! Patches under a filter as channels: what makes any convolution a pointwise layer.

use super::image::CodeImage;
use crate::{conv2d::Conv2d, lanes::LANES};

/// The patches of an image under a moving window: line, column and channel of a patch become channels of one pixel.
///
/// Convolutions that have no kernel of their own are computed this way; it is as fast as copying bytes one by one.
#[derive(Debug, Clone, Copy)]
pub struct Patches {
    /// The moving window.
    pub window: Conv2d,
    /// The code of zero, which lies around the image.
    pub zero_point: u8,
}

impl Patches {
    /// Writes the patches of `input`. `None` if `output` has another size, or other channels than a patch has codes.
    pub fn write(self, input: &CodeImage, output: &mut CodeImage) -> Option<()> {
        let (taps, channels) = (self.window.size[0] * self.window.size[1], input.channels());
        let fits = output.size() == self.window.outputs(input.size())
            && output.channels() == taps * channels;
        fits.then_some(())?;
        let (stride, flip) = (output.block_stride(), output.flip());
        let blocks = output.blocks_mut();
        for channel in 0..taps * channels {
            let (tap, from) = (channel / channels, channel % channels);
            let start = channel / LANES * stride + channel % LANES;
            let from = Tap {
                line: tap / self.window.size[1],
                column: tap % self.window.size[1],
                channel: from,
            };
            let to = blocks[start..].iter_mut().step_by(LANES);
            self.write_channel(input, from, flip, to);
        }
        Some(())
    }

    /// Writes one channel of all patches.
    fn write_channel<'a>(
        self,
        input: &CodeImage,
        tap: Tap,
        flip: u8,
        mut to: impl Iterator<Item = &'a mut u8>,
    ) {
        let [height, width] = input.size();
        let [lines, columns] = self.window.outputs([height, width]);
        let start = tap.channel / LANES * input.block_stride() + tap.channel % LANES;
        let (bytes, padding) = (&input.blocks()[start..], self.zero_point ^ flip);
        let [down, right] = self.window.strides;
        for line in 0..lines {
            let y = (line * down + tap.line).checked_sub(self.window.pads_begin[0]);
            let y = y.filter(|&y| y < height);
            for (column, to) in (0..columns).zip(&mut to) {
                let x = (column * right + tap.column).checked_sub(self.window.pads_begin[1]);
                *to = match (y, x) {
                    (Some(y), Some(x)) if x < width => bytes[(y * width + x) * LANES],
                    _ => padding,
                };
            }
        }
    }
}

/// A place under the window.
#[derive(Clone, Copy)]
struct Tap {
    line: usize,
    column: usize,
    channel: usize,
}
