//! The structure that ARCHITECTURE.md describes: crates, modules, pages; and the tests that SECURITY.md names.
#![allow(clippy::unwrap_used, missing_docs)]

mod crates;
mod links;
mod modules;
mod security;

use std::{collections::BTreeMap, path::Path, process::Command};

use serde::Deserialize;

/// `cargo metadata` of this workspace, without dependencies from elsewhere.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    description: Option<String>,
    license: Option<String>,
    license_file: Option<String>,
    readme: Option<String>,
    rust_version: Option<String>,
    /// The registries that it may be published to; `None` for all.
    publish: Option<Vec<String>>,
    keywords: Vec<String>,
    categories: Vec<String>,
    manifest_path: String,
    dependencies: Vec<Dependency>,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
    path: Option<String>,
}

#[derive(Deserialize)]
struct Target {
    kind: Vec<String>,
    src_path: String,
}

impl Package {
    fn folder(&self) -> &Path {
        Path::new(&self.manifest_path).parent().unwrap()
    }

    /// The roots of its library and programs: `lib.rs`, `main.rs`.
    fn roots(&self) -> impl Iterator<Item = &Path> {
        let shipped =
            |target: &&Target| target.kind.iter().any(|kind| kind == "lib" || kind == "bin");
        self.targets.iter().filter(shipped).map(|target| Path::new(&target.src_path))
    }
}

/// The crates of this workspace that are published, by name.
fn workspace() -> BTreeMap<String, Package> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Metadata = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata.packages.into_iter();
    let published =
        packages.filter(|package| package.publish.as_ref().is_none_or(|to| !to.is_empty()));
    published.map(|package| (package.name.clone(), package)).collect()
}
