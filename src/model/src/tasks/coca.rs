//! A model and what it can do: the front door of the library.

use std::path::Path;

use coca_engine::{Engine, Execution, Graph};
use coca_text::{Templates, TokenIds, Tokenizer};
use coca_vision::{self as vision, Pixels, Preprocessor};
use ndarray::{Array2, ArrayD, Ix2};

use super::{
    Embedding, EncodedImage, Error, Labels,
    caption::{CachedDecoder, CrossKv},
    classify::mean_over_templates,
    everyday::{self, everyday_names},
    on_demand::OnDemand,
};
use crate::{
    bundle::Bundle,
    generate::{CaptionOptions, CaptionSearch, CaptionSettings, Decoded, Vocabulary},
};

/// Texts that go through the text encoder together.
const TEXT_BATCH: usize = 32;

/// An opened CoCa model.
///
/// Its parts are loaded when they are first needed, so that labelling with a saved table never loads
/// the text encoder, and nothing but a caption loads the decoder. Threads may share it.
pub struct Coca {
    engine: Engine,
    bundle: Bundle,
    preprocessor: Preprocessor,
    tokenizer: OnDemand<Tokenizer>,
    image_encoder: OnDemand<Graph>,
    image_tokens: OnDemand<Option<Graph>>,
    text_encoder: OnDemand<Graph>,
    cross_kv: OnDemand<Graph>,
    caption_decoder: OnDemand<Graph>,
}

/// A caption of a picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Caption {
    /// The sentence, for people.
    pub text: String,
    /// Its token ids: start token, prompt, caption and, unless the caption was cut off, end token.
    pub tokens: Vec<u32>,
    /// The score that the search gave it: comparable only between captions of one search.
    pub score: f32,
}

impl Coca {
    /// Opens the model in the folder `path` with an engine of its own: [`Engine::new`].
    ///
    /// # Errors
    /// [`Error::Model`] when the folder is no model, or its `coca.json` is wrong; [`Error::Engine`] when the engine
    /// cannot be made.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::open_with(path, &Engine::new()?)
    }

    /// Opens the model in the folder `path`, to be computed by `engine`.
    ///
    /// ```no_run
    /// use coca_engine::Engine;
    /// use coca_model::Coca;
    ///
    /// let engine = Engine::builder().threads(2).build()?;
    /// let coca = Coca::open_with("models/vit-b-32", &engine)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Model`] when the folder is no model, or its `coca.json` is wrong.
    pub fn open_with(path: impl AsRef<Path>, engine: &Engine) -> Result<Self, Error> {
        Self::new(Bundle::open(path)?, engine)
    }

    /// The small model inside the program, with an engine of its own: [`Engine::new`].
    ///
    /// # Errors
    /// As [`Coca::open`].
    #[cfg(feature = "pocket")]
    pub fn pocket() -> Result<Self, Error> {
        Self::pocket_with(&Engine::new()?)
    }

    /// The small model inside the program, to be computed by `engine`.
    ///
    /// # Errors
    /// As [`Coca::open_with`].
    #[cfg(feature = "pocket")]
    pub fn pocket_with(engine: &Engine) -> Result<Self, Error> {
        Self::new(Bundle::pocket()?, engine)
    }

    /// Uses an opened bundle, to be computed by `engine`.
    ///
    /// # Errors
    /// [`Error::Vision`] when the bundle describes pictures that cannot be made.
    pub fn new(bundle: Bundle, engine: &Engine) -> Result<Self, Error> {
        let preprocessor = Preprocessor::new(bundle.config().image.clone())?;
        Ok(Self {
            engine: engine.clone(),
            bundle,
            preprocessor,
            tokenizer: OnDemand::new(),
            image_encoder: OnDemand::new(),
            image_tokens: OnDemand::new(),
            text_encoder: OnDemand::new(),
            cross_kv: OnDemand::new(),
            caption_decoder: OnDemand::new(),
        })
    }

    /// What the model is computed by.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The model's description and files.
    #[must_use]
    pub fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// How pictures become pixels for this model.
    #[must_use]
    pub fn preprocessor(&self) -> &Preprocessor {
        &self.preprocessor
    }

    /// Encodes a picture, once for labels and captions.
    ///
    /// Takes what [`vision::open`] gives, and the image crate's pictures: `&DynamicImage`, `&RgbImage`.
    ///
    /// # Errors
    /// [`Error::Vision`] for a picture without pixels, [`Error::Model`] when the image encoder cannot be loaded.
    pub fn encode_image<'a>(
        &self,
        image: impl Into<vision::Image<'a>>,
    ) -> Result<EncodedImage, Error> {
        self.encode_pixels(self.preprocessor.preprocess(image)?)
    }

    /// Encodes a picture that is already resized and normalised.
    ///
    /// # Errors
    /// [`Error::Model`] when the image encoder cannot be loaded.
    pub fn encode_pixels(&self, pixels: Pixels) -> Result<EncodedImage, Error> {
        let mut outputs = self.image_encoder()?.run(vec![pixels.into_array().into()])?.into_iter();
        let embeddings = self.embeddings("image_encoder.onnx", outputs.next(), 1)?;
        let embedding = Embedding::new(embeddings.row(0).to_owned(), self.bundle.fingerprint());
        Ok(EncodedImage { embedding, detail: outputs.next(), cross: OnDemand::new() })
    }

    /// Encodes a text: the place of its meaning in the space that pictures share.
    ///
    /// # Errors
    /// [`Error::Text`] when it cannot be cut into tokens, [`Error::Model`] when the text encoder cannot be loaded.
    pub fn encode_text(&self, text: &str) -> Result<Embedding, Error> {
        let rows = self.encode_texts(&[text.to_owned()], |_| ())?;
        Ok(Embedding::new(rows.row(0).to_owned(), self.bundle.fingerprint()))
    }

    /// Labels to choose from, each put into the model's own template.
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

    /// Labels to choose from, each put into all `templates`; `progress` hears of texts done and texts in all.
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

    /// The [everyday names](super::everyday_names), for pictures of which nothing is known beforehand, each put
    /// into the model's own template.
    ///
    /// The embedded model's are inside the program; another model's are computed, of which `progress` hears as in
    /// [`Coca::labels_with`].
    ///
    /// # Errors
    /// As [`Coca::labels`].
    pub fn everyday_labels(&self, progress: impl FnMut(usize, usize)) -> Result<Labels, Error> {
        let config = self.bundle.config();
        match everyday::embedded_labels(self.bundle.fingerprint(), config.logit_scale) {
            Err(Error::OtherTable { .. }) => {
                let names = everyday_names().map(str::to_owned).collect();
                self.labels_with(names, &self.default_template()?, progress)
            }
            embedded => embedded,
        }
    }

    /// Reads a label table that [`Labels::save`] wrote with this model.
    ///
    /// # Errors
    /// [`Error::NotATable`] and [`Error::OtherTable`] for a file that is none, or another model's.
    pub fn load_labels(&self, path: impl AsRef<Path>) -> Result<Labels, Error> {
        Labels::load(path, self.bundle.fingerprint(), self.bundle.config().logit_scale)
    }

    /// Writes a caption for a picture.
    ///
    /// # Errors
    /// [`Error::CannotCaption`] without a decoder, [`Error::OtherModel`] for a picture that another
    /// model encoded, [`Error::Options`] for an option out of its range.
    pub fn caption(
        &self,
        picture: &EncodedImage,
        options: &CaptionOptions,
    ) -> Result<Caption, Error> {
        self.caption_from(picture, "", options)
    }

    /// Writes a caption that begins with `prompt`.
    ///
    /// # Errors
    /// As [`Coca::caption`].
    pub fn caption_from(
        &self,
        picture: &EncodedImage,
        prompt: &str,
        options: &CaptionOptions,
    ) -> Result<Caption, Error> {
        let settings = self.caption_settings(options)?;
        let prompt = self.tokenizer()?.prompt(prompt)?;
        let search = CaptionSearch::new(&settings, self.vocabulary(), prompt.without_start())?;
        let mut decoder = self.decoder(self.cross_kv(picture)?)?;
        let Decoded { tokens, score } = search.run(&mut decoder)?;
        Ok(Caption { text: self.tokenizer()?.decode(&tokens), tokens, score })
    }

    /// The model's caption settings with `options` in the place of its own.
    ///
    /// # Errors
    /// [`Error::CannotCaption`] without a decoder, [`Error::Options`] for an option out of its range.
    pub fn caption_settings(&self, options: &CaptionOptions) -> Result<CaptionSettings, Error> {
        let settings = self.require_decoder()?.clone().with(options);
        settings.validate(&self.vocabulary())?;
        Ok(settings)
    }

    /// Says before anything is loaded for captions whether the memory that is free suffices for all of it.
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
            ("cross_kv.onnx", self.cross_kv.is_loaded()),
            ("caption_decoder.onnx", self.caption_decoder.is_loaded()),
        ];
        let missing = parts.iter().filter(|(_, is_loaded)| !is_loaded).map(|(part, _)| *part);
        Ok(self.bundle.check_memory(&missing.collect::<Vec<_>>(), "captions")?)
    }

    /// Loads what labelling needs now rather than with the first picture; tells what it runs on.
    ///
    /// # Errors
    /// [`Error::Model`] when the part cannot be loaded.
    pub fn load_image_encoder(&self) -> Result<Execution, Error> {
        Ok(self.image_encoder()?.execution())
    }

    /// Loads every part that the model has; tells what each, by its file's name, runs on.
    ///
    /// # Errors
    /// [`Error::Model`] when a part cannot be loaded.
    pub fn load_all(&self) -> Result<Vec<(&'static str, Execution)>, Error> {
        let mut parts = vec![
            ("image_encoder.onnx", self.image_encoder()?.execution()),
            ("text_encoder.onnx", self.text_encoder()?.execution()),
        ];
        if self.bundle.has_decoder() {
            parts.push(("cross_kv.onnx", self.cross_kv_graph()?.execution()));
            parts.push(("caption_decoder.onnx", self.caption_decoder()?.execution()));
        }
        Ok(parts)
    }

    fn image_encoder(&self) -> Result<&Graph, Error> {
        Ok(self.image_encoder.get_or_load(|| self.bundle.load_image_encoder(&self.engine))?)
    }

    pub(super) fn text_encoder(&self) -> Result<&Graph, Error> {
        Ok(self.text_encoder.get_or_load(|| self.bundle.load_text_encoder(&self.engine))?)
    }

    fn tokenizer(&self) -> Result<&Tokenizer, Error> {
        self.tokenizer.get_or_load(|| {
            let file = self.bundle.read("tokenizer.json", "texts")?;
            Ok(Tokenizer::new((*file).as_ref(), self.bundle.config().text.clone())?)
        })
    }

    fn cross_kv<'p>(&self, picture: &'p EncodedImage) -> Result<&'p CrossKv, Error> {
        let (expected, found) = (self.bundle.fingerprint(), picture.embedding.model());
        if expected != found {
            return Err(Error::OtherModel { expected, found });
        }
        picture.cross.get_or_load(|| {
            let model = || Error::CannotCaption { model: self.bundle.config().name.clone() };
            let detail = picture.detail.clone().ok_or_else(model)?;
            self.cross_kv_of(self.image_tokens(detail)?)
        })
    }

    /// The keys and values that a caption of a picture with these tokens `[1, T, D]` asks.
    pub(super) fn cross_kv_of(&self, image_tokens: ArrayD<f32>) -> Result<CrossKv, Error> {
        let dimensions = &self.bundle.config().dimensions;
        CrossKv::compute(self.cross_kv_graph()?, self.caption_decoder()?, dimensions, image_tokens)
    }

    /// `[1, T, D]`
    fn image_tokens(&self, detail: ArrayD<f32>) -> Result<ArrayD<f32>, Error> {
        let graph = self.image_tokens.get_or_load(|| self.bundle.load_pooler(&self.engine))?;
        let Some(graph) = graph else { return Ok(detail) };
        let tokens = graph.run(vec![detail.into()])?.pop();
        tokens.ok_or_else(|| Error::Shape {
            part: "image_encoder.onnx",
            expected: "image tokens".to_owned(),
            found: "nothing".to_owned(),
        })
    }

    pub(super) fn cross_kv_graph(&self) -> Result<&Graph, Error> {
        self.require_decoder()?;
        Ok(self.cross_kv.get_or_load(|| self.bundle.load_cross_kv(&self.engine))?)
    }

    /// A decoder with an empty cache.
    pub(super) fn decoder<'a>(&'a self, cross: &'a CrossKv) -> Result<CachedDecoder<'a>, Error> {
        let config = self.bundle.config();
        let graph = self.caption_decoder()?;
        Ok(CachedDecoder::new(graph, cross, &config.dimensions, config.text.pad_id))
    }

    fn caption_decoder(&self) -> Result<&Graph, Error> {
        self.require_decoder()?;
        Ok(self.caption_decoder.get_or_load(|| self.bundle.load_caption_decoder(&self.engine))?)
    }

    fn require_decoder(&self) -> Result<&CaptionSettings, Error> {
        let config = self.bundle.config();
        let model = || Error::CannotCaption { model: config.name.clone() };
        config.caption.as_ref().ok_or_else(model)
    }

    fn vocabulary(&self) -> Vocabulary {
        Vocabulary::from(&self.bundle.config().text)
    }

    /// `[texts, E]`; texts of like length run together, so that short ones cost only their own rows.
    fn encode_texts(
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
        let mut rows = Array2::zeros((texts.len(), self.bundle.config().dimensions.embedding));
        for (batch, chunk) in ids.chunks(TEXT_BATCH).enumerate() {
            let batch_ids: Vec<TokenIds> = chunk.iter().map(|(_, ids)| ids.clone()).collect();
            let output = graph.run(vec![tokenizer.batch(&batch_ids).into()])?.pop();
            let embeddings = self.embeddings("text_encoder.onnx", output, chunk.len())?;
            for ((i, _), embedding) in chunk.iter().zip(embeddings.rows()) {
                rows.row_mut(*i).assign(&embedding);
            }
            done(batch * TEXT_BATCH + chunk.len());
        }
        Ok(rows)
    }

    /// An encoder's output as `[N, E]`, if it is that.
    fn embeddings(
        &self,
        part: &'static str,
        output: Option<ArrayD<f32>>,
        rows: usize,
    ) -> Result<Array2<f32>, Error> {
        let expected = [rows, self.bundle.config().dimensions.embedding];
        let found = output.as_ref().map(|o| o.shape().to_vec()).unwrap_or_default();
        output
            .filter(|_| found == expected)
            .and_then(|array| array.into_dimensionality::<Ix2>().ok())
            .ok_or_else(|| Error::Shape {
                part,
                expected: format!("{expected:?}"),
                found: format!("{found:?}"),
            })
    }
}
