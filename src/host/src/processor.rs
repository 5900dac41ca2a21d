//! Cores and instruction sets of the CPU.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::control_group::{self, Version};

/// Physical cores that this process may use: those of its affinity (`taskset`), as many as the CPU quota of its control groups
/// pays for, rounded up.
///
/// A quota of one and a half cores gives two: it is a budget for every tenth of a second, which one thread could not use up.
/// [`std::thread::available_parallelism`] rounds down.
#[must_use]
pub fn physical_cores() -> usize {
    let cores = num_cpus::get_physical().min(affinity()).max(1);
    cores.min(quota_below(Path::new("/")).unwrap_or(cores))
}

/// Cores that the scheduler may put this process on.
fn affinity() -> usize {
    #[cfg(target_os = "linux")]
    if let Ok(set) = rustix::thread::sched_getaffinity(None) {
        return set.count() as usize;
    }
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Cores that the tightest CPU quota pays for, rounded up, told by the files below `root` rather than `/`; `None` without one.
fn quota_below(root: &Path) -> Option<usize> {
    control_group::folders(root, "cpu").into_iter().filter_map(quota_in_group).min()
}

/// Cores that the quota of a folder's group pays for; `None` if it has none.
fn quota_in_group((version, folder): (Version, PathBuf)) -> Option<usize> {
    let read = |file: &str| fs::read_to_string(folder.join(file)).ok();
    let (quota, period) = match version {
        Version::One => (read("cpu.cfs_quota_us")?, read("cpu.cfs_period_us")?),
        Version::Two => {
            let text = read("cpu.max")?;
            let (quota, period) = text.trim().split_once(' ')?;
            (quota.to_owned(), period.to_owned())
        }
    };
    // Neither "max" nor -1, which stand for no quota, is a number from 0 on.
    let (quota, period): (usize, usize) = (quota.trim().parse().ok()?, period.trim().parse().ok()?);
    (period > 0).then(|| quota.div_ceil(period).max(1))
}

/// Instruction set extensions of this CPU, of those that kernels can use.
#[must_use]
pub fn cpu_features() -> Vec<&'static str> {
    found()
}

macro_rules! detected {
    ($detect:ident: $($feature:tt),*) => {{
        let mut features = Vec::new();
        $(if std::arch::$detect!($feature) {
            features.push($feature);
        })*
        features
    }};
}

#[cfg(target_arch = "x86_64")]
fn found() -> Vec<&'static str> {
    detected!(is_x86_feature_detected: "sse4.1", "avx2", "fma", "f16c", "avxvnni", "avx512f", "avx512bw", "avx512vnni")
}

#[cfg(target_arch = "aarch64")]
fn found() -> Vec<&'static str> {
    detected!(is_aarch64_feature_detected: "neon", "dotprod", "i8mm", "fp16", "bf16", "sve")
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn found() -> Vec<&'static str> {
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(files: &[(&str, &str)]) -> Option<usize> {
        let root = tempfile::tempdir().unwrap();
        for (file, text) in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        quota_below(root.path())
    }

    #[test]
    fn a_process_without_a_quota_has_none() {
        assert_eq!(quota(&[]), None);
        let unlimited = [
            ("proc/self/cgroup", "0::/a.slice\n"),
            ("sys/fs/cgroup/a.slice/cpu.max", "max 100000\n"),
        ];
        assert_eq!(quota(&unlimited), None);
        let unlimited = [
            ("proc/self/cgroup", "3:cpu,cpuacct:/a\n"),
            ("sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "-1\n"),
            ("sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "100000\n"),
        ];
        assert_eq!(quota(&unlimited), None);
    }

    #[test]
    fn the_tightest_quota_of_a_group_and_those_around_it_counts() {
        let files = [
            ("proc/self/cgroup", "0::/system.slice/coca.service\n"),
            ("sys/fs/cgroup/system.slice/coca.service/cpu.max", "300000 100000\n"),
            ("sys/fs/cgroup/system.slice/cpu.max", "200000 100000\n"),
        ];
        assert_eq!(quota(&files[..2]), Some(3));
        assert_eq!(quota(&files), Some(2));
    }

    #[test]
    fn part_of_a_core_counts_as_one() {
        let of =
            |text| quota(&[("proc/self/cgroup", "0::/a\n"), ("sys/fs/cgroup/a/cpu.max", text)]);
        assert_eq!(of("150000 100000\n"), Some(2));
        assert_eq!(of("10000 100000\n"), Some(1));
        assert_eq!(of("0 100000\n"), Some(1));
        assert_eq!(of("100000 0\n"), None);
    }

    #[test]
    fn the_first_version_of_control_groups_is_understood() {
        let files = [
            ("proc/self/cgroup", "3:cpu,cpuacct:/docker/1\n0::/\n"),
            ("sys/fs/cgroup/cpu/docker/1/cpu.cfs_quota_us", "250000\n"),
            ("sys/fs/cgroup/cpu/docker/1/cpu.cfs_period_us", "100000\n"),
        ];
        assert_eq!(quota(&files), Some(3));
    }

    #[test]
    fn there_is_a_core_to_use() {
        assert!((1..=num_cpus::get_physical()).contains(&physical_cores()));
    }
}
