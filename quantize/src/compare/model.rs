//! One of the two models, and whether the two fit together.

use std::path::{Path, PathBuf};

use coca_engine::Engine;
use coca_model::{
    Caption, CaptionOptions, Coca, EncodedImage, Error as TaskError, Labels, bundle,
    bundle::Bundle, tasks::LabelCheck,
};
use coca_vision::Pixels;

use super::error::Error;

/// A model whose errors say which of the two it is.
pub(super) struct Model {
    path: PathBuf,
    coca: Coca,
}

/// The files of a model, without its loaded parts.
pub(super) struct Files {
    pub(super) path: PathBuf,
    pub(super) bundle: Bundle,
    pub(super) engine: Engine,
}

impl Model {
    pub(super) fn open(path: &Path, engine: &Engine) -> Result<Self, Error> {
        let coca = Coca::open_with(path, engine).map_err(|source| failed(path, source))?;
        Ok(Self { path: path.to_owned(), coca })
    }

    pub(super) fn coca(&self) -> &Coca {
        &self.coca
    }

    pub(super) fn encode(&self, pixels: &Pixels) -> Result<EncodedImage, Error> {
        self.named(self.coca.encode_pixels(pixels.clone()))
    }

    pub(super) fn caption(&self, picture: &EncodedImage) -> Result<Caption, Error> {
        self.named(self.coca.caption(picture, &CaptionOptions::default()))
    }

    /// The labels in the model's own template; `done` hears how many are encoded.
    pub(super) fn labels(
        &self,
        names: &[String],
        mut done: impl FnMut(usize),
    ) -> Result<Labels, Error> {
        let templates = self.named(self.coca.default_template())?;
        self.named(self.coca.labels_with(names.to_vec(), &templates, |texts, _| done(texts)))
    }

    /// Labels that differ in the model's own template.
    pub(super) fn check_labels(&self, names: Vec<String>) -> Result<LabelCheck, Error> {
        let templates = self.named(self.coca.default_template())?;
        self.named(self.coca.check_labels(names, &templates))
    }

    /// The sentences that stand for `names`.
    pub(super) fn sentences(&self, names: &[String]) -> Result<Vec<String>, Error> {
        let templates = self.named(self.coca.default_template())?;
        Ok(names.iter().flat_map(|name| templates.apply(name)).collect())
    }

    /// Frees the memory of the loaded parts.
    pub(super) fn into_files(self) -> Result<Files, Error> {
        let bundle = Bundle::open(&self.path).map_err(Error::Bundle)?;
        Ok(Files { path: self.path, bundle, engine: self.coca.engine().clone() })
    }

    pub(super) fn named<T>(&self, result: Result<T, TaskError>) -> Result<T, Error> {
        result.map_err(|source| failed(&self.path, source))
    }
}

/// A bundle's own errors name its files; a graph's name only the part.
fn failed(path: &Path, source: TaskError) -> Error {
    match source {
        TaskError::Model(source) if !matches!(source, bundle::Error::Graph(_)) => {
            Error::Bundle(source)
        }
        source => Error::Model { path: path.to_owned(), source: Box::new(source) },
    }
}

/// Refuses models whose answers cannot be compared: those that read or answer something else.
pub(super) fn check_fit(pair: &[Model; 2]) -> Result<(), Error> {
    let [a, b] = pair.each_ref().map(|model| model.coca.bundle().config());
    let unlike = |what, expected: String, found: String| {
        let [a, b] = pair.each_ref().map(|model| model.path.clone());
        if expected == found { Ok(()) } else { Err(Error::Unlike { a, b, what, expected, found }) }
    };
    let widths = [a, b].map(|config| config.dimensions.embedding.to_string());
    let [expected, found] = widths;
    unlike("numbers in an embedding", expected, found)?;
    let [expected, found] = [a, b].map(|config| format!("{:?}", config.image));
    unlike("how a picture becomes pixels", expected, found)?;
    let [expected, found] = [a, b].map(|config| format!("{:?}", config.text));
    unlike("how a text becomes tokens", expected, found)?;
    let [expected, found] = [a, b].map(|config| {
        config.files.get("tokenizer.json").map_or("none".to_owned(), |file| file.sha256.clone())
    });
    unlike("the tokenizer (SHA-256 of tokenizer.json)", expected, found)
}
