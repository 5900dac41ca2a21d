//! Comparison with the answers of other programs: the pictures of `tests/golden/answers.py`, and numbers.

use coca_model::Coca;
use coca_text::Templates;

/// Picture `p` as the scripts draw it, in the model's own size.
pub(crate) fn picture(coca: &Coca, p: usize) -> image::RgbImage {
    let spec = &coca.bundle().config().image;
    let golden_ratio = f64::midpoint(1.0, 5_f64.sqrt());
    let bytes = (1..=spec.width * spec.height * 3)
        .map(|i| (256.0 * (f64::from(i) * (p + 1) as f64 * golden_ratio).fract()) as u8);
    image::RgbImage::from_raw(spec.width, spec.height, bytes.collect()).unwrap()
}

/// Holds the scores `[pictures, labels]` of bare labels to the softmax of scaled cosines that the other program gives.
pub(crate) fn assert_label_scores(coca: &Coca, names: &[String], scores: &[Vec<f32>]) {
    let bare = Templates::single("{}").unwrap();
    let labels = coca.labels_with(names.to_vec(), &bare, |_, _| ()).unwrap();
    for (p, expected) in scores.iter().enumerate() {
        let image = coca.encode_image(picture(coca, p)).unwrap();
        for best in labels.classify(&image, expected.len()).unwrap() {
            let i = names.iter().position(|name| *name == best.label).unwrap();
            let what = format!("{}, picture {p}", best.label);
            assert_close(&[best.score], &[expected[i]], 1e-4, &what);
        }
    }
}

pub(crate) fn assert_close(found: &[f32], expected: &[f32], tolerance: f32, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
        assert!((f - e).abs() <= tolerance, "{what}, number {i}: expected {e}, found {f}");
    }
}
