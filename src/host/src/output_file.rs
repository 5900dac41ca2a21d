//! Files that are replaced only once they are whole.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use crate::temporary::TemporaryFile;

/// Symbolic links that are followed one after the other.
const MAX_LINKS: usize = 40;

/// A file to be written that respects what stands at its path.
///
/// A regular file, or none, is replaced by [`commit`](Self::commit): interrupted at any moment, it is the old one or the
/// new one. What a killed process leaves beside it, `.coca-NAME.partial`, is removed when the same file is next written.
/// Symbolic links are followed. Devices, FIFOs and whatever else is no regular file are written directly.
///
/// ```
/// use std::io::Write;
/// use coca_host::OutputFile;
///
/// # let folder = tempfile::tempdir()?;
/// let path = folder.path().join("result");
/// let mut file = OutputFile::create(&path)?;
/// file.write_all(b"whole")?;
/// assert!(!path.exists());
/// file.commit()?;
/// assert_eq!(std::fs::read(&path)?, b"whole");
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct OutputFile(Target);

#[derive(Debug)]
enum Target {
    /// A temporary file beside the one that it is to replace.
    Replaced {
        temporary: TemporaryFile,
        path: PathBuf,
    },
    Direct(File),
}

impl OutputFile {
    /// Opens the file. A new one has the permissions that the umask leaves, a replaced one those of the old.
    ///
    /// # Errors
    /// When the file, or one beside it, cannot be written.
    pub fn create(path: &Path) -> io::Result<Self> {
        // A link such as `/dev/stdout` may lead to a pipe, which has no path.
        if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
            return Ok(Self(Target::Direct(OpenOptions::new().write(true).open(path)?)));
        }
        let path = follow_links(path)?;
        let old = match fs::metadata(&path) {
            Ok(metadata) => Some(metadata.permissions()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let mut temporary = TemporaryFile::for_target(&path)?;
        if let Some(permissions) = old {
            keep_permissions(temporary.file(), permissions)?;
        }
        Ok(Self(Target::Replaced { temporary, path }))
    }

    /// Writes all of it to the disk: after a [`commit`](Self::commit) not even a power cut leaves half a file.
    ///
    /// # Errors
    /// When the disk is full or fails. What is no regular file has no disk.
    pub fn sync(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Target::Replaced { temporary, .. } => temporary.file().sync_all(),
            Target::Direct(_) => Ok(()),
        }
    }

    /// Puts the file in its place.
    ///
    /// # Errors
    /// When the old file cannot be replaced; it then stays as it is.
    pub fn commit(self) -> io::Result<()> {
        match self.0 {
            Target::Replaced { temporary, path } => temporary.replace(&path),
            Target::Direct(mut file) => file.flush(),
        }
    }

    /// Puts the file in its place unless another process has put one there by now; tells whether it did.
    ///
    /// # Errors
    /// When its folder cannot be written.
    pub fn commit_new(self) -> io::Result<bool> {
        match self.0 {
            Target::Replaced { temporary, path } => temporary.place(&path),
            Target::Direct(mut file) => file.flush().map(|()| true),
        }
    }
}

impl Write for OutputFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Target::Replaced { temporary, .. } => temporary.file().write(bytes),
            Target::Direct(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Target::Replaced { temporary, .. } => temporary.file().flush(),
            Target::Direct(file) => file.flush(),
        }
    }
}

/// The path that `path` leads to, whether or not there is a file.
fn follow_links(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_symlink() => {
                let target = fs::read_link(&path)?;
                path = path.parent().map_or(target.clone(), |folder| folder.join(target));
            }
            _ => return Ok(path),
        }
    }
    Err(io::Error::other("too many symbolic links"))
}

/// Gives `file` the permissions of the file that it replaces. Elsewhere than on Unix the only one is "read-only", which
/// a file that is being written cannot be.
fn keep_permissions(file: &File, permissions: Permissions) -> io::Result<()> {
    if cfg!(unix) { file.set_permissions(permissions) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, text: &str) {
        let mut file = OutputFile::create(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file.sync().unwrap();
        file.commit().unwrap();
    }

    #[test]
    fn the_old_file_stays_until_the_new_one_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write(&path, "old");
        let mut file = OutputFile::create(&path).unwrap();
        file.write_all(b"half of the n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        drop(file);
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
        write(&path, "new");
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    }

    #[test]
    fn a_new_file_replaces_none_that_came_meanwhile() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let [first, second] = [0; 2].map(|_| OutputFile::create(&path).unwrap());
        for (mut file, text, is_placed) in [(first, "first", true), (second, "second", false)] {
            file.write_all(text.as_bytes()).unwrap();
            assert_eq!(file.commit_new().unwrap(), is_placed);
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "first");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let error = OutputFile::create(&folder.path().join("gone/file")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[cfg(unix)]
    mod unix {
        use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};

        use super::*;

        #[test]
        fn links_are_followed_whether_or_not_they_lead_to_a_file() {
            let folder = tempfile::tempdir().unwrap();
            let at = |name: &str| folder.path().join(name);
            fs::create_dir(at("data")).unwrap();
            symlink("data/file", at("link")).unwrap();
            symlink("link", at("link-to-link")).unwrap();
            for text in ["first", "second"] {
                write(&at("link-to-link"), text);
                assert_eq!(fs::read_to_string(at("data/file")).unwrap(), text);
                assert!(at("link").is_symlink() && at("link-to-link").is_symlink());
            }
            symlink("circle", at("circle")).unwrap();
            assert!(OutputFile::create(&at("circle")).is_err());
        }

        #[test]
        fn a_device_is_written_and_not_replaced() {
            write(Path::new("/dev/null"), "anything");
            assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
        }

        #[test]
        fn a_fifo_is_written_and_not_replaced() {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("fifo");
            let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
            assert!(made.success());
            let reader = std::thread::spawn({
                let path = path.clone();
                move || fs::read_to_string(path).unwrap()
            });
            write(&path, "through the pipe");
            assert_eq!(reader.join().unwrap(), "through the pipe");
            assert!(fs::metadata(&path).unwrap().file_type().is_fifo());
        }

        #[cfg(target_os = "linux")]
        #[test]
        fn a_pipe_that_only_a_descriptor_leads_to_is_written() {
            use std::{io::Read, os::fd::AsRawFd};
            let (mut reader, writer) = io::pipe().unwrap();
            write(Path::new(&format!("/proc/self/fd/{}", writer.as_raw_fd())), "piped");
            drop(writer);
            let mut text = String::new();
            reader.read_to_string(&mut text).unwrap();
            assert_eq!(text, "piped");
        }

        #[test]
        fn a_new_file_follows_the_umask_and_a_replaced_one_the_old() {
            let folder = tempfile::tempdir().unwrap();
            let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
            let (new, plain) = (folder.path().join("new"), folder.path().join("plain"));
            File::create(&plain).unwrap();
            write(&new, "");
            assert_eq!(mode(&new), mode(&plain));
            fs::set_permissions(&new, Permissions::from_mode(0o640)).unwrap();
            write(&new, "again");
            assert_eq!(mode(&new), 0o640);
        }
    }
}
