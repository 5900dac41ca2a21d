//! Files of pictures, their EXIF data, and pictures as frames of a camera.

use std::io::Cursor;

use coca_index::fuzzing::read_exif;
use coca_vision::{
    Detail, FrameConverter, FramePreprocessor, FrameView, Interpolation, Limits, Orientation,
    PixelFormat, PixelSpec, Preprocessor, Resize, YuvMatrix, decode,
};
use exif::{Field, In, Tag, Value, experimental::Writer};
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
    Target {
        name: "exif",
        run: exif,
        seeds: exif_files,
        words: &[
            "II*\0",
            "MM\0*",
            "Exif\0\0",
            "eXIf",
            "EXIF",
            "ftypheic",
            "meta",
            "iinf",
            "iloc",
            "idat",
            "2026:11:23 09:00:00",
            "0000:00:00 00:00:00",
            "9999:12:31 23:59:60",
            "+99:99",
            "-14:00",
        ],
        memory: 16 << 20,
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
const LIMITS: Limits = Limits { pixels: 1_000_000, bytes: 64 << 20, scanned_samples: 10_000_000 };

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

/// Fields that an index keeps.
const FIELDS: [(Tag, &str); 5] = [
    (Tag::Make, "NIKON CORPORATION"),
    (Tag::Model, "NIKON Z 6"),
    (Tag::DateTime, "2026:12:24 00:00:00"),
    (Tag::DateTimeOriginal, "2026:11:23 09:00:00"),
    (Tag::OffsetTimeOriginal, "+02:00"),
];

/// The fields in either order of bytes, each by itself and in a JPEG, a PNG and a WebP.
fn exif_files() -> Seeds {
    let fields = FIELDS.map(|(tag, text)| Field {
        tag,
        ifd_num: In::PRIMARY,
        value: Value::Ascii(vec![text.into()]),
    });
    let mut files = Vec::new();
    for is_little in [false, true] {
        let mut writer = Writer::new();
        fields.iter().for_each(|field| writer.push_field(field));
        let mut tiff = Cursor::new(Vec::new());
        writer.write(&mut tiff, is_little)?;
        let tiff = tiff.into_inner();
        let length = u32::try_from(tiff.len())?;
        let segment = u16::try_from(2 + 6 + tiff.len())?.to_be_bytes();
        files.extend([
            [&b"\xFF\xD8\xFF\xE1"[..], &segment, b"Exif\0\0", &tiff, b"\xFF\xD9"].concat(),
            [&b"\x89PNG\r\n\x1A\n"[..], &length.to_be_bytes(), b"eXIf", &tiff, &[0; 4]].concat(),
            [&b"RIFF"[..], &(length + 12).to_le_bytes(), b"WEBPEXIF", &length.to_le_bytes(), &tiff]
                .concat(),
            tiff,
        ]);
    }
    Ok(files)
}

fn exif(bytes: &[u8]) {
    let (_, camera) = read_exif(bytes);
    assert_ne!(camera.as_deref(), Some(""));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exif_data_are_found_in_every_seed() {
        for file in exif_files().unwrap() {
            let (taken, camera) = read_exif(&file);
            assert_eq!(camera.as_deref(), Some("NIKON Z 6"));
            assert!(taken.is_some());
        }
    }
}
