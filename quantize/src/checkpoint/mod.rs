//! Checkpoints: named tensors in a mapped file, safetensors or torch's zip, told apart by their first bytes.
//!
//! Reading a checkpoint executes nothing that is in it: see `pickle`.

mod contents;
mod error;
mod pickle;
mod safetensors;
mod tensor;
mod torch;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use coca_kernels::MappedFile;
pub use contents::Contents;
pub use error::Error;
pub use tensor::{Dtype, Shape, Tensor};

/// Parts of a key that wrappers add to it, alone or nested, in front of the model or of a module inside it: torch's
/// `DataParallel` and `torch.compile`.
const WRAPPERS: [&str; 2] = ["module", "_orig_mod"];
/// Dimensions of a tensor. open_clip's have four at most.
const MAX_RANK: usize = 8;

/// A checkpoint's path and bytes.
struct CheckpointFile {
    path: PathBuf,
    map: MappedFile,
}

impl CheckpointFile {
    fn bytes(&self) -> &[u8] {
        self.map.as_ref()
    }
}

/// Whether a tensor is ignored, whatever its type: masks and the numbers of positions are computed, and a bias that all
/// labels share cancels out in the softmax.
fn has_no_effect(key: &str) -> bool {
    ["logit_bias", "attn_mask", "embeddings.position_ids"].iter().any(|end| key.ends_with(end))
}

/// `key` without the parts that [`WRAPPERS`] add.
fn without_wrappers(key: &str) -> String {
    let parts: Vec<&str> = key.split('.').filter(|part| !WRAPPERS.contains(part)).collect();
    parts.join(".")
}

/// The tensors of a checkpoint that have not been taken yet.
pub struct Checkpoint {
    path: PathBuf,
    tensors: BTreeMap<String, Tensor>,
    /// The keys of all tensors, taken or not.
    keys: BTreeSet<String>,
}

impl Checkpoint {
    /// Maps the file and reads its table of tensors, not the tensors.
    ///
    /// Keys lose the parts `module.` and `_orig_mod.`, which torch's wrappers add.
    ///
    /// # Errors
    /// When the file cannot be read, is cut off, or is in another format, and when two keys differ in wrappers only.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let mut tensors: BTreeMap<String, Tensor> = BTreeMap::new();
        for tensor in read_tensors(path)? {
            let key = without_wrappers(tensor.key());
            if let Some(other) = tensors.get(&key) {
                let mut found = [other.key().to_owned(), tensor.key().to_owned()];
                // A file's table has no order.
                found.sort_unstable();
                return Err(Error::Ambiguous { path: path.to_owned(), key, found });
            }
            tensors.insert(key, tensor);
        }
        for (key, tensor) in &mut tensors {
            tensor.rename(key);
        }
        let keys = tensors.keys().cloned().collect();
        Ok(Self { path: path.to_owned(), tensors, keys })
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
        let missing = || Error::Missing {
            path: self.path.clone(),
            key: key.to_owned(),
            contents: Contents::of(&self.keys, key),
        };
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

    /// Takes the scalar `key` of shape `[]` or `[1]`, the natural logarithm of a normal `f32`.
    ///
    /// # Errors
    /// When it is missing, not finite, no such logarithm, or has more elements.
    pub fn take_logarithm(&mut self, key: &str) -> Result<f32, Error> {
        let one = self.tensors.get(key).is_some_and(|t| t.shape() == [1]);
        let values = self.take(key, if one { &[1] } else { &[] })?.values()?;
        match values.as_slice() {
            [logarithm] if logarithm.exp().is_normal() => Ok(*logarithm),
            other => Err(Error::Storage {
                path: self.path.clone(),
                key: key.to_owned(),
                expected: "a logarithm between -87 and 88",
                found: other.iter().map(f32::to_string).collect::<Vec<_>>().join(", "),
            }),
        }
    }

    /// Checks that every tensor was taken: a remaining one means that the configuration describes another model.
    ///
    /// # Errors
    /// [`Error::Unexpected`] names the first that remains.
    pub fn finish(self) -> Result<(), Error> {
        let mut remaining = self.tensors.into_keys();
        match remaining.next() {
            None => Ok(()),
            Some(key) => Err(Error::Unexpected { path: self.path, key, others: remaining.count() }),
        }
    }
}

/// The tensors of a file, under the keys that they have there.
fn read_tensors(path: &Path) -> Result<Vec<Tensor>, Error> {
    let unreadable = |source| Error::Unreadable { path: path.to_owned(), source };
    let no_checkpoint = |found: String| Error::Format {
        path: path.to_owned(),
        expected: "a checkpoint (safetensors or a torch zip)",
        found,
    };
    let length = std::fs::metadata(path).map_err(unreadable)?.len();
    if length < 8 {
        return Err(no_checkpoint(format!("a file of {length} bytes")));
    }
    let map = MappedFile::open(path).map_err(unreadable)?;
    let file = Arc::new(CheckpointFile { path: path.to_owned(), map });
    match file.bytes() {
        [b'P', b'K', 3, 4, ..] => torch::tensors(&file),
        [_, _, _, _, _, _, _, _, b'{', ..] => safetensors::tensors(&file),
        bytes if bytes.starts_with(b"version https://git-lfs") => {
            Err(no_checkpoint("a Git LFS pointer: fetch the file itself (git lfs pull)".to_owned()))
        }
        _ => Err(no_checkpoint(
            "neither: it may be cut off, or saved by a torch older than 1.6".to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrappers_are_removed_in_any_order_and_place() {
        for key in [
            "visual.proj",
            "module.visual.proj",
            "_orig_mod.module.visual.proj",
            "module._orig_mod.visual.proj",
            "module.visual._orig_mod.proj",
        ] {
            assert_eq!(without_wrappers(key), "visual.proj");
        }
        assert_eq!(without_wrappers("modules.proj"), "modules.proj");
    }
}
