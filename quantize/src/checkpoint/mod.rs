//! A checkpoint: named tensors in a mapped file, safetensors or torch's zip, told apart by their first bytes.
//!
//! Reading executes nothing that the file says: see `pickle`.

mod error;
mod pickle;
mod safetensors;
mod tensor;
mod torch;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use coca_kernels::MappedFile;
pub use error::Error;
pub use tensor::{Dtype, Shape, Tensor};

/// A checkpoint's bytes, and where they are stored.
struct CheckpointFile {
    path: PathBuf,
    map: MappedFile,
}

impl CheckpointFile {
    fn bytes(&self) -> &[u8] {
        self.map.as_ref()
    }
}

/// Whether a tensor is left out however it is stored: masks are computed, and a bias that all labels share cancels
/// out in the softmax.
fn has_no_effect(key: &str) -> bool {
    key.ends_with("logit_bias") || key.ends_with("attn_mask")
}

/// The tensors of a checkpoint that have not been taken yet.
pub struct Checkpoint {
    path: PathBuf,
    tensors: BTreeMap<String, Tensor>,
}

impl Checkpoint {
    /// Maps the file and reads its table of tensors, not the tensors.
    ///
    /// A `module.` in front of the names, left by data-parallel training, is dropped.
    ///
    /// # Errors
    /// When the file cannot be read, is cut off, or is in another format.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let unreadable = |source| Error::Unreadable { path: path.to_owned(), source };
        let length = std::fs::metadata(path).map_err(unreadable)?.len();
        if length < 8 {
            return Err(Error::Format {
                path: path.to_owned(),
                expected: "a checkpoint (safetensors or a torch zip)",
                found: format!("a file of {length} bytes"),
            });
        }
        let map = MappedFile::open(path).map_err(unreadable)?;
        let file = Arc::new(CheckpointFile { path: path.to_owned(), map });
        let bytes = file.bytes();
        let tensors = match bytes {
            [b'P', b'K', 3, 4, ..] => torch::tensors(&file)?,
            [_, _, _, _, _, _, _, _, b'{', ..] => safetensors::tensors(&file)?,
            _ => {
                let found = match bytes.starts_with(b"version https://git-lfs") {
                    true => "a Git LFS pointer: fetch the file itself (git lfs pull)",
                    false => "neither: it may be cut off, or saved by a torch older than 1.6",
                };
                return Err(Error::Format {
                    path: path.to_owned(),
                    expected: "a checkpoint (safetensors or a torch zip)",
                    found: found.to_owned(),
                });
            }
        };
        let tensors = tensors.into_iter().map(|tensor| {
            let bare = tensor.key().strip_prefix("module.").unwrap_or(tensor.key()).to_owned();
            (bare.clone(), tensor.named(bare))
        });
        let tensors = tensors.collect();
        Ok(Self { path: path.to_owned(), tensors })
    }

    /// Whether the checkpoint has a tensor of that name.
    #[must_use]
    pub fn contains(&self, key: &str) -> bool {
        self.tensors.contains_key(key)
    }

    /// Takes the tensor `key` out of the table.
    ///
    /// # Errors
    /// When it is missing or has another shape.
    pub fn take(&mut self, key: &str, shape: &[usize]) -> Result<Tensor, Error> {
        let missing = || Error::Missing { path: self.path.clone(), key: key.to_owned() };
        let tensor = self.tensors.remove(key).ok_or_else(missing)?;
        if tensor.shape() != shape {
            return Err(Error::Shape {
                path: self.path.clone(),
                key: key.to_owned(),
                expected: Shape(shape).to_string(),
                found: Shape(tensor.shape()).to_string(),
            });
        }
        Ok(tensor)
    }

    /// Takes the single number `key`, of shape `()` or `(1)`: the natural logarithm of one that fits 32 bits.
    ///
    /// # Errors
    /// When it is missing, not finite, no such logarithm, or more than one number.
    pub fn take_logarithm(&mut self, key: &str) -> Result<f32, Error> {
        let one = self.tensors.get(key).is_some_and(|t| t.shape() == [1]);
        let tensor = self.take(key, if one { &[1] } else { &[] })?;
        let logarithm = tensor.values()?.first().copied().unwrap_or_default();
        match logarithm.exp().is_normal() {
            true => Ok(logarithm),
            false => Err(Error::Storage {
                path: self.path.clone(),
                key: key.to_owned(),
                expected: "a logarithm between -87 and 88",
                found: logarithm.to_string(),
            }),
        }
    }

    /// Checks that every tensor was taken: one left over means that the configuration describes another model.
    ///
    /// # Errors
    /// [`Error::Unexpected`] names the first one left.
    pub fn finish(self) -> Result<(), Error> {
        let mut left = self.tensors.into_keys();
        match left.next() {
            None => Ok(()),
            Some(key) => Err(Error::Unexpected { path: self.path, key, others: left.count() }),
        }
    }
}
