//! The type [`Coca`]: an opened model and its parts.

use std::{path::Path, sync::Arc};

use coca_engine::{Engine, Execution, Graph};
use coca_text::Tokenizer;
use coca_vision::Preprocessor;

use super::{Cohort, EncodedImage, Error, on_demand::OnDemand};
use crate::{
    bundle::{Background, Bundle},
    generate::CaptionSettings,
};

/// An opened CoCa model: the entry point of the library.
///
/// Parts are loaded when they are first needed, so that labelling with a saved table never loads the text
/// encoder, and only captions load the decoder. Threads may share it; a clone is a handle to the same parts.
///
/// ```no_run
/// use coca_model::{CaptionOptions, Coca};
///
/// let coca = Coca::open("models/vit-b-32-int8")?;
/// let image = coca.encode_image(&image::open("cat.jpg")?)?; // encoded once
/// let labels = coca.labels(["cat", "dog", "house"])?; // text embeddings, computed once
/// for best in labels.classify(&image, 3)? {
///     println!("{} {:.2}", best.label, best.score);
/// }
/// println!("{}", coca.caption(&image, &CaptionOptions::default())?.text);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Coca {
    engine: Engine,
    pub(super) bundle: Arc<Bundle>,
    pub(super) preprocessor: Preprocessor,
    tokenizer: Arc<OnDemand<Tokenizer>>,
    pub(super) image_encoder: Arc<OnDemand<Graph>>,
    text_encoder: Arc<OnDemand<Graph>>,
    pub(super) cohort: Arc<OnDemand<Cohort>>,
    background: Arc<OnDemand<Option<Background>>>,
    pub(super) caption_parts: Arc<CaptionParts>,
}

/// The parts that only captions need, and the engine that computes them.
pub(super) struct CaptionParts {
    engine: Engine,
    pooler: OnDemand<Option<Graph>>,
    pub(super) cross_kv: OnDemand<Graph>,
    pub(super) decoder: OnDemand<Graph>,
    /// Pictures of nothing, from which a text's prior is estimated.
    pub(super) null_images: OnDemand<Vec<EncodedImage>>,
}

impl CaptionParts {
    fn new(engine: &Engine) -> Arc<Self> {
        Arc::new(Self {
            engine: engine.clone(),
            pooler: OnDemand::new(),
            cross_kv: OnDemand::new(),
            decoder: OnDemand::new(),
            null_images: OnDemand::new(),
        })
    }
}

impl Coca {
    /// Opens the model in the folder `path` with an engine of its own: [`Engine::new`].
    ///
    /// # Errors
    /// [`Error::Model`] when the folder holds no model, or its `coca.json` is invalid; [`Error::Engine`] when the
    /// engine cannot be made.
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
    /// [`Error::Model`] when the folder holds no model, or its `coca.json` is invalid.
    pub fn open_with(path: impl AsRef<Path>, engine: &Engine) -> Result<Self, Error> {
        Self::new(Bundle::open(path)?, engine)
    }

    /// Opens the small model that is compiled into the program, with an engine of its own: [`Engine::new`].
    ///
    /// # Errors
    /// As [`Coca::open`].
    #[cfg(feature = "pocket")]
    pub fn pocket() -> Result<Self, Error> {
        Self::pocket_with(&Engine::new()?)
    }

    /// Opens the small model that is compiled into the program, to be computed by `engine`.
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
    /// [`Error::Vision`] when the bundle's preprocessing is out of range.
    pub fn new(bundle: Bundle, engine: &Engine) -> Result<Self, Error> {
        let preprocessor = Preprocessor::new(bundle.config().image.clone())?;
        Ok(Self {
            engine: engine.clone(),
            bundle: Arc::new(bundle),
            preprocessor,
            tokenizer: Arc::new(OnDemand::new()),
            image_encoder: Arc::new(OnDemand::new()),
            text_encoder: Arc::new(OnDemand::new()),
            cohort: Arc::new(OnDemand::new()),
            background: Arc::new(OnDemand::new()),
            caption_parts: CaptionParts::new(engine),
        })
    }

    /// The same model with captions computed by `engine`, so that neither they nor labels wait for threads of the
    /// other.
    ///
    /// The parts that only captions need are loaded for `engine` with the first caption; all others are shared with
    /// `self`.
    ///
    /// ```
    /// # #[cfg(feature = "pocket")] {
    /// use coca_engine::Engine;
    /// use coca_model::Coca;
    ///
    /// let labelling = Coca::pocket_with(&Engine::builder().threads(2).build()?)?;
    /// let captioning = labelling.with_caption_engine(&Engine::builder().threads(1).build()?);
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn with_caption_engine(&self, engine: &Engine) -> Self {
        Self { caption_parts: CaptionParts::new(engine), ..self.clone() }
    }

    /// The engine that computes the model, captions apart where they have [one of their own](Self::with_caption_engine).
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The bundle: the model's description and files.
    #[must_use]
    pub fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// The model's image preprocessing.
    #[must_use]
    pub fn preprocessor(&self) -> &Preprocessor {
        &self.preprocessor
    }

    /// Loads the image encoder ahead of the first image; returns the operators that it runs on.
    ///
    /// # Errors
    /// [`Error::Model`] when the part cannot be loaded.
    pub fn load_image_encoder(&self) -> Result<Execution, Error> {
        Ok(self.image_encoder()?.execution())
    }

    /// Loads every part of the model; returns for each, by its file name, the operators that it runs on.
    ///
    /// # Errors
    /// [`Error::Model`] when a part cannot be loaded.
    pub fn load_all(&self) -> Result<Vec<(&'static str, Execution)>, Error> {
        let mut parts = vec![
            ("image_encoder.onnx", self.image_encoder()?.execution()),
            ("text_encoder.onnx", self.text_encoder()?.execution()),
        ];
        if self.bundle.has_decoder() {
            parts.push(("cross_kv.onnx", self.cross_kv()?.execution()));
            parts.push(("caption_decoder.onnx", self.caption_decoder()?.execution()));
        }
        Ok(parts)
    }

    pub(super) fn image_encoder(&self) -> Result<&Graph, Error> {
        Ok(self.image_encoder.get_or_load(|| self.bundle.load_image_encoder(&self.engine))?)
    }

    pub(super) fn pooler(&self) -> Result<Option<&Graph>, Error> {
        let CaptionParts { engine, pooler, .. } = &*self.caption_parts;
        Ok(pooler.get_or_load(|| self.bundle.load_pooler(engine))?.as_ref())
    }

    pub(super) fn text_encoder(&self) -> Result<&Graph, Error> {
        Ok(self.text_encoder.get_or_load(|| self.bundle.load_text_encoder(&self.engine))?)
    }

    pub(super) fn cross_kv(&self) -> Result<&Graph, Error> {
        self.require_decoder()?;
        let CaptionParts { engine, cross_kv, .. } = &*self.caption_parts;
        Ok(cross_kv.get_or_load(|| self.bundle.load_cross_kv(engine))?)
    }

    pub(super) fn caption_decoder(&self) -> Result<&Graph, Error> {
        self.require_decoder()?;
        let CaptionParts { engine, decoder, .. } = &*self.caption_parts;
        Ok(decoder.get_or_load(|| self.bundle.load_caption_decoder(engine))?)
    }

    pub(super) fn tokenizer(&self) -> Result<&Tokenizer, Error> {
        self.tokenizer.get_or_load(|| {
            let file = self.bundle.read("tokenizer.json", "texts")?;
            Ok(Tokenizer::new((*file).as_ref(), self.bundle.config().text.clone())?)
        })
    }

    /// Mean and covariance of other pictures' embeddings, if the model has them.
    pub(super) fn background(&self) -> Result<Option<&Background>, Error> {
        Ok(self.background.get_or_load(|| self.bundle.load_background())?.as_ref())
    }

    /// The model's own caption settings.
    pub(super) fn require_decoder(&self) -> Result<&CaptionSettings, Error> {
        let config = self.bundle.config();
        let model = || Error::CannotCaption { model: config.name.clone() };
        config.caption.as_ref().ok_or_else(model)
    }
}
