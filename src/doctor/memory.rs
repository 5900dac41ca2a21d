//! Memory: what is there, what bounds it, and what the model needs.

use super::{Board, Check, Finding, Make};
use crate::{Bundle, bundle::Precision};

const MEGABYTE: u64 = 1_000_000;

/// About what a process needs with a model, in bytes. Measured on models of each precision: see models/README.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Need {
    pub(super) labels: u64,
    pub(super) captions: u64,
}

impl Need {
    pub(super) fn of(model: &Bundle) -> Self {
        let config = model.config();
        let all: u64 = config.files.values().map(|file| file.bytes).sum();
        let of_labels = config.files.get("vision.bin").map_or(all, |file| file.bytes);
        // int8 weights go straight from the file into the kernels' layout; others are held twice while they do.
        let factor = if config.precision == Precision::Int8 { 10 } else { 23 };
        let need = |bytes: u64| 90 * MEGABYTE + bytes * factor / 10;
        Self { labels: need(of_labels), captions: need(all) }
    }
}

pub(super) fn examine(board: &Board, need: Need) -> Vec<Finding> {
    let Some(memory) = Memory::of(board) else { return Vec::new() };
    let in_megabytes = |bytes: u64| format!("{} MB", bytes / MEGABYTE);
    let limit = memory.limit.map(|limit| format!(", bounded to {}", in_megabytes(limit)));
    let found = format!(
        "{} of {} free{}, swap {}; the model needs about {} for labels, {} for captions",
        in_megabytes(memory.available),
        in_megabytes(memory.total),
        limit.unwrap_or_default(),
        in_megabytes(memory.swap),
        in_megabytes(need.labels),
        in_megabytes(need.captions),
    );
    let usable = memory.available.min(memory.limit.unwrap_or(u64::MAX));
    let mut findings = vec![if usable < need.labels {
        Finding::to_do(Check::Memory, found, too_little(&memory, need.labels))
    } else if usable < need.captions {
        let advice = format!(
            "labels fit (--caption-on never), captions do not: {}",
            too_little(&memory, need.captions)
        );
        Finding::to_do(Check::Memory, found, advice)
    } else {
        Finding::fine(Check::Memory, found)
    }];
    findings.extend(unbounded(board));
    findings
}

fn too_little(memory: &Memory, need: u64) -> String {
    let causes = [
        (memory.limit.is_some_and(|limit| limit < need))
            .then_some("raise the bound (MemoryMax= of the service, --memory of the container)"),
        (memory.available < need).then_some(
            "close other programs, a desktop first (sudo systemctl set-default multi-user.target)",
        ),
        (memory.swap == 0).then_some("add swap in memory (sudo apt install zram-tools)"),
        Some("take a smaller model: int8 (coca-quantize int8), or the one inside the program"),
    ];
    causes.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// Raspberry Pi OS leaves the kernel's bounds on memory out, so that `MemoryMax=` does nothing.
fn unbounded(board: &Board) -> Option<Finding> {
    let controllers = board.read("sys/fs/cgroup/cgroup.controllers")?;
    let is_bounded = controllers.split_whitespace().any(|name| name == "memory");
    (!is_bounded && board.make() == Make::RaspberryPi).then(|| {
        let advice = "MemoryMax= of a service has no effect: add cgroup_enable=memory to the line in \
                      /boot/firmware/cmdline.txt and start the board again";
        Finding::hint(Check::Memory, "the kernel bounds nobody's memory", advice)
    })
}

/// In bytes.
struct Memory {
    total: u64,
    available: u64,
    swap: u64,
    /// What this process's control group may use.
    limit: Option<u64>,
}

impl Memory {
    fn of(board: &Board) -> Option<Self> {
        let text = board.read("proc/meminfo")?;
        let entry = |key: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
            Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
        };
        Some(Self {
            total: entry("MemTotal")?,
            available: entry("MemAvailable")?,
            swap: entry("SwapTotal").unwrap_or(0),
            limit: limit(board),
        })
    }
}

/// The least bound of this process's control group and those around it.
fn limit(board: &Board) -> Option<u64> {
    let groups = board.read("proc/self/cgroup")?;
    let of_line = |line: &str| {
        let mut fields = line.splitn(3, ':');
        let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let (base, file) = match controllers {
            "" => ("sys/fs/cgroup", "memory.max"),
            "memory" => ("sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            _ => return None,
        };
        let around = std::path::Path::new(path.trim_start_matches('/')).ancestors();
        // Older kernels write a huge number where there is no bound.
        let bounds = around.filter_map(|group| {
            let bound = board.value::<u64>(&format!("{base}/{}/{file}", group.display()))?;
            (bound < 1 << 60).then_some(bound)
        });
        bounds.min()
    };
    groups.lines().filter_map(of_line).min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::{Verdict, board::tests::MadeUp};

    const NEED: Need = Need { labels: 110 * MEGABYTE, captions: 340 * MEGABYTE };

    fn with(available: u64, swap: u64) -> MadeUp {
        let meminfo = format!(
            "MemTotal:         500000 kB\nMemFree:  1000 kB\nMemAvailable: {available} kB\nSwapTotal: {swap} kB\n"
        );
        MadeUp::new(&[("proc/meminfo", &meminfo)])
    }

    fn examined(board: &MadeUp) -> Finding {
        examine(&board.board, NEED).remove(0)
    }

    #[test]
    fn a_model_that_fits_is_fine_and_the_figures_are_shown() {
        let finding = examined(&with(400_000, 100_000));
        assert_eq!(finding.verdict, Verdict::Fine);
        assert_eq!(
            finding.found,
            "409 MB of 512 MB free, swap 102 MB; the model needs about 110 MB for labels, 340 MB for captions"
        );
    }

    #[test]
    fn labels_may_fit_where_captions_do_not() {
        let finding = examined(&with(200_000, 0));
        let advice = finding.verdict.advice().unwrap();
        assert!(finding.is_to_do() && advice.contains("--caption-on never"), "{advice}");
        assert!(advice.contains("zram"), "{advice}");
        let finding = examined(&with(100_000, 100_000));
        assert!(!finding.verdict.advice().unwrap().contains("--caption-on"));
        assert!(!finding.verdict.advice().unwrap().contains("zram"));
    }

    #[test]
    fn the_least_bound_of_the_groups_around_counts() {
        let board = with(400_000, 1);
        board.write("proc/self/cgroup", "0::/system.slice/coca-watch.service\n");
        board.write("sys/fs/cgroup/system.slice/memory.max", "max\n");
        board.write("sys/fs/cgroup/system.slice/coca-watch.service/memory.max", "104857600\n");
        let finding = examined(&board);
        assert!(finding.found.contains("bounded to 104 MB"), "{}", finding.found);
        assert!(finding.verdict.advice().unwrap().contains("MemoryMax="));
    }

    #[test]
    fn bounds_of_older_kernels_are_read_too() {
        let board = with(400_000, 1);
        board.write("proc/self/cgroup", "5:cpu:/a\n4:memory:/docker/1\n");
        board.write("sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes", "209715200");
        board.write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712");
        assert!(examined(&board).found.contains("bounded to 209 MB"));
    }

    #[test]
    fn a_raspberry_pi_that_bounds_nobodys_memory_is_told() {
        let board = with(400_000, 1);
        board.write("proc/device-tree/model", "Raspberry Pi 4 Model B");
        board.write("sys/fs/cgroup/cgroup.controllers", "cpuset cpu io pids");
        let findings = examine(&board.board, NEED);
        assert!(findings[1].verdict.advice().unwrap().contains("cgroup_enable=memory"));
    }

    #[test]
    fn the_embedded_model_needs_about_as_much_as_was_measured() {
        #[cfg(feature = "pocket")]
        {
            let need = Need::of(&Bundle::pocket().unwrap());
            assert!((90 * MEGABYTE..130 * MEGABYTE).contains(&need.captions), "{need:?}");
        }
    }
}
