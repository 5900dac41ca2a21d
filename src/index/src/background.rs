//! Texts that a query has to stand out among.

use std::path::Path;

use coca_model::Coca;

use crate::{Error, quantized::product};

/// File name of the table that an index keeps for models without one inside.
const TABLE: &str = "background.table";
/// Background texts that are so close to the query say the same, and are no alternative to it.
const SAME: f64 = 0.85;

/// Texts about everything, [the everyday names](coca_model::tasks::everyday_names): a picture that fits a query fits it better than
/// most of them.
///
/// That is evidence that no other picture gives: a cosine alone has no scale that is the same for all queries, and among pictures of
/// which none fits, one is always the best.
#[derive(Debug, Clone)]
pub struct Background {
    embeddings: Vec<Vec<f32>>,
    logit_scale: f64,
}

/// A background with the query that it is for.
pub(crate) struct Alternatives<'a> {
    query: &'a [f32],
    background: Vec<&'a [f32]>,
    logit_scale: f64,
}

impl Background {
    /// The everyday names in the space of `coca`; the index in the folder `index` keeps their embeddings for models that have no
    /// table of them inside.
    ///
    /// # Errors
    /// [`Error::Model`] when they cannot be encoded.
    pub fn of(coca: &Coca, index: &Path) -> Result<Self, Error> {
        let labels = match coca.load_labels(index.join(TABLE)) {
            Ok(labels) => labels,
            Err(_) => coca.everyday_labels(|_, _| ())?,
        };
        let rows = labels.embeddings().rows().into_iter();
        let embeddings = rows.map(|row| row.to_vec()).collect();
        Ok(Self { embeddings, logit_scale: f64::from(coca.bundle().config().logit_scale) })
    }

    /// Writes the table of `coca`'s everyday names into the folder `index`, if it is not there.
    pub(crate) fn keep(coca: &Coca, index: &Path) -> Result<(), Error> {
        let table = index.join(TABLE);
        if coca.load_labels(&table).is_err() {
            coca.everyday_labels(|_, _| ())?.save(&table)?;
        }
        Ok(())
    }

    pub(crate) fn alternatives_to<'a>(&'a self, query: &'a [f32]) -> Alternatives<'a> {
        let others = self.embeddings.iter().map(Vec::as_slice);
        let background = others.filter(|text| product(text, query) < SAME).collect();
        Alternatives { query, background, logit_scale: self.logit_scale }
    }
}

impl Alternatives<'_> {
    /// The share of the query among its alternatives for a picture: softmax of logit scale × cosine, 0 to 1.
    pub(crate) fn share(&self, picture: &[f32]) -> f64 {
        let logit = |text: &[f32]| self.logit_scale * product(text, picture);
        let own = logit(self.query);
        let others: f64 = self.background.iter().map(|text| (logit(text) - own).exp()).sum();
        1.0 / (1.0 + others)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_the_softmax_among_texts_that_say_something_else() {
        let embeddings = vec![vec![0.0, 1.0], vec![1.0, 0.0], vec![0.99, 0.141]];
        let background = Background { embeddings, logit_scale: 2.0 };
        let query = [1.0, 0.0];
        let share = background.alternatives_to(&query).share(&[0.6, 0.8]);
        let expected = 1.2_f64.exp() / (1.2_f64.exp() + 1.6_f64.exp());
        assert!((share - expected).abs() < 1e-6, "{share} {expected}");
    }
}
