//! Instruction sets of the processor, and the kernels that use them.

use super::{Board, Check, Finding, Make};

pub(super) fn examine(board: &Board) -> Vec<Finding> {
    let processor = &board.processor;
    let name = board.model().map(|model| format!("{model}: ")).unwrap_or_default();
    let features = match processor.features.as_slice() {
        [] => "no vector instructions that are known here".to_owned(),
        features => features.join(" "),
    };
    let found =
        format!("{name}{}, {features}; kernels: {}", processor.architecture, processor.kernel);
    vec![if processor.architecture == "arm" {
        let system = match board.make() {
            Make::RaspberryPi => "Raspberry Pi OS (64-bit)",
            Make::Jetson | Make::Other => "a 64-bit system",
        };
        let advice = format!(
            "a 32-bit program has no fast kernels: if the processor has 64 bits (Pi 3, Zero 2 W and newer), install \
             {system}"
        );
        Finding::to_do(Check::Processor, found, advice)
    } else if processor.is_forced {
        let advice =
            "the environment variable COCA_CPU chose these kernels: unset it for the fastest";
        Finding::hint(Check::Processor, found, advice)
    } else if processor.kernel == "scalar" {
        let advice = "there are no kernels for this processor, so everything is slow: an x86-64 processor needs AVX2, \
                      any 64-bit Arm will do";
        Finding::to_do(Check::Processor, found, advice)
    } else {
        Finding::fine(Check::Processor, found)
    }]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::{Verdict, board::tests::MadeUp};

    #[test]
    fn fast_kernels_are_fine_and_named() {
        let MadeUp { board, folder: _folder } =
            MadeUp::new(&[("proc/device-tree/model", "Raspberry Pi 5 Model B\0")]);
        let finding = examine(&board).remove(0);
        assert_eq!(finding.verdict, Verdict::Fine);
        assert_eq!(
            finding.found,
            "Raspberry Pi 5 Model B: aarch64, neon dotprod; kernels: dotprod"
        );
    }

    #[test]
    fn slow_kernels_are_something_to_do_unless_somebody_chose_them() {
        let MadeUp { mut board, folder: _folder } = MadeUp::new(&[]);
        board.processor.kernel = "scalar";
        assert!(examine(&board)[0].is_to_do());
        board.processor.is_forced = true;
        assert!(matches!(examine(&board)[0].verdict, Verdict::Hint(_)));
    }

    #[test]
    fn a_32_bit_system_should_be_a_64_bit_one() {
        let MadeUp { mut board, folder: _folder } =
            MadeUp::new(&[("proc/device-tree/model", "Raspberry Pi 3 Model B")]);
        (board.processor.architecture, board.processor.kernel) = ("arm", "scalar");
        let finding = examine(&board).remove(0);
        assert!(finding.is_to_do());
        assert!(finding.verdict.advice().unwrap().contains("Raspberry Pi OS (64-bit)"));
    }
}
