//! Memory, its limits, and the model's need.

use coca_host::{AvailableMemory, number_behind};
use coca_model::{bundle, bundle::Bundle};

use super::{Board, Check, Finding, Make};

const MEGABYTE: u64 = 1_000_000;

/// Bytes that a process needs beside the weights: program, graphs, frames. Measured, see models/README.md.
const BESIDE_WEIGHTS: u64 = 60 * MEGABYTE;

/// Approximate memory of a process with a model, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Need {
    pub(super) labels: u64,
    pub(super) captions: u64,
}

impl Need {
    pub(super) fn of(model: &Bundle) -> Result<Self, bundle::Error> {
        let labels = model.needed_memory(&["image_encoder.onnx"], "labels")?;
        let decoder = match model.has_decoder() {
            true => model.needed_memory(&["cross_kv.onnx", "caption_decoder.onnx"], "captions")?,
            false => 0,
        };
        Ok(Self { labels: BESIDE_WEIGHTS + labels, captions: BESIDE_WEIGHTS + labels + decoder })
    }
}

pub(super) fn examine(board: &Board, need: Result<Need, bundle::Error>) -> Vec<Finding> {
    let need = match need {
        Ok(need) => need,
        Err(error) => return vec![unreadable_model(&error)],
    };
    let Some(memory) = Memory::of(board) else { return Vec::new() };
    let in_megabytes = |bytes: u64| format!("{} MB", bytes / MEGABYTE);
    let bound = memory.bound().map(|left| format!(", {} within its bound", in_megabytes(left)));
    let found = format!(
        "{} of {} free{}, swap {}; the model needs about {} for labels, {} for captions",
        in_megabytes(memory.free),
        in_megabytes(memory.total),
        bound.unwrap_or_default(),
        in_megabytes(memory.swap),
        in_megabytes(need.labels),
        in_megabytes(need.captions),
    );
    let usable = memory.available.bytes;
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

fn unreadable_model(error: &bundle::Error) -> Finding {
    let advice = "name another with --model, or leave it out for the one inside the program";
    Finding::to_do(Check::Memory, error.to_string(), advice)
}

fn too_little(memory: &Memory, need: u64) -> String {
    let causes = [
        (memory.bound().is_some_and(|left| left < need))
            .then_some("raise the bound (MemoryMax= of the service, --memory of the container)"),
        (memory.free < need).then_some(
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
    free: u64,
    swap: u64,
    /// Memory that this process may still take: of the machine, and of its control groups.
    available: AvailableMemory,
}

impl Memory {
    fn of(board: &Board) -> Option<Self> {
        let text = board.read("proc/meminfo")?;
        let bytes = |key| number_behind(&text, key).map(|kibibytes| kibibytes << 10);
        Some(Self {
            total: bytes("MemTotal:")?,
            free: bytes("MemAvailable:")?,
            // A kernel without swap has no such line.
            swap: bytes("SwapTotal:").unwrap_or(0),
            available: AvailableMemory::below(&board.root)?,
        })
    }

    /// Memory that a control group leaves, if that is less than the machine has.
    fn bound(&self) -> Option<u64> {
        (self.available.bytes < self.free).then_some(self.available.bytes)
    }
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
        examine(&board.board, Ok(NEED)).remove(0)
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
    fn what_the_bounds_of_its_groups_leave_counts() {
        let board = with(400_000, 1);
        board.write("proc/self/cgroup", "0::/system.slice/coca-watch.service\n");
        board.write("sys/fs/cgroup/system.slice/coca-watch.service/memory.max", "104857600\n");
        board.write("sys/fs/cgroup/system.slice/coca-watch.service/memory.current", "4857600\n");
        let finding = examined(&board);
        assert!(finding.found.contains("100 MB within its bound"), "{}", finding.found);
        assert!(finding.verdict.advice().unwrap().contains("MemoryMax="));
    }

    #[test]
    fn a_raspberry_pi_that_bounds_nobodys_memory_is_told() {
        let board = with(400_000, 1);
        board.write("proc/device-tree/model", "Raspberry Pi 4 Model B");
        board.write("sys/fs/cgroup/cgroup.controllers", "cpuset cpu io pids");
        let findings = examine(&board.board, Ok(NEED));
        assert!(findings[1].verdict.advice().unwrap().contains("cgroup_enable=memory"));
    }

    #[test]
    fn a_model_that_cannot_be_read_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = Bundle::open(folder.path()).map(drop).unwrap_err();
        let finding = examine(&with(400_000, 0).board, Err(error)).remove(0);
        assert!(finding.is_to_do() && finding.found.contains("coca.json"), "{}", finding.found);
    }

    #[test]
    #[cfg(feature = "pocket")]
    fn the_embedded_model_needs_about_as_much_as_was_measured() {
        let need = Need::of(&Bundle::pocket().unwrap()).unwrap();
        assert!((65 * MEGABYTE..90 * MEGABYTE).contains(&need.captions), "{need:?}");
    }
}
