//! Agreement of the two models' answers, counted image by image.

use std::collections::BTreeMap;

use coca_model::Caption;
use ndarray::ArrayView1;
use serde::Serialize;

/// Pairs of differing captions that a report shows.
const SHOWN: usize = 5;

/// Cosines between the embeddings of one thing in the two models.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CosineAgreement {
    /// Their mean, -1 to 1.
    pub mean: f64,
    /// The smallest.
    pub worst: f64,
    /// The image or label that has it.
    pub worst_name: String,
}

/// Agreement of the labels that the two models choose.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LabelAgreement {
    /// Labels to choose from.
    pub count: usize,
    /// Share of the images that get the same best label, 0 to 1.
    pub top1_agreement: f64,
    /// The largest difference between a label's scores (softmax, 0 to 1), over all images and labels.
    pub largest_score_difference: f64,
    /// The image that has it.
    pub largest_score_difference_source: String,
}

/// Agreement of the captions that the two models write.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CaptionAgreement {
    /// Share of the images that get the same sentence, 0 to 1.
    pub identical: f64,
    /// Mean F1 of the tokens, whatever their order, 0 to 1.
    pub token_f1: f64,
    /// The first few that differ.
    pub differing: Vec<Differing>,
}

/// Two captions of one image.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Differing {
    /// The image.
    pub source: String,
    /// The reference's caption.
    pub a: String,
    /// The other model's caption.
    pub b: String,
}

/// An image that cannot be read.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Failed {
    /// The image.
    pub source: String,
    /// The reason, in a sentence that names it.
    pub error: String,
}

#[derive(Default)]
pub(super) struct CosineTally {
    count: usize,
    sum: f64,
    worst: Option<(f64, String)>,
}

impl CosineTally {
    /// Takes two embeddings `[E]` of the thing `name`.
    pub(super) fn add(&mut self, name: &str, a: ArrayView1<'_, f32>, b: ArrayView1<'_, f32>) {
        let cosine = cosine(a, b);
        self.count += 1;
        self.sum += cosine;
        if self.worst.as_ref().is_none_or(|(worst, _)| cosine < *worst) {
            self.worst = Some((cosine, name.to_owned()));
        }
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// `None` if nothing was added.
    pub(super) fn agreement(self) -> Option<CosineAgreement> {
        let (worst, worst_name) = self.worst?;
        Some(CosineAgreement { mean: self.sum / self.count as f64, worst, worst_name })
    }
}

fn cosine(a: ArrayView1<'_, f32>, b: ArrayView1<'_, f32>) -> f64 {
    let dot = |a: ArrayView1<'_, f32>, b: ArrayView1<'_, f32>| -> f64 {
        a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
    };
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    if lengths > 0.0 { dot(a, b) / lengths } else { 0.0 }
}

#[derive(Default)]
pub(super) struct LabelTally {
    count: usize,
    same: usize,
    largest: (f64, String),
}

impl LabelTally {
    /// Takes the scores of all labels for the picture `source`.
    pub(super) fn add(&mut self, source: &str, a: ArrayView1<'_, f32>, b: ArrayView1<'_, f32>) {
        self.count += 1;
        self.same += usize::from(best(a) == best(b));
        for (a, b) in a.iter().zip(b) {
            let difference = f64::from(a - b).abs();
            if difference > self.largest.0 || self.largest.1.is_empty() {
                self.largest = (difference, source.to_owned());
            }
        }
    }

    pub(super) fn agreement(self, labels: usize) -> LabelAgreement {
        LabelAgreement {
            count: labels,
            top1_agreement: self.same as f64 / self.count.max(1) as f64,
            largest_score_difference: self.largest.0,
            largest_score_difference_source: self.largest.1,
        }
    }
}

/// Index of the largest score, the first of equal ones.
fn best(scores: ArrayView1<'_, f32>) -> Option<usize> {
    let ranked = scores.iter().enumerate();
    ranked.max_by(|(i, a), (j, b)| a.total_cmp(b).then(j.cmp(i))).map(|(i, _)| i)
}

#[derive(Default)]
pub(super) struct CaptionTally {
    count: usize,
    identical: usize,
    f1: f64,
    differing: Vec<Differing>,
}

impl CaptionTally {
    /// Takes two captions of the picture `source`, whose tokens are framed by the ids in `frame`.
    pub(super) fn add(&mut self, source: &str, a: &Caption, b: &Caption, frame: &[u32]) {
        self.count += 1;
        self.f1 += token_f1(&without(&a.tokens, frame), &without(&b.tokens, frame));
        if a.text == b.text {
            self.identical += 1;
        } else if self.differing.len() < SHOWN {
            let (a, b) = (a.text.clone(), b.text.clone());
            self.differing.push(Differing { source: source.to_owned(), a, b });
        }
    }

    pub(super) fn agreement(self) -> CaptionAgreement {
        let count = self.count.max(1) as f64;
        CaptionAgreement {
            identical: self.identical as f64 / count,
            token_f1: self.f1 / count,
            differing: self.differing,
        }
    }
}

fn without(tokens: &[u32], frame: &[u32]) -> Vec<u32> {
    tokens.iter().copied().filter(|token| !frame.contains(token)).collect()
}

/// Harmonic mean of precision and recall of the tokens, counted as often as they stand, 0 to 1.
fn token_f1(a: &[u32], b: &[u32]) -> f64 {
    if a.is_empty() && b.is_empty() {
        return 1.0;
    }
    let mut left: BTreeMap<u32, usize> = BTreeMap::new();
    for &token in a {
        *left.entry(token).or_default() += 1;
    }
    let shared = b.iter().filter(|&token| match left.get_mut(token) {
        Some(count) if *count > 0 => {
            *count -= 1;
            true
        }
        _ => false,
    });
    2.0 * shared.count() as f64 / (a.len() + b.len()) as f64
}

#[cfg(test)]
mod tests {
    use ndarray::array;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_worst_cosine_is_named_and_the_mean_counts_all() {
        let mut tally = CosineTally::default();
        tally.add("same", array![0.6, 0.8].view(), array![0.6, 0.8].view());
        tally.add("square", array![1.0, 0.0].view(), array![0.0, 1.0].view());
        let found = tally.agreement().unwrap();
        assert_eq!((found.worst, found.worst_name.as_str()), (0.0, "square"));
        assert!((found.mean - 0.5).abs() < 1e-7);
    }

    #[test]
    fn without_anything_to_compare_there_is_no_agreement() {
        assert_eq!(CosineTally::default().agreement(), None);
    }

    #[test]
    fn labels_agree_where_the_same_one_is_best() {
        let mut tally = LabelTally::default();
        tally.add("first", array![0.7, 0.3].view(), array![0.6, 0.4].view());
        tally.add("second", array![0.7, 0.3].view(), array![0.2, 0.8].view());
        let found = tally.agreement(2);
        assert_eq!(found.top1_agreement, 0.5);
        assert!((found.largest_score_difference - 0.5).abs() < 1e-6);
        assert_eq!(found.largest_score_difference_source, "second");
    }

    #[test]
    fn of_equal_scores_the_first_is_best() {
        assert_eq!(best(array![0.2, 0.4, 0.4].view()), Some(1));
    }

    #[test]
    fn a_token_counts_as_often_as_both_have_it() {
        assert_eq!(token_f1(&[1, 1, 2, 3], &[1, 2, 2, 4]), 0.5);
        assert_eq!(token_f1(&[], &[]), 1.0);
        assert_eq!(token_f1(&[1], &[]), 0.0);
    }

    #[test]
    fn captions_that_differ_are_shown() {
        let caption = |text: &str, tokens: &[u32]| Caption {
            text: text.to_owned(),
            tokens: tokens.to_vec(),
            score: 0.0,
        };
        let mut tally = CaptionTally::default();
        tally.add("1", &caption("a cat", &[1, 5, 6, 2]), &caption("a cat", &[1, 5, 6, 2]), &[1, 2]);
        tally.add("2", &caption("a cat", &[1, 5, 6, 2]), &caption("a dog", &[1, 5, 7, 2]), &[1, 2]);
        let found = tally.agreement();
        assert_eq!((found.identical, found.token_f1), (0.5, 0.75));
        assert_eq!(found.differing.len(), 1);
        assert_eq!(found.differing[0].b, "a dog");
    }

    proptest! {
        #[test]
        fn token_f1_is_symmetric_and_at_most_one(
            a in prop::collection::vec(0_u32..6, 0..12), b in prop::collection::vec(0_u32..6, 0..12),
        ) {
            let f1 = token_f1(&a, &b);
            prop_assert!((0.0..=1.0).contains(&f1));
            prop_assert_eq!(f1, token_f1(&b, &a));
            prop_assert_eq!(token_f1(&a, &a), 1.0);
        }
    }
}
