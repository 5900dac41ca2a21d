//! Errors of importing a checkpoint.

use std::{io, path::PathBuf};

use super::hub::HubError;
use crate::{bundle_writer, checkpoint, onnx, open_clip::ConfigError, transformers, vocabulary};

/// A checkpoint was not imported. Nothing of it was left behind.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The checkpoint's folder lacks its configuration or its weights.
    #[error("{}: expected a folder with {expected} in it", path.display())]
    Incomplete {
        /// The folder.
        path: PathBuf,
        /// The files that were looked for.
        expected: String,
    },
    /// A file of weights came without a configuration.
    #[error("{}: a file of weights alone needs a configuration: {names}, or a path to an open_clip_config.json", path.display())]
    NoConfig {
        /// The file.
        path: PathBuf,
        /// The known names.
        names: String,
    },
    /// A file that is parsed as a whole is too large for that.
    #[error("{}: expected at most {limit} bytes, found more", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit.
        limit: u64,
    },
    /// A configuration was asked for that is neither a file nor known by name.
    #[error("{name}: expected one of {names} or a path to an open_clip_config.json, found neither")]
    UnknownConfig {
        /// The name asked for.
        name: String,
        /// The known names.
        names: String,
    },
    /// The checkpoint is neither on the disk nor a possible hub id.
    #[error("{checkpoint}: no such file or folder, nor a hub id (OWNER/NAME)")]
    NotFound {
        /// The checkpoint asked for.
        checkpoint: String,
    },
    /// The checkpoint is an address, which may hold a password.
    #[error("an address of {host}: expected a file, a folder or a hub id: {}", id.as_deref().unwrap_or("OWNER/NAME"))]
    Address {
        /// The address's host.
        host: String,
        /// The hub id, where the address is that of a model on the hub.
        id: Option<String>,
    },
    /// The hub did not deliver the checkpoint.
    #[error("{id}: no such file or folder here, and not to be had from the hub: {source}")]
    Hub {
        /// The hub id.
        id: String,
        /// The hub's answer.
        source: HubError,
    },
    /// The hub could not be reached.
    #[error(
        "{id}: no such file or folder here, and not to be had from the hub: {source}: where there is a network, \
         download {files} from https://huggingface.co/{id}/tree/main into a folder; copy the folder here and import it"
    )]
    HubUnreachable {
        /// The hub id.
        id: String,
        /// The files to copy.
        files: String,
        /// The network's error.
        source: HubError,
    },
    /// The configuration cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// The configuration is broken, or describes a model of another family.
    #[error("{}: {source}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// The key, the expected and the found value.
        source: ConfigError,
    },
    /// The tokenizer is not that of a CLIP.
    #[error("{}: {source}", path.display())]
    ClipTokenizer {
        /// The file.
        path: PathBuf,
        /// The expected and the found content.
        source: transformers::Error,
    },
    /// The weights do not fit the configuration, or are damaged.
    #[error(transparent)]
    Checkpoint(#[from] checkpoint::Error),
    /// A part could not be built.
    #[error(transparent)]
    Part(#[from] onnx::Error),
    /// The bundle could not be written.
    #[error(transparent)]
    Write(#[from] bundle_writer::Error),
    /// The tokenizer inside this program is damaged.
    #[error(transparent)]
    Tokenizer(#[from] vocabulary::Error),
}
