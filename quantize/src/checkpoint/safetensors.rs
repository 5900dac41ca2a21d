//! The table of tensors in a safetensors file.

use std::sync::Arc;

use safetensors::{Dtype as Stored, SafeTensors};

use super::{CheckpointFile, Dtype, Error, MAX_RANK, Tensor, has_no_effect};

pub(super) fn tensors(file: &Arc<CheckpointFile>) -> Result<Vec<Tensor>, Error> {
    let broken = |found: String| Error::Format {
        path: file.path.clone(),
        expected: "a whole safetensors file",
        found,
    };
    let bytes = file.bytes();
    // This also checks that the file is as long as its table says.
    let (header, table) = SafeTensors::read_metadata(bytes).map_err(|e| broken(e.to_string()))?;
    table
        .tensors()
        .into_iter()
        .filter(|(key, _)| !has_no_effect(key))
        .map(|(key, info)| {
            let dtype = match info.dtype {
                Stored::F64 => Dtype::F64,
                Stored::F32 => Dtype::F32,
                Stored::F16 => Dtype::F16,
                Stored::BF16 => Dtype::Bf16,
                other => {
                    return Err(Error::Storage {
                        path: file.path.clone(),
                        key,
                        expected: "numbers of type f64, f32, f16 or bf16",
                        found: format!("{other:?}"),
                    });
                }
            };
            if info.shape.len() > MAX_RANK {
                return Err(Error::Storage {
                    path: file.path.clone(),
                    key,
                    expected: "at most 8 dimensions",
                    found: info.shape.len().to_string(),
                });
            }
            let start = 8 + header + info.data_offsets.0;
            Tensor::new(file, &key, dtype, info.shape.clone(), start)
                .ok_or_else(|| broken(format!("{key} beyond the end of the file")))
        })
        .collect()
}
