//! Memory that this process uses, and may still take.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::control_group::{self, Version};

/// Memory that is still to be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AvailableMemory {
    /// Bytes that can be taken without swapping.
    pub bytes: u64,
    /// Bytes of free swap space beside them.
    pub swap: u64,
}

impl AvailableMemory {
    /// Memory that the machine has left, or the control groups of this process, or its limit of address space, if that is
    /// less. Pages of files that can be read again count as free.
    ///
    /// `None` where the system does not tell; only Linux does.
    #[must_use]
    pub fn now() -> Option<Self> {
        Self::below(Path::new("/"))
    }

    /// As [`AvailableMemory::now`], told by the files below `root` rather than `/`.
    #[must_use]
    pub fn below(root: &Path) -> Option<Self> {
        let machine = fs::read_to_string(root.join("proc/meminfo")).ok()?;
        let kibibytes = |key| number_behind(&machine, key).map(|kibibytes| kibibytes << 10);
        let free = Self {
            bytes: kibibytes("MemAvailable:")?,
            swap: kibibytes("SwapFree:").unwrap_or_default(),
        };
        let left = control_group::folders(root, "memory").into_iter().filter_map(left_in_group);
        let left = left.chain(left_of_address_space(root));
        // What a group may swap is bounded elsewhere: not counted on.
        Some(left.map(|bytes| Self { bytes, swap: 0 }).fold(free, Self::min))
    }

    fn min(self, other: Self) -> Self {
        Self { bytes: self.bytes.min(other.bytes), swap: self.swap.min(other.swap) }
    }
}

/// Names of a memory controller's files.
struct GroupFiles {
    limit: &'static str,
    used: &'static str,
    /// Keys of `memory.stat`.
    files: [&'static str; 2],
}

const VERSION_1: GroupFiles = GroupFiles {
    limit: "memory.limit_in_bytes",
    used: "memory.usage_in_bytes",
    files: ["total_active_file", "total_inactive_file"],
};

const VERSION_2: GroupFiles = GroupFiles {
    limit: "memory.max",
    used: "memory.current",
    files: ["active_file", "inactive_file"],
};

/// Bytes that the group of a folder leaves, if it has a limit.
fn left_in_group((version, folder): (Version, PathBuf)) -> Option<u64> {
    let names = if version == Version::One { VERSION_1 } else { VERSION_2 };
    let number = |file: &str| fs::read_to_string(folder.join(file)).ok()?.trim().parse().ok();
    let (limit, used): (u64, u64) = (number(names.limit)?, number(names.used)?);
    let statistics = fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
    let files: u64 = names.files.iter().filter_map(|key| number_behind(&statistics, key)).sum();
    Some(limit.saturating_sub(used.saturating_sub(files)))
}

/// Bytes of addresses that this process may still take, if that is limited (`ulimit -v`).
fn left_of_address_space(root: &Path) -> Option<u64> {
    const KEY: &str = "Max address space";
    let limits = fs::read_to_string(root.join("proc/self/limits")).ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix(KEY))?;
    let limit: u64 = line.split_whitespace().next()?.parse().ok()?;
    let status = fs::read_to_string(root.join("proc/self/status")).ok()?;
    Some(limit.saturating_sub(number_behind(&status, "VmSize:")? << 10))
}

/// Bytes of this process's memory that are in RAM, where the system tells.
#[must_use]
pub fn resident_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    number_behind(&status, "VmRSS:").map(|kibibytes| kibibytes << 10)
}

/// The number behind `key` at the start of a line, as `/proc/meminfo` and its kin are written.
#[must_use]
pub fn number_behind(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.split_whitespace().next() == Some(key))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMINFO: &str =
        "MemTotal: 1000 kB\nMemFree: 100 kB\nMemAvailable: 400 kB\nSwapFree: 50 kB\n";

    fn found(files: &[(&str, &str)]) -> Option<AvailableMemory> {
        let root = tempfile::tempdir().unwrap();
        for (file, text) in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        AvailableMemory::below(root.path())
    }

    #[test]
    fn a_machine_without_limits_tells_what_it_has_left() {
        let expected = AvailableMemory { bytes: 400 << 10, swap: 50 << 10 };
        assert_eq!(found(&[("proc/meminfo", MEMINFO)]), Some(expected));
        let unlimited = [
            ("proc/meminfo", MEMINFO),
            ("proc/self/cgroup", "0::/user.slice\n"),
            ("sys/fs/cgroup/user.slice/memory.max", "max\n"),
            ("sys/fs/cgroup/user.slice/memory.current", "5000\n"),
        ];
        assert_eq!(found(&unlimited), Some(expected));
    }

    #[test]
    fn a_service_has_what_its_group_and_the_groups_around_it_leave() {
        let files = [
            ("proc/meminfo", MEMINFO),
            ("proc/self/cgroup", "0::/system.slice/coca.service\n"),
            ("sys/fs/cgroup/system.slice/coca.service/memory.max", "300000\n"),
            ("sys/fs/cgroup/system.slice/coca.service/memory.current", "50000\n"),
            ("sys/fs/cgroup/system.slice/memory.max", "200000\n"),
            ("sys/fs/cgroup/system.slice/memory.current", "90000\n"),
            (
                "sys/fs/cgroup/system.slice/memory.stat",
                "anon 60000\ninactive_file 20000\nactive_file 10000\n",
            ),
        ];
        assert_eq!(found(&files), Some(AvailableMemory { bytes: 140_000, swap: 0 }));
    }

    #[test]
    fn the_first_version_of_control_groups_is_understood() {
        let files = [
            ("proc/meminfo", MEMINFO),
            ("proc/self/cgroup", "5:cpu:/docker/1\n4:memory:/docker/1\n"),
            ("sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes", "100000\n"),
            ("sys/fs/cgroup/memory/docker/1/memory.usage_in_bytes", "70000\n"),
            ("sys/fs/cgroup/memory/docker/1/memory.stat", "total_inactive_file 5000\n"),
        ];
        assert_eq!(found(&files), Some(AvailableMemory { bytes: 35_000, swap: 0 }));
    }

    #[test]
    fn a_limit_of_address_space_counts() {
        let limits = |soft: &str| {
            let limits =
                format!("Max cpu time  unlimited\nMax address space  {soft}  unlimited  bytes\n");
            let files = [
                ("proc/meminfo", MEMINFO),
                ("proc/self/limits", limits.as_str()),
                ("proc/self/status", "VmPeak: 300 kB\nVmSize: 200 kB\n"),
            ];
            found(&files).unwrap().bytes
        };
        assert_eq!(limits("unlimited"), 400 << 10);
        assert_eq!(limits("307200"), 100 << 10);
        assert_eq!(limits("100"), 0);
    }

    #[test]
    fn a_system_that_does_not_tell_is_not_guessed_at() {
        assert_eq!(found(&[]), None);
    }
}
