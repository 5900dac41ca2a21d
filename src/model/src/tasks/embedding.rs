//! Vectors in the joint image-text space.

use ndarray::{ArrayView1, aview1};

use crate::bundle::Fingerprint;

/// The embedding of an image or a text, `[E]`, of Euclidean length 1.
///
/// It knows its model: embeddings of two models cannot be compared.
///
/// ```
/// # #[cfg(feature = "pocket")] {
/// # use coca_model::Coca;
/// let coca = Coca::pocket()?;
/// let cat = coca.encode_text("a photo of a cat")?;
/// let kitten = coca.encode_text("a photo of a kitten")?;
/// let rocket = coca.encode_text("a photo of a rocket")?;
/// assert!(cat.cosine(&kitten) > cat.cosine(&rocket));
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding {
    elements: Vec<f32>,
    model: Fingerprint,
}

impl Embedding {
    pub(crate) fn new(elements: Vec<f32>, model: Fingerprint) -> Self {
        Self { elements, model }
    }

    /// The elements `[E]`.
    #[must_use]
    pub fn view(&self) -> ArrayView1<'_, f32> {
        aview1(&self.elements)
    }

    /// The elements `[E]` as a slice.
    #[must_use]
    pub fn as_slice(&self) -> &[f32] {
        &self.elements
    }

    /// The fingerprint of the model whose space this is.
    #[must_use]
    pub fn model(&self) -> Fingerprint {
        self.model
    }

    /// Cosine similarity to `other`, -1 to 1; `None` if `other` comes from another model.
    #[must_use]
    pub fn cosine(&self, other: &Self) -> Option<f32> {
        (self.model == other.model).then(|| self.view().dot(&other.view()))
    }
}
