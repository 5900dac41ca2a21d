//! Control groups (cgroups) of this process, of versions 1 and 2.

use std::{
    fs,
    path::{Component, Path, PathBuf},
};

/// The version of a hierarchy of control groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    One,
    Two,
}

/// Folders of this process's groups and of those around them, in which `controller` has its files, below `root` rather than `/`.
pub(crate) fn folders(root: &Path, controller: &str) -> Vec<(Version, PathBuf)> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    groups.lines().filter_map(|line| in_hierarchy(root, line, controller)).flatten().collect()
}

/// The folders of the group that a line of `/proc/self/cgroup` names, `ID:CONTROLLERS:PATH`, if `controller` counts in it.
fn in_hierarchy(root: &Path, line: &str, controller: &str) -> Option<Vec<(Version, PathBuf)>> {
    let (controllers, group) = line.split_once(':')?.1.split_once(':')?;
    let (version, hierarchy) = match controllers {
        "" => (Version::Two, PathBuf::new()),
        _ if controllers.split(',').any(|name| name == controller) => {
            // Controllers that share a hierarchy have a link each to its folder.
            (Version::One, PathBuf::from(controller))
        }
        _ => return None,
    };
    let mounted = root.join("sys/fs/cgroup").join(hierarchy);
    let group: PathBuf =
        Path::new(group).components().filter(|part| matches!(part, Component::Normal(_))).collect();
    // The last of the ancestors is the empty path: the root of the hierarchy.
    Some(group.ancestors().map(|group| (version, mounted.join(group))).collect())
}
