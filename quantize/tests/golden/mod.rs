//! Comparison with the answers of other programs: the pictures of `tests/golden/answers.py`, and numbers.

use coca_model::Coca;

/// Picture `p` as the scripts draw it, in the model's own size.
pub(crate) fn picture(coca: &Coca, p: usize) -> image::RgbImage {
    let spec = &coca.bundle().config().image;
    let golden_ratio = f64::midpoint(1.0, 5_f64.sqrt());
    let bytes = (1..=spec.width * spec.height * 3)
        .map(|i| (256.0 * (f64::from(i) * (p + 1) as f64 * golden_ratio).fract()) as u8);
    image::RgbImage::from_raw(spec.width, spec.height, bytes.collect()).unwrap()
}

pub(crate) fn assert_close(found: &[f32], expected: &[f32], tolerance: f32, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
        assert!((f - e).abs() <= tolerance, "{what}, number {i}: expected {e}, found {f}");
    }
}
