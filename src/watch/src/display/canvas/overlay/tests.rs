//! The overlay as pictures that a person can read: `tests/golden/display`.
//!
//! After a change that is wanted, `COCA_BLESS=1 cargo test overlay` writes them anew; look at the difference.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use embedded_graphics::pixelcolor::RgbColor;
use image::{Rgb, RgbImage};
use proptest::prelude::*;

use super::*;
use crate::{FrameCaption, display::Status};

const PICTURE: [u8; 3] = [100, 120, 160];

fn view() -> View {
    View {
        picture: Some(Arc::new(RgbImage::from_pixel(40, 30, Rgb(PICTURE)))),
        labels: vec![
            TrackedLabel { label: "Eichhörnchen".into(), score: 0.93, active: true },
            TrackedLabel { label: "cup of coffee on a table".into(), score: 0.21, active: false },
        ],
        caption: Some(FrameCaption {
            text: "a red squirrel sits on a branch".into(),
            frame: 7,
            latency_ms: 800.0,
            captured_at: SystemTime::UNIX_EPOCH,
        }),
        status: Status {
            frames_per_second: 12.34,
            latency: Some(Duration::from_micros(41_900)),
            temperature: Some(61.2),
            ..Status::default()
        },
    }
}

/// One character for each pixel in every `step`-th row and column.
fn drawing(canvas: &Canvas, step: usize) -> String {
    let width = canvas.width() as usize;
    let mut text = String::new();
    for row in canvas.rgb().chunks_exact(width * 3).step_by(step) {
        let line: String = row.chunks_exact(3).step_by(step).map(character).collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn character(pixel: &[u8]) -> char {
    let is = |colour: Rgb888| pixel == [colour.r(), colour.g(), colour.b()];
    match pixel {
        _ if is(TEXT) => '#',
        _ if is(ACTIVE) => '=',
        _ if is(INACTIVE) => '-',
        _ if is(ALERT) => '!',
        _ if pixel == PICTURE => '.',
        [0, 0, 0] => ' ',
        _ => ' ',
    }
}

fn assert_golden(view: &View, size: (u32, u32), step: usize, name: &str) {
    let mut canvas = Canvas::new(size.0, size.1);
    canvas.paint(view);
    let found = drawing(&canvas, step);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/display").join(name);
    if std::env::var_os("COCA_BLESS").is_some() {
        std::fs::write(&path, &found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    assert_eq!(found, expected, "not what {} shows:\n{found}", path.display());
}

#[test]
fn a_small_panel_shows_labels_with_bars_caption_and_status() {
    assert_golden(&view(), (160, 120), 1, "panel-160x120.txt");
}

#[test]
fn a_message_stands_above_the_labels() {
    let mut view = view();
    view.status.message = Some("camera lost, reopening".into());
    view.caption = None;
    assert_golden(&view, (160, 80), 1, "message-160x80.txt");
}

#[test]
fn without_a_picture_the_display_says_so() {
    assert_golden(&View::default(), (120, 40), 1, "nothing-120x40.txt");
}

#[test]
fn a_television_shows_the_same_in_large() {
    assert_golden(&view(), (1920, 1080), 15, "television-1920x1080.txt");
}

#[test]
fn a_long_caption_is_wrapped_and_cut() {
    let mut view = view();
    view.labels.clear();
    if let Some(caption) = &mut view.caption {
        caption.text = "a very long caption ".repeat(9);
    }
    assert_golden(&view, (160, 60), 1, "long-caption-160x60.txt");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_view_fits_on_any_canvas(
        width in 0u32..400,
        height in 0u32..400,
        names in prop::collection::vec("\\PC{0,40}", 0..8),
        score in prop::num::f32::ANY,
        caption in "\\PC{0,200}",
        message in "\\PC{0,100}",
    ) {
        let mut view = view();
        view.labels =
            names.into_iter().map(|label| TrackedLabel { label, score, active: true }).collect();
        if let Some(shown) = &mut view.caption {
            shown.text = caption;
        }
        view.status.message = Some(message);
        Canvas::new(width, height).paint(&view);
    }
}
