//! A picture that went through the image encoder.

use ndarray::ArrayD;

use super::{Embedding, caption::CrossKv, on_demand::OnDemand};

/// A picture as the model sees it, encoded once for any number of questions.
#[derive(Debug)]
pub struct EncodedImage {
    pub(super) embedding: Embedding,
    /// What the image tokens are made of, or they themselves; absent from a model that cannot caption.
    pub(super) detail: Option<ArrayD<f32>>,
    pub(super) cross: OnDemand<CrossKv>,
}

impl EncodedImage {
    /// The picture's place in the embedding space.
    #[must_use]
    pub fn embedding(&self) -> &Embedding {
        &self.embedding
    }
}

impl AsRef<Embedding> for EncodedImage {
    fn as_ref(&self) -> &Embedding {
        &self.embedding
    }
}
