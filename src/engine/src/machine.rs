//! The instruction set that kernels run on.

use std::sync::OnceLock;

use coca_kernels::{Cpu, InstructionSet};

use crate::Error;

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
