//! Building and loading labels.

use std::path::Path;

use coca_text::Templates;

use super::{
    Coca, Cohort, Error, Labels,
    classify::mean_over_templates,
    everyday::{self, everyday_names},
};

/// Of the everyday names, one in so many is encoded where they are not precomputed: a quarter does nearly as well as all.
const COHORT_STRIDE: usize = 4;

impl Coca {
    /// Encodes labels, each in the model's default template.
    ///
    /// # Errors
    /// [`Error::NoLabels`] without any, else as [`Coca::encode_text`].
    pub fn labels<L: Into<String>>(
        &self,
        names: impl IntoIterator<Item = L>,
    ) -> Result<Labels, Error> {
        let names = names.into_iter().map(Into::into).collect();
        self.labels_with(names, &self.default_template()?, |_, _| ())
    }

    /// The template that the model's `coca.json` names.
    ///
    /// # Errors
    /// [`Error::Text`] when it has no `{}`.
    pub fn default_template(&self) -> Result<Templates, Error> {
        Ok(Templates::single(&self.bundle.config().template)?)
    }

    /// Encodes labels, each in all `templates`; calls `progress` with the number of sentences encoded so far
    /// and their total.
    ///
    /// # Errors
    /// As [`Coca::labels`].
    pub fn labels_with(
        &self,
        names: Vec<String>,
        templates: &Templates,
        mut progress: impl FnMut(usize, usize),
    ) -> Result<Labels, Error> {
        let sentences: Vec<String> = names.iter().flat_map(|name| templates.apply(name)).collect();
        let total = sentences.len();
        let rows = self.encode_texts(&sentences, |done| progress(done, total))?;
        let means = mean_over_templates(&rows, templates.len());
        Labels::new(
            names,
            templates.iter().map(str::to_owned).collect(),
            means,
            self.bundle.config().logit_scale,
            self.bundle.fingerprint(),
        )
    }

    /// The [everyday names](everyday_names) as labels, each in the model's default template.
    ///
    /// Those of the embedded model are precomputed; for another model they are encoded, and `progress` is
    /// called as by [`Coca::labels_with`].
    ///
    /// # Errors
    /// As [`Coca::labels`].
    pub fn everyday_labels(&self, progress: impl FnMut(usize, usize)) -> Result<Labels, Error> {
        match self.embedded_everyday_labels()? {
            Some(labels) => Ok(labels),
            None => {
                let names = everyday_names().map(str::to_owned).collect();
                self.labels_with(names, &self.default_template()?, progress)
            }
        }
    }

    /// The everyday names' labels that are compiled into the program, if they are this model's.
    pub(super) fn embedded_everyday_labels(&self) -> Result<Option<Labels>, Error> {
        let logit_scale = self.bundle.config().logit_scale;
        everyday::embedded_labels(self.bundle.fingerprint(), logit_scale)
    }

    /// The everyday names in the model's default template: precomputed for the embedded model, and for any other
    /// encoded when they are first needed.
    ///
    /// # Errors
    /// As [`Coca::labels`].
    pub fn cohort(&self) -> Result<&Cohort, Error> {
        self.cohort.get_or_load(|| {
            let labels = match self.embedded_everyday_labels()? {
                Some(labels) => labels,
                None => self.labels(everyday_names().step_by(COHORT_STRIDE))?,
            };
            Ok(Cohort::new(labels.embeddings().clone()))
        })
    }

    /// Reads a label table that [`Labels::save`] wrote with this model.
    ///
    /// # Errors
    /// [`Error::NotATable`] for any other file, [`Error::OtherTable`] for the table of another model.
    pub fn load_labels(&self, path: impl AsRef<Path>) -> Result<Labels, Error> {
        let path = path.as_ref();
        let config = self.bundle.config();
        let labels = Labels::load(path, self.bundle.fingerprint(), config.logit_scale)?;
        let (expected, found) = (config.dimensions.embedding, labels.embeddings().ncols());
        match found == expected {
            true => Ok(labels),
            false => Err(Error::NotATable {
                path: path.to_path_buf(),
                reason: format!(
                    "expected {expected} columns, as the model's embeddings have, found {found}"
                ),
            }),
        }
    }
}
