//! The board, as its files describe it.

use std::{
    fs, io,
    path::{Path, PathBuf},
    str::FromStr,
    time::SystemTime,
};

use coca_engine::Engine;

use crate::camera::{self, CameraInfo};

/// A board. Its files are read beneath one folder, so that a test can make one up.
///
/// ```
/// use coca_engine::Engine;
/// use coca_watch::doctor::Board;
///
/// let board = Board::this(&Engine::new()?);
/// println!("{}", board.model().unwrap_or("an unknown board".to_owned()));
/// # Ok::<(), coca_engine::Error>(())
/// ```
pub struct Board {
    pub(super) root: PathBuf,
    pub(super) processor: Processor,
    /// The cameras and their formats; an error of a driver, or of a program that was built without cameras.
    pub(super) cameras: Result<Vec<CameraInfo>, camera::Error>,
    /// Whether this process may read and write a file.
    pub(super) may_open: fn(&Path) -> bool,
    pub(super) disk: io::Result<DiskSpace>,
    pub(super) now: SystemTime,
}

/// The processor, and what this program makes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Processor {
    /// Architecture, as in `std::env::consts::ARCH`.
    pub architecture: &'static str,
    /// Instruction sets found.
    pub features: Vec<&'static str>,
    /// Kernels chosen.
    pub kernel: &'static str,
    /// Whether `COCA_CPU` chose them.
    pub is_forced: bool,
    /// Threads to compute with.
    pub threads: usize,
    /// Physical cores that are switched on.
    pub cores: usize,
}

/// Space of a file system, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskSpace {
    /// Size of the file system.
    pub total: u64,
    /// Space left for this user.
    pub free: u64,
}

/// Maker of the board, as far as advice depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Make {
    /// Raspberry Pi.
    RaspberryPi,
    /// NVIDIA Jetson.
    Jetson,
    /// Anything else.
    Other,
}

impl Board {
    /// The board that this process runs on, with models computed by `engine`.
    #[must_use]
    pub fn this(engine: &Engine) -> Self {
        Self {
            root: PathBuf::from("/"),
            processor: Processor {
                architecture: std::env::consts::ARCH,
                features: coca_host::cpu_features(),
                kernel: engine.cpu().instruction_set().name(),
                is_forced: std::env::var_os("COCA_CPU").is_some_and(|name| !name.is_empty()),
                threads: engine.threads(),
                cores: num_cpus::get_physical(),
            },
            cameras: camera::cameras(),
            may_open,
            disk: disk_space(Path::new(".")),
            now: SystemTime::now(),
        }
    }

    /// Name of the board, if the firmware tells one.
    #[must_use]
    pub fn model(&self) -> Option<String> {
        let model = self.read("proc/device-tree/model")?;
        Some(model.trim_end_matches('\0').to_owned()).filter(|model| !model.is_empty())
    }

    /// Maker of the board.
    #[must_use]
    pub fn make(&self) -> Make {
        let model = self.model();
        let is = |name| model.as_ref().is_some_and(|model| model.contains(name));
        if is("Raspberry Pi") {
            Make::RaspberryPi
        } else if is("Jetson") || self.path("etc/nv_tegra_release").exists() {
            Make::Jetson
        } else {
            Make::Other
        }
    }

    /// Whether this process runs on it.
    pub(super) fn is_this(&self) -> bool {
        self.root == Path::new("/")
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// A file's text, without the blanks around it.
    pub(super) fn read(&self, name: &str) -> Option<String> {
        Some(fs::read_to_string(self.path(name)).ok()?.trim().to_owned())
    }

    /// A file that holds one value.
    pub(super) fn value<T: FromStr>(&self, name: &str) -> Option<T> {
        self.read(name)?.parse().ok()
    }

    /// The names in `folder` that begin with `prefix`, those with smaller numbers first.
    pub(super) fn names(&self, folder: &str, prefix: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(folder)).into_iter().flatten();
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut names: Vec<_> = names.filter(|name| name.starts_with(prefix)).collect();
        names.sort_by_key(|name| (name.len(), name.clone()));
        names
    }

    /// Whether a program is installed.
    pub(super) fn has_program(&self, name: &str) -> bool {
        ["usr/local/bin", "usr/bin", "bin"]
            .iter()
            .any(|folder| self.path(folder).join(name).exists())
    }
}

#[cfg(unix)]
fn may_open(path: &Path) -> bool {
    use rustix::fs::{Access, access};
    access(path, Access::READ_OK | Access::WRITE_OK).is_ok()
}

#[cfg(not(unix))]
fn may_open(path: &Path) -> bool {
    path.exists()
}

#[cfg(unix)]
fn disk_space(folder: &Path) -> io::Result<DiskSpace> {
    let space = rustix::fs::statvfs(folder)?;
    let bytes = |blocks: u64| blocks.saturating_mul(space.f_frsize);
    Ok(DiskSpace { total: bytes(space.f_blocks), free: bytes(space.f_bavail) })
}

#[cfg(not(unix))]
fn disk_space(_folder: &Path) -> io::Result<DiskSpace> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A made-up board: a folder, and files in it.
    pub(in crate::doctor) struct MadeUp {
        pub(in crate::doctor) board: Board,
        pub(in crate::doctor) folder: tempfile::TempDir,
    }

    impl MadeUp {
        /// A healthy board without files.
        pub(in crate::doctor) fn new(files: &[(&str, &str)]) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let processor = Processor {
                architecture: "aarch64",
                features: vec!["neon", "dotprod"],
                kernel: "dotprod",
                is_forced: false,
                threads: 4,
                cores: 4,
            };
            let board = Board {
                root: folder.path().to_owned(),
                processor,
                cameras: Ok(Vec::new()),
                may_open: |_| true,
                disk: Ok(DiskSpace { total: 32 << 30, free: 16 << 30 }),
                now: SystemTime::now(),
            };
            let board = Self { board, folder };
            files.iter().for_each(|(name, text)| board.write(name, text));
            board
        }

        pub(in crate::doctor) fn write(&self, name: &str, text: &str) {
            let path = self.folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    #[test]
    fn boards_are_told_apart_by_their_firmware() {
        let make = |model: &str| MadeUp::new(&[("proc/device-tree/model", model)]).board.make();
        assert_eq!(make("Raspberry Pi 5 Model B Rev 1.0\0"), Make::RaspberryPi);
        assert_eq!(make("NVIDIA Jetson Orin Nano Developer Kit\0"), Make::Jetson);
        assert_eq!(make("Radxa ROCK 5B\0"), Make::Other);
        let name = MadeUp::new(&[("proc/device-tree/model", "Raspberry Pi 5\0")]).board.model();
        assert_eq!(
            (name.as_deref(), MadeUp::new(&[]).board.model()),
            (Some("Raspberry Pi 5"), None)
        );
    }

    #[test]
    fn names_with_smaller_numbers_come_first() {
        let files = ["dev/video10", "dev/video2", "dev/fb0"].map(|name| (name, ""));
        assert_eq!(MadeUp::new(&files).board.names("dev", "video"), ["video2", "video10"]);
    }

    #[test]
    fn this_board_has_a_processor_and_a_disk() {
        let board = Board::this(&Engine::new().unwrap());
        assert!(board.processor.threads > 0 && !board.processor.kernel.is_empty());
        let disk = board.disk.unwrap();
        assert!(disk.free <= disk.total && disk.total > 0);
    }
}
