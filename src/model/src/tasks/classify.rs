//! Zero-shot classification.

use ndarray::{Array1, Array2, Axis};
use serde::Serialize;

use super::{Embedding, Error};
use crate::bundle::Fingerprint;

/// Labels with their text embeddings, computed once and compared with any number of images.
///
/// A label's embedding is the normalised mean of the normalised embeddings of all its templates
/// (open_clip's `build_zero_shot_classifier`).
///
/// ```
/// # #[cfg(feature = "pocket")] {
/// use coca_model::Coca;
///
/// let coca = Coca::pocket()?;
/// let labels = coca.labels(["cat", "dog", "house"])?;
/// let image = coca.encode_image(&image::open("../../tests/photos/cat.jpg")?)?;
/// let best = labels.classify(&image, 1)?;
/// assert_eq!(best[0].label, "cat");
/// assert_eq!(labels.scores(image.embedding())?.len(), 3); // in the order of the names
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Labels {
    names: Vec<String>,
    templates: Vec<String>,
    /// `[labels, E]`, rows of length 1.
    embeddings: Array2<f32>,
    logit_scale: f32,
    model: Fingerprint,
}

/// A label and its score.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScoredLabel {
    /// Name of the label, as it was given.
    pub label: String,
    /// Softmax over all labels of logit scale × cosine: 0 to 1; the scores of all labels add up to 1.
    pub score: f32,
}

impl Labels {
    /// Normalises the rows of `embeddings`, `[labels, E]`, to length 1.
    pub(super) fn new(
        names: Vec<String>,
        templates: Vec<String>,
        mut embeddings: Array2<f32>,
        logit_scale: f32,
        model: Fingerprint,
    ) -> Result<Self, Error> {
        if names.is_empty() {
            return Err(Error::NoLabels);
        }
        for mut row in embeddings.rows_mut() {
            let length = row.dot(&row).sqrt().max(1e-12);
            row /= length;
        }
        Ok(Self { names, templates, embeddings, logit_scale, model })
    }

    /// The names, in the order they were given.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The templates whose sentences were averaged.
    #[must_use]
    pub fn templates(&self) -> &[String] {
        &self.templates
    }

    /// The fingerprint of the model whose embeddings these are.
    #[must_use]
    pub fn model(&self) -> Fingerprint {
        self.model
    }

    /// The text embeddings `[labels, E]`, rows of length 1.
    #[must_use]
    pub fn embeddings(&self) -> &Array2<f32> {
        &self.embeddings
    }

    /// The `top_k` labels with the highest scores, best first; equal scores stay in the order of the labels.
    ///
    /// # Errors
    /// [`Error::OtherModel`] if another model encoded the image.
    pub fn classify(
        &self,
        image: impl AsRef<Embedding>,
        top_k: usize,
    ) -> Result<Vec<ScoredLabel>, Error> {
        let scores = self.scores(image.as_ref())?;
        let mut order: Vec<usize> = (0..self.names.len()).collect();
        order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
        order.truncate(top_k);
        let best = order.into_iter();
        Ok(best.map(|i| ScoredLabel { label: self.names[i].clone(), score: scores[i] }).collect())
    }

    /// The scores of all labels, in their order: softmax over logit scale × cosine.
    ///
    /// # Errors
    /// [`Error::OtherModel`] if another model encoded the image.
    pub fn scores(&self, image: &Embedding) -> Result<Array1<f32>, Error> {
        if image.model() != self.model {
            return Err(Error::OtherModel { expected: self.model, found: image.model() });
        }
        let mut scores = self.embeddings.dot(&image.view()) * self.logit_scale;
        let largest = scores.fold(f32::NEG_INFINITY, |a, &b| a.max(b));
        scores.mapv_inplace(|logit| (logit - largest).exp());
        let total = scores.sum();
        scores /= total;
        Ok(scores)
    }
}

impl AsRef<Embedding> for Embedding {
    fn as_ref(&self) -> &Embedding {
        self
    }
}

/// The normalised mean of each run of `templates` rows: `[labels × templates, E]` → `[labels, E]`.
pub(super) fn mean_over_templates(rows: &Array2<f32>, templates: usize) -> Array2<f32> {
    let labels = rows.nrows() / templates.max(1);
    let mut means = Array2::zeros((labels, rows.ncols()));
    for (mut mean, group) in
        means.rows_mut().into_iter().zip(rows.axis_chunks_iter(Axis(0), templates))
    {
        mean += &group.sum_axis(Axis(0));
        let length = mean.dot(&mean).sqrt().max(1e-12);
        mean /= length;
    }
    means
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    const MODEL: Fingerprint = Fingerprint([7; 32]);

    fn labels() -> Labels {
        let names = ["right", "up", "left"].map(str::to_owned).to_vec();
        let rows = array![[2.0, 0.0], [0.0, 3.0], [-1.0, 0.0]];
        Labels::new(names, vec!["{}".to_owned()], rows, 10.0, MODEL).unwrap()
    }

    #[test]
    fn scores_are_the_softmax_of_scaled_cosines() {
        let picture = Embedding::new(vec![0.6, 0.8], MODEL);
        let scores = labels().scores(&picture).unwrap();
        let total = 6_f32.exp() + 8_f32.exp() + (-6_f32).exp();
        assert!((scores[0] - 6_f32.exp() / total).abs() < 1e-6);
        assert!((scores.sum() - 1.0).abs() < 1e-6);
    }

    #[test]
    fn the_best_labels_come_first_and_no_more_than_asked_for() {
        let picture = Embedding::new(vec![0.6, 0.8], MODEL);
        let best = labels().classify(&picture, 2).unwrap();
        assert_eq!(best.iter().map(|l| l.label.as_str()).collect::<Vec<_>>(), ["up", "right"]);
    }

    #[test]
    fn a_picture_of_another_model_is_refused() {
        let picture = Embedding::new(vec![0.6, 0.8], Fingerprint([8; 32]));
        assert!(matches!(labels().classify(&picture, 1), Err(Error::OtherModel { .. })));
    }

    #[test]
    fn an_empty_list_of_labels_is_refused() {
        let none = Labels::new(vec![], vec![], Array2::zeros((0, 2)), 1.0, MODEL);
        assert!(matches!(none, Err(Error::NoLabels)));
    }

    #[test]
    fn a_label_is_the_normalised_mean_of_its_templates() {
        let rows = array![[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [0.0, 1.0]];
        let means = mean_over_templates(&rows, 2);
        let half = 0.5_f32.sqrt();
        assert!((&means - &array![[half, half], [0.0, 1.0]]).iter().all(|d| d.abs() < 1e-6));
    }
}
