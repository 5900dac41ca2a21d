//! What can keep a checkpoint from being imported.

use std::{io, path::PathBuf};

use crate::{bundle_writer, checkpoint, onnx, open_clip::ConfigError};

/// A checkpoint that was not imported. Nothing of it was left behind.
#[derive(Debug, thiserror::Error)]
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
    #[error("{}: a file of weights alone needs --config NAME: {names}, or a path to an open_clip_config.json", path.display())]
    NoConfig {
        /// The file.
        path: PathBuf,
        /// The names that are known.
        names: String,
    },
    /// The checkpoint is neither on the disk nor a possible hub id.
    #[error("{checkpoint}: no such file or folder, nor a hub id (OWNER/NAME)")]
    NotFound {
        /// What was asked for.
        checkpoint: String,
    },
    /// The hub did not give the checkpoint.
    #[error("{id}: no such file or folder here, and not to be had from the hub: {reason}")]
    Hub {
        /// The hub id.
        id: String,
        /// What the hub or the network said.
        reason: String,
    },
    /// The configuration cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The configuration is broken, or describes a model of another family.
    #[error("{}: {source}", path.display())]
    Config {
        /// The file, or the name given with `--config`.
        path: PathBuf,
        /// The key, what was expected and what was found.
        source: ConfigError,
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
    #[error("{reason}")]
    Tokenizer {
        /// What is wrong with it.
        reason: String,
    },
}
