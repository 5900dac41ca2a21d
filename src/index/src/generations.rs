//! Names of the files that embeddings stand in: `codes-G`, `scales-G` and `vectors-G` of generation `G`.

use std::{
    ffi::{OsStr, OsString},
    fs, io,
    path::{Path, PathBuf},
};

const STEMS: [&str; 3] = ["codes", "scales", "vectors"];

/// The path of each file, in the order codes, scales, vectors.
pub(crate) fn paths(folder: &Path, generation: u64) -> [PathBuf; 3] {
    STEMS.map(|stem| folder.join(format!("{stem}-{generation}")))
}

/// The generation of a file of this name; `None` if no file of an index is named like that.
fn generation_of(name: &OsStr) -> Option<u64> {
    let (stem, digits) = name.to_str()?.split_once('-')?;
    let generation: u64 = digits.parse().ok()?;
    // "+1" and "01" are numbers too.
    (STEMS.contains(&stem) && generation.to_string() == digits).then_some(generation)
}

/// The name of something in `folder` that is named as a file of an index is, of any generation.
pub(crate) fn find(folder: &Path) -> io::Result<Option<OsString>> {
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        if generation_of(&name).is_some() {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// Removes the files that compactions left in the `folder` of an index of this generation: of earlier ones, which readers had
/// open, and of the next one, whose writer was interrupted. Those that cannot be removed stay for the next writer: on Windows,
/// a reader has them mapped.
pub(crate) fn remove_others(folder: &Path, generation: u64) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let is_left = |other: u64| other < generation || other == generation.wrapping_add(1);
    for entry in entries.flatten() {
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        if is_file && generation_of(&entry.file_name()).is_some_and(is_left) {
            let path = entry.path();
            match fs::remove_file(&path) {
                Ok(()) => log::debug!("{}: removed", path.display()),
                Err(error) => log::debug!("{}: stays: {error}", path.display()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_an_index_to_the_letter() {
        for [codes, scales, vectors] in [0, 7, u64::MAX].map(|g| paths(Path::new(""), g)) {
            let of = |path: PathBuf| generation_of(path.as_os_str());
            assert!(of(codes.clone()).is_some() && of(codes) == of(scales));
            assert!(of(vectors).is_some());
        }
        for name in [
            "codes",
            "codes-",
            "codes-+1",
            "codes-01",
            "codes--1",
            "codes-1.bak",
            "codes-1-2",
            "Codes-1",
            "codes-18446744073709551616",
            "words-1",
            "codes-a",
            "1",
            "",
        ] {
            assert_eq!(generation_of(OsStr::new(name)), None, "{name}");
        }
    }

    #[test]
    fn what_no_compaction_left_stays() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let kept = ["codes-2", "vectors-2", "codes-4", "scales-1999", "codes-01", "codes-1.bak"];
        let removed = ["codes-0", "scales-1", "vectors-3"];
        for name in kept.iter().chain(&removed) {
            fs::write(at(name), name).unwrap();
        }
        fs::create_dir(at("codes-3")).unwrap();
        remove_others(folder.path(), 2);
        assert!(kept.iter().all(|name| at(name).is_file()));
        assert!(removed.iter().all(|name| !at(name).exists()));
        assert!(at("codes-3").is_dir());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_with_the_name_of_a_file_of_an_index_stays() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("codes-1");
        std::os::unix::fs::symlink("thesis", &link).unwrap();
        remove_others(folder.path(), 0);
        assert!(link.is_symlink());
    }
}
