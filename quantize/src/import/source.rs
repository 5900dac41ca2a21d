//! Where a checkpoint is: in a folder, in a single file, or on the hub.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{Error, hub};
use crate::open_clip::{NAMED, OpenClipConfig};

/// The file that describes a checkpoint.
pub(super) const CONFIG: &str = "open_clip_config.json";
/// The files that weights are in, the better one first: it needs no unpacking of a pickle.
pub(super) const WEIGHTS: [&str; 2] =
    ["open_clip_model.safetensors", "open_clip_pytorch_model.bin"];

/// A checkpoint that was found.
pub(super) struct Source {
    /// Its name, for people.
    pub(super) name: String,
    /// Where it comes from, for people.
    pub(super) origin: String,
    pub(super) licence: String,
    pub(super) config: OpenClipConfig,
    pub(super) weights: PathBuf,
}

impl Source {
    /// Finds `checkpoint`: a folder, a file, or else a hub id. `config` takes the place of its own configuration.
    pub(super) fn find(
        checkpoint: &str,
        config: Option<&str>,
        progress: bool,
    ) -> Result<Self, Error> {
        let path = Path::new(checkpoint);
        if path.is_dir() {
            Self::in_folder(path, config)
        } else if path.is_file() {
            Self::in_file(path, config)
        } else if hub::is_id(checkpoint) {
            Self::on_hub(checkpoint, config, progress)
        } else {
            Err(Error::NotFound { checkpoint: checkpoint.to_owned() })
        }
    }

    fn in_folder(folder: &Path, config: Option<&str>) -> Result<Self, Error> {
        let incomplete = |expected: String| Error::Incomplete { path: folder.to_owned(), expected };
        let own_config = folder.join(CONFIG);
        let config = match config {
            Some(config) => named_config(config)?,
            None if own_config.is_file() => read_config(&own_config)?,
            None => return Err(incomplete(CONFIG.to_owned())),
        };
        let mut weights = WEIGHTS.iter().map(|name| folder.join(name));
        let weights = weights.find(|path| path.is_file());
        let weights = weights.ok_or_else(|| incomplete(WEIGHTS.join(" or ")))?;
        let name = name_of(folder);
        Ok(Self { origin: name.clone(), name, licence: unknown(), config, weights })
    }

    fn in_file(path: &Path, config: Option<&str>) -> Result<Self, Error> {
        let Some(config) = config else {
            return Err(Error::NoConfig { path: path.to_owned(), names: NAMED.join(", ") });
        };
        Ok(Self {
            name: name_of(&path.with_extension("")),
            origin: name_of(path),
            licence: unknown(),
            config: named_config(config)?,
            weights: path.to_owned(),
        })
    }

    fn on_hub(id: &str, config: Option<&str>, progress: bool) -> Result<Self, Error> {
        let files = hub::fetch(id, config.is_none(), progress)?;
        let config = match (config, files.config) {
            (Some(config), _) => named_config(config)?,
            (None, path) => read_config(&path.unwrap_or_default())?,
        };
        let (owner, name) = id.split_once('/').unwrap_or_default();
        // What LAION says of each of its CoCa models on the hub.
        let licence = if owner == "laion" { "MIT".to_owned() } else { unknown() };
        let origin = format!("https://huggingface.co/{id}");
        Ok(Self { name: name.to_owned(), origin, licence, config, weights: files.weights })
    }
}

fn unknown() -> String {
    "unknown: see where the checkpoint comes from".to_owned()
}

/// The last part of a path; of `.` and `..`, that of the folder they mean.
fn name_of(path: &Path) -> String {
    let absolute = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    absolute.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

fn named_config(name: &str) -> Result<OpenClipConfig, Error> {
    let path = Path::new(name);
    if path.is_file() {
        return read_config(path);
    }
    OpenClipConfig::named(name).map_err(|source| Error::Config { path: name.into(), source })
}

fn read_config(path: &Path) -> Result<OpenClipConfig, Error> {
    let json =
        fs::read(path).map_err(|source| Error::Unreadable { path: path.to_owned(), source })?;
    OpenClipConfig::parse(&json).map_err(|source| Error::Config { path: path.to_owned(), source })
}
