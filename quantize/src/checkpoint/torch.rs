//! The table of tensors in a file that `torch.save` wrote: a zip with `data.pkl` and a file for each storage, none
//! compressed.

use std::{
    collections::{BTreeMap, HashMap},
    io::Cursor,
    ops::Range,
    sync::Arc,
};

use zip::{CompressionMethod, ZipArchive};

use super::{
    CheckpointFile, Dtype, Error, MAX_RANK, Tensor, has_no_effect,
    pickle::{Id, Node, Pickle},
};

/// Bytes of `data.pkl`: a hundred times what a model of 10,000 tensors has.
const MAX_TABLE: usize = 1 << 24;
/// Keys that training scripts keep a model's tensors under, the preferred one first.
const STATE_DICTS: [&str; 5] = ["state_dict", "model", "model_state_dict", "state_dict_ema", "ema"];
/// Dictionaries inside dictionaries on the way to the tensors.
const MAX_NESTING: usize = 2;
/// Tensors that an element of the file may belong to, on average: a token embedding may be the output head too.
const MAX_SHARING: u64 = 2;

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
    if table.len() > MAX_TABLE {
        return Err(broken(format!("a data.pkl of {} bytes, more than {MAX_TABLE}", table.len())));
    }
    let big_endian = archive.entry("byteorder").and_then(|range| bytes.get(range));
    if big_endian.is_some_and(|order| order != b"little") {
        return Err(broken("numbers in big-endian order".to_owned()));
    }
    let pickle = Pickle::read(table).map_err(broken)?;
    let entries = state_dict(&pickle, pickle.root(), MAX_NESTING)
        .ok_or_else(|| broken(format!("no table of tensors in data.pkl{}", keys(&pickle))))?;
    // As in Python, the last of several equal keys counts.
    let mut records: BTreeMap<&str, Record> = BTreeMap::new();
    for &(key, value) in entries {
        let Some((key, record)) = pickle.text(key).zip(Record::of(&pickle, value)) else {
            continue;
        };
        if !has_no_effect(key) {
            records.insert(key, record);
        }
    }
    let tensors: Vec<Tensor> = records
        .into_iter()
        .map(|(key, record)| record.tensor(&pickle, file, &archive, key))
        .collect::<Result<_, _>>()?;
    let shared: u64 = tensors.iter().map(Tensor::size).fold(0, u64::saturating_add);
    if shared > MAX_SHARING.saturating_mul(bytes.len() as u64) {
        return Err(broken(format!(
            "tensors of {shared} bytes in a file of {}: too many of them share their elements",
            bytes.len()
        )));
    }
    Ok(tensors)
}

/// The dictionary of tensors: one under a key of [`STATE_DICTS`], else the dictionary `id` itself.
fn state_dict(pickle: &Pickle, id: Id, nesting: usize) -> Option<&[(Id, Id)]> {
    let entries = pickle.dict(id)?;
    let nested = STATE_DICTS.iter().filter(|_| nesting > 0).find_map(|name| {
        let mut values = entries.iter().filter(|(key, _)| pickle.text(*key) == Some(name));
        state_dict(pickle, values.next_back()?.1, nesting - 1)
    });
    let has_tensors = || entries.iter().any(|&(_, value)| Record::of(pickle, value).is_some());
    nested.or_else(|| has_tensors().then_some(entries))
}

/// The first keys of the outermost dictionary, for the error that it has no tensors.
fn keys(pickle: &Pickle) -> String {
    const SHOWN: usize = 8;
    let entries = pickle.dict(pickle.root()).into_iter().flatten();
    let keys: Vec<&str> = entries.filter_map(|&(key, _)| pickle.text(key)).take(SHOWN).collect();
    if keys.is_empty() { String::new() } else { format!(", which has {}", keys.join(", ")) }
}

/// Byte ranges of the zip's files, by their names without the folder that all share.
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
            let range = start.zip(end).map(|(start, end)| start..end);
            let range = range.ok_or_else(|| format!("{name} beyond what can be addressed"))?;
            let bare = name.split_once('/').map_or(&*name, |(_, bare)| bare);
            entries.insert(bare.to_owned(), range);
        }
        Ok(Self { entries })
    }

    fn entry(&self, name: &str) -> Option<Range<usize>> {
        self.entries.get(name).cloned()
    }
}

/// A tensor in the pickle: the arguments of `torch._utils._rebuild_tensor_v2`, not yet looked at.
#[derive(Clone, Copy)]
struct Record<'a> {
    storage_type: &'a str,
    storage: &'a str,
    offset: Id,
    shape: Id,
    strides: Id,
}

impl<'a> Record<'a> {
    /// `None` for every value that is no tensor.
    fn of(pickle: &'a Pickle, value: Id) -> Option<Self> {
        let value = match pickle.call(value, "torch._utils _rebuild_parameter") {
            Some(&[data, ..]) => data,
            _ => value,
        };
        let &[storage, offset, shape, strides, ..] =
            pickle.call(value, "torch._utils _rebuild_tensor_v2")?
        else {
            return None;
        };
        let Node::Persistent(storage) = *pickle.node(storage) else { return None };
        let &[_, storage_type, storage, ..] = pickle.tuple(storage)? else { return None };
        Some(Self {
            storage_type: pickle.global(storage_type)?,
            storage: pickle.text(storage)?,
            offset,
            shape,
            strides,
        })
    }

    fn tensor(
        self,
        pickle: &Pickle,
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
        let rank = pickle.tuple(self.shape).map_or(0, <[Id]>::len);
        if rank > MAX_RANK {
            return Err(refuse("at most 8 dimensions", rank.to_string()));
        }
        let layout = pickle.size(self.offset).zip(pickle.sizes(self.shape));
        let ((offset, shape), strides) = layout
            .zip(pickle.sizes(self.strides))
            .ok_or_else(|| refuse("an offset, a shape and strides", "something else".to_owned()))?;
        let storage = archive.entry(&format!("data/{}", self.storage));
        let storage =
            storage.ok_or_else(|| refuse("its storage in the file", "none".to_owned()))?;
        let beyond = || refuse("numbers inside its storage", "some beyond its end".to_owned());
        let start = offset
            .checked_mul(dtype.size())
            .and_then(|offset| storage.start.checked_add(offset))
            .ok_or_else(beyond)?;
        let tensor = Tensor::strided(file, key, dtype, shape, strides, start)
            .filter(|tensor| tensor.ends_before(storage.end))
            .ok_or_else(beyond)?;
        if tensor.size() > storage.len() as u64 {
            return Err(refuse(
                "no more elements than its storage holds",
                format!("{} in {} bytes", tensor.len(), storage.len()),
            ));
        }
        Ok(tensor)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use zip::{ZipWriter, write::SimpleFileOptions};

    use super::{super::Checkpoint, *};

    /// A pickled text.
    fn text(text: &str) -> Vec<u8> {
        [b"X".as_slice(), &(text.len() as u32).to_le_bytes(), text.as_bytes()].concat()
    }

    /// A pickled tuple of integers.
    fn tuple(integers: &[i32]) -> Vec<u8> {
        let items = integers.iter().flat_map(|i| [b"J".as_slice(), &i.to_le_bytes()].concat());
        [b"(".to_vec(), items.collect(), b"t".to_vec()].concat()
    }

    /// A pickled tensor in the storage `0`.
    fn tensor(shape: &[i32], strides: &[i32]) -> Vec<u8> {
        [
            b"ctorch._utils\n_rebuild_tensor_v2\n((".to_vec(),
            text("storage"),
            b"ctorch\nFloatStorage\n".to_vec(),
            text("0"),
            text("cpu"),
            b"K\x00tQK\x00".to_vec(),
            tuple(shape),
            tuple(strides),
            b"\x89ccollections\nOrderedDict\n)RtR".to_vec(),
        ]
        .concat()
    }

    /// A pickled dictionary.
    fn dict(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let entries = entries.iter().flat_map(|(key, value)| [text(key), value.clone()].concat());
        [b"}(".to_vec(), entries.collect(), b"u".to_vec()].concat()
    }

    /// Opens a checkpoint with this pickle and a storage of `elements` elements.
    fn open(root: &[u8], elements: usize) -> Result<Checkpoint, String> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        zip.start_file("archive/data.pkl", options).unwrap();
        zip.write_all(&[b"\x80\x02", root, b"."].concat()).unwrap();
        zip.start_file("archive/data/0", options).unwrap();
        zip.write_all(&vec![0; 4 * elements]).unwrap();
        file.write_all(zip.finish().unwrap().get_ref()).unwrap();
        Checkpoint::open(file.path())
            .map_err(|error| error.to_string().replace(&format!("{}: ", file.path().display()), ""))
    }

    #[test]
    fn tensors_are_found_under_the_keys_of_training_scripts() {
        let weights = || dict(&[("visual.proj", tensor(&[2], &[1]))]);
        let other = || dict(&[("other", tensor(&[2], &[1]))]);
        for name in STATE_DICTS {
            let root = dict(&[("epoch", b"K\x07".to_vec()), (name, weights())]);
            assert!(open(&root, 2).unwrap().contains("visual.proj"), "{name}");
        }
        let root = dict(&[("ema", other()), ("state_dict", weights())]);
        assert!(open(&root, 2).unwrap().contains("visual.proj"));
        let root = dict(&[("model", dict(&[("state_dict", weights())])), ("ema", other())]);
        assert!(open(&root, 2).unwrap().contains("visual.proj"));
        assert!(open(&weights(), 2).unwrap().contains("visual.proj"));
    }

    #[test]
    fn a_file_without_tensors_is_refused_with_its_keys() {
        let root = dict(&[("epoch", b"K\x07".to_vec()), ("model", dict(&[]))]);
        let expected = "expected a whole torch checkpoint, found no table of tensors in data.pkl, \
                        which has epoch, model";
        assert_eq!(open(&root, 2).err().unwrap(), expected);
    }

    #[test]
    fn a_tensor_of_many_dimensions_is_refused() {
        let ones = [1; 8_000];
        let root = dict(&[("visual.proj", tensor(&ones, &ones))]);
        let expected = "visual.proj: expected at most 8 dimensions, found 8000";
        assert_eq!(open(&root, 2).err().unwrap(), expected);
    }

    #[test]
    fn a_tensor_with_more_elements_than_its_storage_is_refused() {
        let root = dict(&[("visual.proj", tensor(&[16_384, 16_384], &[0, 0]))]);
        let expected = "visual.proj: expected no more elements than its storage holds, found 268435456 in 8 bytes";
        assert_eq!(open(&root, 2).err().unwrap(), expected);
        let transposed = dict(&[("visual.proj", tensor(&[2, 3], &[1, 2]))]);
        assert!(open(&transposed, 6).is_ok());
    }

    #[test]
    fn a_storage_is_shared_by_a_tied_head_and_not_by_a_whole_model() {
        let root = |tensors: usize| {
            let keys: Vec<String> = (0..tensors).map(|i| format!("layer.{i}")).collect();
            let entries: Vec<_> =
                keys.iter().map(|key| (key.as_str(), tensor(&[1_000], &[1]))).collect();
            dict(&entries)
        };
        assert!(open(&root(2), 1_000).is_ok());
        let error = open(&root(10), 1_000).err().unwrap();
        assert!(error.ends_with("too many of them share their elements"), "{error}");
    }
}
