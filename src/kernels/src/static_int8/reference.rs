//! The layers once more, as plainly as they can be written.

use super::{CodeImage, PixelLines, Residual};
use crate::{conv2d::Conv2d, dispatch::Cpu};

/// Parameters that own their elements.
#[derive(Debug, Clone)]
pub(super) struct Parameters {
    pub(super) weights: Vec<i8>,
    pub(super) bias: Vec<i32>,
    pub(super) multipliers: Vec<f32>,
    pub(super) input_zero_point: u8,
    pub(super) output_zero_point: u8,
}

impl Parameters {
    pub(super) fn borrow(&self) -> super::LayerParameters<'_> {
        super::LayerParameters {
            weights: &self.weights,
            bias: &self.bias,
            multipliers: &self.multipliers,
            input_zero_point: self.input_zero_point,
            output_zero_point: self.output_zero_point,
        }
    }

    fn code(&self, output: usize, products: i32) -> u8 {
        let value =
            ((products + self.bias[output]) as f32 * self.multipliers[output]).round_ties_even();
        (value as i32 + i32::from(self.output_zero_point)).clamp(0, 255) as u8
    }

    fn product(&self, code: u8, weight: i8) -> i32 {
        (i32::from(code) - i32::from(self.input_zero_point)) * i32::from(weight)
    }
}

/// `f` for every pixel and output of a new image.
fn image(cpu: Cpu, size: [usize; 2], outputs: usize, f: impl Fn(usize, usize) -> u8) -> CodeImage {
    let mut image = CodeImage::new(cpu, size, outputs);
    for pixel in 0..image.pixels() {
        for output in 0..outputs {
            image.set(pixel, output, f(pixel, output));
        }
    }
    image
}

pub(super) fn pointwise(cpu: Cpu, p: &Parameters, input: &CodeImage) -> CodeImage {
    let inputs = input.channels();
    image(cpu, input.size(), p.bias.len(), |pixel, output| {
        let product = |i: usize| p.product(input.code(pixel, i), p.weights[output * inputs + i]);
        p.code(output, (0..inputs).map(product).sum())
    })
}

/// A dense convolution, its weights `[outputs][line][column][channel]`.
pub(super) fn convolution(
    cpu: Cpu,
    p: &Parameters,
    window: Conv2d,
    input: &CodeImage,
) -> CodeImage {
    let ([height, width], channels) = (input.size(), input.channels());
    let size = window.outputs([height, width]);
    let inputs = window.size[0] * window.size[1] * channels;
    image(cpu, size, p.bias.len(), |pixel, output| {
        let (line, column) = (pixel / size[1], pixel % size[1]);
        let product = |i: usize| {
            let (tap, channel) = (i / channels, i % channels);
            let y = (line * window.strides[0] + tap / window.size[1])
                .checked_sub(window.pads_begin[0])?;
            let x = (column * window.strides[1] + tap % window.size[1])
                .checked_sub(window.pads_begin[1])?;
            let weight = p.weights[output * inputs + i];
            (y < height && x < width).then(|| p.product(input.code(y * width + x, channel), weight))
        };
        p.code(output, (0..inputs).filter_map(product).sum())
    })
}

pub(super) fn depthwise(
    cpu: Cpu,
    p: &Parameters,
    [size, stride]: [usize; 2],
    pads: [usize; 2],
    input: &CodeImage,
) -> CodeImage {
    let [height, width] = input.size();
    let output_size = [height.div_ceil(stride), width.div_ceil(stride)];
    image(cpu, output_size, input.channels(), |pixel, channel| {
        let (line, column) = (pixel / output_size[1], pixel % output_size[1]);
        let product = |place: usize| {
            let y = (line * stride + place / size).checked_sub(pads[0])?;
            let x = (column * stride + place % size).checked_sub(pads[1])?;
            let weight = p.weights[channel * size * size + place];
            (y < height && x < width).then(|| p.product(input.code(y * width + x, channel), weight))
        };
        p.code(channel, (0..size * size).filter_map(product).sum())
    })
}

pub(super) fn stem(cpu: Cpu, p: &Parameters, lines: &PixelLines) -> CodeImage {
    let size = lines.size().map(|side| side.div_ceil(2));
    image(cpu, size, p.bias.len(), |pixel, output| {
        let (line, column) = (pixel / size[1], pixel % size[1]);
        let product = |i: usize| {
            let (y, x, colour) = (line * 2 + i / 9, column * 2 + i % 9 / 3, i % 3);
            p.product(lines.code(y, x, colour), p.weights[output * 27 + i])
        };
        p.code(output, (0..27).map(product).sum())
    })
}

pub(super) fn add(
    cpu: Cpu,
    residual: &Residual,
    own_zero_point: u8,
    own: &CodeImage,
    other: &CodeImage,
) -> CodeImage {
    image(cpu, own.size(), own.channels(), |pixel, channel| {
        let less = |code: u8, zero_point: u8| f32::from(code) - f32::from(zero_point);
        let own = less(own.code(pixel, channel), own_zero_point);
        let other =
            less(other.code(pixel, channel), residual.other_zero_point) * residual.other_multiplier;
        let sum = own.mul_add(residual.own_multiplier, other).round_ties_even();
        (sum as i32 + i32::from(residual.zero_point)).clamp(0, 255) as u8
    })
}
