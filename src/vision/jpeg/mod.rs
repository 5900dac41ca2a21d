//! Baseline JPEG, decoded straight to 1/2, 1/4 or 1/8 of its size.
//!
//! A 12-megapixel photo holds two hundred times the pixels that a model looks at. Its blocks of 8×8 are stored as frequencies,
//! so a small picture is made of the lowest ones: one a block at 1/8 scale, four at 1/4. The colour
//! planes, usually stored at half size, take four times as many and need no enlarging.
//!
//! Whatever that is not made for (progressive, damaged, …) is decoded in full: by jpeg-decoder, whose rounding is close
//! to libjpeg's. The image crate's zune-jpeg is faster but coarser in its colours: on 5 of 30 photos it moved the embedding of a
//! B-32 tower by more than a cosine of 0.9999 allows. It keeps what is left, CMYK and damaged files, and
//! has the last word on what is an error.

mod header;
mod huffman;
mod idct;

use header::{Component, Header};
use huffman::BitReader;
use idct::{Transform, ZIGZAG};
use image::{DynamicImage, GrayImage, RgbImage};
use jpeg_decoder::PixelFormat;

/// Decodes a picture to 1/`scale` of its size, rounded up; `scale` is 2, 4 or 8.
///
/// `None` if the file is not a sound baseline JPEG in grey or YCbCr.
pub(super) fn decode_scaled(file: &[u8], scale: usize) -> Option<RgbImage> {
    let header = Header::parse(file)?;
    let (width, height) = (header.width.div_ceil(scale), header.height.div_ceil(scale));
    let mut decoder = Decoder::new(&header, 8 / scale)?;
    let mut pixels = vec![0; width * height * 3];
    for rows in pixels.chunks_mut(decoder.rows * width * 3) {
        decoder.decode_mcu_row()?;
        decoder.write_rgb(rows, width);
    }
    RgbImage::from_raw(u32::try_from(width).ok()?, u32::try_from(height).ok()?, pixels)
}

/// Decodes a grey or RGB picture in full, if it takes at most `limit` bytes.
///
/// `None` for other kinds and for damaged files.
pub(super) fn decode_full(file: &[u8], limit: u64) -> Option<RgbImage> {
    let mut decoder = jpeg_decoder::Decoder::new(file);
    decoder.set_max_decoding_buffer_size(usize::try_from(limit).unwrap_or(usize::MAX));
    let pixels = decoder.decode().ok()?;
    let info = decoder.info()?;
    let (width, height) = (info.width.into(), info.height.into());
    match info.pixel_format {
        PixelFormat::RGB24 => RgbImage::from_raw(width, height, pixels),
        PixelFormat::L8 => GrayImage::from_raw(width, height, pixels)
            .map(|grey| DynamicImage::from(grey).into_rgb8()),
        PixelFormat::L16 | PixelFormat::CMYK32 => None,
    }
}

/// Decodes one row of MCUs after another.
struct Decoder<'a> {
    reader: BitReader<'a>,
    planes: Vec<Plane<'a>>,
    mcus_across: usize,
    /// Samples in a row of a plane.
    stride: usize,
    /// Rows of samples that one row of MCUs makes.
    rows: usize,
    restart_interval: usize,
    mcus_until_restart: usize,
}

/// A component's samples for one row of MCUs. All components are decoded to the same resolution.
struct Plane<'a> {
    component: &'a Component,
    transform: Transform,
    /// Samples that one block makes across and down.
    block: (usize, usize),
    /// The last coefficient, in zigzag order, that counts.
    last: usize,
    /// The previous block's first coefficient, before dequantisation.
    dc: i32,
    samples: Vec<u8>,
}

impl<'a> Decoder<'a> {
    /// `side` is how many samples a block makes where it is not subsampled.
    fn new(header: &'a Header, side: usize) -> Option<Self> {
        let (across, down) =
            header.components.iter().fold((1, 1), |(x, y), c| (x.max(c.across), y.max(c.down)));
        let mcus_across = header.width.div_ceil(8 * across);
        let (stride, rows) = (mcus_across * across * side, down * side);
        let planes = header
            .components
            .iter()
            .map(|component| {
                let block = (side * across / component.across, side * down / component.down);
                Some(Plane {
                    component,
                    transform: idct::transform(block.0, block.1)?,
                    block,
                    last: ZIGZAG.iter().rposition(|&place| is_within(place, block))?,
                    dc: 0,
                    samples: vec![0; stride * rows],
                })
            })
            .collect::<Option<_>>()?;
        Some(Self {
            reader: BitReader::new(header.scan),
            planes,
            mcus_across,
            stride,
            rows,
            restart_interval: header.restart_interval,
            mcus_until_restart: header.restart_interval,
        })
    }

    fn decode_mcu_row(&mut self) -> Option<()> {
        for mcu in 0..self.mcus_across {
            self.restart_if_due()?;
            for plane in &mut self.planes {
                plane.decode_mcu(&mut self.reader, mcu, self.stride)?;
            }
        }
        (!self.reader.is_overrun()).then_some(())
    }

    fn restart_if_due(&mut self) -> Option<()> {
        if self.restart_interval == 0 {
            return Some(());
        }
        if self.mcus_until_restart == 0 {
            self.reader.restart()?;
            self.planes.iter_mut().for_each(|plane| plane.dc = 0);
            self.mcus_until_restart = self.restart_interval;
        }
        self.mcus_until_restart -= 1;
        Some(())
    }

    /// Writes the decoded rows as RGB, cut off at `width`.
    fn write_rgb(&self, out: &mut [u8], width: usize) {
        for (row, out) in out.chunks_mut(width * 3).enumerate() {
            let row = row * self.stride..row * self.stride + width;
            let out = out.as_chunks_mut().0.iter_mut();
            match &self.planes[..] {
                [y, cb, cr] => {
                    let colours = y.samples[row.clone()]
                        .iter()
                        .zip(&cb.samples[row.clone()])
                        .zip(&cr.samples[row]);
                    out.zip(colours)
                        .for_each(|(out, ((&y, &cb), &cr))| *out = ycbcr_to_rgb(y, cb, cr));
                }
                [grey, ..] => out.zip(&grey.samples[row]).for_each(|(out, &grey)| *out = [grey; 3]),
                [] => {}
            }
        }
    }
}

impl Plane<'_> {
    #[inline]
    fn decode_mcu(&mut self, reader: &mut BitReader, mcu: usize, stride: usize) -> Option<()> {
        let (across, down) = (self.component.across, self.component.down);
        for row in 0..down {
            for column in 0..across {
                let at = row * self.block.1 * stride + (mcu * across + column) * self.block.0;
                self.decode_block(reader, at, stride)?;
            }
        }
        Some(())
    }

    #[inline]
    fn decode_block(&mut self, reader: &mut BitReader, at: usize, stride: usize) -> Option<()> {
        let (component, block) = (self.component, self.block);
        self.dc = self.dc.wrapping_add(component.dc.difference(reader)?);
        let dc = self.dc as f32 * f32::from(component.steps[0]);

        let mut coefficients = [0.0; 64];
        let mut is_flat = true;
        component.ac.block(reader, self.last, |n, value| {
            let place = ZIGZAG[n];
            if is_within(place, block) {
                coefficients[usize::from(place)] = value as f32 * f32::from(component.steps[n]);
                is_flat = false;
            }
        })?;

        let out = self.samples.get_mut(at..)?;
        if is_flat {
            let sample = (dc / 8.0 + 128.5) as u8;
            out.chunks_mut(stride).take(block.1).for_each(|row| row[..block.0].fill(sample));
        } else {
            coefficients[0] = dc;
            (self.transform)(&coefficients, out, stride);
        }
        Some(())
    }
}

/// Whether a place in the block is among its lowest `columns` × `rows` frequencies.
fn is_within(place: u8, (columns, rows): (usize, usize)) -> bool {
    usize::from(place % 8) < columns && usize::from(place / 8) < rows
}

/// ITU-R BT.601 in full range, as JFIF asks, in 16.16 fixed point.
#[inline]
fn ycbcr_to_rgb(y: u8, cb: u8, cr: u8) -> [u8; 3] {
    let y = (i32::from(y) << 16) + (1 << 15);
    let (cb, cr) = (i32::from(cb) - 128, i32::from(cr) - 128);
    [y + 91_881 * cr, y - 22_554 * cb - 46_802 * cr, y + 116_130 * cb]
        .map(|value| (value >> 16).clamp(0, 255) as u8)
}

#[cfg(test)]
mod tests {
    use image::{GenericImageView, imageops};

    use super::*;

    fn golden(name: &str) -> Vec<u8> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/vision");
        std::fs::read(format!("{folder}/{name}")).unwrap()
    }

    /// Mean difference, in levels, to the means of `scale`×`scale` squares of the fully decoded picture.
    fn difference_to_full_decoding(file: &[u8], scaled: &RgbImage, scale: u32) -> f64 {
        let full = image::load_from_memory(file).unwrap().to_rgb8();
        let (width, height) = (full.width() / scale, full.height() / scale);
        let whole = full.view(0, 0, width * scale, height * scale).to_image();
        let means = imageops::thumbnail(&whole, width, height);
        let sum: f64 = means
            .enumerate_pixels()
            .flat_map(|(x, y, mean)| mean.0.into_iter().zip(scaled.get_pixel(x, y).0))
            .map(|(a, b)| f64::from(a.abs_diff(b)))
            .sum();
        sum / f64::from(3 * width * height)
    }

    #[test]
    fn every_subsampling_is_decoded_to_the_means_of_its_squares() {
        for name in ["444.jpg", "422.jpg", "420.jpg", "restarts.jpg", "grey.jpg"] {
            let file = golden(name);
            for scale in [2, 4, 8] {
                let scaled = decode_scaled(&file, scale).unwrap();
                // 97×61, rounded up.
                let size = (97_u32.div_ceil(scale as u32), 61_u32.div_ceil(scale as u32));
                assert_eq!(scaled.dimensions(), size);
                let difference = difference_to_full_decoding(&file, &scaled, scale as u32);
                assert!(difference < 3.0, "{name} at 1/{scale}: {difference}");
            }
        }
    }

    #[test]
    fn restart_markers_change_nothing() {
        assert_eq!(decode_scaled(&golden("restarts.jpg"), 4), decode_scaled(&golden("420.jpg"), 4));
    }

    #[test]
    fn what_it_is_not_made_for_is_left_to_the_full_decoder() {
        for name in ["progressive.jpg", "cmyk.jpg", "wide.png"] {
            assert_eq!(decode_scaled(&golden(name), 2), None, "{name}");
        }
    }

    #[test]
    fn a_truncated_scan_is_left_to_the_full_decoder() {
        let file = golden("420.jpg");
        assert_eq!(decode_scaled(&file[..file.len() - 40], 8), None);
    }
}
