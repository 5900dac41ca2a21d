//! An image that went through the image encoder.

use ndarray::ArrayD;

use super::{Embedding, decoder::CrossKv, on_demand::OnDemand};

/// An encoded image: its embedding, and what captions need of it.
///
/// [`Coca::encode_image`](super::Coca::encode_image) computes it once for any number of labels and captions.
#[derive(Debug)]
pub struct EncodedImage {
    pub(super) embedding: Embedding,
    /// Input of the pooler, or the image tokens themselves; absent from a model that cannot caption.
    pub(super) features: Option<ArrayD<f32>>,
    pub(super) cross: OnDemand<CrossKv>,
}

impl EncodedImage {
    /// The image's embedding in the joint image-text space.
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
