//! The picture of the live page in README: a real watch of the photos in `tests/photos`, with the embedded model.
//!
//! `COCA_SCREENSHOT=docs/live-page.png cargo test --release --test web_page -- --ignored screenshot` writes it anew.

use std::{
    fs::File,
    io::BufWriter,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use coca_edge::{
    Coca,
    camera::{Capture, Error, Frame, FrameSource, Read, RetryPolicy},
    vision::PixelFormat,
    watch::{CaptionTriggers, Step, Watch, WatchOptions},
};

use crate::run_script;

/// The last one is in the picture.
const PHOTOS: [&str; 4] = ["rocket", "photographer", "coffee", "cat"];
const LABELS: [&str; 6] = ["cat", "cup of coffee", "rocket", "photographer", "dog", "bicycle"];
/// Frames of the last photo after its caption, so that smoothed scores settle.
const SETTLED: usize = 30;
const COLOURS: usize = 256;

/// Shows a photo until the index moves on to the next.
struct Slides {
    index: Arc<AtomicUsize>,
    photos: Vec<image::RgbImage>,
}

impl FrameSource for Slides {
    fn read(&mut self, frame: &mut Frame) -> Result<Read, Error> {
        thread::sleep(Duration::from_millis(66));
        let last = self.photos.len() - 1;
        let photo = &self.photos[self.index.load(Ordering::Relaxed).min(last)];
        (frame.format, frame.size) = (PixelFormat::Rgb, photo.dimensions());
        frame.bytes.clear();
        frame.bytes.extend_from_slice(photo.as_raw());
        frame.stamp();
        Ok(Read::Frame)
    }
}

fn photos() -> Vec<image::RgbImage> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/photos");
    let open = |name| image::open(folder.join(format!("{name}.jpg"))).unwrap().into_rgb8();
    PHOTOS.map(open).to_vec()
}

#[test]
#[ignore = "writes the file that COCA_SCREENSHOT names"]
fn screenshot_of_a_watch() {
    let path = std::env::var("COCA_SCREENSHOT").expect("COCA_SCREENSHOT names no file");
    let coca = Arc::new(Coca::pocket().unwrap());
    let labels = coca.labels(LABELS).unwrap();
    let index = Arc::new(AtomicUsize::new(0));
    let shown = Arc::clone(&index);
    let open = move || Ok(Box::new(Slides { index: Arc::clone(&shown), photos: photos() }) as _);
    let capture = Capture::start("photos", RetryPolicy::default(), open).unwrap();
    let options = WatchOptions {
        captions: CaptionTriggers { scene: Some(0.8), request: true, ..Default::default() },
        displays: vec!["web:127.0.0.1:0".parse().unwrap()],
        ..WatchOptions::default()
    };
    let mut watch = Watch::start(coca, Some(labels), "tests/photos", capture, options).unwrap();
    let address = format!("http://{}/", watch.displays()[0].trim_start_matches("web:"));

    let folder = tempfile::tempdir().unwrap();
    let png = folder.path().join("page.png");
    let done = AtomicBool::new(false);
    let output = thread::scope(|scope| {
        let mut browser = None;
        let mut settled = 0;
        while !done.load(Ordering::Relaxed) {
            let Step::Report(report) = watch.step().unwrap() else { continue };
            if report.caption.is_some() {
                index.fetch_add(1, Ordering::Relaxed);
            }
            settled += usize::from(index.load(Ordering::Relaxed) >= PHOTOS.len());
            if settled == SETTLED {
                let arguments =
                    [address.clone(), png.display().to_string(), PHOTOS.len().to_string()];
                let done = &done;
                browser = Some(scope.spawn(move || {
                    let output =
                        run_script("screenshot.py", &arguments.each_ref().map(String::as_str));
                    done.store(true, Ordering::Relaxed);
                    output
                }));
            }
        }
        browser.unwrap().join().unwrap()
    });
    let Some(output) = output else { return };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    write_with_palette(&image::open(png).unwrap().into_rgba8(), &path);
    let bytes = path.metadata().unwrap().len();
    assert!(bytes < 200_000, "{bytes} bytes");
}

/// Writes a PNG file of 256 colours: a fifth of the bytes of one with all.
fn write_with_palette(image: &image::RgbaImage, path: &Path) {
    let colours = color_quant::NeuQuant::new(1, COLOURS, image.as_raw());
    let indices: Vec<u8> = image.pixels().map(|pixel| colours.index_of(&pixel.0) as u8).collect();
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let file = BufWriter::new(File::create(path).unwrap());
    let mut encoder = png::Encoder::new(file, image.width(), image.height());
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_palette(colours.color_map_rgb());
    encoder.set_compression(png::Compression::High);
    // Filters make neighbouring indices no more alike.
    encoder.set_filter(png::Filter::NoFilter);
    encoder.write_header().unwrap().write_image_data(&indices).unwrap();
}
