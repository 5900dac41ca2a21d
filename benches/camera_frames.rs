//! What a 1080p camera frame costs before the model sees it, in every format, and what the model costs.
//!
//! `cargo bench --bench camera_frames`. The frame is `tests/photos/coffee.jpg` enlarged to 1920×1080, with
//! sensor noise so that the JPEG is as large as a camera's. One thread; medians; rounds are interleaved.
#![allow(missing_docs)]

use std::time::{Duration, Instant};

use coca_edge::{
    Coca,
    vision::{
        Colours, Detail, FramePictures, FramePreprocessor, FrameView, Limits, PixelFormat, Turn,
        open,
    },
};
use image::{DynamicImage, Rgb, RgbImage, codecs::jpeg::JpegEncoder, imageops::FilterType};

const SIZE: (u32, u32) = (1920, 1080);
const ROUNDS: usize = 41;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    coca_edge::set_threads(Some(1))?;
    let coca = Coca::pocket()?;
    let picture = sensor_picture()?;
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, 80).encode_image(&picture)?;
    println!("1920×1080, MJPEG of {} kB; 1 thread; {ROUNDS} rounds", jpeg.len() / 1000);

    let formats = [
        PixelFormat::Yuv420,
        PixelFormat::Nv12,
        PixelFormat::Yuyv,
        PixelFormat::Rgb,
        PixelFormat::Grey,
        PixelFormat::Mjpeg,
    ];
    let raw: Vec<u8> = picture.as_raw().iter().copied().cycle().take(4 * 1920 * 1080).collect();
    let mut inputs = Vec::new();
    for format in formats {
        let bytes = if format == PixelFormat::Mjpeg { &jpeg } else { &raw };
        let frame = FrameView::new(format, SIZE, Colours::Bt709, bytes)?;
        let preprocessor = coca.preprocessor().clone();
        inputs.push((frame, FramePreprocessor::new(preprocessor, Turn::default()), Vec::new()));
    }
    let (mut encoder, mut shown) = (Vec::new(), Vec::new());
    let mut pictures = FramePictures::new(Turn::default(), 1280);
    for _ in 0..ROUNDS {
        for (frame, preprocessor, times) in &mut inputs {
            let start = Instant::now();
            preprocessor.pixels(*frame)?;
            times.push(start.elapsed());
        }
        let (frame, preprocessor, _) = &mut inputs[0];
        let start = Instant::now();
        pictures.picture(*frame)?;
        shown.push(start.elapsed());
        let pixels = preprocessor.pixels(*frame)?.clone();
        let start = Instant::now();
        coca.encode_pixels(pixels)?;
        encoder.push(start.elapsed());
    }
    let encoder = median(encoder);
    println!("image encoder of {:<10} {encoder:>9.2?}", coca.bundle().config().name);
    for (frame, _, times) in inputs {
        let time = median(times);
        let share = 100.0 * time.as_secs_f64() / encoder.as_secs_f64();
        println!("{:<7} → normalised tensor {time:>9.2?}  {share:>5.1} % of it", frame.format());
    }
    println!("yuv420  → picture for displays {:.2?}", median(shown));
    Ok(())
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
