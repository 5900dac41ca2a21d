//! Encoding images and texts into the joint embedding space.

use coca_engine::Input;
use coca_text::TokenIds;
use coca_vision::{self as vision, CodeTable, Pixels};
use ndarray::{Array2, aview1};

use super::{Coca, Embedding, EncodedImage, Error, on_demand::OnDemand, output::checked_output};

/// Texts that go through the text encoder together.
const TEXT_BATCH: usize = 32;

impl Coca {
    /// Encodes an image, once for labels and captions.
    ///
    /// Accepts what [`vision::open`] returns, and the `image` crate's `&DynamicImage` and `&RgbImage`.
    ///
    /// # Errors
    /// [`Error::Vision`] for an image without pixels, [`Error::Model`] when the image encoder cannot be loaded.
    pub fn encode_image<'a>(
        &self,
        image: impl Into<vision::Image<'a>>,
    ) -> Result<EncodedImage, Error> {
        match self.pixel_codes()? {
            Some(table) => {
                self.encode_input(self.preprocessor.preprocess_codes(image, &table)?.into())
            }
            None => self.encode_pixels(self.preprocessor.preprocess(image)?),
        }
    }

    /// The codes of a picture's levels, if the image encoder takes them in the place of normalised pixels.
    pub(super) fn pixel_codes(&self) -> Result<Option<CodeTable>, Error> {
        Ok(self.image_encoder()?.pixel_codes(0, self.preprocessor.levels()))
    }

    /// Encodes a preprocessed image.
    ///
    /// # Errors
    /// [`Error::Model`] when the image encoder cannot be loaded.
    pub fn encode_pixels(&self, pixels: Pixels) -> Result<EncodedImage, Error> {
        self.encode_input(pixels.into_array().into())
    }

    /// Runs the image encoder on its input, pixels `[1, 3, H, W]` or, where it takes them, codes `[1, H, W, 3]`.
    pub(super) fn encode_input(&self, input: Input) -> Result<EncodedImage, Error> {
        let mut outputs = self.image_encoder()?.run(vec![input])?.into_iter();
        let shape = [1, self.bundle.config().dimensions.embedding];
        let embedding = checked_output("image_encoder.onnx", outputs.next(), &shape)?;
        Ok(EncodedImage {
            embedding: Embedding::new(embedding, self.bundle.fingerprint()),
            features: outputs.next(),
            cross: OnDemand::new(),
        })
    }

    /// Encodes a text: its embedding in the joint image-text space.
    ///
    /// # Errors
    /// [`Error::Text`] when it cannot be tokenized, [`Error::Model`] when the text encoder cannot be loaded.
    pub fn encode_text(&self, text: &str) -> Result<Embedding, Error> {
        let rows = self.encode_texts(&[text.to_owned()], |_| ())?;
        Ok(Embedding::new(rows.into_iter().collect(), self.bundle.fingerprint()))
    }

    /// The text embeddings `[texts, E]`; texts of similar length run together, so that short ones cost only
    /// their own tokens. `done` hears of the number of texts encoded so far.
    pub(super) fn encode_texts(
        &self,
        texts: &[String],
        mut done: impl FnMut(usize),
    ) -> Result<Array2<f32>, Error> {
        let tokenizer = self.tokenizer()?;
        let graph = self.text_encoder()?;
        let ids = texts.iter().map(|text| tokenizer.encode(text));
        let mut ids =
            ids.enumerate().map(|(i, ids)| Ok((i, ids?))).collect::<Result<Vec<_>, Error>>()?;
        ids.sort_by_key(|(_, ids)| ids.len());
        let width = self.bundle.config().dimensions.embedding;
        let mut rows = Array2::zeros((texts.len(), width));
        for (batch, chunk) in ids.chunks(TEXT_BATCH).enumerate() {
            let batch_ids: Vec<TokenIds> = chunk.iter().map(|(_, ids)| ids.clone()).collect();
            let output = graph.run(vec![tokenizer.batch(&batch_ids).into()])?.pop();
            let embeddings = checked_output("text_encoder.onnx", output, &[chunk.len(), width])?;
            for ((i, _), embedding) in chunk.iter().zip(embeddings.chunks(width)) {
                rows.row_mut(*i).assign(&aview1(embedding));
            }
            done(batch * TEXT_BATCH + chunk.len());
        }
        Ok(rows)
    }
}
