//! Label tables: files of text embeddings that are computed once.
//!
//! A table is a safetensors file with one tensor, `embeddings` f32 `[labels, E]`. Its metadata holds the
//! labels, the templates, the model's fingerprint and the SHA-256 of the tensor. Format 1 held f16, which
//! moves scores by up to some 1e-4; it is still read.

use std::{collections::HashMap, io::Write, path::Path};

use coca_host::OutputFile;
use half::f16;
use ndarray::Array2;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use sha2::{Digest, Sha256};

use super::{Error, Labels};
use crate::bundle::{Fingerprint, hexadecimal};

/// Value of the metadata's `format`.
const FORMAT: &str = "coca-labels-2";
/// The format with 16-bit embeddings.
const FORMAT_IN_F16: &str = "coca-labels-1";
const TENSOR: &str = "embeddings";

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
        let bytes = std::fs::read(path)
            .map_err(|source| Error::TableFile { path: path.to_path_buf(), source })?;
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
        Self::new(table.labels, table.templates, table.embeddings, logit_scale, model)
    }

    fn to_bytes(&self) -> Result<Vec<u8>, safetensors::SafeTensorError> {
        let data: Vec<u8> = self.embeddings().iter().flat_map(|x| x.to_le_bytes()).collect();
        let list = |texts: &[String]| serde_json::Value::from(texts).to_string();
        let metadata = HashMap::from([
            ("format".to_owned(), FORMAT.to_owned()),
            ("model".to_owned(), self.model().to_string()),
            ("labels".to_owned(), list(self.names())),
            ("templates".to_owned(), list(self.templates())),
            ("sha256".to_owned(), hexadecimal(&Sha256::digest(&data))),
        ]);
        let shape = self.embeddings().shape().to_vec();
        let tensor = TensorView::new(Dtype::F32, shape, &data)?;
        safetensors::serialize([(TENSOR, tensor)], Some(metadata))
    }
}

/// The contents of a table.
struct Table {
    labels: Vec<String>,
    templates: Vec<String>,
    model: String,
    embeddings: Array2<f32>,
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
        let dtype = match entry("format")? {
            FORMAT => Dtype::F32,
            FORMAT_IN_F16 => Dtype::F16,
            other => return Err(format!("format: expected {FORMAT}, found {other:?}")),
        };
        let (labels, templates) = (list("labels")?, list("templates")?);
        let tensors = SafeTensors::deserialize(bytes).map_err(|e| e.to_string())?;
        let tensor = tensors.tensor(TENSOR).map_err(|e| e.to_string())?;
        let (expected, found) = (entry("sha256")?, hexadecimal(&Sha256::digest(tensor.data())));
        if found != expected {
            return Err(format!("sha256: expected {expected:?}, found {found}"));
        }
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
        Ok(Self { labels, templates, model: entry("model")?.to_owned(), embeddings })
    }
}

fn elements(dtype: Dtype, bytes: &[u8]) -> Vec<f32> {
    if dtype == Dtype::F16 {
        bytes.as_chunks().0.iter().map(|&b| f16::from_le_bytes(b).to_f32()).collect()
    } else {
        bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect()
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;
    use proptest::prelude::*;

    use super::*;

    const MODEL: Fingerprint = Fingerprint([7; 32]);

    fn labels() -> Labels {
        let names = ["a cat", "ein Hund, \"groß\""].map(str::to_owned).to_vec();
        let templates = vec!["a photo of {}.".to_owned(), "{}".to_owned()];
        Labels::new(names, templates, array![[0.6, 0.8, 0.0], [0.0, -1.0, 0.0]], 100.0, MODEL)
            .unwrap()
    }

    fn load(bytes: &[u8], model: Fingerprint) -> Result<Labels, Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels.table");
        std::fs::write(&path, bytes).unwrap();
        Labels::load(&path, model, 100.0)
    }

    /// `labels` as format 1 stored them.
    fn in_f16(labels: &Labels) -> Vec<u8> {
        let bytes = labels.to_bytes().unwrap();
        let mut metadata =
            SafeTensors::read_metadata(&bytes).unwrap().1.metadata().clone().unwrap();
        let data: Vec<u8> =
            labels.embeddings().iter().flat_map(|&x| f16::from_f32(x).to_le_bytes()).collect();
        metadata.insert("format".to_owned(), "coca-labels-1".to_owned());
        metadata.insert("sha256".to_owned(), hexadecimal(&Sha256::digest(&data)));
        let shape = labels.embeddings().shape().to_vec();
        let tensor = TensorView::new(Dtype::F16, shape, &data).unwrap();
        safetensors::serialize([("embeddings", tensor)], Some(metadata)).unwrap()
    }

    fn assert_same_but_for(back: &Labels, tolerance: f32) {
        assert_eq!((back.names(), back.templates()), (labels().names(), labels().templates()));
        let off = back.embeddings() - labels().embeddings();
        let worst = off.fold(0_f32, |worst, off| worst.max(off.abs()));
        assert!(worst <= tolerance, "{worst}");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_a_table_and_a_device_stay_what_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let (table, link) = (folder.path().join("table"), folder.path().join("link"));
        std::os::unix::fs::symlink(&table, &link).unwrap();
        labels().save(&link).unwrap();
        assert!(link.is_symlink() && table.is_file());
        labels().save("/dev/null").unwrap();
        assert!(!std::path::Path::new("/dev/null").is_file());
    }

    #[test]
    fn a_saved_table_comes_back_with_its_labels_templates_and_every_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels.table");
        labels().save(&path).unwrap();
        assert_same_but_for(&Labels::load(&path, MODEL, 100.0).unwrap(), 0.0);
    }

    #[test]
    fn a_table_of_the_first_format_is_still_read() {
        assert_same_but_for(&load(&in_f16(&labels()), MODEL).unwrap(), 1e-3);
    }

    #[test]
    fn a_format_that_holds_other_numbers_than_it_says_is_refused() {
        let mut bytes = in_f16(&labels());
        let at = bytes.windows(13).position(|w| w == b"coca-labels-1").unwrap();
        bytes[at + 12] = b'2';
        let error = load(&bytes, MODEL).unwrap_err().to_string();
        assert!(error.contains("expected F32 [labels, embedding], found F16 [2, 3]"), "{error}");
    }

    #[test]
    fn a_table_of_another_model_is_refused() {
        let error = load(&labels().to_bytes().unwrap(), Fingerprint([8; 32])).unwrap_err();
        assert!(error.to_string().contains("made with another model"), "{error}");
    }

    #[test]
    fn a_table_that_does_not_say_which_model_made_it_is_no_table() {
        let bytes = labels().to_bytes().unwrap();
        let mut metadata =
            SafeTensors::read_metadata(&bytes).unwrap().1.metadata().clone().unwrap();
        metadata.remove("model");
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let bytes = safetensors::serialize(tensors.iter(), Some(metadata)).unwrap();
        let error = load(&bytes, MODEL).unwrap_err();
        assert!(
            matches!(&error, Error::NotATable { reason, .. } if reason.starts_with("model: missing"))
        );
    }

    #[test]
    fn an_altered_table_is_refused() {
        let mut bytes = labels().to_bytes().unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        assert!(load(&bytes, MODEL).unwrap_err().to_string().contains("sha256"));
    }

    #[test]
    fn a_table_that_cannot_be_written_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        assert!(labels().save(folder.path().join("no/such/folder.table")).is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    proptest! {
        #[test]
        fn any_bytes_end_in_a_table_or_an_error(cut in 0_usize..400, at in 0_usize..400, value: u8) {
            let mut bytes = labels().to_bytes().unwrap();
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
            bytes.truncate(cut.max(at));
            let _ = load(&bytes, MODEL);
        }
    }
}
