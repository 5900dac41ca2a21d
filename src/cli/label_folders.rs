//! A folder of pictures for each label.

use std::path::{Path, PathBuf};

use anyhow::Context;

use super::Usage;

/// The subfolders of `folder` and their names, sorted; hidden ones are left out.
pub(super) fn label_folders(folder: &Path) -> anyhow::Result<Vec<(String, PathBuf)>> {
    let unreadable = || format!("{}: cannot be read as a folder", folder.display());
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(unreadable)? {
        let path = entry.with_context(unreadable)?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            let path = path.display();
            return Err(Usage(format!("{path}: expected a label in UTF-8 as its name")).into());
        };
        if path.is_dir() && !name.starts_with('.') {
            folders.push((name.to_owned(), path));
        }
    }
    if folders.is_empty() {
        let folder = folder.display();
        let expected = "expected a folder of pictures for each label, found none";
        return Err(Usage(format!("{folder}: {expected}")).into());
    }
    folders.sort();
    Ok(folders)
}
