//! Codes of f32 and f32 of codes, where a static int8 network begins and ends.

use super::image::{CodeImage, PixelLines};
use crate::{
    dispatch::Cpu,
    isa::{Isa, Operation},
    lanes::LANES,
};

/// 1.5 × 2^23: a small number added to it is rounded to an integer, ties to even, which stands in the lowest bits of the sum.
/// Unlike a conversion, the sum and its truncation are one instruction each for sixteen elements.
const ROUNDING: f32 = 12_582_912.0;

/// Elements that are converted before they are stored apart from each other.
const CHUNK: usize = 64;

/// A tensor's scale and zero point: `value ≈ (code − zero point) × scale`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quantization {
    /// The value of one step.
    pub scale: f32,
    /// The code of zero.
    pub zero_point: u8,
}

impl Quantization {
    /// The code of a value, as ONNX's `QuantizeLinear` gives it: the nearest, ties to even, and the first or last code beyond
    /// the range. NaN gets any.
    #[inline(always)]
    #[must_use]
    pub fn code(self, value: f32) -> u8 {
        let zero_point = f32::from(self.zero_point);
        let steps = (value / self.scale).clamp(-zero_point, 255.0 - zero_point);
        ((steps + ROUNDING).to_bits() as u8).wrapping_add(self.zero_point)
    }

    /// Writes the codes of at most as many values. Says whether all are finite.
    #[inline(always)]
    fn write_codes(self, values: &[f32], codes: &mut [u8; CHUNK]) -> bool {
        let mut largest = 0;
        for (code, &value) in codes.iter_mut().zip(values) {
            *code = self.code(value);
            largest = largest.max(value.abs().to_bits());
        }
        largest < f32::INFINITY.to_bits()
    }

    /// The value of a code, as ONNX's `DequantizeLinear` gives it.
    #[inline(always)]
    #[must_use]
    pub fn value(self, code: u8) -> f32 {
        (f32::from(code) - f32::from(self.zero_point)) * self.scale
    }

    /// Writes the codes of `planes` `[channels, height, width]` to an image. Says whether all elements are finite.
    ///
    /// # Panics
    /// When there are more or fewer elements than the image has codes.
    #[must_use]
    pub fn quantize(self, cpu: Cpu, planes: &[f32], image: &mut CodeImage) -> bool {
        let (pixels, channels) = (image.pixels(), image.channels());
        assert_eq!(planes.len(), pixels * channels, "planes of another size than the image");
        let flip = image.flip();
        let bytes = image.blocks_mut();
        planes.chunks_exact(pixels.max(1)).enumerate().fold(true, |finite, (channel, plane)| {
            let start = channel / LANES * pixels * LANES + channel % LANES;
            let to = Strided { bytes: &mut bytes[start..], step: LANES };
            cpu.run(Quantize { quantization: self, values: plane, to, flip }) && finite
        })
    }

    /// Writes the codes of the three `planes` `[3, height, width]` of a picture. Says whether all elements are finite.
    ///
    /// # Panics
    /// When there are more or fewer elements than the picture has.
    #[must_use]
    pub fn quantize_pixels(self, cpu: Cpu, planes: &[f32], lines: &mut PixelLines) -> bool {
        let [height, width] = lines.size();
        let elements = PixelLines::CHANNELS * height * width;
        assert_eq!(planes.len(), elements, "planes of another size than the picture");
        let flip = lines.flip();
        let rows = planes.chunks_exact(width.max(1)).enumerate();
        rows.fold(true, |finite, (row, values)| {
            let (channel, line) = (row / height, row % height);
            let bytes = &mut lines.line_mut(line)[channel..];
            let to = Strided { bytes, step: PixelLines::CHANNELS };
            cpu.run(Quantize { quantization: self, values, to, flip }) && finite
        })
    }

    /// Writes the codes of the three `planes` `[3, pixels]` of a picture side by side, `[pixels, 3]`. Says whether all elements
    /// are finite.
    ///
    /// # Panics
    /// When there are more or fewer elements than codes.
    #[must_use]
    pub fn quantize_interleaved(self, cpu: Cpu, planes: &[f32], codes: &mut [u8]) -> bool {
        assert_eq!(planes.len(), codes.len(), "planes of another size than the codes");
        let (pixels, _) = codes.as_chunks_mut();
        let (red, rest) = planes.split_at(pixels.len());
        let (green, blue) = rest.split_at(pixels.len());
        cpu.run(QuantizePixels { quantization: self, planes: [red, green, blue], pixels })
    }

    /// Writes the values of an image's codes to `planes` `[channels, height, width]`.
    ///
    /// # Panics
    /// When there are more or fewer elements than the image has codes.
    pub fn dequantize(self, cpu: Cpu, image: &CodeImage, planes: &mut [f32]) {
        let pixels = image.pixels();
        assert_eq!(
            planes.len(),
            pixels * image.channels(),
            "planes of another size than the image"
        );
        let (bytes, flip) = (image.blocks(), image.flip());
        for (channel, plane) in planes.chunks_exact_mut(pixels.max(1)).enumerate() {
            let from = &bytes[channel / LANES * pixels * LANES + channel % LANES..];
            cpu.run(Dequantize { quantization: self, from, flip, plane });
        }
    }

    /// Writes the mean value of each channel over an image's pixels to `means` `[channels]`; NaN without pixels.
    ///
    /// # Panics
    /// When there are more or fewer elements than the image has channels.
    pub fn dequantize_means(self, cpu: Cpu, image: &CodeImage, means: &mut [f32]) {
        assert_eq!(means.len(), image.channels(), "means of other channels than the image's");
        let pixels = image.pixels() as f64;
        for (mean, sum) in means.iter_mut().zip(power_sums::<1>(cpu, image)) {
            let steps = sum / pixels - f64::from(self.zero_point);
            *mean = (steps * f64::from(self.scale)) as f32;
        }
    }

    /// Writes the mean squared difference of each channel's values from their mean to `variances` `[channels]`; NaN without
    /// pixels.
    ///
    /// # Panics
    /// When there are more or fewer elements than the image has channels.
    pub fn dequantize_variances(self, cpu: Cpu, image: &CodeImage, variances: &mut [f32]) {
        assert_eq!(
            variances.len(),
            image.channels(),
            "variances of other channels than the image's"
        );
        let (pixels, scale) = (image.pixels() as f64, f64::from(self.scale));
        let sums = power_sums::<1>(cpu, image).zip(power_sums::<2>(cpu, image));
        for (variance, (sum, squares)) in variances.iter_mut().zip(sums) {
            let mean = sum / pixels;
            // Sums of integers are exact, so that codes that are all the same give 0 and no others less.
            *variance = ((squares / pixels - mean * mean) * scale * scale) as f32;
        }
    }
}

/// The sum of each channel's codes to the power `P`, which is 1 or 2, and of what stands behind the last channel.
fn power_sums<const P: u32>(cpu: Cpu, image: &CodeImage) -> impl Iterator<Item = f64> {
    let (stride, flip) = (image.block_stride(), image.flip());
    let block = move |vector: usize| &image.blocks()[vector * stride..][..stride];
    let vectors = 0..image.channels().div_ceil(LANES);
    let sums = vectors.flat_map(move |v| cpu.run(PowerSums::<P> { block: block(v), flip }));
    sums.map(|sum| sum as f64)
}

/// Pixels whose squared codes are summed in 32 bits.
const SUMMED: usize = 1 << 16;

/// Bytes of which every `step`th is written.
struct Strided<'a> {
    bytes: &'a mut [u8],
    step: usize,
}

struct Quantize<'a> {
    quantization: Quantization,
    values: &'a [f32],
    to: Strided<'a>,
    flip: u8,
}

impl Operation for Quantize<'_> {
    type Output = bool;

    #[inline(always)]
    fn run<I: Isa>(self, _: I) -> bool {
        let (mut codes, mut finite) = ([0; CHUNK], true);
        let spread = self.to.bytes.chunks_mut(CHUNK * self.to.step);
        for (values, to) in self.values.chunks(CHUNK).zip(spread) {
            finite &= self.quantization.write_codes(values, &mut codes);
            for (to, &code) in to.iter_mut().step_by(self.to.step).zip(&codes[..values.len()]) {
                *to = code ^ self.flip;
            }
        }
        finite
    }
}

struct QuantizePixels<'a> {
    quantization: Quantization,
    planes: [&'a [f32]; PixelLines::CHANNELS],
    pixels: &'a mut [[u8; PixelLines::CHANNELS]],
}

impl Operation for QuantizePixels<'_> {
    type Output = bool;

    #[inline(always)]
    fn run<I: Isa>(self, _: I) -> bool {
        let (mut codes, mut finite) = ([[0; CHUNK]; PixelLines::CHANNELS], true);
        for (chunk, pixels) in self.pixels.chunks_mut(CHUNK).enumerate() {
            for (plane, codes) in self.planes.iter().zip(&mut codes) {
                let values = &plane[chunk * CHUNK..][..pixels.len()];
                finite &= self.quantization.write_codes(values, codes);
            }
            for (at, pixel) in pixels.iter_mut().enumerate() {
                *pixel = [codes[0][at], codes[1][at], codes[2][at]];
            }
        }
        finite
    }
}

struct Dequantize<'a> {
    quantization: Quantization,
    /// The first channel's code of the first pixel, and what follows.
    from: &'a [u8],
    flip: u8,
    plane: &'a mut [f32],
}

impl Operation for Dequantize<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, _: I) {
        for (value, &byte) in self.plane.iter_mut().zip(self.from.iter().step_by(LANES)) {
            *value = self.quantization.value(byte ^ self.flip);
        }
    }
}

/// The sums of the codes of each of a block's sixteen channels, to the power `P`.
struct PowerSums<'a, const P: u32> {
    /// `[pixels][16]`
    block: &'a [u8],
    flip: u8,
}

impl<const P: u32> Operation for PowerSums<'_, P> {
    type Output = [u64; LANES];

    #[inline(always)]
    fn run<I: Isa>(self, _: I) -> [u64; LANES] {
        let mut sums = [0; LANES];
        for pixels in self.block.chunks(SUMMED * LANES) {
            let mut part = [0_u32; LANES];
            for pixel in pixels.as_chunks::<LANES>().0 {
                for (sum, &code) in part.iter_mut().zip(pixel) {
                    *sum += u32::from(code ^ self.flip).pow(P);
                }
            }
            sums.iter_mut().zip(part).for_each(|(sum, part)| *sum += u64::from(part));
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::InstructionSet;

    fn cpus() -> impl Iterator<Item = Cpu> {
        InstructionSet::ALL.into_iter().filter_map(Cpu::with)
    }

    #[test]
    fn values_become_the_nearest_codes_with_ties_to_even() {
        let quantization = Quantization { scale: 0.5, zero_point: 3 };
        let codes = [0.0, 0.24, 0.25, 0.75, -0.25, -9.0, 1e9].map(|value| quantization.code(value));
        assert_eq!(codes, [3, 3, 3, 5, 3, 0, 255]);
    }

    #[test]
    fn an_image_is_quantized_and_dequantized_on_every_instruction_set() {
        let quantization = Quantization { scale: 0.05, zero_point: 100 };
        let planes: Vec<f32> = (0..19 * 5 * 17).map(|i| (i % 301) as f32 * 0.05 - 6.0).collect();
        for cpu in cpus() {
            let mut image = CodeImage::new(cpu, [5, 17], 19);
            assert!(quantization.quantize(cpu, &planes, &mut image));
            let mut found = vec![0.0; planes.len()];
            quantization.dequantize(cpu, &image, &mut found);
            for (at, (&value, &found)) in planes.iter().zip(&found).enumerate() {
                assert_eq!(image.code(at % 85, at / 85), quantization.code(value));
                assert_eq!(found, quantization.value(quantization.code(value)));
            }
        }
    }

    /// Holds a statistic of each channel, as `of_codes` writes it, to `of_values` of the channel's values.
    fn check_channels(
        of_codes: impl Fn(Quantization, Cpu, &CodeImage, &mut [f32]),
        of_values: impl Fn(&[f64]) -> f64,
    ) {
        let quantization = Quantization { scale: 0.05, zero_point: 100 };
        let planes: Vec<f32> = (0..19 * 5 * 17).map(|i| (i % 301) as f32 * 0.05 - 6.0).collect();
        for cpu in cpus() {
            let mut image = CodeImage::new(cpu, [5, 17], 19);
            assert!(quantization.quantize(cpu, &planes, &mut image));
            let (mut values, mut found) = (vec![0.0; planes.len()], [0.0; 19]);
            quantization.dequantize(cpu, &image, &mut values);
            of_codes(quantization, cpu, &image, &mut found);
            let values: Vec<f64> = values.into_iter().map(f64::from).collect();
            for (plane, found) in values.chunks(85).zip(found) {
                let expected = of_values(plane);
                assert!((f64::from(found) - expected).abs() < 1e-5, "{cpu:?}: {found}, {expected}");
            }
        }
    }

    fn mean(values: &[f64]) -> f64 {
        values.iter().sum::<f64>() / values.len() as f64
    }

    #[test]
    fn means_are_those_of_the_values() {
        check_channels(Quantization::dequantize_means, mean);
    }

    #[test]
    fn variances_are_those_of_the_values() {
        check_channels(Quantization::dequantize_variances, |values| {
            let squares: Vec<f64> = values.iter().map(|v| (v - mean(values)).powi(2)).collect();
            mean(&squares)
        });
    }

    #[test]
    fn sums_of_squares_of_the_largest_codes_do_not_overflow() {
        let (cpu, quantization) = (Cpu::best(), Quantization { scale: 1.0, zero_point: 0 });
        let mut image = CodeImage::new(cpu, [SUMMED + 1, 1], 1);
        assert!(quantization.quantize(cpu, &[255.0; SUMMED + 1], &mut image));
        let mut variance = [1.0];
        quantization.dequantize_variances(cpu, &image, &mut variance);
        assert_eq!(variance, [0.0]);
    }

    #[test]
    fn elements_that_are_not_finite_are_told() {
        let quantization = Quantization { scale: 1.0, zero_point: 0 };
        let cpu = Cpu::best();
        for value in [f32::NAN, f32::INFINITY] {
            let mut planes = [0.0; 3 * 4 * 5];
            planes[37] = value;
            assert!(!quantization.quantize(cpu, &planes, &mut CodeImage::new(cpu, [4, 5], 3)));
            let mut lines = PixelLines::new(cpu, [4, 5], [1, 1], 0);
            assert!(!quantization.quantize_pixels(cpu, &planes, &mut lines));
        }
    }

    #[test]
    fn planes_become_the_same_lines_as_bytes() {
        let quantization = Quantization { scale: 0.5, zero_point: 7 };
        for cpu in cpus() {
            let (mut planes, mut bytes) = (
                PixelLines::new(cpu, [2, 70], [0, 1], 7),
                PixelLines::new(cpu, [2, 70], [0, 1], 7),
            );
            let values: Vec<f32> = (0..3 * 140).map(|i| (i % 90) as f32).collect();
            assert!(quantization.quantize_pixels(cpu, &values, &mut planes));
            let codes =
                [0, 1, 2].map(|_| std::array::from_fn(|byte| quantization.code(byte as f32)));
            for line in 0..2 {
                let row: Vec<u8> =
                    (0..210).map(|i| values[i % 3 * 140 + line * 70 + i / 3] as u8).collect();
                bytes.write_line(line, &row, &codes);
            }
            let mut side_by_side = vec![0; values.len()];
            assert!(quantization.quantize_interleaved(cpu, &values, &mut side_by_side));
            for line in 0..2 {
                assert_eq!(planes.line_mut(line), bytes.line_mut(line));
                planes.write_codes(line, &side_by_side[210 * line..][..210]);
                assert_eq!(planes.line_mut(line), bytes.line_mut(line));
            }
        }
    }
}
