//! Model bundles: ONNX parts, weights and a tokenizer, described by `coca.json`.
//!
//! ```text
//! coca.json                 description; length and SHA-256 of every other file
//! tokenizer.json            Hugging Face tokenizers format
//! image_encoder.onnx        pixel_values [N,3,H,W] → image_embedding [N,E], image_tokens [N,T,D]
//! text_encoder.onnx         input_ids [N,L] → text_embedding [N,E]
//! cross_kv.onnx             image_tokens → cross-attention keys and values
//! caption_decoder.onnx      one cached step: ids, caches → logits [B,V], new keys and values
//! *.bin                     weights, as ONNX external data
//! background.bin            mean and covariance of image embeddings; may be absent
//! ```
//!
//! A bundle is a folder, or the copy that is compiled into the program. Length and SHA-256 of a file are
//! compared when the file is first needed, so that labelling never reads the decoder and no answer comes from an
//! altered file.

mod background;
mod config;
mod error;
mod files;
mod fingerprint;
mod memory;
mod parts;
mod pooler;

use std::{collections::BTreeSet, path::Path, sync::Mutex};

pub use background::Background;
use coca_engine::Arithmetic;
use coca_host::AvailableMemory;
pub use config::{Config, ConfigError, Dimensions, FORMAT, FileEntry, Precision};
pub use error::Error;
pub use files::CheckedBytes;
use files::Files;
pub use fingerprint::Fingerprint;
pub(crate) use fingerprint::hexadecimal;
pub use memory::MemoryHint;

/// An opened model: its description, and access to its files.
///
/// ```no_run
/// use coca_model::Bundle;
///
/// let bundle = Bundle::open("models/vit-b-32-int8")?;
/// let config = bundle.config();
/// println!("{}: {}, {} pixels wide", config.name, config.precision, config.image.width);
/// assert_eq!(bundle.has_decoder(), config.caption.is_some());
/// # Ok::<(), coca_model::bundle::Error>(())
/// ```
#[derive(Debug)]
pub struct Bundle {
    config: Config,
    files: Files,
    fingerprint: Fingerprint,
    arithmetic: Arithmetic,
    /// Overrides what the system reports.
    available_memory: Option<AvailableMemory>,
    /// Names of the mapped files whose checksum was right.
    checked: Mutex<BTreeSet<String>>,
}

impl Bundle {
    /// Opens the model in the folder `path`; reads `coca.json` alone.
    ///
    /// # Errors
    /// [`Error::NotABundle`] when there is no such folder or no `coca.json` in it, [`Error::Config`] when that
    /// is invalid.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let folder = path.as_ref().to_path_buf();
        if !folder.join("coca.json").is_file() {
            return Err(Error::NotABundle { path: folder });
        }
        Self::from_files(Files::Folder(folder))
    }

    /// Opens the model that is compiled into the program.
    ///
    /// # Errors
    /// None in a program whose build passed its tests; the signature is that of [`Bundle::open`].
    #[cfg(feature = "pocket")]
    pub fn pocket() -> Result<Self, Error> {
        Self::from_files(Files::Embedded(coca_pocket::file))
    }

    fn from_files(files: Files) -> Result<Self, Error> {
        let config = Config::parse((*files.config()?).as_ref())
            .map_err(|source| Error::Config { path: files.path("coca.json"), source })?;
        let fingerprint = Fingerprint::of(&config);
        let arithmetic = match config.precision {
            Precision::Int8 => Arithmetic::Int8,
            Precision::F16 | Precision::F32 => Arithmetic::F32,
        };
        Ok(Self {
            config,
            files,
            fingerprint,
            arithmetic,
            available_memory: None,
            checked: Mutex::default(),
        })
    }

    /// Overrides the arithmetic that the model is made for.
    ///
    /// # Errors
    /// [`Error::NotQuantized`] for int8 with weights that are not.
    pub fn compute_in(mut self, arithmetic: Arithmetic) -> Result<Self, Error> {
        if arithmetic == Arithmetic::Int8 && self.config.precision != Precision::Int8 {
            let precision = self.config.precision;
            return Err(Error::NotQuantized { path: self.files.path("coca.json"), precision });
        }
        self.arithmetic = arithmetic;
        Ok(self)
    }

    /// The arithmetic of linear layers.
    #[must_use]
    pub fn arithmetic(&self) -> Arithmetic {
        self.arithmetic
    }

    /// The contents of `coca.json`.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The model's identity.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Whether the model can caption.
    #[must_use]
    pub fn has_decoder(&self) -> bool {
        self.config.caption.is_some()
    }
}
