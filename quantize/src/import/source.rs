//! Finds a checkpoint: in a folder, in a single file, or on the hub.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    error::Error,
    file_names::{CONFIG, WEIGHTS},
    hub::HubId,
};
use crate::open_clip::{NAMED, OpenClipConfig};

/// A checkpoint on the disk.
pub(super) struct Source {
    /// Its name, for display.
    pub(super) name: String,
    /// Its address, for display.
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
        } else {
            match HubId::parse(checkpoint) {
                Some(id) => Self::on_hub(id, config, progress),
                None => Err(Error::NotFound { checkpoint: checkpoint.to_owned() }),
            }
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

    fn on_hub(id: HubId, config: Option<&str>, progress: bool) -> Result<Self, Error> {
        let HubId { owner, name, .. } = id;
        let repository = id.repository(progress)?;
        let config = match config {
            Some(config) => named_config(config)?,
            None => read_config(&repository.config()?)?,
        };
        let weights = repository.weights()?;
        // LAION states this licence for each of its CoCa models on the hub.
        let licence = if owner == "laion" { "MIT".to_owned() } else { unknown() };
        let origin = format!("https://huggingface.co/{owner}/{name}");
        Ok(Self { name: name.to_owned(), origin, licence, config, weights })
    }
}

fn unknown() -> String {
    "unknown: see where the checkpoint comes from".to_owned()
}

/// The last component of a path, with `.`, `..` and links resolved where the path exists.
fn name_of(path: &Path) -> String {
    let absolute = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    absolute.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

fn named_config(name: &str) -> Result<OpenClipConfig, Error> {
    let path = Path::new(name);
    if path.is_file() {
        return read_config(path);
    }
    if !NAMED.contains(&name) {
        return Err(Error::UnknownConfig { name: name.to_owned(), names: NAMED.join(", ") });
    }
    OpenClipConfig::named(name).map_err(|source| Error::Config { path: name.into(), source })
}

fn read_config(path: &Path) -> Result<OpenClipConfig, Error> {
    let json =
        fs::read(path).map_err(|source| Error::Unreadable { path: path.to_owned(), source })?;
    OpenClipConfig::parse(&json).map_err(|source| Error::Config { path: path.to_owned(), source })
}
