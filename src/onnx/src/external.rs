//! External data: tensors whose bytes stand in a file beside the graph.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use tract_onnx::pb::{GraphProto, TensorProto, tensor_proto::DataLocation};

use crate::Error;

/// The files that external data may stand in.
pub trait ExternalFiles {
    /// The bytes of the file that graphs call `name`; `None` if it is not at hand.
    fn file(&self, name: &str) -> Option<&[u8]>;
}

impl ExternalFiles for BTreeMap<String, Vec<u8>> {
    fn file(&self, name: &str) -> Option<&[u8]> {
        self.get(name).map(Vec::as_slice)
    }
}

/// Whether the bytes of `tensor` stand in a file beside the graph.
#[must_use]
pub fn is_external(tensor: &TensorProto) -> bool {
    tensor.data_location == Some(DataLocation::External as i32)
}

/// Names of the files that external data of `graph` stands in.
#[must_use]
pub fn external_files(graph: &GraphProto) -> BTreeSet<String> {
    let external = graph.initializer.iter().filter(|tensor| is_external(tensor));
    let entries = external.flat_map(|tensor| &tensor.external_data);
    entries.filter(|entry| entry.key == "location").map(|entry| entry.value.clone()).collect()
}

/// The range of a file that the bytes of a tensor are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExternalRange {
    /// The file's name.
    pub file: String,
    /// Its first byte.
    pub start: usize,
    /// The byte behind its last; not before `start`.
    pub end: usize,
}

impl ExternalRange {
    /// Reads the reference of an [external](is_external) tensor. The file is not looked at.
    ///
    /// # Errors
    /// [`Error::Tensor`] when location, offset or length is missing, or not a number, or beyond any file.
    pub fn of(tensor: &TensorProto) -> Result<Self, Error> {
        let entry = |key: &str| {
            tensor.external_data.iter().find(|e| e.key == key).map(|e| e.value.as_str())
        };
        let broken = |found: String| Error::Tensor {
            tensor: tensor.name.clone(),
            expected: "external data with a location, an offset and a length".to_owned(),
            found,
        };
        let number = |key: &str| {
            let text = entry(key).unwrap_or("nothing");
            text.parse::<usize>().map_err(|_| broken(format!("{key} {text}")))
        };
        let file = entry("location").ok_or_else(|| broken("no location".to_owned()))?.to_owned();
        let start = number("offset")?;
        let end = start
            .checked_add(number("length")?)
            .ok_or_else(|| broken("a range beyond any file".to_owned()))?;
        Ok(Self { file, start, end })
    }

    /// The range alone.
    #[must_use]
    pub fn bytes(&self) -> Range<usize> {
        self.start..self.end
    }

    /// The bytes, which are those of `tensor`.
    ///
    /// # Errors
    /// [`Error::MissingFile`], and [`Error::Tensor`] when the range goes beyond the end of the file.
    pub fn read<'f>(
        &self,
        tensor: &TensorProto,
        files: &'f (impl ExternalFiles + ?Sized),
    ) -> Result<&'f [u8], Error> {
        let file = files.file(&self.file).ok_or_else(|| Error::MissingFile {
            tensor: tensor.name.clone(),
            file: self.file.clone(),
        })?;
        file.get(self.bytes()).ok_or_else(|| Error::Tensor {
            tensor: tensor.name.clone(),
            expected: format!("bytes {} to {} of {}", self.start, self.end, self.file),
            found: format!("a file of {} bytes", file.len()),
        })
    }
}

/// The bytes of a tensor, little-endian, wherever they stand: in a file, in `raw_data`, or in the typed fields
/// for f32, int32 and narrower, and int64.
///
/// # Errors
/// As [`ExternalRange::of`] and [`ExternalRange::read`].
pub fn tensor_bytes<'a>(
    tensor: &'a TensorProto,
    files: &'a (impl ExternalFiles + ?Sized),
) -> Result<Cow<'a, [u8]>, Error> {
    use tract_onnx::pb::tensor_proto::DataType;
    if is_external(tensor) {
        return ExternalRange::of(tensor)?.read(tensor, files).map(Cow::Borrowed);
    }
    if !tensor.raw_data.is_empty() {
        return Ok(Cow::Borrowed(&tensor.raw_data));
    }
    let integers = &tensor.int32_data;
    Ok(match DataType::try_from(tensor.data_type) {
        Ok(DataType::Float) => tensor.float_data.iter().flat_map(|v| v.to_le_bytes()).collect(),
        Ok(DataType::Int64) => tensor.int64_data.iter().flat_map(|v| v.to_le_bytes()).collect(),
        Ok(DataType::Int32) => integers.iter().flat_map(|v| v.to_le_bytes()).collect(),
        // Halves stand in the low bits of 32-bit integers, as do bytes.
        Ok(DataType::Float16) => integers.iter().flat_map(|&v| (v as u16).to_le_bytes()).collect(),
        Ok(DataType::Int8 | DataType::Uint8) => integers.iter().map(|&v| v as u8).collect(),
        _ => Cow::Borrowed(&[]),
    })
}

#[cfg(test)]
mod tests {
    use tract_onnx::pb::StringStringEntryProto;

    use super::*;

    fn external(entries: &[(&str, &str)]) -> TensorProto {
        let entry = |&(key, value): &(&str, &str)| StringStringEntryProto {
            key: key.to_owned(),
            value: value.to_owned(),
        };
        TensorProto {
            name: "weight".to_owned(),
            data_location: Some(DataLocation::External as i32),
            external_data: entries.iter().map(entry).collect(),
            ..TensorProto::default()
        }
    }

    fn read(offset: &str, length: &str) -> Result<Vec<u8>, String> {
        let files = BTreeMap::from([("w.bin".to_owned(), vec![1, 2, 3, 4])]);
        let tensor = external(&[("location", "w.bin"), ("offset", offset), ("length", length)]);
        tensor_bytes(&tensor, &files).map(Cow::into_owned).map_err(|e| e.to_string())
    }

    #[test]
    fn a_range_inside_its_file_is_read() {
        assert_eq!(read("1", "2"), Ok(vec![2, 3]));
        assert_eq!(read("4", "0"), Ok(vec![]));
    }

    #[test]
    fn a_range_beyond_its_file_is_an_error_with_both_sizes() {
        let error = "weight: expected bytes 1 to 5 of w.bin, found a file of 4 bytes";
        assert_eq!(read("1", "4"), Err(error.to_owned()));
        assert!(read(&usize::MAX.to_string(), "1").unwrap_err().contains("beyond any file"));
        assert!(read("-1", "1").unwrap_err().ends_with("found offset -1"));
    }

    #[test]
    fn a_reference_without_location_and_one_to_no_file_are_errors() {
        let none = BTreeMap::new();
        let error = tensor_bytes(&external(&[("offset", "0")]), &none).unwrap_err();
        assert!(error.to_string().ends_with("found no location"), "{error}");
        let entries = [("location", "../secret"), ("offset", "0"), ("length", "1")];
        let error = tensor_bytes(&external(&entries), &none).unwrap_err();
        assert!(matches!(error, Error::MissingFile { file, .. } if file == "../secret"));
    }
}
