//! The table of a file that `torch.save` wrote: a zip with `data.pkl` and a file for each storage, none compressed.

use std::{collections::HashMap, io::Cursor, ops::Range, sync::Arc};

use zip::{CompressionMethod, ZipArchive};

use super::{
    CheckpointFile, Dtype, Error, Tensor, has_no_effect,
    pickle::{Id, Pickle},
};

pub(super) fn tensors(file: &Arc<CheckpointFile>) -> Result<Vec<Tensor>, Error> {
    let broken = |found: String| Error::Format {
        path: file.path.clone(),
        expected: "a whole torch checkpoint",
        found,
    };
    let bytes = file.bytes();
    let archive = Archive::read(bytes).map_err(broken)?;
    let table = archive
        .entry("data.pkl")
        .and_then(|range| bytes.get(range))
        .ok_or_else(|| broken("no data.pkl in it".to_owned()))?;
    let big_endian = archive.entry("byteorder").and_then(|range| bytes.get(range));
    if big_endian.is_some_and(|order| order != b"little") {
        return Err(broken("numbers in big-endian order".to_owned()));
    }
    let pickle = Pickle::read(table).map_err(broken)?;
    let entries =
        state_dict(&pickle).ok_or_else(|| broken("no table of tensors in data.pkl".to_owned()))?;
    entries
        .iter()
        .filter_map(|&(key, value)| Some((pickle.text(key)?, Record::read(&pickle, value)?)))
        .filter(|(key, _)| !has_no_effect(key))
        .map(|(key, record)| record.tensor(file, &archive, key))
        .collect()
}

/// The dictionary of tensors, which training scripts put under `state_dict`.
fn state_dict(pickle: &Pickle) -> Option<&[(Id, Id)]> {
    let root = pickle.dict(pickle.root())?;
    let nested = root.iter().find(|(key, _)| pickle.text(*key) == Some("state_dict"));
    match nested {
        Some(&(_, value)) => pickle.dict(value),
        None => Some(root),
    }
}

/// Where the files of the zip stand, by their names without the folder that all share.
struct Archive {
    entries: HashMap<String, Range<usize>>,
}

impl Archive {
    fn read(bytes: &[u8]) -> Result<Self, String> {
        let broken = |e| format!("a zip archive that is cut off or damaged ({e})");
        let mut zip = ZipArchive::new(Cursor::new(bytes)).map_err(broken)?;
        let mut entries = HashMap::new();
        for index in 0..zip.len() {
            let entry = zip.by_index_raw(index).map_err(broken)?;
            let name = entry.name().map_err(broken)?;
            if entry.compression() != CompressionMethod::Stored {
                return Err(format!("{name} compressed"));
            }
            let start = entry.data_start().and_then(|start| usize::try_from(start).ok());
            let length = usize::try_from(entry.size()).ok();
            let end = start.zip(length).and_then(|(start, length)| start.checked_add(length));
            if let (Some(start), Some(end)) = (start, end) {
                let bare = name.split_once('/').map_or(&*name, |(_, bare)| bare);
                entries.insert(bare.to_owned(), start..end);
            }
        }
        Ok(Self { entries })
    }

    fn entry(&self, name: &str) -> Option<Range<usize>> {
        self.entries.get(name).cloned()
    }
}

/// What a pickle says of one tensor: the arguments of `torch._utils._rebuild_tensor_v2`.
struct Record<'a> {
    storage_type: &'a str,
    storage: &'a str,
    /// In numbers, not bytes.
    offset: usize,
    shape: Vec<usize>,
    strides: Vec<usize>,
}

impl<'a> Record<'a> {
    /// `None` for everything that is no tensor.
    fn read(pickle: &'a Pickle, value: Id) -> Option<Self> {
        if let Some(&[data, ..]) = pickle.call(value, "torch._utils _rebuild_parameter") {
            return Self::read(pickle, data);
        }
        let &[storage, offset, shape, strides, ..] =
            pickle.call(value, "torch._utils _rebuild_tensor_v2")?
        else {
            return None;
        };
        let super::pickle::Node::Persistent(storage) = *pickle.node(storage) else { return None };
        let &[_, storage_type, storage, ..] = pickle.tuple(storage)? else { return None };
        Some(Self {
            storage_type: pickle.global(storage_type)?,
            storage: pickle.text(storage)?,
            offset: pickle.size(offset)?,
            shape: pickle.sizes(shape)?,
            strides: pickle.sizes(strides)?,
        })
    }

    fn tensor(
        self,
        file: &Arc<CheckpointFile>,
        archive: &Archive,
        key: &str,
    ) -> Result<Tensor, Error> {
        let refuse = |expected: &'static str, found: String| Error::Storage {
            path: file.path.clone(),
            key: key.to_owned(),
            expected,
            found,
        };
        let dtype = match self.storage_type {
            "torch DoubleStorage" => Dtype::F64,
            "torch FloatStorage" => Dtype::F32,
            "torch HalfStorage" => Dtype::F16,
            "torch BFloat16Storage" => Dtype::Bf16,
            other => return Err(refuse("numbers of type f64, f32, f16 or bf16", other.to_owned())),
        };
        let storage = archive.entry(&format!("data/{}", self.storage));
        let storage =
            storage.ok_or_else(|| refuse("its storage in the file", "none".to_owned()))?;
        let beyond = || refuse("numbers inside its storage", "some beyond its end".to_owned());
        let start = self
            .offset
            .checked_mul(dtype.size())
            .and_then(|offset| storage.start.checked_add(offset))
            .ok_or_else(beyond)?;
        Tensor::strided(file, key, dtype, self.shape, self.strides, start)
            .filter(|t| t.ends_before(storage.end))
            .ok_or_else(beyond)
    }
}
