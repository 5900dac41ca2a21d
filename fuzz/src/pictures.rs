//! Files of pictures, and pictures as frames of a camera.

use std::io::Cursor;

use coca_vision::{
    Detail, FrameConverter, FramePreprocessor, FrameView, Interpolation, Limits, Orientation,
    PixelFormat, PixelSpec, Preprocessor, Resize, YuvMatrix, decode,
};
use image::{DynamicImage, ImageFormat};

use crate::{
    Seeds, Target,
    scratch::{read_all, repository},
};

pub(crate) const TARGETS: &[Target] = &[
    Target {
        name: "picture",
        run: picture,
        seeds: files_of_every_format,
        words: WORDS,
        memory: 200 << 20,
        is_slow: false,
    },
    Target {
        name: "camera_frame",
        run: camera_frame,
        seeds: jpeg_files,
        words: WORDS,
        memory: 400 << 20,
        is_slow: false,
    },
];

/// Markers of JPEG, chunks of PNG, WebP and GIF.
const WORDS: &[&str] = &[
    "JFIF\0",
    "Exif\0\0II*\0",
    "Adobe\0",
    "ICC_PROFILE\0",
    "IHDR",
    "PLTE",
    "tRNS",
    "IDAT",
    "IEND",
    "acTL",
    "fcTL",
    "iCCP",
    "eXIf",
    "RIFF",
    "WEBPVP8 ",
    "WEBPVP8L",
    "WEBPVP8X",
    "ALPH",
    "ANIM",
    "ANMF",
    "GIF89a",
    "NETSCAPE2.0",
    "BM",
];

/// Formats that the image crate also writes.
const WRITTEN: [ImageFormat; 4] =
    [ImageFormat::Bmp, ImageFormat::Gif, ImageFormat::WebP, ImageFormat::Png];

/// Less than a program allows, so that what is allowed is decoded in less than a second.
const LIMITS: Limits = Limits { pixels: 1_000_000, bytes: 64 << 20, scanned_pixels: 10_000_000 };

fn jpeg_files() -> Seeds {
    let names = [
        "420.jpg",
        "422.jpg",
        "444.jpg",
        "cmyk.jpg",
        "grey.jpg",
        "progressive.jpg",
        "restarts.jpg",
    ];
    Ok(read_all("tests/golden/vision", &names)?)
}

fn files_of_every_format() -> Seeds {
    let mut files = jpeg_files()?;
    let names = ["grey.png", "palette.png", "tall.png", "tiny.png", "wide.png"];
    files.extend(read_all("tests/golden/vision", &names)?);
    let small = image::open(repository("tests/golden/vision/tall.png"))?.thumbnail(24, 24);
    for format in WRITTEN {
        for image in [small.to_rgba8().into(), DynamicImage::from(small.to_rgb8())] {
            let mut file = Cursor::new(Vec::new());
            image.write_to(&mut file, format)?;
            files.push(file.into_inner());
        }
    }
    Ok(files)
}

fn picture(bytes: &[u8]) {
    let small = Detail::AtLeast { width: 8, height: 8 };
    for detail in [Detail::Full, small] {
        if let Err(error) = decode(bytes, &LIMITS, detail) {
            assert!(!error.to_string().is_empty());
        }
    }
}

/// A model's view of frames, which is not square.
fn spec() -> PixelSpec {
    PixelSpec {
        width: 40,
        height: 32,
        mean: [0.5; 3],
        std: [0.5; 3],
        resize: Resize::Shortest,
        interpolation: Interpolation::Bicubic,
    }
}

/// The first byte chooses format and orientation, the next two the size of a raw frame.
fn camera_frame(bytes: &[u8]) {
    use PixelFormat::{Bgr, Grey, Mjpeg, Nv12, Rgb, Yuv420, Yuyv};
    let (format, size, bytes) = match bytes {
        [0xFF, 0xD8, ..] => (Mjpeg, (0, 0), bytes),
        [choice, width, height, rest @ ..] => {
            let formats = [Bgr, Grey, Mjpeg, Nv12, Rgb, Yuv420, Yuyv];
            let format = formats[usize::from(*choice) % formats.len()];
            (format, (u32::from(*width), u32::from(*height)), rest)
        }
        _ => return,
    };
    let Ok(frame) = FrameView::new(format, size, YuvMatrix::Bt601, bytes) else { return };
    let Ok(preprocessor) = Preprocessor::new(spec()) else { return };
    let orientation = Orientation::default().rotated(bytes.len() as u8);
    // The same buffers serve twice, as for frames that follow each other.
    let mut frames = FramePreprocessor::new(preprocessor, orientation);
    for _ in 0..2 {
        let _ = frames.preprocess(frame);
    }
    let _ = FrameConverter::new(orientation, 64).convert(frame);
}
