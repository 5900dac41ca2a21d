//! The library without cameras and displays builds for Windows and macOS: what only Unix has stays behind `cfg`.
#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The crates of the portable library.
const CRATES: [&str; 7] = ["host", "kernels", "onnx", "engine", "vision", "text", "model"];

/// Paths and packages that Windows lacks.
const UNIX_ONLY: [&str; 6] =
    ["std::os::unix", "std::os::fd", "std::os::linux", "rustix", "signal_hook", "libc::"];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] });
    files.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}

/// Numbers of the lines that use something of Unix without a `cfg` between them and the empty line before, or for the whole file.
fn unguarded(text: &str) -> Vec<usize> {
    let (mut is_guarded, mut found) = (false, Vec::new());
    if text.contains("\n#![cfg(unix)]\n") {
        return found;
    }
    for (line, number) in text.lines().zip(1..) {
        is_guarded &= !line.trim().is_empty();
        is_guarded |=
            line.contains("cfg(") && (line.contains("unix") || line.contains("target_os"));
        let is_code = !line.trim_start().starts_with("//");
        if is_code && !is_guarded && UNIX_ONLY.iter().any(|name| line.contains(name)) {
            found.push(number);
        }
    }
    found
}

#[test]
fn an_import_without_its_cfg_is_found() {
    assert_eq!(unguarded("use std::os::unix::fs::MetadataExt;\n"), [1]);
    assert_eq!(unguarded("#[cfg(unix)]\nuse std::os::unix::fs::MetadataExt;\n"), [0; 0]);
    assert_eq!(unguarded("#[cfg(unix)]\nuse a;\n\nuse std::os::fd::AsFd;\n"), [4]);
    assert_eq!(unguarded("// as std::os::unix does\n"), [0; 0]);
    assert_eq!(unguarded("//! A module.\n#![cfg(unix)]\n\nuse std::os::fd::AsFd;\n"), [0; 0]);
}

#[test]
fn the_portable_crates_use_nothing_of_unix_without_saying_so() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for name in CRATES {
        let files = sources(&root.join(name).join("src"));
        assert!(!files.is_empty(), "{name}");
        for file in files {
            let found = unguarded(&fs::read_to_string(&file).unwrap());
            assert!(found.is_empty(), "{}: lines {found:?}", file.display());
        }
    }
}

#[test]
fn the_portable_crates_depend_on_no_package_that_windows_lacks() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for name in CRATES {
        let manifest = fs::read_to_string(root.join(name).join("Cargo.toml")).unwrap();
        let everywhere = manifest.split_once("\n[dependencies]\n").map_or("", |(_, behind)| behind);
        let everywhere = everywhere.split("\n[").next().unwrap();
        for package in ["rustix", "signal-hook", "libc", "nix"] {
            let depends = everywhere.lines().any(|line| line.starts_with(&format!("{package} ")));
            assert!(!depends, "{name}: {package} belongs under [target.'cfg(unix)'.dependencies]");
        }
    }
}
