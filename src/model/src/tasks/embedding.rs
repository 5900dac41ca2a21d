//! Points in the space that pictures and texts share.

use ndarray::{Array1, ArrayView1};

use crate::bundle::Fingerprint;

/// A picture's or a text's place in a model's embedding space: `[E]` numbers of Euclidean length 1.
///
/// It knows its model: places in the spaces of two models cannot be compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding {
    values: Array1<f32>,
    model: Fingerprint,
}

impl Embedding {
    pub(crate) fn new(values: Array1<f32>, model: Fingerprint) -> Self {
        Self { values, model }
    }

    /// The numbers `[E]`.
    #[must_use]
    pub fn view(&self) -> ArrayView1<'_, f32> {
        self.values.view()
    }

    /// The numbers `[E]` as a slice; always there, as they stand in one run.
    #[must_use]
    pub fn as_slice(&self) -> &[f32] {
        self.values.as_slice().unwrap_or_default()
    }

    /// The model whose space this is.
    #[must_use]
    pub fn model(&self) -> Fingerprint {
        self.model
    }

    /// The cosine of the angle to `other`, -1 to 1; `None` if `other` comes from another model.
    #[must_use]
    pub fn cosine(&self, other: &Self) -> Option<f32> {
        (self.model == other.model).then(|| self.values.dot(&other.values))
    }
}
