//! Checkpoints: safetensors, torch's zip, and the pickle in it.

use std::{
    fs::File,
    io::{Cursor, Read, Write},
    path::Path,
};

use coca_quantize::checkpoint::Checkpoint;
use safetensors::{Dtype, tensor::TensorView};
use zip::{CompressionMethod, ZipArchive, ZipWriter, result::ZipError, write::SimpleFileOptions};

use crate::{
    Seeds, Target,
    scratch::{repository, with_file},
};

pub(crate) const TARGETS: &[Target] = &[
    Target {
        name: "safetensors",
        run: checkpoint,
        seeds: safetensors_files,
        words: &[
            "\"dtype\":\"F64\"",
            "\"dtype\":\"F16\"",
            "\"dtype\":\"BF16\"",
            "\"dtype\":\"I64\"",
            "\"shape\":[]",
            "\"data_offsets\":[0,0]",
            "__metadata__",
            "module.",
            "{",
            "}",
            ",0",
        ],
        memory: 16 << 20,
        is_slow: false,
    },
    Target {
        name: "torch_zip",
        run: checkpoint,
        seeds: torch_files,
        words: &["PK\x03\x04", "PK\x01\x02", "PK\x05\x06", "PK\x06\x06", "archive/data.pkl"],
        memory: 16 << 20,
        is_slow: false,
    },
    Target {
        name: "pickle",
        run: pickle,
        seeds: pickles,
        words: &[
            "ctorch._utils\n_rebuild_tensor_v2\n",
            "ctorch\nHalfStorage\n",
            "ccollections\nOrderedDict\n",
            "ctorch._utils\n_rebuild_parameter\n",
            "cposix\nsystem\n",
            "((",
            "tQ",
            "tR",
            "}(",
            "u.",
            "q\0h\0",
            "\u{1}",
            "X\x04\0\0\0true",
            "K\0K\x02\u{2}",
        ],
        memory: 64 << 20,
        is_slow: false,
    },
];

/// Names of tensors in the seeds, and their shape.
const KEYS: [&str; 3] = ["a", "module.b", "logit_scale"];
const SHAPE: [usize; 2] = [2, 3];

fn safetensors_files() -> Seeds {
    let data: Vec<u8> = (0..6_u8).flat_map(|number| f32::from(number).to_le_bytes()).collect();
    let mut files = Vec::new();
    for (dtype, size) in [(Dtype::F32, 24), (Dtype::F16, 12), (Dtype::BF16, 12)] {
        let matrix = || TensorView::new(dtype, SHAPE.to_vec(), &data[..size]);
        let scalar = TensorView::new(Dtype::F32, Vec::new(), &data[4..8])?;
        let tensors = [(KEYS[0], matrix()?), (KEYS[1], matrix()?), (KEYS[2], scalar)];
        files.push(safetensors::serialize(tensors, None)?);
    }
    Ok(files)
}

/// The pickle of a checkpoint of torch's, and a short one that `pickle` wrote, of a dictionary of one tensor.
fn pickles() -> Seeds {
    let golden = "tests/golden/transformers/tinyclip/pytorch_model.bin";
    let mut archive = ZipArchive::new(File::open(repository(golden))?)?;
    let mut names = archive.file_names().filter_map(Result::ok).map(|name| name.into_owned());
    let name = names.find(|name| name.ends_with("data.pkl")).ok_or("no data.pkl")?;
    drop(names);
    let mut table = Vec::new();
    archive.by_name(&name)?.read_to_end(&mut table)?;
    Ok(vec![short_pickle(), table])
}

fn short_pickle() -> Vec<u8> {
    let tensor = b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000\
        X\x03\0\0\0cpuK\x06tQK\0(K\x02K\x03t(K\x03K\x01t\x89ccollections\nOrderedDict\n)RtR";
    let parts: [&[u8]; 7] =
        [b"\x80\x02}(", b"X\x01\0\0\0a", tensor, b"X\x08\0\0\0module.b", tensor, b"u", b"."];
    parts.concat()
}

fn torch_files() -> Seeds {
    Ok(vec![zipped(&short_pickle())?])
}

/// A torch zip with this pickle and a storage of six floats.
fn zipped(pickle: &[u8]) -> Result<Vec<u8>, ZipError> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    zip.start_file("archive/data.pkl", options)?;
    zip.write_all(pickle)?;
    zip.start_file("archive/byteorder", options)?;
    zip.write_all(b"little")?;
    zip.start_file("archive/data/0", options)?;
    zip.write_all(&[0; 24])?;
    Ok(zip.finish()?.into_inner())
}

fn checkpoint(bytes: &[u8]) {
    with_file(bytes, read);
}

fn pickle(bytes: &[u8]) {
    if let Ok(file) = zipped(bytes) {
        checkpoint(&file);
    }
}

/// Reads a checkpoint and the elements of its tensors.
fn read(path: &Path) {
    let Ok(mut checkpoint) = Checkpoint::open(path) else { return };
    for key in KEYS {
        for shape in [&SHAPE[..], &[3, 2], &[6], &[]] {
            let Ok(tensor) = checkpoint.take(key, shape) else { continue };
            assert_eq!(tensor.len(), shape.iter().product::<usize>());
            if let Ok(values) = tensor.values() {
                assert_eq!(values.len(), tensor.len());
            }
            let _ = tensor.rows(1..9).transposed().values();
        }
    }
    let _ = checkpoint.take_logarithm(KEYS[2]);
    let _ = checkpoint.finish();
}
