//! What the benchmarks share: made-up numbers, and the instruction sets of this machine.

use kernels::{Cpu, InstructionSet};
pub use kernels_on_board::kernels;

/// Numbers between -1 and 1 that look random and are the same every time.
#[must_use]
pub fn numbers(count: usize) -> Vec<f32> {
    let mut state = 7_u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    std::iter::repeat_with(next).take(count).collect()
}

/// The same numbers as int8 weights, in -127..=127.
#[must_use]
pub fn weights(count: usize) -> Vec<i8> {
    numbers(count).iter().map(|number| (number * 127.0) as i8).collect()
}

/// Every instruction set that this CPU has, the slowest first.
pub fn cpus() -> impl Iterator<Item = Cpu> {
    InstructionSet::ALL.into_iter().filter_map(Cpu::with)
}
