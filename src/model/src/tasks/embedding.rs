//! Vectors in the joint image-text space.

use ndarray::{ArrayView1, aview1};

use super::Error;
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

    /// The weighted sum `Σ wᵢ·eᵢ` at length 1: what is like all of several images and texts, and, at negative weights,
    /// unlike others.
    ///
    /// `None` without terms, for terms of different models, and where they cancel each other out.
    ///
    /// ```
    /// # #[cfg(feature = "pocket")] {
    /// use coca_model::{Coca, Embedding};
    ///
    /// let coca = Coca::pocket()?;
    /// let [cat, snow] = ["a cat", "snow"].map(|text| coca.encode_text(text));
    /// let both = Embedding::weighted_sum(&[(2.0, cat?), (1.0, snow?)]).expect("one model's");
    /// assert!((both.view().dot(&both.view()) - 1.0).abs() < 1e-6);
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn weighted_sum(terms: &[(f32, Self)]) -> Option<Self> {
        let (_, first) = terms.first()?;
        if terms.iter().any(|(_, term)| term.model != first.model) {
            return None;
        }
        let mut sum = vec![0.0; first.elements.len()];
        for (weight, term) in terms {
            sum.iter_mut().zip(&term.elements).for_each(|(sum, x)| *sum += weight * x);
        }
        Self::from_elements(sum, first.model)
    }

    /// Takes an embedding of `model` that was stored elsewhere, `[E]`, and brings it to length 1.
    ///
    /// `None` where that cannot be: elements that are not finite, or a length of (nearly) nothing.
    #[must_use]
    pub fn from_elements(mut elements: Vec<f32>, model: Fingerprint) -> Option<Self> {
        let length = aview1(&elements).dot(&aview1(&elements)).sqrt();
        let usable = length.is_finite() && length > 1e-6;
        elements.iter_mut().for_each(|x| *x /= length);
        usable.then(|| Self::new(elements, model))
    }

    /// Refuses the embedding of any other model than `expected`.
    pub(super) fn check_model(&self, expected: Fingerprint) -> Result<(), Error> {
        match self.model == expected {
            true => Ok(()),
            false => Err(Error::OtherModel { expected, found: self.model }),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    const MODEL: Fingerprint = Fingerprint([7; 32]);

    fn embedding(elements: [f32; 2]) -> Embedding {
        Embedding::new(elements.to_vec(), MODEL)
    }

    #[test]
    fn a_weighted_sum_has_length_one() {
        let terms = [(2.0, embedding([1.0, 0.0])), (-2.0, embedding([0.0, 1.0]))];
        let sum = Embedding::weighted_sum(&terms).unwrap();
        let half = 0.5_f32.sqrt();
        assert!(sum.as_slice().iter().zip([half, -half]).all(|(a, b)| (a - b).abs() < 1e-6));
    }

    #[test]
    fn there_is_no_sum_of_nothing_of_two_models_or_of_what_cancels_out() {
        let one = embedding([1.0, 0.0]);
        let others = Embedding { model: Fingerprint([8; 32]), ..one.clone() };
        assert_eq!(Embedding::weighted_sum(&[]), None);
        assert_eq!(Embedding::weighted_sum(&[(1.0, one.clone()), (1.0, others)]), None);
        assert_eq!(Embedding::weighted_sum(&[(1.0, one.clone()), (-1.0, one)]), None);
    }
}
