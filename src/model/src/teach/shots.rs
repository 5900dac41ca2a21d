//! Embeddings with labels.

use ndarray::{Array2, ArrayView1, Axis};

/// Embeddings `[n, E]` of labelled pictures, rows of length 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Shots {
    embeddings: Array2<f64>,
    labels: Vec<usize>,
    classes: usize,
}

impl Shots {
    /// Shots of `classes` labels; shot i has the label `labels[i]`.
    ///
    /// # Panics
    /// When there are not as many labels as rows, or a label is not below `classes`.
    #[must_use]
    pub fn new(embeddings: Array2<f64>, labels: Vec<usize>, classes: usize) -> Self {
        assert_eq!(embeddings.nrows(), labels.len(), "every shot has a label");
        assert!(labels.iter().all(|&label| label < classes), "labels are numbered from 0");
        Self { embeddings, labels, classes }
    }

    /// The embeddings `[n, E]`.
    #[must_use]
    pub fn embeddings(&self) -> &Array2<f64> {
        &self.embeddings
    }

    /// The label of each shot.
    #[must_use]
    pub fn labels(&self) -> &[usize] {
        &self.labels
    }

    /// The number of labels, with shots or without.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The number of shots of each label.
    #[must_use]
    pub fn counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes];
        for &label in &self.labels {
            counts[label] += 1;
        }
        counts
    }

    /// Shot i and its label.
    pub(super) fn iter(&self) -> impl Iterator<Item = (ArrayView1<'_, f64>, usize)> {
        self.embeddings.rows().into_iter().zip(self.labels.iter().copied())
    }

    /// The sum of each label's shots, `[labels, E]`.
    pub(super) fn sums(&self) -> Array2<f64> {
        let mut sums = Array2::zeros((self.classes, self.embeddings.ncols()));
        for (shot, label) in self.iter() {
            let mut sum = sums.row_mut(label);
            sum += &shot;
        }
        sums
    }

    /// All shots but the one at `index`.
    #[cfg(test)]
    pub(super) fn without(&self, index: usize) -> Self {
        let kept: Vec<usize> = (0..self.labels.len()).filter(|&i| i != index).collect();
        let labels = kept.iter().map(|&i| self.labels[i]).collect();
        Self::new(self.embeddings.select(Axis(0), &kept), labels, self.classes)
    }

    /// The mean of all shots, `[E]`; zero without any.
    #[must_use]
    pub fn mean(&self) -> ndarray::Array1<f64> {
        let zero = || ndarray::Array1::zeros(self.embeddings.ncols());
        self.embeddings.mean_axis(Axis(0)).unwrap_or_else(zero)
    }
}

/// Places where a label's pictures are expected before any is seen, and the number of pictures that each counts for.
///
/// They make a label's mean more certain when there are few shots, and are all that is known of a label without any.
#[derive(Debug, Clone, PartialEq)]
pub struct Anchors {
    /// `[labels, E]`
    pub means: Array2<f64>,
    /// One for each label, 0 or more.
    pub weights: Vec<f64>,
}

impl Anchors {
    /// Anchors that count for nothing.
    #[must_use]
    pub fn none(shots: &Shots) -> Self {
        let means = Array2::zeros((shots.classes(), shots.embeddings().ncols()));
        Self { means, weights: vec![0.0; shots.classes()] }
    }

    /// The `sums` of each label's shots, `[labels, E]`, with its anchor counted among them.
    pub(super) fn added_to(&self, mut sums: Array2<f64>) -> Array2<f64> {
        for (label, mut sum) in sums.rows_mut().into_iter().enumerate() {
            sum.scaled_add(self.weights[label], &self.means.row(label));
        }
        sums
    }

    /// Each label's mean, `[labels, E]`, of its shots and its anchor; zero for a label with neither.
    pub(super) fn means_with(&self, sums: &Array2<f64>, counts: &[usize]) -> Array2<f64> {
        let mut means = self.added_to(sums.clone());
        for (label, mut mean) in means.rows_mut().into_iter().enumerate() {
            let total = counts[label] as f64 + self.weights[label];
            if total > 0.0 {
                mean /= total;
            }
        }
        means
    }
}
