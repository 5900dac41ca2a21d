//! Writing captions.

use ndarray::ArrayD;

use super::{
    Coca, EncodedImage, Error,
    decoder::{CaptionDecoder, CrossKv},
};
use crate::generate::{CaptionOptions, CaptionSearch, CaptionSettings, Decoded, Vocabulary};

/// A caption of an image.
#[derive(Debug, Clone, PartialEq)]
pub struct Caption {
    /// The sentence.
    pub text: String,
    /// Token ids: start token, prompt, caption and, unless the caption was cut off, end token.
    pub tokens: Vec<u32>,
    /// Score of the search; comparable only between captions of one search.
    pub score: f32,
}

impl Coca {
    /// Writes a caption for an image.
    ///
    /// # Errors
    /// [`Error::CannotCaption`] without a decoder, [`Error::OtherModel`] for an image that another
    /// model encoded, [`Error::Options`] for an option out of its range.
    pub fn caption(
        &self,
        image: &EncodedImage,
        options: &CaptionOptions,
    ) -> Result<Caption, Error> {
        self.caption_from(image, "", options)
    }

    /// Writes a caption that begins with `prompt`.
    ///
    /// # Errors
    /// As [`Coca::caption`].
    pub fn caption_from(
        &self,
        image: &EncodedImage,
        prompt: &str,
        options: &CaptionOptions,
    ) -> Result<Caption, Error> {
        let settings = self.caption_settings(options)?;
        let tokenizer = self.tokenizer()?;
        let prompt = tokenizer.prompt(prompt)?;
        let search = CaptionSearch::new(&settings, self.vocabulary(), prompt.without_start())?;
        let Decoded { tokens, score } = search.run(&mut self.decoder(image)?)?;
        Ok(Caption { text: tokenizer.decode(&tokens)?, tokens, score })
    }

    /// The model's caption settings, overridden by `options`.
    ///
    /// # Errors
    /// [`Error::CannotCaption`] without a decoder, [`Error::Options`] for an option out of its range.
    pub fn caption_settings(&self, options: &CaptionOptions) -> Result<CaptionSettings, Error> {
        let settings = self.require_decoder()?.clone().with(options);
        settings.validate(&self.vocabulary())?;
        Ok(settings)
    }

    /// Checks, before anything is loaded, that the free memory suffices for every part that captions need.
    ///
    /// # Errors
    /// [`Error::Model`] with [`bundle::Error::TooLittleMemory`] when it does not, [`Error::CannotCaption`] without
    /// a decoder.
    ///
    /// [`bundle::Error::TooLittleMemory`]: crate::bundle::Error::TooLittleMemory
    pub fn check_memory_for_captions(&self) -> Result<(), Error> {
        self.require_decoder()?;
        let parts = [
            ("image_encoder.onnx", self.image_encoder.is_loaded()),
            ("cross_kv.onnx", self.caption_parts.cross_kv.is_loaded()),
            ("caption_decoder.onnx", self.caption_parts.decoder.is_loaded()),
        ];
        let missing = parts.iter().filter(|(_, is_loaded)| !is_loaded).map(|(part, _)| *part);
        Ok(self.bundle.check_memory(&missing.collect::<Vec<_>>(), "captions")?)
    }

    /// The caption decoder for an image, with an empty cache, for a search of one's own.
    ///
    /// # Errors
    /// [`Error::CannotCaption`] without a decoder, [`Error::OtherModel`] for an image that another
    /// model encoded.
    pub fn decoder<'a>(&'a self, image: &'a EncodedImage) -> Result<CaptionDecoder<'a>, Error> {
        let cross = self.cross_kv_of(image)?;
        Ok(CaptionDecoder::new(self.caption_decoder()?, cross, self.bundle.config()))
    }

    fn cross_kv_of<'i>(&self, image: &'i EncodedImage) -> Result<&'i CrossKv, Error> {
        image.embedding.check_model(self.bundle.fingerprint())?;
        image.cross.get_or_load(|| {
            let model = || Error::CannotCaption { model: self.bundle.config().name.clone() };
            let features = image.features.clone().ok_or_else(model)?;
            let tokens = self.image_tokens(features)?;
            let dimensions = &self.bundle.config().dimensions;
            CrossKv::compute(self.cross_kv()?, self.caption_decoder()?, dimensions, tokens)
        })
    }

    /// The image tokens `[1, T, D]`.
    fn image_tokens(&self, features: ArrayD<f32>) -> Result<ArrayD<f32>, Error> {
        let Some(pooler) = self.pooler()? else { return Ok(features) };
        let dimensions = &self.bundle.config().dimensions;
        pooler.run(vec![features.into()])?.pop().ok_or_else(|| Error::Shape {
            part: "image_encoder.onnx",
            expected: vec![1, dimensions.image_tokens, dimensions.image_width],
            found: None,
        })
    }

    fn vocabulary(&self) -> Vocabulary {
        Vocabulary::from(&self.bundle.config().text)
    }
}
