//! Bundles with one file of their own making in them.

use std::{fs, path::Path};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Puts `bytes` in the place of a file and makes coca.json agree.
pub(crate) fn replace(folder: &Path, file: &str, bytes: &[u8]) {
    fs::write(folder.join(file), bytes).unwrap();
    let path = folder.join("coca.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let sha256: String = Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect();
    config["files"][file] = json!({ "bytes": bytes.len(), "sha256": sha256 });
    fs::write(path, config.to_string()).unwrap();
}
