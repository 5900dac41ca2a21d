//! What the CPU offers, and what of it is used.

use std::sync::OnceLock;

use super::{Error, number_behind};
use crate::kernels::{Cpu, InstructionSet};

/// The instruction set that all kernels run on: the fastest that the CPU has, or the one that the
/// environment variable `COCA_CPU` names.
///
/// # Errors
/// [`Error::Cpu`] when `COCA_CPU` names none, or one that this CPU lacks.
pub fn cpu() -> Result<Cpu, Error> {
    static CHOSEN: OnceLock<Option<Cpu>> = OnceLock::new();
    match *CHOSEN.get_or_init(|| forced().unwrap_or_else(|| Ok(Cpu::best())).ok()) {
        Some(cpu) => Ok(cpu),
        None => forced().unwrap_or_else(|| Ok(Cpu::best())),
    }
}

fn forced() -> Option<Result<Cpu, Error>> {
    let name = std::env::var("COCA_CPU").ok().filter(|name| !name.is_empty())?;
    let refused = |reason: String| {
        let supported = InstructionSet::ALL.into_iter().filter(|set| set.is_supported());
        let supported = supported.map(InstructionSet::name).collect::<Vec<_>>().join(", ");
        Error::Cpu { found: name.clone(), reason, supported }
    };
    Some(match name.parse::<InstructionSet>() {
        Err(unknown) => Err(refused(unknown.to_string())),
        Ok(set) => Cpu::with(set).ok_or_else(|| refused("this CPU lacks it".to_owned())),
    })
}

/// Instruction sets that matter to the engine and that this CPU has.
#[must_use]
pub fn cpu_features() -> Vec<&'static str> {
    found()
}

/// Bytes of this process's memory that are in RAM, where the system tells.
#[must_use]
pub fn resident_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    number_behind(&status, "VmRSS:").map(|kibibytes| kibibytes << 10)
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
    detected!(is_x86_feature_detected: "sse4.1", "avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512vnni")
}

#[cfg(target_arch = "aarch64")]
fn found() -> Vec<&'static str> {
    detected!(is_aarch64_feature_detected: "neon", "dotprod", "i8mm", "fp16", "bf16", "sve")
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn found() -> Vec<&'static str> {
    Vec::new()
}
