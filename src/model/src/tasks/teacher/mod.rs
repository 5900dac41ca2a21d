//! Teaching labels with pictures.

mod distinct_names;
mod fit;
mod none_fit;
mod report;
#[cfg(test)]
#[cfg(feature = "pocket")]
mod tests;

use std::collections::{BTreeMap, HashMap};

use coca_text::TokenIds;

pub use report::{Confusion, LabelReport, NoneReport, Report, SameMoment, Threshold};

use self::distinct_names::DistinctNames;
use super::{
    Coca, Embedding, Error, Labels, Method, is_same_name,
    taught::{NONE, Shot, Taught},
};
use crate::teach::Prior;

/// Labels and the pictures that teach them, to be fitted as often as a picture is added or removed.
///
/// A label may have a name alone, pictures alone that say what the name does not ("Leo"), or both. Fitting is in closed
/// form: less than a tenth of a second for 100 labels of 16 pictures, a millisecond for five of eight.
///
/// ```
/// # #[cfg(feature = "pocket")] {
/// use coca_model::{Coca, Teacher};
///
/// let coca = Coca::pocket()?;
/// let mut teacher = Teacher::new(&coca, coca.labels(["cat", "man"])?);
/// for (label, file) in [("cat", "cat.jpg"), ("man", "photographer.jpg"), ("mug", "coffee.jpg")] {
///     let image = coca.encode_image(&image::open(format!("../../tests/photos/{file}"))?)?;
///     teacher.add(label, file, &image)?;
/// }
/// let (labels, report) = teacher.fit(Default::default())?;
/// assert_eq!(labels.names(), ["cat", "man", "mug"]);
/// assert!(report.accuracy >= report.names_alone - 0.005);
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Teacher {
    coca: Coca,
    /// As they were before the pictures of this teacher.
    labels: Labels,
    /// The index of each label.
    indices: HashMap<String, usize>,
    distinct: DistinctNames,
    shots: Vec<Shot>,
    /// Name of the label for pictures of anything else, if there are any.
    none: Option<String>,
}

impl Teacher {
    /// A teacher of `labels`; those that were taught before keep the pictures that taught them.
    #[must_use]
    pub fn new(coca: &Coca, labels: Labels) -> Self {
        let shots = labels.taught.as_ref().map(|taught| taught.shots.clone()).unwrap_or_default();
        let none = labels.none().filter(|_| labels.is_taught()).map(str::to_owned);
        let (coca, labels) = (coca.clone(), labels.untaught());
        let indices = indices(labels.names());
        Self { coca, labels, indices, distinct: DistinctNames::default(), shots, none }
    }

    /// A teacher of no labels yet.
    #[must_use]
    pub fn empty(coca: &Coca) -> Self {
        let templates = vec![coca.bundle().config().template.clone()];
        Self::new(coca, Labels::empty(templates, coca.bundle()))
    }

    /// The names of the labels, that for everything else apart.
    #[must_use]
    pub fn names(&self) -> &[String] {
        self.labels.names()
    }

    /// The number of pictures of each label, in the order of the names.
    #[must_use]
    pub fn counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.names().len()];
        for shot in self.shots.iter().filter(|shot| shot.label != NONE) {
            counts[shot.label] += 1;
        }
        counts
    }

    /// Whether there is any picture of a label.
    #[must_use]
    pub fn has_pictures(&self) -> bool {
        self.counts().iter().any(|&count| count > 0)
    }

    /// The labels by their names, as if there were no pictures.
    #[must_use]
    pub fn names_alone(&self) -> &Labels {
        &self.labels
    }

    /// Adds a picture of `label`, which becomes a label if it is not one yet. `source` says in reports where the picture
    /// came from.
    ///
    /// # Errors
    /// [`Error::OtherModel`] for an image that another model encoded, [`Error::NoneExists`] if the label is the one for
    /// everything else, [`Error::Text`] for a name that cannot be tokenized.
    pub fn add(
        &mut self,
        label: &str,
        source: impl Into<String>,
        image: impl AsRef<Embedding>,
    ) -> Result<(), Error> {
        if let Some(none) = self.none.as_ref().filter(|none| is_same_name(none, label)) {
            return Err(Error::NoneExists { name: none.clone() });
        }
        let embedding = self.checked(image.as_ref())?;
        let index = match self.indices.get(label) {
            Some(&index) => index,
            None => self.add_label(label)?,
        };
        self.shots.push(Shot { label: index, source: source.into(), embedding });
        Ok(())
    }

    /// Adds a picture of none of the labels; `name` stands for all such.
    ///
    /// # Errors
    /// [`Error::OtherModel`] for an image that another model encoded, [`Error::LabelExists`] if `name` is a label,
    /// [`Error::NoneExists`] if another name stands for everything else.
    pub fn add_none(
        &mut self,
        name: &str,
        source: impl Into<String>,
        image: impl AsRef<Embedding>,
    ) -> Result<(), Error> {
        if self.none.as_deref() != Some(name) {
            if let Some(label) = self.names().iter().find(|label| is_same_name(label, name)) {
                return Err(Error::LabelExists { name: label.clone() });
            }
            if let Some(none) = &self.none {
                return Err(Error::NoneExists { name: none.clone() });
            }
        }
        let embedding = self.checked(image.as_ref())?;
        self.none = Some(name.to_owned());
        self.shots.push(Shot { label: NONE, source: source.into(), embedding });
        Ok(())
    }

    /// Adds a label by its name alone, in the templates of the others; returns its index.
    ///
    /// # Errors
    /// [`Error::LabelExists`], [`Error::SameLabel`] for a name that the model cannot tell from a label's, as "Cat" from
    /// "cat", [`Error::Text`] for a name that cannot be tokenized.
    pub fn add_label(&mut self, name: &str) -> Result<usize, Error> {
        let is_none = self.none.as_ref().is_some_and(|none| is_same_name(none, name));
        if is_none || self.indices.contains_key(name) {
            return Err(Error::LabelExists { name: name.to_owned() });
        }
        let sentences = self.labels.templates().iter();
        let sentences: Vec<String> =
            sentences.map(|template| template.replace("{}", name)).collect();
        let rows = self.coca.encode_texts(&sentences, |_| ())?;
        let tokenize = |name: &str| tokens(&self.coca, &self.labels, name);
        self.distinct.add(name, self.labels.names(), tokenize)?;
        let index = self.names().len();
        self.labels.push(name.to_owned(), &rows);
        self.indices.insert(name.to_owned(), index);
        Ok(index)
    }

    /// Makes sure that the model can tell `names` from each other and from the labels that there are, as [`add_label`]
    /// does for one; those of labels may be among them. Returns the new ones of which the model sees only the beginning.
    ///
    /// [`add_label`]: Self::add_label
    ///
    /// # Errors
    /// [`Error::SameLabel`], [`Error::Text`] for a name that cannot be tokenized.
    pub fn check_names<'a>(
        &self,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Result<Vec<String>, Error> {
        let tokenize = |name: &str| tokens(&self.coca, &self.labels, name);
        let (mut distinct, mut cut) = (self.distinct.clone(), Vec::new());
        for name in names.into_iter().filter(|name| !self.indices.contains_key(*name)) {
            if distinct.add(name, self.names(), tokenize)?.is_cut() {
                cut.push(name.to_owned());
            }
        }
        Ok(cut)
    }

    /// Removes a label and its pictures, or the one for everything else.
    ///
    /// # Errors
    /// [`Error::NoSuchLabel`]; [`Error::NoLabels`] for the last one.
    pub fn remove(&mut self, name: &str) -> Result<(), Error> {
        if self.none.as_deref() == Some(name) {
            self.none = None;
            self.shots.retain(|shot| shot.label != NONE);
            return Ok(());
        }
        let index = self.indices.get(name).copied().ok_or_else(|| Error::NoSuchLabel {
            name: name.to_owned(),
            labels: self.names().to_vec(),
        })?;
        if self.names().len() == 1 {
            return Err(Error::NoLabels);
        }
        self.labels.remove(index);
        self.indices = indices(self.names());
        self.distinct = DistinctNames::default();
        self.shots.retain(|shot| shot.label != index);
        for shot in self.shots.iter_mut().filter(|shot| shot.label != NONE) {
            shot.label -= usize::from(shot.label > index);
        }
        Ok(())
    }

    /// Fits the labels to the pictures, and says what came of it.
    ///
    /// # Errors
    /// [`Error::NoLabels`] and [`Error::NoPictures`]; [`Error::Model`] when the model's statistics of other pictures are
    /// damaged.
    pub fn fit(&self, method: Method) -> Result<(Labels, Report), Error> {
        if self.names().is_empty() {
            return Err(Error::NoLabels);
        }
        if !self.has_pictures() {
            return Err(Error::NoPictures);
        }
        let fit = fit::Fit::of(&self.labels, &self.shots, method, &self.prior()?);
        let none = self.none.as_ref().map(|name| none_fit::NoneFit::of(name, &fit, &self.shots));
        let report = report::report(&self.labels, &self.shots, &fit, none.as_ref());
        let mut labels = self.labels.clone();
        if let Some(none) = none {
            labels.set_none(none.name, none.rule)?;
        }
        let shots = self.shots.clone();
        let (uses_names, classifier) = (fit.uses_names, fit.classifier);
        labels.taught = Some(Taught { shots, method, uses_names, classifier });
        Ok((labels, report))
    }

    /// The covariance within labels that is expected of this model.
    fn prior(&self) -> Result<Prior, Error> {
        let width = self.coca.bundle().config().dimensions.embedding;
        let background = self.coca.background()?;
        Ok(background.map_or_else(|| Prior::isotropic(width), Prior::of_background))
    }

    /// The elements of an embedding of this teacher's model.
    fn checked(&self, image: &Embedding) -> Result<Vec<f32>, Error> {
        image.check_model(self.labels.model())?;
        Ok(image.as_slice().to_vec())
    }
}

/// The index of each name, the first if there are several.
fn indices(names: &[String]) -> HashMap<String, usize> {
    names.iter().enumerate().rev().map(|(index, name)| (name.clone(), index)).collect()
}

/// The tokens of a label in the first template: names that are the same in one are so in all.
fn tokens(coca: &Coca, labels: &Labels, name: &str) -> Result<TokenIds, Error> {
    let template = labels.templates().first().map_or("{}", String::as_str);
    coca.text_tokens(&template.replace("{}", name))
}

impl Labels {
    /// The method by which pictures taught these labels.
    #[must_use]
    pub fn method(&self) -> Method {
        self.taught.as_ref().map_or(Method::Auto, |taught| taught.method)
    }

    /// The sources of the pictures that taught each label, by its name.
    #[must_use]
    pub fn pictures(&self) -> BTreeMap<&str, Vec<&str>> {
        let mut pictures: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for shot in self.taught.iter().flat_map(|taught| &taught.shots) {
            let name = self.names().get(shot.label).map_or_else(|| self.none(), |name| Some(name));
            pictures.entry(name.unwrap_or_default()).or_default().push(&shot.source);
        }
        pictures
    }
}
