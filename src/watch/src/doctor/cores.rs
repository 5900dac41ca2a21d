//! Cores, those that are switched off, and the threads that share them.

use super::{Board, Check, Finding, Make};

pub(super) fn examine(board: &Board) -> Vec<Finding> {
    let (threads, cores) = (board.processor.threads, board.processor.cores);
    let found = format!("{threads} threads on {cores} cores");
    let list = |name| board.read(&format!("sys/devices/system/cpu/{name}"));
    let off = match (list("present"), list("online")) {
        (Some(present), Some(online)) => count(&present).saturating_sub(count(&online)),
        _ => 0,
    };
    vec![if threads > cores {
        let advice = "more threads than cores wait for each other: leave --threads out";
        Finding::to_do(Check::Cores, found, advice)
    } else if off > 0 {
        let advice = match board.make() {
            Make::Jetson => {
                "the power mode switches them off: sudo nvpmodel -m 0 is the one with all"
            }
            Make::RaspberryPi | Make::Other => {
                "cmdline.txt or the firmware switched them off (maxcpus=, isolcpus=)"
            }
        };
        Finding::hint(Check::Cores, format!("{found}; {off} more are switched off"), advice)
    } else if threads < cores {
        let advice = "--threads, a container or a quota (CPUQuota=, taskset) leaves the others out";
        Finding::hint(Check::Cores, found, advice)
    } else {
        Finding::fine(Check::Cores, found)
    }]
}

/// Number of processors in a list such as `0-3,6`.
fn count(list: &str) -> usize {
    let ranges = list.split(',').filter_map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (usize, usize) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        Some((last + 1).saturating_sub(first))
    });
    ranges.sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::{Verdict, board::tests::MadeUp};

    #[test]
    fn a_thread_for_each_core_is_fine_and_more_are_not() {
        let MadeUp { mut board, folder: _folder } = MadeUp::new(&[]);
        assert_eq!(examine(&board)[0].verdict, Verdict::Fine);
        board.processor.threads = 3;
        assert!(matches!(examine(&board)[0].verdict, Verdict::Hint(_)));
        board.processor.threads = 8;
        assert!(examine(&board)[0].is_to_do());
    }

    #[test]
    fn cores_that_a_jetson_switched_off_are_counted() {
        let finding = examine(
            &MadeUp::new(&[
                ("proc/device-tree/model", "NVIDIA Jetson Orin Nano"),
                ("sys/devices/system/cpu/present", "0-5\n"),
                ("sys/devices/system/cpu/online", "0-1,4-5\n"),
            ])
            .board,
        )
        .remove(0);
        assert_eq!(finding.found, "4 threads on 4 cores; 2 more are switched off");
        assert!(finding.verdict.advice().unwrap().contains("nvpmodel"));
    }

    #[test]
    fn lists_of_processors_are_counted() {
        assert_eq!(["0-3", "0", "0-1,4,6-7", "", "x-y"].map(count), [4, 1, 5, 0, 0]);
    }
}
