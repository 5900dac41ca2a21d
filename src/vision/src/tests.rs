//! The whole way from a file's bytes to normalised pixels.

use std::io::Cursor;

use image::{
    DynamicImage, ExtendedColorType, Frame, GrayImage, ImageEncoder, ImageFormat, Rgb, RgbImage,
    Rgba, RgbaImage,
    codecs::{gif::GifEncoder, jpeg::JpegEncoder, png::PngEncoder, webp::WebPEncoder},
};
use proptest::prelude::*;

use super::*;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/vision");

fn golden(name: &str) -> Vec<u8> {
    std::fs::read(format!("{GOLDEN}/{name}")).unwrap()
}

fn decoded(bytes: &[u8]) -> Image<'static> {
    decode(bytes, &Limits::default(), Detail::Full).unwrap()
}

fn error(bytes: &[u8]) -> String {
    decode(bytes, &Limits::default(), Detail::Full).unwrap_err().to_string()
}

fn encoded(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Vec::new();
    image.into().write_to(&mut Cursor::new(&mut bytes), format).unwrap();
    bytes
}

/// Red, green, blue and white quarters.
fn quarters() -> RgbImage {
    RgbImage::from_fn(32, 16, |x, y| match (x < 16, y < 8) {
        (true, true) => Rgb([255, 0, 0]),
        (false, true) => Rgb([0, 255, 0]),
        (true, false) => Rgb([0, 0, 255]),
        (false, false) => Rgb([255; 3]),
    })
}

/// The quarters' colours as letters, row by row.
fn letters(picture: &Image) -> String {
    let (width, height) = picture.rgb().dimensions();
    [(1, 1), (3, 1), (1, 3), (3, 3)]
        .map(|(x, y)| {
            match picture.rgb().get_pixel(x * width / 4, y * height / 4).0.map(|v| v > 127) {
                [true, false, false] => 'R',
                [false, true, false] => 'G',
                [false, false, true] => 'B',
                [true, true, true] => 'W',
                _ => '?',
            }
        })
        .into_iter()
        .collect()
}

#[test]
fn every_format_is_found_by_its_content() {
    use ImageFormat::{Bmp, Gif, Jpeg, Png, WebP};
    for format in [Bmp, Gif, Jpeg, Png, WebP] {
        let picture = decoded(&encoded(quarters(), format));
        assert_eq!((picture.size(), letters(&picture).as_str()), ((32, 16), "RGBW"), "{format:?}");
    }
}

/// EXIF data with nothing but an orientation.
fn exif(orientation: u8) -> Vec<u8> {
    let mut bytes = b"MM\0\x2A\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01".to_vec();
    bytes.extend([0, orientation, 0, 0, 0, 0, 0, 0]);
    bytes
}

#[test]
fn all_eight_exif_orientations_are_applied_in_jpeg_png_and_webp() {
    fn encode(mut encoder: impl ImageEncoder, orientation: u8) {
        encoder.set_exif_metadata(exif(orientation)).unwrap();
        encoder.write_image(&quarters(), 32, 16, ExtendedColorType::Rgb8).unwrap();
    }
    let upright = ["RGBW", "GRWB", "WBGR", "BWRG", "RBGW", "BRWG", "WGBR", "GWRB"];
    for (orientation, upright) in (1..).zip(upright) {
        let [mut jpeg, mut png, mut webp] = [const { Vec::new() }; 3];
        encode(JpegEncoder::new(&mut jpeg), orientation);
        encode(PngEncoder::new(&mut png), orientation);
        encode(WebPEncoder::new_lossless(&mut webp), orientation);
        for bytes in [jpeg, png, webp] {
            let picture = decoded(&bytes);
            assert_eq!(letters(&picture), upright, "orientation {orientation}");
            assert_eq!(picture.size(), if orientation < 5 { (32, 16) } else { (16, 32) });
        }
    }
}

#[test]
fn a_scaled_down_jpeg_is_turned_upright_too() {
    for (orientation, upright) in [(1, "RGBW"), (3, "WBGR"), (6, "BRWG"), (7, "WGBR")] {
        let mut bytes = Vec::new();
        let mut encoder = JpegEncoder::new(&mut bytes);
        encoder.set_exif_metadata(exif(orientation)).unwrap();
        encoder.encode_image(&quarters()).unwrap();
        // Upright, as the size that is asked for.
        let (width, height) = if orientation < 5 { (16, 8) } else { (8, 16) };
        let picture =
            decode(&bytes, &Limits::default(), Detail::AtLeast { width, height }).unwrap();
        assert_eq!(picture.rgb().dimensions(), (width, height));
        assert_eq!(picture.size(), (2 * width, 2 * height));
        assert_eq!(letters(&picture), upright, "orientation {orientation}");
    }
}

#[test]
fn alpha_is_laid_over_black() {
    let glass = RgbaImage::from_pixel(8, 8, Rgba([200, 100, 50, 128]));
    for format in [ImageFormat::Png, ImageFormat::WebP] {
        let picture = decoded(&encoded(glass.clone(), format));
        assert_eq!(picture.rgb().get_pixel(4, 4), &Rgb([100, 50, 25]), "{format:?}");
    }
}

#[test]
fn grey_palette_and_sixteen_bit_pictures_become_eight_bit_rgb() {
    let grey = decoded(&encoded(GrayImage::from_pixel(4, 4, image::Luma([77])), ImageFormat::Png));
    assert_eq!(grey.rgb().get_pixel(3, 3), &Rgb([77; 3]));

    let deep = image::ImageBuffer::from_pixel(4, 4, Rgb([0xFFFF_u16, 0x8080, 0]));
    let deep = decoded(&encoded(DynamicImage::ImageRgb16(deep), ImageFormat::Png));
    assert_eq!(deep.rgb().get_pixel(3, 3), &Rgb([255, 128, 0]));

    let palette = decoded(&golden("palette.png"));
    assert_eq!(palette.size(), (50, 33));
    let &Rgb([r, g, b]) = palette.rgb().get_pixel(35, 20);
    assert!(r > 200 && g > 200 && b < 60, "the disc is yellow, found {:?}", [r, g, b]);
}

#[test]
fn ink_pictures_look_as_they_do_in_print() {
    let assert_quarters = |bytes: &[u8], expected: [[i32; 3]; 4]| {
        let picture = decoded(bytes);
        for ((x, y), expected) in [(8, 8), (24, 8), (8, 24), (24, 24)].into_iter().zip(expected) {
            let found = picture.rgb().get_pixel(x, y).0.map(i32::from);
            let is_close = found.iter().zip(&expected).all(|(a, b)| (a - b).abs() <= 4);
            assert!(is_close, "expected {expected:?} at {x}, {y}, found {found:?}");
        }
    };
    let cmyk = golden("cmyk.jpg");
    assert_quarters(&cmyk, [[0, 255, 255], [255, 127, 127], [127; 3], [255; 3]]);

    // The same bytes with Adobe's transform set to YCCK; the colours are Pillow's.
    let mut ycck = cmyk;
    let transform = ycck.windows(5).position(|bytes| bytes == b"Adobe").unwrap() + 11;
    ycck[transform] = 2;
    assert_quarters(&ycck, [[77, 255, 30], [1, 0, 2], [0, 67, 0], [0, 134, 0]]);
}

#[test]
fn an_animation_gives_its_first_frame() {
    let mut bytes = Vec::new();
    let frame = |colour| Frame::new(RgbaImage::from_pixel(8, 8, Rgba(colour)));
    GifEncoder::new(&mut bytes)
        .encode_frames([frame([255, 0, 0, 255]), frame([0, 0, 255, 255])])
        .unwrap();
    assert_eq!(decoded(&bytes).rgb().get_pixel(4, 4), &Rgb([255, 0, 0]));
}

#[test]
fn what_is_not_a_picture_is_called_so() {
    let expected = "expected JPEG, PNG, WebP, BMP or GIF";
    assert_eq!(error(b""), format!("not a picture: the file is empty; {expected}"));
    assert_eq!(
        error(b"Dear photo,"),
        format!("not a picture: the content is of no known format; {expected}")
    );
    assert_eq!(
        error(b"II*\0...."),
        format!("not a picture: a file of type image/tiff; {expected}")
    );
    assert!(error(b"\x89PNG\r\n\x1A\n").starts_with("not a picture: "));
}

#[test]
fn a_file_that_cannot_be_read_is_an_error() {
    let missing = open("no/such/file.jpg", &Limits::default(), Detail::Full);
    assert!(missing.unwrap_err().to_string().starts_with("cannot be read: "));
    assert!(open(env!("CARGO_MANIFEST_DIR"), &Limits::default(), Detail::Full).is_err());
}

/// A header that announces 65,500×65,500 pixels, and no pixels.
fn bombs() -> [Vec<u8>; 5] {
    let side = 65_500_u32;
    let small = || RgbImage::new(16, 16);
    let [be, le] = [(side as u16).to_be_bytes(), (side as u16).to_le_bytes()];

    let mut png = encoded(small(), ImageFormat::Png);
    png[16..24].copy_from_slice(&[side.to_be_bytes(), side.to_be_bytes()].concat());
    let checksum = crc32(&png[12..29]);
    png[29..33].copy_from_slice(&checksum.to_be_bytes());

    let mut gif = encoded(small(), ImageFormat::Gif);
    gif[6..10].copy_from_slice(&[le, le].concat());

    let mut bmp = encoded(small(), ImageFormat::Bmp);
    bmp[18..26].copy_from_slice(&[side.to_le_bytes(), side.to_le_bytes()].concat());

    let mut jpeg = encoded(small(), ImageFormat::Jpeg);
    let frame = jpeg.windows(2).position(|marker| marker == [0xFF, 0xC0]).unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[be, be].concat());

    // VP8X: the canvas is 16384×16384, given as the side less one in 24 bits.
    let mut webp = b"RIFF\x16\0\0\0WEBPVP8X\x0A\0\0\0\0\0\0\0\xFF\x3F\0\xFF\x3F\0".to_vec();
    webp.extend(&encoded(small(), ImageFormat::WebP)[12..]);
    let length = (webp.len() - 8) as u32;
    webp[4..8].copy_from_slice(&length.to_le_bytes());

    [png, gif, bmp, jpeg, webp]
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg())
        })
    })
}

#[test]
fn a_decompression_bomb_is_refused_by_its_header() {
    for (bomb, format) in bombs().iter().zip(["PNG", "GIF", "BMP", "JPEG", "WebP"]) {
        assert!(error(bomb).starts_with("too large a picture: "), "{format}: {}", error(bomb));
    }
}

#[test]
fn both_limits_are_kept() {
    let bytes = encoded(quarters(), ImageFormat::Png);
    let error = |limits| decode(&bytes, &limits, Detail::Full).unwrap_err().to_string();
    let enough = Limits { pixels: 512, bytes: 3 * 512, ..Limits::default() };
    assert!(decode(&bytes, &enough, Detail::Full).is_ok());
    assert_eq!(
        error(Limits { pixels: 511, ..enough }),
        "too large a picture: 32×16 pixels, where at most 511 in all are allowed"
    );
    assert_eq!(
        error(Limits { bytes: 1535, ..enough }),
        "too large a picture: it needs more than the allowed 1535 bytes of memory"
    );
}

#[test]
fn an_endless_file_is_read_no_further_than_its_first_bytes_tell() {
    let mut read = 0;
    let zeros = std::io::repeat(0);
    let error = crate::decode::read(Counted(zeros, &mut read), &Limits::default()).unwrap_err();
    assert!(matches!(error, Error::UnknownFormat { .. }) && read <= 4096, "{error}: {read}");
    let sound = golden("420.jpg");
    let endless = std::io::Read::chain(&sound[..], std::io::repeat(0));
    let limits = Limits { bytes: 1 << 20, ..Limits::default() };
    let error = crate::decode::read(endless, &limits).unwrap_err();
    assert!(matches!(error, Error::TooMuchMemory { limit: 0x10_0000 }), "{error}");
}

struct Counted<'a, R>(R, &'a mut u64);

impl<R: std::io::Read> std::io::Read for Counted<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let count = self.0.read(out)?;
        *self.1 += count as u64;
        Ok(count)
    }
}

/// A GIF of 35 bytes with a frame of one pixel.
fn tiny_gif_of(width: u16, height: u16) -> Vec<u8> {
    let mut gif = b"GIF89a".to_vec();
    for side in [width, height] {
        gif.extend(side.to_le_bytes());
    }
    gif.extend([0x80, 0, 0, 0, 0, 0, 255, 255, 255]);
    gif.extend([0x2C, 0, 0, 0, 0, 1, 0, 1, 0, 0, 2, 2, 0x44, 1, 0, 0x3B]);
    gif
}

#[test]
fn memory_bounds_a_picture_before_it_is_taken() {
    let gif = tiny_gif_of(6000, 6000);
    assert!(gif.len() < 40);
    // 4 bytes each for the decoder's canvas and what it gives, 7 for the conversion.
    let limits = Limits::within(700_000_000);
    assert!(matches!(decode(&gif, &limits, Detail::Full), Err(Error::TooMuchMemory { .. })));
    assert!(decode(&tiny_gif_of(60, 60), &limits, Detail::Full).is_ok());
    // A large JPEG is decoded at an eighth of its size.
    let jpeg = encoded(RgbImage::new(2000, 2000), ImageFormat::Jpeg);
    let limits = Limits::within(4_000_000);
    assert!(decode(&jpeg, &limits, Detail::AtLeast { width: 224, height: 224 }).is_ok());
    assert!(matches!(decode(&jpeg, &limits, Detail::Full), Err(Error::TooMuchMemory { .. })));
}

#[test]
fn a_jpeg_of_thousands_of_scans_is_refused() {
    let file = golden("progressive.jpg");
    let scan = file.windows(2).position(|bytes| bytes == [0xFF, 0xDA]).unwrap();
    let (header, scans) = file.split_at(scan);
    let second =
        scans[2..].windows(2).position(|bytes| bytes == [0xFF, 0xDA] || bytes == [0xFF, 0xC4]);
    let first = &scans[..second.unwrap() + 2];
    let bomb = [header, &first.repeat(2000), &[0xFF, 0xD9]].concat();
    let expected = "too much work for a picture: 2000 scans, where at most 100 are allowed";
    assert_eq!(error(&bomb), expected);
    let frame = FrameView::new(PixelFormat::Mjpeg, (0, 0), YuvMatrix::Bt601, &bomb).unwrap();
    let refused = FrameConverter::new(Orientation::default(), 640).convert(frame).unwrap_err();
    assert_eq!(refused.to_string(), expected);
}

/// One small sound file of every kind, to be damaged.
fn sound_files() -> Vec<Vec<u8>> {
    use ImageFormat::{Bmp, Gif, Png, WebP};
    let made = [Bmp, Gif, Png, WebP].map(|format| encoded(quarters(), format));
    let stored = ["420.jpg", "444.jpg", "grey.jpg", "restarts.jpg", "progressive.jpg", "cmyk.jpg"];
    made.into_iter().chain(stored.map(golden)).collect()
}

/// No file this small needs more.
const SMALL: Limits = Limits { pixels: 1 << 20, bytes: 4 << 20, scanned_samples: 1 << 22 };

#[test]
fn a_truncated_file_ends_in_a_picture_or_an_error() {
    for bytes in sound_files() {
        for end in (0..bytes.len()).step_by(3) {
            for detail in [Detail::Full, Detail::AtLeast { width: 8, height: 4 }] {
                let _ = decode(&bytes[..end], &SMALL, detail);
            }
        }
    }
}

proptest! {
    #[test]
    fn any_damage_ends_in_a_picture_or_an_error(
        file in prop::sample::select(sound_files()),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        side in 1_u32..40,
    ) {
        let mut bytes = file;
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(picture) = decode(&bytes, &SMALL, Detail::AtLeast { width: side, height: side }) {
            prop_assert!(picture.rgb().width() > 0 && picture.rgb().height() > 0);
        }
    }

    #[test]
    fn any_bytes_after_a_known_beginning_end_in_a_picture_or_an_error(
        file in prop::sample::select(sound_files()),
        kept in 0_usize..64,
        noise in prop::collection::vec(any::<u8>(), 0..512),
    ) {
        let mut bytes = file[..kept.min(file.len())].to_vec();
        bytes.extend(noise);
        let _ = decode(&bytes, &SMALL, Detail::AtLeast { width: 1, height: 1 });
    }
}
