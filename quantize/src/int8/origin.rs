//! The model to quantise: a bundle on the disk, or a checkpoint whose bundle is never written.

use std::{borrow::Cow, collections::BTreeSet, sync::Arc};

use coca_model::bundle::{Bundle, CheckedBytes, Config};
use coca_onnx::{ExternalRange, is_external, pb::GraphProto};

use super::error::Error;
use crate::{import::UnwrittenBundle, onnx::WeightFile};

pub(super) enum Origin {
    Bundle(Bundle),
    Checkpoint(UnwrittenBundle),
}

/// A file of weights.
pub(super) enum WeightBytes<'a> {
    Checked(CheckedBytes),
    Unwritten(&'a WeightFile),
}

impl Origin {
    /// The contents of `coca.json`; the list of files is that of a bundle only.
    pub(super) fn config(&self) -> &Config {
        match self {
            Self::Bundle(bundle) => bundle.config(),
            Self::Checkpoint(unwritten) => &unwritten.config,
        }
    }

    /// Names of all files but `coca.json`.
    pub(super) fn files(&self) -> BTreeSet<String> {
        match self {
            Self::Bundle(bundle) => bundle.config().files.keys().cloned().collect(),
            Self::Checkpoint(unwritten) => {
                unwritten.files().into_iter().map(|(name, _)| name.to_owned()).collect()
            }
        }
    }

    /// Bytes of all files but `coca.json`.
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::Bundle(bundle) => bundle.config().files.values().map(|file| file.bytes).sum(),
            Self::Checkpoint(unwritten) => {
                unwritten.files().into_iter().map(|(_, size)| size).sum()
            }
        }
    }

    /// The file `name`, a graph or the tokenizer.
    pub(super) fn read(&self, name: &str) -> Result<Cow<'_, [u8]>, Error> {
        match self {
            Self::Bundle(bundle) => {
                Ok(Cow::Owned((*bundle.read(name, "quantising")?).as_ref().to_vec()))
            }
            Self::Checkpoint(unwritten) => match unwritten.read(name) {
                Some(bytes) => Ok(Cow::Borrowed(bytes)),
                None => Err(Error::MissingFile { name: name.to_owned() }),
            },
        }
    }

    /// The file of weights `name`, for reading single tensors.
    pub(super) fn weights(&self, name: &str) -> Result<WeightBytes<'_>, Error> {
        match self {
            Self::Bundle(bundle) => {
                bundle.read(name, "quantising")?;
                // Comparing its checksum, once, takes every page into memory: a new map has none of them.
                Ok(WeightBytes::Checked(bundle.read(name, "quantising")?))
            }
            Self::Checkpoint(unwritten) => unwritten
                .weight_files
                .iter()
                .find(|file| file.name() == name)
                .map(WeightBytes::Unwritten)
                .ok_or_else(|| Error::MissingFile { name: name.to_owned() }),
        }
    }

    /// The file of weights `name` with at least what `graph` refers to, for running it.
    pub(super) fn weights_of(&self, name: &str, graph: &GraphProto) -> Result<CheckedBytes, Error> {
        match self.weights(name)? {
            WeightBytes::Checked(bytes) => Ok(bytes),
            WeightBytes::Unwritten(file) => {
                let external = graph.initializer.iter().filter(|tensor| is_external(tensor));
                let ranges = external.filter_map(|tensor| ExternalRange::of(tensor).ok());
                let here = ranges.filter(|range| range.file == name).map(|range| range.start);
                Ok(Arc::new(file.read(&here.collect())?))
            }
        }
    }
}
