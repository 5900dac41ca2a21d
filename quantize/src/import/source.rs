//! Finds a checkpoint: in a folder, in a single file, or on the hub.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{description::Description, error::Error, files::Folder, hub::HubId};
use crate::open_clip::NAMED;

/// A checkpoint on the disk.
pub(super) struct Source {
    /// Its name, for display.
    pub(super) name: String,
    /// Its address, for display.
    pub(super) origin: String,
    pub(super) licence: String,
    pub(super) description: Description,
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
            match (HubId::parse(checkpoint), checkpoint.split_once("://")) {
                (Some(id), _) => Self::on_hub(id, config, progress),
                (None, Some((_, rest))) => Err(address(rest)),
                (None, None) => Err(Error::NotFound { checkpoint: checkpoint.to_owned() }),
            }
        }
    }

    fn in_folder(folder: &Path, config: Option<&str>) -> Result<Self, Error> {
        let (description, weights) = Description::find(&Folder(folder), config)?;
        let name = name_of(folder);
        Ok(Self { origin: name.clone(), name, licence: unknown(), description, weights })
    }

    fn in_file(path: &Path, config: Option<&str>) -> Result<Self, Error> {
        let Some(config) = config else {
            return Err(Error::NoConfig { path: path.to_owned(), names: NAMED.join(", ") });
        };
        Ok(Self {
            name: name_of(&path.with_extension("")),
            origin: name_of(path),
            licence: unknown(),
            description: Description::named(config)?,
            weights: path.to_owned(),
        })
    }

    fn on_hub(id: HubId, config: Option<&str>, progress: bool) -> Result<Self, Error> {
        let HubId { owner, name, .. } = id;
        let (description, weights) = Description::find(&id.repository(progress)?, config)?;
        // LAION states this licence for each of its CoCas and CLIPs on the hub.
        let licence = if owner == "laion" { "MIT".to_owned() } else { unknown() };
        let origin = format!("https://huggingface.co/{owner}/{name}");
        Ok(Self { name: name.to_owned(), origin, licence, description, weights })
    }
}

/// The error for an address without its scheme.
fn address(rest: &str) -> Error {
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host).to_owned();
    let mut parts = path.split(['/', '?', '#']).filter(|part| !part.is_empty());
    let id = match (host.as_str(), parts.next(), parts.next()) {
        ("huggingface.co" | "hf.co", Some(owner), Some(name)) => Some(format!("{owner}/{name}")),
        _ => None,
    };
    Error::Address { host, id }
}

fn unknown() -> String {
    "unknown: see where the checkpoint comes from".to_owned()
}

/// The last component of a path, with `.`, `..` and links resolved where the path exists.
fn name_of(path: &Path) -> String {
    let absolute = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    absolute.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_answered_with_the_hub_id_and_without_its_password() {
        let find = |text| Source::find(text, None, false).err().unwrap().to_string();
        let said = find("https://huggingface.co/laion/CoCa-ViT-B-32/tree/main?token=hush");
        assert!(said.ends_with("a hub id: laion/CoCa-ViT-B-32"), "{said}");
        let said = find("https://viewer:hush@example.org/model");
        assert!(
            said.starts_with("an address of example.org: ") && !said.contains("hush"),
            "{said}"
        );
    }
}
