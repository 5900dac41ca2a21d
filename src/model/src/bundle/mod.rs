//! A model: a folder (or the copy inside the program) of ONNX parts, weights and a tokenizer, described by `coca.json`.
//!
//! Every file's length and SHA-256 stand in `coca.json` and are checked when the file is first needed,
//! so that labelling never reads the decoder and no answer comes from an altered file.

mod config;
mod error;
mod memory;
mod parts;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use coca_engine::{Arithmetic, FileBytes};
use coca_host::AvailableMemory;
use coca_kernels::MappedFile;
pub use config::{Config, Dimensions, FORMAT, FileEntry, Precision};
pub use error::Error;
use sha2::{Digest, Sha256};

/// A file of a bundle, checked against `coca.json`.
pub type CheckedBytes = Arc<dyn FileBytes>;

/// An opened model: its description, and access to its files.
#[derive(Debug)]
pub struct Bundle {
    config: Config,
    files: Files,
    fingerprint: Fingerprint,
    arithmetic: Arithmetic,
    /// What to count on, if it is not what the system says.
    available_memory: Option<AvailableMemory>,
    /// The files whose checksum was right once.
    checked: Mutex<BTreeSet<String>>,
}

/// SHA-256 over the names and checksums of a model's files: two models with the same fingerprint give the same answers.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 32]);

impl std::fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hexadecimal(&self.0))
    }
}

impl std::fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// Where a bundle's files are.
#[derive(Debug)]
enum Files {
    Folder(PathBuf),
    #[cfg(feature = "pocket")]
    Embedded,
}

impl Bundle {
    /// Opens the model in the folder `path`. Only `coca.json` is read now.
    ///
    /// # Errors
    /// When there is no such folder, when `coca.json` is missing or wrong.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let folder = path.as_ref().to_path_buf();
        if !folder.join("coca.json").is_file() {
            return Err(Error::NotABundle { path: folder });
        }
        Self::from_files(Files::Folder(folder))
    }

    /// The model inside the program.
    ///
    /// # Errors
    /// None in a program whose build passed its tests; the signature is that of [`Bundle::open`].
    #[cfg(feature = "pocket")]
    pub fn pocket() -> Result<Self, Error> {
        Self::from_files(Files::Embedded)
    }

    fn from_files(files: Files) -> Result<Self, Error> {
        let path = files.path("coca.json");
        let json = files.read("coca.json", 0)?;
        let config = Config::parse((*json).as_ref())
            .map_err(|reason| Error::Config { path: path.clone(), reason })?;
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

    /// Computes in `arithmetic` rather than in what the model is made for.
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

    /// What linear layers are computed in.
    #[must_use]
    pub fn arithmetic(&self) -> Arithmetic {
        self.arithmetic
    }

    /// What `coca.json` says.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What tells this model from every other.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Whether the model has a decoder.
    #[must_use]
    pub fn has_decoder(&self) -> bool {
        self.config.caption.is_some()
    }

    /// The file `name`, with the length and checksum that `coca.json` gives.
    ///
    /// # Errors
    /// When the file is not listed, missing, of another length or altered.
    pub fn read(&self, name: &str, needed_for: &'static str) -> Result<CheckedBytes, Error> {
        let bytes = self.open_file(name, needed_for)?;
        self.verify(name, &bytes)?;
        Ok(bytes)
    }

    /// The file `name`, with the length that `coca.json` gives; its checksum is still to be compared.
    fn open_file(&self, name: &str, needed_for: &'static str) -> Result<CheckedBytes, Error> {
        let entry = self.config.files.get(name).ok_or_else(|| Error::NotListed {
            path: self.files.path("coca.json"),
            name: name.to_owned(),
            needed_for,
        })?;
        let path = self.files.path(name);
        let bytes = self.files.read(name, entry.bytes)?;
        let found = (*bytes).as_ref().len() as u64;
        if found != entry.bytes {
            return Err(Error::Length { path, expected: entry.bytes, found });
        }
        Ok(bytes)
    }

    /// Compares a file's SHA-256 with that of `coca.json`, once.
    fn verify(&self, name: &str, bytes: &CheckedBytes) -> Result<(), Error> {
        let is_checked = |files: &BTreeSet<String>| files.contains(name);
        let lock = || self.checked.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(entry) = self.config.files.get(name).filter(|_| !is_checked(&lock())) else {
            return Ok(());
        };
        let mut hash = Sha256::new();
        for piece in (**bytes).as_ref().chunks(1 << 22) {
            hash.update(piece);
            bytes.release();
        }
        let found = hexadecimal(&hash.finalize());
        if found != entry.sha256 {
            let path = self.files.path(name);
            return Err(Error::Checksum { path, expected: entry.sha256.clone(), found });
        }
        lock().insert(name.to_owned());
        Ok(())
    }
}

impl Files {
    fn is_embedded(&self) -> bool {
        !matches!(self, Self::Folder(_))
    }

    /// The model's name for messages.
    fn folder(&self) -> &Path {
        match self {
            Self::Folder(folder) => folder,
            #[cfg(feature = "pocket")]
            Self::Embedded => Path::new("embedded model"),
        }
    }

    /// The file's name for messages.
    fn path(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    fn read(&self, name: &str, bytes: u64) -> Result<CheckedBytes, Error> {
        match self {
            Self::Folder(folder) => read_file(&folder.join(name), bytes),
            #[cfg(feature = "pocket")]
            Self::Embedded => coca_pocket::file(name)
                .map(|bytes| Arc::new(bytes) as CheckedBytes)
                .ok_or_else(|| Error::Missing { path: self.path(name), bytes }),
        }
    }
}

fn read_file(path: &Path, bytes: u64) -> Result<CheckedBytes, Error> {
    let unreadable = |source: std::io::Error| match source.kind() {
        std::io::ErrorKind::NotFound => Error::Missing { path: path.to_path_buf(), bytes },
        _ => Error::Unreadable { path: path.to_path_buf(), source },
    };
    // An empty file cannot be mapped everywhere.
    if std::fs::metadata(path).map_err(unreadable)?.len() == 0 {
        return Ok(Arc::new(Vec::new()));
    }
    Ok(Arc::new(MappedFile::open(path).map_err(unreadable)?))
}

impl Fingerprint {
    fn of(config: &Config) -> Self {
        let mut hash = Sha256::new();
        for (name, entry) in &config.files {
            hash.update(name.as_bytes());
            hash.update([0]);
            hash.update(entry.sha256.as_bytes());
        }
        Self(hash.finalize().into())
    }
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
