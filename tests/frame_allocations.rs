//! Memory that a camera's frame costs: no allocation on its way from the source to the model's input, and in a whole step
//! of a watch no copy of its pixels.
#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use coca_edge::{
    camera::{Frame, NewestFrame, SourceSettings, SourceSpec, Taken},
    vision::{
        FramePreprocessor, FrameView, Interpolation, Orientation, PixelFormat, PixelSpec,
        Preprocessor, Resize, YuvMatrix,
    },
};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    static BYTES: Cell<usize> = const { Cell::new(0) };
}

fn count(size: usize) {
    ALLOCATIONS.with(|count| count.set(count.get() + 1));
    BYTES.with(|bytes| bytes.set(bytes.get() + size));
}

#[allow(unsafe_code)]
// SAFETY: every call goes on to the system's allocator unchanged; counting touches plain cells of the own thread.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: the caller keeps the contract of `realloc`.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How often this thread allocates memory during the work.
fn allocations(work: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.with(Cell::get);
    work();
    ALLOCATIONS.with(Cell::get) - before
}

/// Bytes that this thread allocates during the work.
#[cfg(feature = "pocket")]
fn allocated_bytes(work: impl FnOnce()) -> usize {
    let before = BYTES.with(Cell::get);
    work();
    BYTES.with(Cell::get) - before
}

fn preprocessor() -> FramePreprocessor {
    let spec = PixelSpec {
        width: 224,
        height: 224,
        mean: [0.5; 3],
        std: [0.5; 3],
        resize: Resize::Shortest,
        interpolation: Interpolation::Bicubic,
    };
    FramePreprocessor::new(Preprocessor::new(spec).unwrap(), Orientation::default().rotated(1))
}

#[test]
fn the_allocator_counts_allocations() {
    assert_eq!(allocations(|| drop(vec![1_u8; 10])), 1);
}

#[test]
fn raw_frames_become_pixels_without_an_allocation() {
    use PixelFormat::{Grey, Nv12, Rgb, Yuv420, Yuyv};
    for format in [Yuyv, Nv12, Yuv420, Rgb, Grey] {
        let bytes = vec![77; format.frame_bytes(640, 480).unwrap()];
        let view = || FrameView::new(format, (640, 480), YuvMatrix::Bt601, &bytes).unwrap();
        let mut frames = preprocessor();
        frames.preprocess(view()).unwrap();
        let count =
            allocations(|| (0..20).for_each(|_| assert!(frames.preprocess(view()).is_ok())));
        assert_eq!(count, 0, "{format}");
    }
}

#[test]
fn jpeg_frames_become_pixels_without_an_allocation() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/photos/cat.jpg");
    let file = std::fs::read(path).unwrap();
    let view = || FrameView::new(PixelFormat::Mjpeg, (0, 0), YuvMatrix::Bt601, &file).unwrap();
    let mut frames = preprocessor();
    frames.preprocess(view()).unwrap();
    let count = allocations(|| (0..20).for_each(|_| assert!(frames.preprocess(view()).is_ok())));
    assert_eq!(count, 0);
}

#[test]
fn frames_go_from_a_source_through_the_slot_without_an_allocation() {
    let jpeg = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/photos/cat.jpg");
    let pipe = format!("cmd:sh -c 'while cat {jpeg}; do :; done'");
    let raw = "yuyv:64x48:cmd:cat /dev/zero";
    for source in ["test", raw, &pipe] {
        let settings = SourceSettings { size: None, fps: Some(240.0) };
        let mut source_frames = source.parse::<SourceSpec>().unwrap().open(&settings).unwrap();
        let newest = NewestFrame::default();
        let (mut read, mut taken) = (Frame::default(), Frame::default());
        let mut pass = || {
            source_frames.read(&mut read).unwrap();
            newest.put(&mut read);
            assert_eq!(newest.take(&mut taken, std::time::Duration::ZERO), Taken::Frame);
        };
        (0..8).for_each(|_| pass());
        assert_eq!(allocations(|| (0..30).for_each(|_| pass())), 0, "{source}");
    }
}

/// The least over some rounds: the first ones fill buffers.
#[cfg(feature = "pocket")]
fn least_bytes(mut work: impl FnMut()) -> usize {
    (0..8).map(|_| allocated_bytes(&mut work)).min().unwrap()
}

#[cfg(feature = "pocket")]
#[test]
fn a_whole_step_allocates_little_more_than_the_model_alone() {
    use std::sync::Arc;

    use coca_edge::{
        Coca, FrameEncoder,
        camera::{Capture, RetryPolicy},
        watch::{Step, Watch, WatchOptions},
    };

    /// A report's strings and what the channel and the tracker need.
    const REPORT_BYTES: usize = 16 << 10;

    let coca = Arc::new(Coca::pocket().unwrap());
    let pixels = std::mem::size_of_val(coca.preprocessor().black().view().as_slice().unwrap());

    let grey = vec![128; 320 * 240];
    let view = FrameView::new(PixelFormat::Grey, (320, 240), YuvMatrix::Bt601, &grey).unwrap();
    let mut encoder = FrameEncoder::new(Arc::clone(&coca), Orientation::default());
    let model = least_bytes(|| drop(encoder.encode(view).unwrap()));
    let input = coca.preprocessor().black();
    let with_input = least_bytes(|| {
        drop(input.clone());
        drop(encoder.encode(view).unwrap());
    });
    assert!(with_input >= model + pixels, "an encoder that allocates its input is noticed");

    let labels = coca.labels(["cat", "dog", "cup of coffee"]).unwrap();
    let source: SourceSpec = "test".parse().unwrap();
    let settings = SourceSettings { size: None, fps: Some(200.0) };
    let open = move || source.open(&settings);
    let capture = Capture::start("test", RetryPolicy::default(), open).unwrap();
    let options = WatchOptions::default();
    let mut watch = Watch::start(coca, Some(labels), "test", capture, options).unwrap();
    let step = least_bytes(|| while !matches!(watch.step().unwrap(), Step::Report(_)) {});
    assert!(step <= model + REPORT_BYTES, "a step allocates {step} bytes, the model {model}");
}
