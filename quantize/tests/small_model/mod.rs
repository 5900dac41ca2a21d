//! The small checkpoints of `tests/golden/open_clip`, imported and ready for int8.

use std::{
    fs,
    path::{Path, PathBuf},
};

use coca_quantize::{
    import::{self, import},
    int8::{Error, Options, Report, int8},
    onnx::Storage,
};
use prost::Message;
use tempfile::TempDir;
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, TensorProto};

/// A small model in 32 or 16 bits, in the folder `in`.
pub(crate) struct Model {
    pub(crate) folder: TempDir,
}

impl Model {
    pub(crate) fn imported(name: &str, storage: Storage) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let golden =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/open_clip").join(name);
        let options = import::Options { storage, config: None, progress: false };
        import(golden.to_str().unwrap(), &folder.path().join("in"), &options, &|_| ()).unwrap();
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Makes the int8 model in the folder `out`.
    pub(crate) fn int8(&self, options: &Options) -> Result<Report, Error> {
        int8(&self.path("in"), &self.path("out"), options, &|_| ())
    }

    pub(crate) fn graph(&self, bundle: &str, part: &str) -> GraphProto {
        let bytes = fs::read(self.path(bundle).join(part)).unwrap();
        ModelProto::decode(&*bytes).unwrap().graph.unwrap()
    }
}

pub(crate) fn find<'a>(graph: &'a GraphProto, tensor: &str) -> Option<&'a TensorProto> {
    graph.initializer.iter().find(|t| t.name == tensor)
}

pub(crate) fn producer<'a>(graph: &'a GraphProto, tensor: &str) -> Option<&'a NodeProto> {
    graph.node.iter().find(|node| node.output.contains(&tensor.to_owned()))
}
