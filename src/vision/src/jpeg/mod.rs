//! Baseline JPEG, decoded straight to 1/2, 1/4 or 1/8 of its size.
//!
//! A 12-megapixel photo holds two hundred times the pixels that a model looks at. Its blocks of 8×8 are stored as frequencies,
//! so a small picture is made of the lowest ones: one a block at 1/8 scale, four at 1/4. The colour
//! planes, usually stored at half size, take four times as many and need no enlarging.
//!
//! Other files (progressive, damaged, …) are decoded in full: by jpeg-decoder, whose rounding is close
//! to libjpeg's. The image crate's zune-jpeg is faster but coarser in its colours: on 5 of 30 photos it moved the embedding of a
//! B-32 tower by more than a cosine of 0.9999 allows. It keeps what is left, CMYK and damaged files, and
//! has the last word on what is an error.

mod header;
mod huffman;
mod idct;
mod known_tables;
mod scaled;
mod work;

use image::{DynamicImage, GrayImage, RgbImage};
use jpeg_decoder::PixelFormat;
pub(super) use scaled::{MAX_FRAME_PIXELS, Scaled, ScaledDecoder, ScaledPlane};
pub(super) use work::check as check_work;

/// Decodes a picture to 1/`scale` of its size, rounded up; `scale` is 2, 4 or 8.
///
/// `None` if the file is not a sound baseline JPEG in grey or YCbCr.
pub(super) fn decode_scaled(file: &[u8], scale: usize) -> Option<RgbImage> {
    let mut decoder = ScaledDecoder::default();
    let Scaled::Planes(planes) = decoder.decode(file, |_, _| Some(scale)) else { return None };
    let [first, ..] = &planes;
    let (width, height) = first.as_ref().map(|plane| (plane.width, plane.height))?;
    let mut pixels = vec![0; width * height * 3];
    for (row, out) in pixels.chunks_mut(width * 3).enumerate() {
        let out = out.as_chunks_mut().0.iter_mut();
        match &planes {
            [Some(y), Some(cb), Some(cr)] => {
                let colours = y.row(row).iter().zip(cb.row(row)).zip(cr.row(row));
                out.zip(colours).for_each(|(out, ((&y, &cb), &cr))| *out = ycbcr_to_rgb(y, cb, cr));
            }
            [Some(grey), ..] => out.zip(grey.row(row)).for_each(|(out, &grey)| *out = [grey; 3]),
            [None, ..] => return None,
        }
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
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/vision");
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
