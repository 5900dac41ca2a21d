//! Zero-shot classification.

use ndarray::{Array1, Array2, Axis};
use serde::Serialize;

use super::{Cohort, Embedding, Error, none::NoneRule, softmax::softmax, taught::Taught};
use crate::bundle::{Bundle, Fingerprint};

/// Difference of a row's length from 1 that rounding to f32 explains.
const UNIT_LENGTH_TOLERANCE: f32 = 1e-6;

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
    /// The label for everything else is the last, if there is one.
    names: Vec<String>,
    templates: Vec<String>,
    /// `[labels, E]` but for the one for everything else, rows of length 1.
    embeddings: Array2<f32>,
    logit_scale: f32,
    model: Fingerprint,
    pub(super) taught: Option<Taught>,
    /// The rule by which the label for everything else wins.
    none: Option<NoneRule>,
}

/// A label and its score.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScoredLabel {
    /// Name of the label, as it was given.
    pub label: String,
    /// Softmax over all labels of logit scale × cosine: 0 to 1; the scores of all labels add up to 1.
    pub score: f32,
    /// Cosine of image and name, -1 to 1; absent for the label that stands for everything else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cosine: Option<f32>,
}

impl Labels {
    /// Normalises the rows of `embeddings`, `[labels, E]`, to length 1; those that have it, as in a saved table, keep every bit.
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
            if (length - 1.0).abs() > UNIT_LENGTH_TOLERANCE {
                row /= length;
            }
        }
        Ok(Self { names, templates, embeddings, logit_scale, model, taught: None, none: None })
    }

    /// No labels yet, to be taught.
    pub(super) fn empty(templates: Vec<String>, model: &Bundle) -> Self {
        let config = model.config();
        Self {
            names: Vec::new(),
            templates,
            embeddings: Array2::zeros((0, config.dimensions.embedding)),
            logit_scale: config.logit_scale,
            model: model.fingerprint(),
            taught: None,
            none: None,
        }
    }

    /// The names and their embeddings alone.
    pub(super) fn untaught(&self) -> Self {
        let names = self.named().to_vec();
        Self { names, taught: None, none: None, ..self.clone() }
    }

    /// Adds a label; `rows` are the embeddings of its templates' sentences, `[templates, E]`.
    pub(super) fn push(&mut self, name: String, rows: &Array2<f32>) {
        self.names.push(name);
        let mean = mean_over_templates(rows, rows.nrows());
        #[expect(clippy::expect_used, reason = "both are of this model")]
        self.embeddings
            .append(Axis(0), mean.view())
            .expect("embeddings of one model have one width");
    }

    /// Removes the label at `index`.
    pub(super) fn remove(&mut self, index: usize) {
        self.names.remove(index);
        let kept: Vec<usize> = (0..self.embeddings.nrows()).filter(|&i| i != index).collect();
        self.embeddings = self.embeddings.select(Axis(0), &kept);
    }

    /// Adds the label `name` for everything that is none of the others.
    ///
    /// It wins where the best label's cosine is not above what the image has with `cohort`, by 1.75 standard
    /// deviations; without it, something always wins.
    ///
    /// ```
    /// # #[cfg(feature = "pocket")] {
    /// # use coca_model::Coca;
    /// let coca = Coca::pocket()?;
    /// let labels = coca.labels(["rocket", "horse"])?.with_none("none", coca.cohort()?)?;
    /// let image = coca.encode_image(&image::open("../../tests/photos/cat.jpg")?)?;
    /// assert_eq!(labels.classify(&image, 1)?[0].label, "none");
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::LabelExists`] if there is such a label, [`Error::NoneExists`] if there is one for everything else,
    /// [`Error::NamesUnused`] if the labels know pictures alone, which the names' cohort says nothing about.
    pub fn with_none(mut self, name: impl Into<String>, cohort: &Cohort) -> Result<Self, Error> {
        if !self.uses_names() {
            return Err(Error::NamesUnused);
        }
        self.set_none(name.into(), NoneRule::Names(cohort.clone()))?;
        Ok(self)
    }

    pub(super) fn set_none(&mut self, name: String, rule: NoneRule) -> Result<(), Error> {
        if let Some(none) = self.none() {
            return Err(Error::NoneExists { name: none.to_owned() });
        }
        if let Some(label) = self.names.iter().find(|label| is_same_name(label, &name)) {
            return Err(Error::LabelExists { name: label.clone() });
        }
        self.names.push(name);
        self.none = Some(rule);
        Ok(())
    }

    /// Name of the label for everything that is none of the others, if there is one.
    #[must_use]
    pub fn none(&self) -> Option<&str> {
        self.none.as_ref().and(self.names.last()).map(String::as_str)
    }

    pub(super) fn none_rule(&self) -> Option<&NoneRule> {
        self.none.as_ref()
    }

    /// Whether the names count, and not the pictures alone that taught these labels.
    #[must_use]
    pub fn uses_names(&self) -> bool {
        self.taught.as_ref().is_none_or(|taught| taught.uses_names)
    }

    /// Whether pictures have taught these labels.
    #[must_use]
    pub fn is_taught(&self) -> bool {
        self.taught.is_some()
    }

    /// The names, in the order they were given; that for everything else is the last.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The names that have embeddings: all but that for everything else.
    #[must_use]
    pub fn named(&self) -> &[String] {
        &self.names[..self.embeddings.nrows()]
    }

    pub(super) fn logit_scale(&self) -> f32 {
        self.logit_scale
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

    /// The text embeddings of the [named](Self::named) labels, `[labels, E]`, rows of length 1.
    #[must_use]
    pub fn embeddings(&self) -> &Array2<f32> {
        &self.embeddings
    }

    /// The `top_k` labels with the highest scores, best first; equal scores stay in the order of the labels.
    ///
    /// # Errors
    /// As [`Labels::scores`].
    pub fn classify(
        &self,
        image: impl AsRef<Embedding>,
        top_k: usize,
    ) -> Result<Vec<ScoredLabel>, Error> {
        let (scores, cosines) = self.scores_and_cosines(image.as_ref())?;
        let mut order: Vec<usize> = (0..self.names.len()).collect();
        order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
        order.truncate(top_k);
        let scored = |i: usize| ScoredLabel {
            label: self.names[i].clone(),
            score: scores[i],
            cosine: cosines.get(i).copied(),
        };
        Ok(order.into_iter().map(scored).collect())
    }

    /// The scores of all labels, in the order of their [names](Self::names): softmax over logit scale × cosine, or over
    /// the logits of the classifier that pictures have taught.
    ///
    /// # Errors
    /// [`Error::OtherModel`] if another model encoded the image, [`Error::NotFinite`] for a classifier out of a table that
    /// gives no numbers.
    pub fn scores(&self, image: &Embedding) -> Result<Array1<f32>, Error> {
        Ok(self.scores_and_cosines(image)?.0)
    }

    /// The scores of all labels, and the cosines of those that have embeddings.
    fn scores_and_cosines(&self, image: &Embedding) -> Result<(Array1<f32>, Array1<f32>), Error> {
        image.check_model(self.model)?;
        let cosines = self.embeddings.dot(&image.view());
        let mut logits = &cosines * self.logit_scale;
        if let Some(taught) = &self.taught {
            logits = taught.logits(image.view(), logits);
        }
        let none = self.none.as_ref().map(|none| none.logit(image.view(), &cosines, &logits));
        let logits: Vec<f32> = logits.into_iter().chain(none).collect();
        // A table may hold weights whose products no f32 holds.
        if let Some(&found) = logits.iter().find(|logit| !logit.is_finite()) {
            return Err(Error::NotFinite { part: "label table", found });
        }
        Ok((softmax(&logits).into(), cosines))
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

/// Whether a reader would take the name of a label for another, as "none" for "None".
#[must_use]
pub fn is_same_name(a: &str, b: &str) -> bool {
    a.to_lowercase() == b.to_lowercase()
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

    fn with_none() -> Labels {
        // Cosines with the cohort: 0.6 and 0.8 for the image below, so z = 1.75 is at 0.875.
        labels().with_none("none", &Cohort::new(array![[1.0, 0.0], [0.0, 1.0]])).unwrap()
    }

    #[test]
    fn none_wins_exactly_where_no_label_stands_out_from_everyday_names() {
        let image = Embedding::new(vec![0.6, 0.8], MODEL);
        for (cosine, winner) in [(0.865, "none"), (0.885, "near")] {
            let other = (1.0_f32 - cosine * cosine).sqrt();
            // A row at this cosine from the image.
            let row = array![[0.6 * cosine - 0.8 * other, 0.8 * cosine + 0.6 * other]];
            let near = Labels::new(vec!["near".to_owned()], vec![], row, 10.0, MODEL).unwrap();
            let cohort = Cohort::new(array![[1.0, 0.0], [0.0, 1.0]]);
            let best = near.with_none("none", &cohort).unwrap().classify(&image, 2).unwrap();
            assert_eq!(best[0].label, winner, "{best:?}");
            assert!((best[0].score + best[1].score - 1.0).abs() < 1e-6);
        }
    }

    #[test]
    fn none_is_not_told_from_a_label_by_its_case_alone() {
        let row = array![[1.0, 0.0]];
        let labels = Labels::new(vec!["None".to_owned()], vec![], row, 10.0, MODEL).unwrap();
        let cohort = Cohort::new(array![[1.0, 0.0], [0.0, 1.0]]);
        let error = labels.with_none("none", &cohort).unwrap_err();
        assert!(matches!(error, Error::LabelExists { name } if name == "None"));
    }

    #[test]
    fn none_leaves_the_order_and_the_proportions_of_the_others() {
        let image = Embedding::new(vec![0.6, 0.8], MODEL);
        let (with, without) =
            (with_none().scores(&image).unwrap(), labels().scores(&image).unwrap());
        assert_eq!((with.len(), without.len()), (4, 3));
        assert!((with[0] / with[1] - without[0] / without[1]).abs() < 1e-5);
    }

    #[test]
    fn none_has_no_cosine_and_the_others_have_theirs() {
        let image = Embedding::new(vec![0.6, 0.8], MODEL);
        let labels = with_none();
        let cosine = |name: &str| {
            let all = labels.classify(&image, 9).unwrap();
            all.into_iter().find(|scored| scored.label == name).unwrap().cosine
        };
        assert_eq!(cosine("none"), None);
        assert!((cosine("up").unwrap() - 0.8).abs() < 1e-6);
        assert_eq!((labels.none(), labels.named().len()), (Some("none"), 3));
    }

    #[test]
    fn a_second_none_and_one_named_like_a_label_are_refused() {
        let cohort = Cohort::new(array![[1.0, 0.0], [0.0, 1.0]]);
        let again = with_none().with_none("other", &cohort);
        assert!(matches!(again, Err(Error::NoneExists { name }) if name == "none"));
        let taken = labels().with_none("up", &cohort);
        assert!(matches!(taken, Err(Error::LabelExists { name }) if name == "up"));
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
