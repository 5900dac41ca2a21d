//! Label tables: files of text embeddings that are computed once.
//!
//! A table is a safetensors file with the tensor `embeddings` f32 `[labels, E]`. Its metadata holds the
//! labels, the templates, the model's fingerprint and the SHA-256 of the tensors, by name one after the other.
//!
//! | format | |
//! |---|---|
//! | `coca-labels-1` | embeddings in f16, which moves scores by up to some 1e-4; still read |
//! | `coca-labels-2` | names alone |
//! | `coca-labels-3` | pictures too: see `taught_table` |

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    io::{Read, Write},
    path::Path,
};

use coca_host::OutputFile;
use half::f16;
use ndarray::Array2;
use safetensors::{Dtype, SafeTensors};
use sha2::{Digest, Sha256};

use super::{
    Error, Labels,
    taught_table::{self, TaughtPart, Tensor},
};
use crate::bundle::{Fingerprint, hexadecimal};

/// Value of the metadata's `format`.
const FORMAT: &str = "coca-labels-2";
/// The format of labels that pictures have taught.
const FORMAT_TAUGHT: &str = "coca-labels-3";
/// The format with 16-bit embeddings.
const FORMAT_IN_F16: &str = "coca-labels-1";
const TENSOR: &str = "embeddings";
/// Largest file: some 50,000 labels of a large model.
const MAX_BYTES: u64 = 256 << 20;

impl Labels {
    /// Writes a table to `path`, which is replaced only once the whole table is written; see
    /// [`OutputFile`] for links and devices.
    ///
    /// ```
    /// # #[cfg(feature = "pocket")] {
    /// # use coca_model::Coca;
    /// # let folder = tempfile::tempdir()?;
    /// let path = folder.path().join("pets.table");
    /// let coca = Coca::pocket()?;
    /// coca.labels(["cat", "dog"])?.save(&path)?;
    /// assert_eq!(coca.load_labels(&path)?.names(), ["cat", "dog"]);
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::TableFile`] when the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        let path = path.as_ref();
        let failed = |source| Error::TableFile { path: path.to_path_buf(), source };
        let bytes = self.to_bytes().map_err(|e| failed(std::io::Error::other(e.to_string())))?;
        let mut file = OutputFile::create(path).map_err(failed)?;
        file.write_all(&bytes).and_then(|()| file.sync()).map_err(failed)?;
        file.commit().map_err(failed)
    }

    /// Reads the table at `path`, which must have been made with the model `model`.
    ///
    /// # Errors
    /// [`Error::NotATable`] when the file is something else, cut off or altered,
    /// [`Error::OtherTable`] when another model made it.
    pub fn load(
        path: impl AsRef<Path>,
        model: Fingerprint,
        logit_scale: f32,
    ) -> Result<Self, Error> {
        let path = path.as_ref();
        let mut bytes = Vec::new();
        File::open(path)
            .and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
            .map_err(|source| Error::TableFile { path: path.to_path_buf(), source })?;
        if bytes.len() as u64 > MAX_BYTES {
            let reason = format!("expected at most {MAX_BYTES} bytes");
            return Err(Error::NotATable { path: path.to_path_buf(), reason });
        }
        Self::parse(&bytes, path, model, logit_scale)
    }

    /// Reads a table's bytes; `path` is for messages.
    pub(super) fn parse(
        bytes: &[u8],
        path: &Path,
        model: Fingerprint,
        logit_scale: f32,
    ) -> Result<Self, Error> {
        let table = Table::read(bytes)
            .map_err(|reason| Error::NotATable { path: path.to_path_buf(), reason })?;
        if table.model != model.to_string() {
            return Err(Error::OtherTable {
                path: path.to_path_buf(),
                expected: model.to_string(),
                found: table.model,
            });
        }
        let Table { labels, templates, embeddings, taught, .. } = table;
        let mut labels = Self::new(labels, templates, embeddings, logit_scale, model)?;
        if let Some(TaughtPart { taught, none }) = taught {
            labels.taught = Some(taught);
            if let Some((name, rule)) = none {
                labels.set_none(name, rule)?;
            }
        }
        Ok(labels)
    }

    /// The bytes of a table.
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, safetensors::SafeTensorError> {
        let list = |texts: &[String]| serde_json::Value::from(texts).to_string();
        let mut metadata = HashMap::from([
            ("model".to_owned(), self.model().to_string()),
            ("labels".to_owned(), list(self.named())),
            ("templates".to_owned(), list(self.templates())),
        ]);
        let mut tensors = BTreeMap::from([(TENSOR, Tensor::of(self.embeddings()))]);
        let format = match &self.taught {
            None => FORMAT,
            Some(taught) => {
                let none = self.none().zip(self.none_rule());
                let (description, more) = taught_table::write(taught, none);
                metadata.insert(taught_table::KEY.to_owned(), description);
                tensors.extend(more);
                FORMAT_TAUGHT
            }
        };
        let mut hash = Sha256::new();
        tensors.values().for_each(|tensor| hash.update(&tensor.data));
        metadata.insert("format".to_owned(), format.to_owned());
        metadata.insert("sha256".to_owned(), hexadecimal(&hash.finalize()));
        let mut views = Vec::new();
        for (name, tensor) in &tensors {
            views.push((*name, tensor.view()?));
        }
        safetensors::serialize(views, Some(metadata))
    }
}

/// The contents of a table.
struct Table {
    labels: Vec<String>,
    templates: Vec<String>,
    model: String,
    embeddings: Array2<f32>,
    taught: Option<TaughtPart>,
}

impl Table {
    fn read(bytes: &[u8]) -> Result<Self, String> {
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| e.to_string())?;
        let entry = |key: &str| {
            let value = header.metadata().as_ref().and_then(|metadata| metadata.get(key));
            value.map(String::as_str).ok_or_else(|| format!("{key}: missing in its metadata"))
        };
        let list = |key: &str| {
            serde_json::from_str::<Vec<String>>(entry(key)?)
                .map_err(|e| format!("{key}: expected a list of texts: {e}"))
        };
        let format = entry("format")?;
        let dtype = match format {
            FORMAT | FORMAT_TAUGHT => Dtype::F32,
            FORMAT_IN_F16 => Dtype::F16,
            other => return Err(format!("format: expected {FORMAT_TAUGHT}, found {other:?}")),
        };
        let (labels, templates) = (list("labels")?, list("templates")?);
        let tensors = SafeTensors::deserialize(bytes).map_err(|e| e.to_string())?;
        let (expected, found) = (entry("sha256")?, checksum(&tensors));
        if found != expected {
            return Err(format!("sha256: expected {expected:?}, found {found}"));
        }
        let tensor = tensors.tensor(TENSOR).map_err(|e| e.to_string())?;
        let (true, &[rows, columns]) = (tensor.dtype() == dtype, tensor.shape()) else {
            let found = format!("{} {:?}", tensor.dtype(), tensor.shape());
            return Err(format!("{TENSOR}: expected {dtype} [labels, embedding], found {found}"));
        };
        if rows != labels.len() {
            return Err(format!("{TENSOR}: expected {} rows, found {rows}", labels.len()));
        }
        let embeddings = Array2::from_shape_vec((rows, columns), elements(dtype, tensor.data()))
            .map_err(|e| e.to_string())?;
        if !embeddings.iter().all(|element| element.is_finite()) {
            return Err(format!("{TENSOR}: expected finite numbers"));
        }
        taught_table::check_lengths(TENSOR, &embeddings)?;
        let taught = match format {
            FORMAT_TAUGHT => {
                Some(taught_table::read(entry(taught_table::KEY)?, &tensors, (rows, columns))?)
            }
            _ => None,
        };
        Ok(Self { labels, templates, model: entry("model")?.to_owned(), embeddings, taught })
    }
}

/// SHA-256 of the tensors, in the order of their names.
fn checksum(tensors: &SafeTensors<'_>) -> String {
    let by_name: BTreeMap<_, _> = tensors.iter().collect();
    let mut hash = Sha256::new();
    by_name.values().for_each(|tensor| hash.update(tensor.data()));
    hexadecimal(&hash.finalize())
}

fn elements(dtype: Dtype, bytes: &[u8]) -> Vec<f32> {
    if dtype == Dtype::F16 {
        bytes.as_chunks().0.iter().map(|&b| f16::from_le_bytes(b).to_f32()).collect()
    } else {
        bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect()
    }
}
