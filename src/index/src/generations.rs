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
}
