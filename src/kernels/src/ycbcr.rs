//! Colours of camera frames and JPEG files: from luma and chroma to RGB.

use crate::{
    dispatch::Cpu,
    isa::{Isa, Operation},
};

/// Pixels of a block: plain code that the compiler makes vectors of.
const BLOCK: usize = 32;

/// Bits behind the point of a coefficient.
const FRACTION_BITS: i16 = 13;

/// An encoding of colours as luma and two chromas of 8 bits each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ycbcr {
    /// BT.601 in full range, 0 to 255, as JPEG files have it (JFIF).
    FullBt601,
    /// BT.601 in limited range, luma from 16 to 235 and chroma from 16 to 240: video of standard definition.
    Bt601,
    /// BT.709 in limited range: video of high definition.
    Bt709,
}

impl Ycbcr {
    /// Converts `[y, cb, cr]`, planes of one size, to `rgb`, a pixel for each sample of luma.
    ///
    /// Each product of a coefficient of ITU-R BT.601-7 or BT.709-6 and a sample is rounded to a whole level; a colour that RGB
    /// does not hold is clamped.
    ///
    /// # Panics
    /// When there are not as many samples of each plane as pixels.
    ///
    /// ```
    /// use coca_kernels::{Cpu, Ycbcr};
    ///
    /// let mut rgb = [[0; 3]; 2];
    /// Ycbcr::Bt601.write_rgb(Cpu::best(), [&[16, 235], &[128, 128], &[128, 128]], &mut rgb);
    /// assert_eq!(rgb, [[0; 3], [255; 3]]);
    /// ```
    pub fn write_rgb(self, cpu: Cpu, planes: [&[u8]; 3], rgb: &mut [[u8; 3]]) {
        let samples = planes.map(<[u8]>::len);
        assert_eq!(samples, [rgb.len(); 3], "as many samples of each plane as pixels");
        cpu.run(WriteRgb { coefficients: self.coefficients(), planes, rgb });
    }

    const fn coefficients(self) -> Coefficients {
        match self {
            Self::FullBt601 => Coefficients::new(0.299, 0.114, 0, [1.0, 1.0]),
            Self::Bt601 => Coefficients::new(0.299, 0.114, 16, [255.0 / 219.0, 255.0 / 224.0]),
            Self::Bt709 => Coefficients::new(0.2126, 0.0722, 16, [255.0 / 219.0, 255.0 / 224.0]),
        }
    }
}

/// Factors with [`FRACTION_BITS`] bits behind the point.
#[derive(Debug, Clone, Copy)]
struct Coefficients {
    /// Luma of black.
    black: u8,
    luma: i16,
    red_of_cr: i16,
    green_of_cr: i16,
    green_of_cb: i16,
    blue_of_cb: i16,
}

impl Coefficients {
    /// The inverse of `y = kr r + (1 - kr - kb) g + kb b`, `cb = (b - y) / (2 - 2 kb)`, `cr = (r - y) / (2 - 2 kr)`, with what
    /// luma and chroma are stretched by.
    const fn new(kr: f64, kb: f64, black: u8, [luma, chroma]: [f64; 2]) -> Self {
        const fn fixed(factor: f64) -> i16 {
            (factor * (1_i32 << FRACTION_BITS) as f64 + 0.5) as i16
        }
        let kg = 1.0 - kr - kb;
        let (red_of_cr, blue_of_cb) = ((2.0 - 2.0 * kr) * chroma, (2.0 - 2.0 * kb) * chroma);
        Self {
            black,
            luma: fixed(luma),
            red_of_cr: fixed(red_of_cr),
            green_of_cr: fixed(red_of_cr * kr / kg),
            green_of_cb: fixed(blue_of_cb * kb / kg),
            blue_of_cb: fixed(blue_of_cb),
        }
    }

    /// Converts a block of `N` pixels, plane by plane and then side by side.
    #[inline(always)]
    fn write_block<const N: usize>(self, planes: [&[u8; N]; 3], rgb: &mut [[u8; 3]; N]) {
        let [luma, cb, cr] = planes;
        let [mut red, mut green, mut blue] = [[0; N]; 3];
        for pixel in 0..N {
            let y = product(i16::from(luma[pixel].saturating_sub(self.black)), self.luma);
            let (cb, cr) = (i16::from(cb[pixel]) - 128, i16::from(cr[pixel]) - 128);
            let level = |value: i16| value.clamp(0, 255) as u8;
            red[pixel] = level(y + product(cr, self.red_of_cr));
            green[pixel] = level(y - product(cr, self.green_of_cr) - product(cb, self.green_of_cb));
            blue[pixel] = level(y + product(cb, self.blue_of_cb));
        }
        for pixel in 0..N {
            rgb[pixel] = [red[pixel], green[pixel], blue[pixel]];
        }
    }
}

/// `sample`, in -128..=255, × `coefficient`, rounded to the nearest whole number: the upper half of a product of 16 bits has a
/// vector instruction on every CPU, and is twice the product here.
#[inline(always)]
fn product(sample: i16, coefficient: i16) -> i16 {
    let twice = (i32::from(sample << (17 - FRACTION_BITS)) * i32::from(coefficient)) >> 16;
    (twice as i16 + 1) >> 1
}

/// A conversion of whole planes.
struct WriteRgb<'a> {
    coefficients: Coefficients,
    planes: [&'a [u8]; 3],
    rgb: &'a mut [[u8; 3]],
}

impl Operation for WriteRgb<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, _: I) {
        let Self { coefficients, planes, rgb } = self;
        let (blocks, rest) = rgb.as_chunks_mut::<BLOCK>();
        let [y, cb, cr] = planes.map(|plane| plane.as_chunks::<BLOCK>());
        for (((y, cb), cr), rgb) in y.0.iter().zip(cb.0).zip(cr.0).zip(blocks) {
            coefficients.write_block([y, cb, cr], rgb);
        }
        for (((y, cb), cr), rgb) in y.1.iter().zip(cb.1).zip(cr.1).zip(rest) {
            coefficients.write_block([&[*y], &[*cb], &[*cr]], std::array::from_mut(rgb));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::InstructionSet;

    const ALL: [Ycbcr; 3] = [Ycbcr::FullBt601, Ycbcr::Bt601, Ycbcr::Bt709];

    /// Every luma beside chromas over their whole range, and a part of a block more.
    fn samples() -> [Vec<u8>; 3] {
        const STEP: usize = if cfg!(miri) { 85 } else { 15 };
        let chromas = || (0..=255).step_by(STEP);
        let pixels = || {
            chromas().flat_map(move |cb| {
                chromas().flat_map(move |cr| (0..=255).map(move |y| [y, cb, cr]))
            })
        };
        let pixels = || pixels().chain([[77, 3, 250]; BLOCK + 7]);
        [0, 1, 2].map(|plane| pixels().map(|pixel| pixel[plane]).collect())
    }

    fn converted(encoding: Ycbcr, cpu: Cpu, planes: &[Vec<u8>; 3]) -> Vec<[u8; 3]> {
        let mut rgb = vec![[0; 3]; planes[0].len()];
        encoding.write_rgb(cpu, planes.each_ref().map(Vec::as_slice), &mut rgb);
        rgb
    }

    #[test]
    fn rgb_is_that_of_products_rounded_each_on_every_instruction_set() {
        let planes = samples();
        for encoding in ALL {
            let of = encoding.coefficients();
            let product = |sample: i32, coefficient: i16| {
                (f64::from(sample) * f64::from(coefficient) / 8192.0 + 0.5).floor() as i32
            };
            let expected = (0..planes[0].len()).map(|pixel| {
                let y = product(i32::from(planes[0][pixel].saturating_sub(of.black)), of.luma);
                let [cb, cr] = [1, 2].map(|plane| i32::from(planes[plane][pixel]) - 128);
                let green = y - product(cr, of.green_of_cr) - product(cb, of.green_of_cb);
                [y + product(cr, of.red_of_cr), green, y + product(cb, of.blue_of_cb)]
                    .map(|level| level.clamp(0, 255) as u8)
            });
            let expected: Vec<[u8; 3]> = expected.collect();
            for cpu in InstructionSet::ALL.into_iter().filter_map(Cpu::with) {
                assert!(converted(encoding, cpu, &planes) == expected, "{encoding:?} {cpu:?}");
            }
        }
    }

    #[test]
    fn rgb_is_within_two_levels_of_the_definition() {
        let planes = samples();
        for encoding in ALL {
            let (kr, kb, black, luma, chroma) = match encoding {
                Ycbcr::FullBt601 => (0.299, 0.114, 0.0, 255.0, 255.0),
                Ycbcr::Bt601 => (0.299, 0.114, 16.0, 219.0, 224.0),
                Ycbcr::Bt709 => (0.2126, 0.0722, 16.0, 219.0, 224.0),
            };
            for (pixel, found) in converted(encoding, Cpu::best(), &planes).into_iter().enumerate()
            {
                let y = ((f64::from(planes[0][pixel]) - black) / luma).max(0.0);
                let [cb, cr] =
                    [1, 2].map(|plane| (f64::from(planes[plane][pixel]) - 128.0) / chroma);
                let (r, b) = (y + (2.0 - 2.0 * kr) * cr, y + (2.0 - 2.0 * kb) * cb);
                let g = (y - kr * r - kb * b) / (1.0 - kr - kb);
                for (expected, found) in [r, g, b].into_iter().zip(found) {
                    let expected = 255.0 * expected.clamp(0.0, 1.0);
                    assert!((expected - f64::from(found)).abs() < 2.0, "{encoding:?} {pixel}");
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "as many samples of each plane as pixels")]
    fn planes_of_other_sizes_are_refused() {
        Ycbcr::Bt601.write_rgb(Cpu::best(), [&[0; 4], &[0; 2], &[0; 2]], &mut [[0; 3]; 4]);
    }
}
