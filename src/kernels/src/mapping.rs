//! Model files mapped into memory, so that weights are paged in once and shared between processes.

use std::{fs::File, io, path::Path};

/// A whole file, mapped read-only.
///
/// The bytes are those of the page cache. A caller checks length and checksum before it trusts them.
#[derive(Debug)]
pub struct MappedFile {
    map: memmap2::Mmap,
}

impl MappedFile {
    /// Maps the file at `path`.
    ///
    /// # Errors
    /// The system's error when the file cannot be opened or mapped.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        // SAFETY: the map is private to this value and never written through. A file that another
        // process rewrites while it is mapped can change the bytes, which are plain data to every
        // reader here; one that is truncated raises SIGBUS, which ends the process (see `exit_on_lost_file`)
        // rather than letting it read foreign memory. Bundles are written once and replaced by rename.
        let map = unsafe { memmap2::Mmap::map(&file)? };
        Ok(Self { map })
    }

    /// Gives back the pages that were read so far, which count as this process's memory until then. Reading them again takes
    /// them from the page cache.
    pub fn release(&self) {
        // SAFETY: the map is of a file, shared and never written through: its pages are the file's before and after.
        #[cfg(unix)]
        let _: io::Result<()> =
            unsafe { self.map.unchecked_advise(memmap2::UncheckedAdvice::DontNeed) };
    }
}

impl AsRef<[u8]> for MappedFile {
    fn as_ref(&self) -> &[u8] {
        &self.map
    }
}
