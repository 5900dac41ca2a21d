//! A verdict on a comparison, for people who do not read cosines.

use std::fmt;

use super::CosineAgreement;

/// Least cosines, mean and worst, of a model that may take the reference's place.
const CLOSE: (f64, f64) = (0.995, 0.98);
/// Least cosines of a model whose answers are mostly the reference's.
const NEAR: (f64, f64) = (0.98, 0.9);

/// Agreement of a model's embeddings with the reference's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Mean cosines of at least 0.995, none below 0.98: it may take the reference's place.
    Close,
    /// Mean cosines of at least 0.98, none below 0.9: some answers differ.
    Near,
    /// It answers as another model does.
    Apart,
}

impl Verdict {
    pub(super) fn of(embeddings: [&CosineAgreement; 2]) -> Self {
        let reach = |(mean, worst): (f64, f64)| {
            embeddings.iter().all(|found| found.mean >= mean && found.worst >= worst)
        };
        if reach(CLOSE) {
            Self::Close
        } else if reach(NEAR) {
            Self::Near
        } else {
            Self::Apart
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Close => "B may take A's place: its embeddings are A's but for rounding",
            Self::Near => {
                "B mostly answers as A does: look at the captions and the worst pictures above"
            }
            Self::Apart => {
                "B does not answer as A does: look at the layers above where the noise arises"
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(image: (f64, f64), text: (f64, f64)) -> Verdict {
        let agreement =
            |(mean, worst)| CosineAgreement { mean, worst, worst_name: "a.jpg".to_owned() };
        Verdict::of([&agreement(image), &agreement(text)])
    }

    #[test]
    fn the_worse_of_image_and_text_decides() {
        assert_eq!(verdict((0.999, 0.99), (0.996, 0.98)), Verdict::Close);
        assert_eq!(verdict((0.999, 0.99), (0.99, 0.98)), Verdict::Near);
        assert_eq!(verdict((0.9, 0.8), (1.0, 1.0)), Verdict::Apart);
    }

    #[test]
    fn one_picture_far_off_is_enough_to_look_again() {
        assert_eq!(verdict((0.999, 0.95), (1.0, 1.0)), Verdict::Near);
        assert_eq!(verdict((0.999, 0.5), (1.0, 1.0)), Verdict::Apart);
    }

    #[test]
    fn cosines_that_are_no_numbers_are_never_close() {
        assert_eq!(verdict((f64::NAN, f64::NAN), (1.0, 1.0)), Verdict::Apart);
    }
}
