//! Times the preparation of a 12-megapixel JPEG, and the image encoder.
//!
//! `cargo bench --bench twelve_megapixels`. The photo is `tests/photos/cat.jpg` enlarged to 4032×3024, with
//! sensor noise so that the file is as large as a camera's. Rounds of the two are interleaved.
#![allow(clippy::print_stdout, missing_docs)]

use std::time::{Duration, Instant};

use coca_edge::{
    Coca, Engine,
    vision::{self, Detail, Limits},
};
use image::{
    DynamicImage, Rgb, RgbImage, codecs::jpeg::JpegEncoder, imageops::FilterType::CatmullRom,
};

const ROUNDS: usize = 15;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let coca = Coca::pocket_with(&Engine::builder().threads(1).build()?)?;
    let jpeg = camera_photo()?;
    println!("JPEG of {} kB, 4032×3024; 1 thread; {ROUNDS} rounds", jpeg.len() / 1000);

    let preprocessor = coca.preprocessor();
    let prepare = |detail| -> Result<_, vision::Error> {
        preprocessor.preprocess(vision::decode(&jpeg, &Limits::default(), detail)?)
    };
    let (mut scaled, mut whole, mut model) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let pixels = prepare(preprocessor.detail())?;
        scaled.push(start.elapsed());
        let start = Instant::now();
        prepare(Detail::Full)?;
        whole.push(start.elapsed());
        let start = Instant::now();
        coca.encode_pixels(pixels)?;
        model.push(start.elapsed());
    }
    let (scaled, whole, model) = (median(scaled), median(whole), median(model));
    println!("decode scaled down and resize  {scaled:>8.1?}");
    println!("decode whole and resize        {whole:>8.1?}");
    println!("image encoder                  {model:>8.1?}");
    println!("scaled decode / image encoder  {:>8.2}", scaled.as_secs_f64() / model.as_secs_f64());
    Ok(())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn camera_photo() -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/photos/cat.jpg");
    let small = vision::open(path, &Limits::default(), Detail::Full)?;
    let small = DynamicImage::from(small.rgb().clone());
    let mut large: RgbImage = small.resize_exact(4032, 3024, CatmullRom).into_rgb8();
    let mut seed = 1_u32;
    for Rgb(channels) in large.pixels_mut() {
        for channel in channels {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *channel = channel.saturating_add((seed >> 29) as u8);
        }
    }
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, 90).encode_image(&large)?;
    Ok(jpeg)
}
