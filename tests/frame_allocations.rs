//! In the steady state a camera's frame costs no allocation on its way from the source to the model's input.
#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use coca_edge::{
    camera::{Frame, NewestFrame, SourceSettings, SourceSpec, Taken},
    vision::{
        Colours, FramePreprocessor, FrameView, Interpolation, PixelFormat, PixelSpec, Preprocessor,
        Resize, Turn,
    },
};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

fn count() {
    ALLOCATIONS.with(|count| count.set(count.get() + 1));
}

#[allow(unsafe_code)]
// SAFETY: every call goes on to the system's allocator unchanged; counting touches a plain cell of the own thread.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
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

fn preprocessor() -> FramePreprocessor {
    let spec = PixelSpec {
        width: 224,
        height: 224,
        mean: [0.5; 3],
        std: [0.5; 3],
        resize: Resize::Shortest,
        interpolation: Interpolation::Bicubic,
    };
    FramePreprocessor::new(Preprocessor::new(spec).unwrap(), Turn::default().rotated(1))
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
        let view = || FrameView::new(format, (640, 480), Colours::Bt601, &bytes).unwrap();
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
    let view = || FrameView::new(PixelFormat::Mjpeg, (0, 0), Colours::Bt601, &file).unwrap();
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
