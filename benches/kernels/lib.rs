//! Inputs that the benchmarks share, and the instruction sets of this machine.

#![forbid(unsafe_code)]

use coca_kernels::{Cpu, InstructionSet};

/// Pseudorandom elements between -1 and 1, the same every time.
#[must_use]
pub fn elements(count: usize) -> Vec<f32> {
    let mut state = 7_u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    std::iter::repeat_with(next).take(count).collect()
}

/// The same elements as int8 weights, in -127..=127.
#[must_use]
pub fn weights(count: usize) -> Vec<i8> {
    elements(count).iter().map(|element| (element * 127.0) as i8).collect()
}

/// Every instruction set that this CPU has, the slowest first.
pub fn cpus() -> impl Iterator<Item = Cpu> {
    InstructionSet::ALL.into_iter().filter_map(Cpu::with)
}
