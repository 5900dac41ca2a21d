//! The files that embeddings stand in, a row for each.
//!
//! ```text
//! codes-G     int8 [rows, width padded to 64]   mapped and screened by every search
//! scales-G    f32  [rows, 2]                    scale of the codes, length of what their rounding took away
//! vectors-G   f32  [rows, width]                the second look: only a few rows are read
//! ```
//!
//! Files only grow. Rows count once the database says so; what stands behind them is of a writer that was interrupted, and cut off
//! by the next. `G`, the generation, counts how often the files were [written anew](crate::IndexWriter::compact) without the rows of
//! pictures that are gone.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
};

use coca_host::sync_folder;
use coca_kernels::{MappedFile, ROW_PADDING};

use crate::{Error, generations::paths, quantized::QuantizedRow, rows::RowSet};

/// Bytes that are copied at once.
const COPIED: usize = 1 << 20;

/// Bytes of a row in each file.
fn strides(width: usize) -> [usize; 3] {
    [width.next_multiple_of(ROW_PADDING), 8, 4 * width]
}

fn io_error(path: &Path) -> impl Fn(io::Error) -> Error + '_ {
    |source| Error::Io { path: path.to_path_buf(), source }
}

/// The files, to append to.
#[derive(Debug)]
pub(crate) struct VectorWriter {
    files: [(PathBuf, File); 3],
    width: usize,
}

impl VectorWriter {
    /// Opens the files, made if there are none, and cuts off what stands behind `rows`.
    pub(crate) fn open(
        folder: &Path,
        generation: u64,
        width: usize,
        rows: u64,
    ) -> Result<Self, Error> {
        let mut files = Vec::new();
        for (path, stride) in paths(folder, generation).into_iter().zip(strides(width)) {
            let file = open_to_append(&path)?;
            let length = file.metadata().map_err(io_error(&path))?.len();
            let expected = rows * stride as u64;
            check_length(&path, expected, length)?;
            file.set_len(expected).map_err(io_error(&path))?;
            files.push((path, file));
        }
        Ok(Self { files: three(files), width })
    }

    /// Appends a row for each embedding, and returns once they are on the disk.
    pub(crate) fn append(&mut self, embeddings: &[&[f32]]) -> Result<(), Error> {
        let [padded, ..] = strides(self.width);
        let mut bytes: [Vec<u8>; 3] = Default::default();
        for embedding in embeddings {
            let QuantizedRow { mut codes, scale, error } = QuantizedRow::new(embedding);
            codes.resize(padded, 0);
            bytes[0].extend_from_slice(bytemuck::cast_slice(&codes));
            bytes[1].extend([scale, error].iter().flat_map(|x| x.to_le_bytes()));
            bytes[2].extend(embedding.iter().flat_map(|x| x.to_le_bytes()));
        }
        for ((path, file), bytes) in self.files.iter_mut().zip(bytes) {
            file.write_all(&bytes).and_then(|()| file.sync_data()).map_err(io_error(path))?;
        }
        Ok(())
    }

    /// Copies the rows of `kept` out of the first `rows` to new files, and returns once these are on the disk.
    pub(crate) fn copy(
        &self,
        folder: &Path,
        generation: u64,
        rows: usize,
        kept: &RowSet,
    ) -> Result<Self, Error> {
        let strides = strides(self.width);
        let mut files = Vec::new();
        for (i, path) in paths(folder, generation).into_iter().enumerate() {
            let (from, _) = &self.files[i];
            let source = File::open(from).map_err(io_error(from))?;
            // Whatever has the name already is not ours.
            let new = OpenOptions::new().append(true).create_new(true).open(&path);
            let mut file = new.map_err(io_error(&path))?;
            copy_rows((from, &source), (&path, &mut file), strides[i], rows, kept)?;
            files.push((path, file));
        }
        sync_folder(folder).map_err(io_error(folder))?;
        Ok(Self { files: three(files), width: self.width })
    }
}

/// Opens a file to append to, made if there is none. Nothing else is opened: a link may lead to somebody else's file.
fn open_to_append(path: &Path) -> Result<File, Error> {
    let mut options = OpenOptions::new();
    options.append(true);
    match fs::symlink_metadata(path) {
        Ok(found) if !found.is_file() => {
            let found = if found.is_symlink() { "a link" } else { "something else" };
            return Err(Error::Damaged {
                path: path.to_path_buf(),
                key: "kind".to_owned(),
                expected: "a file".to_owned(),
                found: found.to_owned(),
            });
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            options.create_new(true);
        }
        _ => {}
    }
    options.open(path).map_err(io_error(path))
}

fn three(files: Vec<(PathBuf, File)>) -> [(PathBuf, File); 3] {
    #[expect(clippy::expect_used, reason = "paths() names three")]
    files.try_into().expect("three files")
}

/// Copies the rows of `kept` out of the first `rows` of a file, and returns once they are on the disk.
fn copy_rows(
    (from, source): (&Path, &File),
    (to, file): (&Path, &mut File),
    stride: usize,
    rows: usize,
    kept: &RowSet,
) -> Result<(), Error> {
    let mut bytes = Vec::new();
    let step = (COPIED / stride.max(1)).max(1);
    for first in (0..rows).step_by(step) {
        let batch = first..rows.min(first + step);
        bytes.resize(batch.len() * stride, 0);
        let offset = first as u64 * stride as u64;
        read_at(source, &mut bytes, offset).map_err(io_error(from))?;
        let mut length = 0;
        for row in batch.filter(|row| kept.contains(*row)) {
            let start = (row - first) * stride;
            bytes.copy_within(start..start + stride, length);
            length += stride;
        }
        file.write_all(&bytes[..length]).map_err(io_error(to))?;
    }
    file.sync_all().map_err(io_error(to))
}

/// The files, to search in.
#[derive(Debug)]
pub(crate) struct Vectors {
    /// `None` without rows: there is nothing to map, and a new index may have no files yet.
    files: Option<Files>,
    path: PathBuf,
    rows: usize,
    width: usize,
}

#[derive(Debug)]
struct Files {
    /// Codes and scales.
    mapped: [MappedFile; 2],
    vectors: File,
}

impl Vectors {
    /// Opens the first `rows` rows.
    pub(crate) fn open(
        folder: &Path,
        generation: u64,
        width: usize,
        rows: u64,
    ) -> Result<Self, Error> {
        let [codes, scales, path] = paths(folder, generation);
        let open = |path: &Path, stride: usize| {
            let file = File::open(path).map_err(io_error(path))?;
            let length = file.metadata().map_err(io_error(path))?.len();
            check_length(path, rows * stride as u64, length)?;
            Ok::<_, Error>(file)
        };
        let map = |path: &Path, stride: usize| {
            open(path, stride)?;
            MappedFile::open(path).map_err(io_error(path))
        };
        let [code, scale, vector] = strides(width);
        let files = match rows {
            0 => None,
            _ => Some(Files {
                mapped: [map(&codes, code)?, map(&scales, scale)?],
                vectors: open(&path, vector)?,
            }),
        };
        Ok(Self { files, path, rows: rows as usize, width })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// The codes, `[rows, padded width]`.
    pub(crate) fn codes(&self) -> &[i8] {
        let [padded, ..] = strides(self.width);
        bytemuck::cast_slice(self.mapped(0, padded))
    }

    /// Scale and error of each row, `[rows, 2]`.
    pub(crate) fn scales(&self) -> &[[f32; 2]] {
        let [_, stride, _] = strides(self.width);
        // A mapping begins at a page.
        bytemuck::cast_slice(self.mapped(1, stride))
    }

    /// The rows, of `stride` bytes, of a mapped file.
    fn mapped(&self, file: usize, stride: usize) -> &[u8] {
        let bytes = self.files.as_ref().map_or(&[][..], |files| files.mapped[file].as_ref());
        &bytes[..bytes.len().min(self.rows * stride)]
    }

    /// Reads the embedding of a row.
    ///
    /// # Errors
    /// [`Error::Damaged`] for a row that there is not, which a database may name.
    pub(crate) fn read(&self, row: u64, embedding: &mut Vec<f32>) -> Result<(), Error> {
        let Some(files) = self.files.as_ref().filter(|_| row < self.rows as u64) else {
            return Err(Error::Damaged {
                path: self.path.clone(),
                key: "length".to_owned(),
                expected: format!("a row {row}"),
                found: format!("{} rows", self.rows),
            });
        };
        let stride = 4 * self.width;
        let mut bytes = vec![0; stride];
        read_at(&files.vectors, &mut bytes, row * stride as u64).map_err(io_error(&self.path))?;
        embedding.clear();
        embedding.extend(bytes.as_chunks().0.iter().map(|&x| f32::from_le_bytes(x)));
        Ok(())
    }
}

/// Files may be longer than the database says, never shorter.
fn check_length(path: &Path, expected: u64, found: u64) -> Result<(), Error> {
    if found >= expected {
        return Ok(());
    }
    Err(Error::Damaged {
        path: path.to_path_buf(),
        key: "length".to_owned(),
        expected: format!("at least {expected} bytes"),
        found: found.to_string(),
    })
}

#[cfg(unix)]
fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, offset)
}

#[cfg(windows)]
fn read_at(file: &File, mut bytes: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let read = std::os::windows::fs::FileExt::seek_read(file, bytes, offset)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes = &mut bytes[read..];
        offset += read as u64;
    }
    Ok(())
}
