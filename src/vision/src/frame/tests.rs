//! Frames of every format against the same picture made ready the long way.

use std::io::Cursor;

use image::{DynamicImage, ImageFormat, Rgb, RgbImage, imageops};
use proptest::prelude::*;

use super::*;
use crate::{PixelSpec, Resize};

fn preprocessor(resize: Resize) -> Preprocessor {
    let spec = PixelSpec {
        width: 64,
        height: 64,
        mean: [0.5; 3],
        std: [0.5; 3],
        resize,
        interpolation: Interpolation::Bicubic,
    };
    Preprocessor::new(spec).unwrap()
}

/// Soft yuv_matrix, as chroma is coarse: a ramp on each axis and a bright disc left of the centre.
fn scene(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let (across, down) = (x as f32 / width as f32, y as f32 / height as f32);
        let disc = ((across - 0.35).hypot(down - 0.5) < 0.15) as u8;
        let level = |value: f32| (40.0 + 150.0 * value) as u8;
        Rgb([level(across) + 50 * disc, level(down), level(1.0 - across)])
    })
}

/// Limited BT.601 or BT.709, by its definition.
fn ycbcr([r, g, b]: [u8; 3], yuv_matrix: YuvMatrix) -> [u8; 3] {
    let (kr, kb) = match yuv_matrix {
        YuvMatrix::Bt601 => (0.299, 0.114),
        YuvMatrix::Bt709 => (0.2126, 0.0722),
    };
    let [r, g, b] = [r, g, b].map(|value| f64::from(value) / 255.0);
    let y = kr * r + (1.0 - kr - kb) * g + kb * b;
    let (cb, cr) = ((b - y) / (2.0 - 2.0 * kb), (r - y) / (2.0 - 2.0 * kr));
    [16.0 + 219.0 * y, 128.0 + 224.0 * cb, 128.0 + 224.0 * cr].map(|value| value.round() as u8)
}

/// The bytes of a raw frame; chroma is taken from every second pixel.
fn raw(picture: &RgbImage, format: PixelFormat, yuv_matrix: YuvMatrix) -> Vec<u8> {
    let (width, height) = picture.dimensions();
    let at = |x: u32, y: u32, channel: usize| {
        ycbcr(picture.get_pixel(x.min(width - 1), y.min(height - 1)).0, yuv_matrix)[channel]
    };
    let luma = || (0..height).flat_map(|y| (0..width).map(move |x| at(x, y, 0)));
    let chroma = || {
        (0..height)
            .step_by(2)
            .flat_map(|y| (0..width).step_by(2).map(move |x| [at(x, y, 1), at(x, y, 2)]))
    };
    match format {
        PixelFormat::Rgb => picture.to_vec(),
        PixelFormat::Bgr => picture.pixels().flat_map(|&Rgb([r, g, b])| [b, g, r]).collect(),
        PixelFormat::Grey => imageops::grayscale(picture).into_raw(),
        PixelFormat::Yuv420 => {
            luma().chain(chroma().map(|c| c[0])).chain(chroma().map(|c| c[1])).collect()
        }
        PixelFormat::Nv12 => luma().chain(chroma().flatten()).collect(),
        PixelFormat::Yuyv => (0..height)
            .flat_map(|y| (0..width).step_by(2).map(move |x| (x, y)))
            .flat_map(|(x, y)| [at(x, y, 0), at(x, y, 1), at(x + 1, y, 0), at(x, y, 2)])
            .collect(),
        PixelFormat::Mjpeg => {
            let mut file = Vec::new();
            let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut file, 95);
            DynamicImage::from(picture.clone()).write_with_encoder(encoder).unwrap();
            file
        }
    }
}

const FORMATS: [PixelFormat; 7] = [
    PixelFormat::Mjpeg,
    PixelFormat::Yuyv,
    PixelFormat::Nv12,
    PixelFormat::Yuv420,
    PixelFormat::Rgb,
    PixelFormat::Bgr,
    PixelFormat::Grey,
];

/// Mean and largest difference in levels of 255.
fn difference(found: &Pixels, expected: &Pixels) -> (f32, f32) {
    let levels = found
        .view()
        .iter()
        .zip(expected.view())
        .map(|(a, b)| (a - b).abs() * 127.5)
        .collect::<Vec<_>>();
    (levels.iter().sum::<f32>() / levels.len() as f32, levels.into_iter().fold(0.0, f32::max))
}

fn check(
    picture: &RgbImage,
    format: PixelFormat,
    yuv_matrix: YuvMatrix,
    resize: Resize,
    orientation: Orientation,
) -> (f32, f32) {
    let bytes = raw(picture, format, yuv_matrix);
    let frame = FrameView::new(format, picture.dimensions(), yuv_matrix, &bytes).unwrap();
    let mut frames = FramePreprocessor::new(preprocessor(resize), orientation);
    let grey = DynamicImage::from(imageops::grayscale(picture)).into_rgb8();
    let seen = if format == PixelFormat::Grey { &grey } else { picture };
    let size = (seen.width() as usize, seen.height() as usize);
    let (width, height) = orientation.size(seen.dimensions());
    let (pixels, _) = seen.as_chunks::<3>();
    let upright: Vec<u8> = (0..height as usize)
        .flat_map(|row| orientation.row(pixels, size, row))
        .flatten()
        .copied()
        .collect();
    let upright = RgbImage::from_raw(width, height, upright).unwrap();
    let expected = preprocessor(resize).preprocess(&upright).unwrap();
    difference(frames.preprocess(frame).unwrap(), &expected)
}

#[test]
fn a_frame_in_codes_has_the_codes_of_its_values() {
    let picture = scene(90, 40);
    let bytes = raw(&picture, PixelFormat::Yuv420, YuvMatrix::Bt601);
    for resize in [Resize::Squash, Resize::Longest] {
        let mut frames = FramePreprocessor::new(preprocessor(resize), Orientation::default());
        let code = |value: f32| (value * 100.0) as i32 as u8;
        let table = preprocessor(resize).levels().map(|levels| levels.map(code));
        let frame =
            || FrameView::new(PixelFormat::Yuv420, (90, 40), YuvMatrix::Bt601, &bytes).unwrap();
        let mut codes = vec![1; 3 * 64 * 64];
        frames.preprocess_codes_into(frame(), &table, &mut codes).unwrap();
        let pixels = frames.preprocess(frame()).unwrap().view();
        for (at, &found) in codes.iter().enumerate() {
            assert_eq!(found, code(pixels[[0, at % 3, at / 3 / 64, at / 3 % 64]]));
        }
        let error = frames.preprocess_codes_into(frame(), &table, &mut codes[1..]).unwrap_err();
        assert!(matches!(error, Error::PixelsLength { .. }));
    }
}

#[test]
fn every_format_gives_what_the_picture_gives_the_long_way() {
    let picture = scene(320, 240);
    for format in FORMATS {
        for yuv_matrix in [YuvMatrix::Bt601, YuvMatrix::Bt709] {
            for resize in [Resize::Squash, Resize::Shortest, Resize::Longest] {
                let (mean, most) =
                    check(&picture, format, yuv_matrix, resize, Orientation::default());
                assert!(
                    mean < 1.5 && most < 24.0,
                    "{format} {yuv_matrix:?} {resize:?}: {mean} {most}"
                );
            }
        }
    }
}

#[test]
fn a_turned_camera_gives_upright_pixels() {
    let picture = scene(192, 108);
    for orientation in [
        Orientation::default().mirrored(),
        Orientation::default().rotated(1),
        Orientation::default().rotated(3).flipped(),
    ] {
        for resize in [Resize::Squash, Resize::Shortest, Resize::Longest] {
            for format in [PixelFormat::Rgb, PixelFormat::Nv12, PixelFormat::Mjpeg] {
                let (mean, most) = check(&picture, format, YuvMatrix::Bt601, resize, orientation);
                assert!(
                    mean < 1.5 && most < 36.0,
                    "{format} {orientation:?} {resize:?}: {mean} {most}"
                );
            }
        }
    }
}

#[test]
fn a_camera_that_changes_its_size_goes_on() {
    let mut frames = FramePreprocessor::new(preprocessor(Resize::Longest), Orientation::default());
    for (width, height) in [(320, 240), (100, 200), (320, 240)] {
        let picture = scene(width, height);
        let bytes = raw(&picture, PixelFormat::Yuyv, YuvMatrix::Bt601);
        let view = FrameView::new(PixelFormat::Yuyv, (width, height), YuvMatrix::Bt601, &bytes);
        let expected = preprocessor(Resize::Longest).preprocess(&picture).unwrap();
        let (mean, _) = difference(frames.preprocess(view.unwrap()).unwrap(), &expected);
        assert!(mean < 1.5, "{width}×{height}: {mean}");
    }
}

#[test]
fn the_last_row_of_a_yuyv_frame_of_odd_height_is_seen() {
    let white = [235, 128].repeat(6 * 5);
    let frame = FrameView::new(PixelFormat::Yuyv, (6, 5), YuvMatrix::Bt601, &white).unwrap();
    let shown = FrameConverter::new(Orientation::default(), 6).convert(frame).unwrap();
    assert!(shown.pixels().all(|pixel| pixel.0 == [255; 3]), "{shown:?}");
}

fn jpeg_frame(bytes: &[u8]) -> FrameView<'_> {
    FrameView::new(PixelFormat::Mjpeg, (0, 0), YuvMatrix::Bt601, bytes).unwrap()
}

#[test]
fn a_truncated_jpeg_frame_is_refused_and_the_next_one_is_not() {
    let file = raw(&scene(320, 240), PixelFormat::Mjpeg, YuvMatrix::Bt601);
    let mut frames = FramePreprocessor::new(preprocessor(Resize::Squash), Orientation::default());
    let error = frames.preprocess(jpeg_frame(&file[..file.len() / 2])).unwrap_err();
    assert_eq!(error.to_string(), "not a whole frame: the JPEG is cut off or garbled");
    assert!(frames.preprocess(jpeg_frame(&file)).is_ok());
}

#[test]
fn a_jpeg_frame_that_announces_too_much_is_refused_by_its_header() {
    let mut file = raw(&scene(32, 32), PixelFormat::Mjpeg, YuvMatrix::Bt601);
    let header = file.windows(2).position(|marker| marker == [0xFF, 0xC0]).unwrap();
    file[header + 5..header + 9].copy_from_slice(&[0xFF, 0xF0, 0xFF, 0xF0]);
    let mut frames = FramePreprocessor::new(preprocessor(Resize::Squash), Orientation::default());
    let error = frames.preprocess(jpeg_frame(&file)).unwrap_err().to_string();
    assert!(error.starts_with("too large a picture: 65520×65520"), "{error}");
}

#[test]
fn a_jpeg_frame_without_huffman_tables_is_decoded_with_the_usual_ones() {
    let file = raw(&scene(320, 240), PixelFormat::Mjpeg, YuvMatrix::Bt601);
    let mut bare = file.clone();
    while let Some(at) = bare.windows(2).position(|marker| marker == [0xFF, 0xC4]) {
        let length = usize::from(u16::from_be_bytes([bare[at + 2], bare[at + 3]]));
        bare.drain(at..at + 2 + length);
    }
    assert!(bare.len() < file.len());
    let mut frames = FramePreprocessor::new(preprocessor(Resize::Squash), Orientation::default());
    let expected = frames.preprocess(jpeg_frame(&file)).unwrap().clone();
    assert_eq!(*frames.preprocess(jpeg_frame(&bare)).unwrap(), expected);
}

#[test]
fn a_jpeg_of_the_inputs_own_size_and_a_progressive_one_are_decoded_too() {
    let mut frames = FramePreprocessor::new(preprocessor(Resize::Squash), Orientation::default());
    let small = scene(70, 70);
    let file = raw(&small, PixelFormat::Mjpeg, YuvMatrix::Bt601);
    let expected = preprocessor(Resize::Squash).preprocess(&small).unwrap();
    let (mean, _) = difference(frames.preprocess(jpeg_frame(&file)).unwrap(), &expected);
    assert!(mean < 2.0, "{mean}");

    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/vision");
    let file = std::fs::read(format!("{folder}/progressive.jpg")).unwrap();
    let picture = image::load(Cursor::new(&file), ImageFormat::Jpeg).unwrap();
    let expected = preprocessor(Resize::Squash).preprocess(&picture).unwrap();
    let (mean, _) = difference(frames.preprocess(jpeg_frame(&file)).unwrap(), &expected);
    assert!(mean < 2.0, "{mean}");
}

#[test]
fn people_see_the_whole_frame_upright_and_no_wider_than_asked_for() {
    let picture = scene(320, 240);
    for format in FORMATS {
        let bytes = raw(&picture, format, YuvMatrix::Bt601);
        let frame = FrameView::new(format, (320, 240), YuvMatrix::Bt601, &bytes).unwrap();
        let mut converter = FrameConverter::new(Orientation::default().rotated(1), 120);
        let shown = converter.convert(frame).unwrap();
        assert_eq!(shown.dimensions(), (120, 160), "{format}");
        // What was the top left is the top right.
        let [stored, found] = [picture.get_pixel(8, 8).0, shown.get_pixel(115, 4).0];
        let far = stored.iter().zip(found).map(|(a, b)| a.abs_diff(b)).max().unwrap();
        assert!(format == PixelFormat::Grey || far < 12, "{format}: {stored:?} {found:?}");
    }
}

proptest! {
    #[test]
    fn any_frame_of_the_right_length_becomes_pixels(
        format in prop::sample::select(FORMATS[1..].to_vec()), width in 1_u32..40, height in 1_u32..40,
        seed: u8,
    ) {
        let bytes: Vec<u8> = (0..format.frame_bytes(width, height).unwrap())
            .map(|i| (i as u8).wrapping_mul(seed)).collect();
        let frame = FrameView::new(format, (width, height), YuvMatrix::Bt601, &bytes).unwrap();
        let mut frames = FramePreprocessor::new(preprocessor(Resize::Shortest), Orientation::default());
        let pixels = frames.preprocess(frame).unwrap();
        prop_assert!(pixels.view().iter().all(|value| (-1.0..=1.0).contains(value)));
    }

    #[test]
    fn any_damage_to_a_jpeg_frame_ends_in_pixels_or_an_error(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut file = raw(&scene(97, 61), PixelFormat::Mjpeg, YuvMatrix::Bt601);
        for (at, byte) in damage {
            let at = at.index(file.len());
            // A size that is not the real one would only cost time.
            if at > 200 {
                file[at] = byte;
            }
        }
        let mut frames = FramePreprocessor::new(preprocessor(Resize::Shortest), Orientation::default());
        let _ = frames.preprocess(jpeg_frame(&file));
    }
}
