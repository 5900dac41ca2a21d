//! Log-probabilities of texts: given an image, and whatever the image.

use coca_text::TokenIds;
use ndarray::Array4;
use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};

use super::{Coca, EncodedImage, Error};
use crate::generate::log_probabilities;

/// Texts that run through the decoder together: a step of so many rows reads the weights once.
const TEXT_BATCH: usize = 32;

/// Images that a prior is averaged over.
const NULL_IMAGES: u64 = 3;

impl Coca {
    /// The log-probability of each text as a caption of `image`: log P(text | image), in nats.
    ///
    /// The sum of the log-probabilities of its tokens, end token included, as open_clip's forward pass gives them. A
    /// text that is longer than the model's context is cut to it.
    ///
    /// ```
    /// # #[cfg(feature = "pocket")] {
    /// # use coca_model::Coca;
    /// let coca = Coca::pocket()?;
    /// let image = coca.encode_image(&image::open("../../tests/photos/cat.jpg")?)?;
    /// let log_probs = coca.log_probabilities(&image, &["a cat", "a rocket"])?;
    /// assert!(log_probs[0] > log_probs[1]);
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::CannotCaption`] without a decoder, [`Error::OtherModel`] for an image that another model encoded,
    /// [`Error::Text`] for a text that cannot be tokenized.
    pub fn log_probabilities<T: AsRef<str>>(
        &self,
        image: &EncodedImage,
        texts: &[T],
    ) -> Result<Vec<f32>, Error> {
        self.log_probabilities_of(image, &self.tokenize(texts)?)
    }

    /// The log-probability of each text whatever the image: log P(text), in nats.
    ///
    /// The mean of P(text | image) over three images of Gaussian noise, which Lin et al., "Revisiting the Role of
    /// Language Priors in Vision-Language Models" (2024), find to be as good an estimate as one over photos.
    ///
    /// # Errors
    /// As [`Coca::log_probabilities`].
    pub fn log_priors<T: AsRef<str>>(&self, texts: &[T]) -> Result<Vec<f32>, Error> {
        self.log_priors_of(&self.tokenize(texts)?)
    }

    pub(super) fn tokenize<T: AsRef<str>>(&self, texts: &[T]) -> Result<Vec<TokenIds>, Error> {
        let tokenizer = self.tokenizer()?;
        texts.iter().map(|text| Ok(tokenizer.encode(text.as_ref())?)).collect()
    }

    pub(super) fn log_probabilities_of(
        &self,
        image: &EncodedImage,
        texts: &[TokenIds],
    ) -> Result<Vec<f32>, Error> {
        // Texts that begin alike are neighbours, and share the steps of their beginning.
        let mut order: Vec<usize> = (0..texts.len()).collect();
        order.sort_by_key(|&i| texts[i].as_ref());
        let mut found = vec![0.0; texts.len()];
        for batch in order.chunks(TEXT_BATCH) {
            let ids: Vec<&[u32]> = batch.iter().map(|&i| texts[i].as_ref()).collect();
            let log_probs = log_probabilities(&mut self.decoder(image)?, &ids)?;
            for (&i, log_prob) in batch.iter().zip(log_probs) {
                found[i] = log_prob;
            }
        }
        Ok(found)
    }

    pub(super) fn log_priors_of(&self, texts: &[TokenIds]) -> Result<Vec<f32>, Error> {
        let of_each = self
            .null_images()?
            .iter()
            .map(|image| self.log_probabilities_of(image, texts))
            .collect::<Result<Vec<_>, _>>()?;
        let column = |i: usize| of_each.iter().map(move |row| row[i]);
        Ok((0..texts.len()).map(|i| log_mean_exp(column(i))).collect())
    }

    fn null_images(&self) -> Result<&[EncodedImage], Error> {
        let load = || (0..NULL_IMAGES).map(|seed| self.encode_noise(seed)).collect();
        Ok(self.caption_parts.null_images.get_or_load(load)?)
    }

    /// Encodes noise of mean 0 and deviation 1 in the units of normalised pixels.
    fn encode_noise(&self, seed: u64) -> Result<EncodedImage, Error> {
        let spec = &self.bundle.config().image;
        let shape = (1, 3, spec.height as usize, spec.width as usize);
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        // Four uniform numbers add up to nearly a Gaussian one; logarithms would differ between machines.
        let mut sum_of_four = || (0..4).map(|_| random.random::<f32>() - 0.5).sum::<f32>();
        let deviation = (4.0_f32 / 12.0).sqrt();
        let noise = Array4::from_shape_simple_fn(shape, || sum_of_four() / deviation);
        self.encode_input(noise.into())
    }
}

/// log (Σ e^x / n) over the values `x`.
fn log_mean_exp(values: impl ExactSizeIterator<Item = f32> + Clone) -> f32 {
    let count = values.len() as f32;
    let largest = values.clone().fold(f32::NEG_INFINITY, f32::max);
    largest + (values.map(|x| (x - largest).exp()).sum::<f32>() / count).ln()
}
