//! Times the preparation of a 1080p camera frame in every format, and the image encoder.
//!
//! `cargo bench --bench camera_frames [-- BUNDLE…]`: the embedded model, and those in the folders. The frame is
//! `tests/photos/coffee.jpg` enlarged to 1920×1080, with sensor noise so that the JPEG is as large as a camera's. One thread;
//! medians; frames and encoder take turns. Results are kept in `camera_frames.md`.
#![allow(clippy::print_stdout, missing_docs)]

use std::time::{Duration, Instant};

use coca_edge::{
    Coca, Engine,
    vision::{
        Detail, FrameConverter, FramePreprocessor, FrameView, Limits, Orientation, PixelFormat,
        YuvMatrix, open,
    },
};
use image::{DynamicImage, Rgb, RgbImage, codecs::jpeg::JpegEncoder, imageops::FilterType};

const SIZE: (u32, u32) = (1920, 1080);
const ROUNDS: usize = 41;
const FORMATS: [PixelFormat; 6] = [
    PixelFormat::Yuv420,
    PixelFormat::Nv12,
    PixelFormat::Yuyv,
    PixelFormat::Rgb,
    PixelFormat::Grey,
    PixelFormat::Mjpeg,
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let engine = Engine::builder().threads(1).build()?;
    let picture = sensor_picture()?;
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, 80).encode_image(&picture)?;
    println!("1920×1080, MJPEG of {} kB; 1 thread; {ROUNDS} rounds", jpeg.len() / 1000);
    let raw: Vec<u8> = picture.as_raw().iter().copied().cycle().take(4 * 1920 * 1080).collect();
    let bytes = |format| if format == PixelFormat::Mjpeg { &jpeg[..] } else { &raw[..] };
    let frame = |format| FrameView::new(format, SIZE, YuvMatrix::Bt709, bytes(format));

    // Cargo itself passes `--bench`.
    let folders = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let mut models = vec![Coca::pocket_with(&engine)?];
    for folder in folders {
        models.push(Coca::open_with(folder, &engine)?);
    }
    for coca in &models {
        time_model(coca, &FORMATS.map(frame).into_iter().collect::<Result<Vec<_>, _>>()?)?;
    }
    let mut converter = FrameConverter::new(Orientation::default(), 1280);
    let mut shown = Vec::new();
    for _ in 0..ROUNDS {
        shown.push(time(|| converter.convert(frame(PixelFormat::Yuv420)?))?);
    }
    println!("\nyuv420  → picture for displays {:.2?}", median(shown));
    Ok(())
}

fn time_model(coca: &Coca, frames: &[FrameView]) -> Result<(), Box<dyn std::error::Error>> {
    let preprocessor =
        || FramePreprocessor::new(coca.preprocessor().clone(), Orientation::default());
    let mut inputs: Vec<_> = frames.iter().map(|frame| (frame, preprocessor(), vec![])).collect();
    let mut encoder = Vec::new();
    for _ in 0..ROUNDS {
        for (frame, preprocessor, times) in &mut inputs {
            times.push(time(|| preprocessor.preprocess(**frame).map(|_| ()))?);
        }
        let pixels = inputs[0].1.preprocess(frames[0])?.clone();
        encoder.push(time(|| coca.encode_pixels(pixels))?);
    }
    let encoder = median(encoder);
    let config = coca.bundle().config();
    println!("\nimage encoder of {}, {}: {encoder:.2?}", config.name, coca.bundle().arithmetic());
    for (frame, _, times) in inputs {
        let time = median(times);
        let share = 100.0 * time.as_secs_f64() / encoder.as_secs_f64();
        println!("{:<7} → normalised tensor {time:>9.2?}  {share:>5.1} % of it", frame.format());
    }
    Ok(())
}

fn time<T, E>(work: impl FnOnce() -> Result<T, E>) -> Result<Duration, E> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn sensor_picture() -> Result<RgbImage, Box<dyn std::error::Error>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/photos/coffee.jpg");
    let small = open(path, &Limits::default(), Detail::Full)?;
    let small = DynamicImage::from(small.rgb().clone());
    let mut large = small.resize_exact(SIZE.0, SIZE.1, FilterType::CatmullRom).into_rgb8();
    let mut seed = 1_u32;
    for Rgb(channels) in large.pixels_mut() {
        for channel in channels {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *channel = channel.saturating_add((seed >> 29) as u8);
        }
    }
    Ok(large)
}
