//! Inputs that paths stand for: files, the images in folders, standard input.

use std::{
    collections::BTreeMap,
    fmt, fs, io,
    path::{Path, PathBuf},
};

use crate::Error;

/// File name extensions that count as images in a folder: those of the formats that can be decoded.
const EXTENSIONS: [&str; 6] = ["jpg", "jpeg", "png", "webp", "bmp", "gif"];
/// Folders inside each other that are looked into.
const MAX_DEPTH: usize = 64;

/// Origin of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// Standard input, written `-`.
    Stdin,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Stdin => f.write_str("-"),
        }
    }
}

/// An input that cannot be read. The sentence names it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The file or folder cannot be read.
    #[error("{input}: {source}")]
    Io {
        /// The input.
        input: Source,
        /// Error of the operating system.
        source: std::io::Error,
    },
    /// The folder holds no image.
    #[error("{}: no picture in this folder: expected files that end in {}", path.display(), EXTENSIONS.join(", "))]
    EmptyFolder {
        /// The folder.
        path: PathBuf,
    },
    /// The bytes are no image, or a damaged one.
    #[error("{input}: {source}")]
    Image {
        /// The input.
        input: Source,
        /// Error of the decoder.
        source: Error,
    },
}

impl ReadError {
    /// The error of reading or decoding `input`.
    #[must_use]
    pub fn of(input: Source, error: Error) -> Self {
        match error {
            Error::Read(source) => Self::Io { input, source },
            source => Self::Image { input, source },
        }
    }
}

/// Inputs that paths stand for, and what was left out.
#[derive(Debug, Default)]
pub struct Sources {
    /// Each input, or why it is none. A folder that cannot be expanded stays in its place as an error.
    pub inputs: Vec<(Source, Option<ReadError>)>,
    /// Numbers of files in folders that are no images by their extension, by the extension in lower case.
    pub skipped: BTreeMap<String, usize>,
}

/// Expands paths to inputs: a file, a folder (every image in it and its subfolders, sorted by path) or `-` for standard
/// input.
///
/// Hidden files and folders, whose names begin with a dot, are left out, and links to folders are not followed.
#[must_use]
pub fn sources(names: &[PathBuf]) -> Vec<(Source, Option<ReadError>)> {
    Sources::find(names, true).inputs
}

impl Sources {
    /// As [`sources`]; without the images in subfolders unless `is_recursive`.
    #[must_use]
    pub fn find(names: &[PathBuf], is_recursive: bool) -> Self {
        let mut found = Self::default();
        for name in names {
            found.expand(name, if is_recursive { MAX_DEPTH } else { 0 });
        }
        found
    }

    fn expand(&mut self, name: &Path, depth: usize) {
        if name.as_os_str() == "-" {
            return self.inputs.push((Source::Stdin, None));
        }
        let source = Source::File(name.to_path_buf());
        if !name.is_dir() {
            return self.inputs.push((source, None));
        }
        let mut images = Vec::new();
        let error = match self.look_into(name, depth, &mut images) {
            Ok(()) if images.is_empty() => ReadError::EmptyFolder { path: name.to_path_buf() },
            Ok(()) => {
                images.sort();
                self.inputs.extend(images.into_iter().map(|path| (Source::File(path), None)));
                return;
            }
            Err(error) => ReadError::Io { input: source.clone(), source: error },
        };
        self.inputs.push((source, Some(error)));
    }

    /// Gathers the images of a folder, and of those in it down to `depth`.
    fn look_into(
        &mut self,
        folder: &Path,
        depth: usize,
        images: &mut Vec<PathBuf>,
    ) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                continue;
            }
            let path = entry.path();
            if entry.file_type()?.is_dir() {
                if depth > 0 {
                    self.look_into(&path, depth - 1, images)?;
                }
                continue;
            }
            if !path.is_file() {
                continue;
            }
            if has_image_extension(&path) {
                images.push(path);
            } else {
                *self.skipped.entry(extension_of(&path)).or_default() += 1;
            }
        }
        Ok(())
    }
}

/// Whether a file's name ends like that of an image that can be decoded.
#[must_use]
pub fn has_image_extension(path: &Path) -> bool {
    EXTENSIONS.contains(&extension_of(path).as_str())
}

/// The extension in lower case, empty without one.
#[must_use]
pub fn extension_of(path: &Path) -> String {
    path.extension().unwrap_or_default().to_string_lossy().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for file in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        root
    }

    fn names(root: &Path, is_recursive: bool) -> (Vec<String>, BTreeMap<String, usize>) {
        let found = Sources::find(&[root.to_path_buf()], is_recursive);
        let shorten = |(source, _): &(Source, _)| {
            source.to_string().replace(&format!("{}/", root.display()), "")
        };
        (found.inputs.iter().map(shorten).collect(), found.skipped)
    }

    #[test]
    fn a_folder_is_all_its_images_sorted_and_those_of_its_subfolders() {
        let root =
            tree(&["b.JPG", "a/z.png", "a/b/c.gif", "notes.txt", "IMG_1.HEIC", "c.heic", "noext"]);
        let (found, skipped) = names(root.path(), true);
        assert_eq!(found, ["a/b/c.gif", "a/z.png", "b.JPG"]);
        let expected = [("", 1), ("heic", 2), ("txt", 1)];
        assert_eq!(skipped, expected.map(|(kind, count)| (kind.to_owned(), count)).into());
        assert_eq!(names(root.path(), false).0, ["b.JPG"]);
    }

    #[test]
    fn hidden_files_and_folders_are_left_out() {
        let root = tree(&["._a.jpg", ".hidden.png", ".thumbnails/a.png", "a.png"]);
        assert_eq!(names(root.path(), true), (vec!["a.png".to_owned()], BTreeMap::new()));
        let hidden = [root.path().join(".hidden.png")];
        assert_eq!(sources(&hidden).len(), 1, "one that is named is read");
    }

    #[cfg(unix)]
    #[test]
    fn a_ring_of_links_ends() {
        let root = tree(&["a/b.png"]);
        std::os::unix::fs::symlink(root.path(), root.path().join("a/ring")).unwrap();
        assert_eq!(names(root.path(), true).0, ["a/b.png"]);
    }

    #[test]
    fn a_folder_without_images_stays_as_an_error_in_its_place() {
        let root = tree(&["sub/notes.txt"]);
        let found = sources(&[root.path().to_path_buf()]);
        assert!(
            matches!(found.as_slice(), [(_, Some(ReadError::EmptyFolder { .. }))]),
            "{found:?}"
        );
    }
}
