//! Instruction sets with kernels of their own, and the dispatch of an operation to one that this CPU has.

use std::str::FromStr;

#[cfg(target_arch = "x86_64")]
use crate::{
    avx_vnni::{Evex, Vex, Vnni},
    avx2::Avx2,
    avx512::Avx512Vnni,
    ymm::Ymm,
};
#[cfg(target_arch = "aarch64")]
use crate::{dotprod::Sdot, i8mm::Smmla, neon::Neon, smull::Smull};
use crate::{
    isa::{Isa, Operation, PanelShape},
    scalar::Scalar,
};

/// An instruction set that the int8 products are written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InstructionSet {
    /// Plain Rust: the reference, and the code for every other CPU.
    Scalar,
    /// x86-64 with AVX2 and FMA: `vpmaddubsw`, `vpmaddwd`.
    Avx2,
    /// x86-64 with AVX-VNNI, or AVX-512 VNNI kept to 256 bits: `vpdpbusd`.
    AvxVnni,
    /// x86-64 with AVX-512 VNNI: `vpdpbusd`.
    Avx512Vnni,
    /// Any 64-bit Arm: `smull`, `smlal`, `sadalp`.
    Neon,
    /// Arm with the dot product instructions: `sdot`.
    NeonDotprod,
    /// Arm with 8-bit matrix products: `smmla`.
    NeonI8mm,
}

impl InstructionSet {
    /// Every instruction set, the slowest first.
    pub const ALL: [Self; 7] = [
        Self::Scalar,
        Self::Avx2,
        Self::AvxVnni,
        Self::Avx512Vnni,
        Self::Neon,
        Self::NeonDotprod,
        Self::NeonI8mm,
    ];

    /// Its name, which parses back: `"avx2"`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Avx2 => "avx2",
            Self::AvxVnni => "avx-vnni",
            Self::Avx512Vnni => "avx512-vnni",
            Self::Neon => "neon",
            Self::NeonDotprod => "dotprod",
            Self::NeonI8mm => "i8mm",
        }
    }

    /// Whether this CPU has the instruction set. Under Miri, which interprets no intrinsics, it has the scalar one alone.
    #[must_use]
    pub fn is_supported(self) -> bool {
        match self {
            Self::Scalar => true,
            _ if cfg!(miri) => false,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => Ymm::<Avx2>::detect().is_some(),
            #[cfg(target_arch = "x86_64")]
            Self::AvxVnni => {
                Ymm::<Vnni<Vex>>::detect().is_some() || Ymm::<Vnni<Evex>>::detect().is_some()
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni => Avx512Vnni::detect().is_some(),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => Neon::<Smull>::detect().is_some(),
            #[cfg(target_arch = "aarch64")]
            Self::NeonDotprod => Neon::<Sdot>::detect().is_some(),
            #[cfg(target_arch = "aarch64")]
            Self::NeonI8mm => Neon::<Smmla>::detect().is_some(),
            #[allow(unreachable_patterns)]
            _ => false,
        }
    }
}

impl FromStr for InstructionSet {
    type Err = UnknownInstructionSet;

    fn from_str(name: &str) -> Result<Self, UnknownInstructionSet> {
        let found = Self::ALL.into_iter().find(|set| set.name() == name);
        found.ok_or_else(|| UnknownInstructionSet(name.to_owned()))
    }
}

/// The error for a name that no instruction set has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no instruction set: there are scalar, avx2, avx-vnni, avx512-vnni, neon, dotprod and i8mm"
)]
pub struct UnknownInstructionSet(String);

/// Proof that this CPU has an instruction set: every kernel takes one.
///
/// ```
/// use coca_kernels::{Cpu, InstructionSet};
///
/// let best = Cpu::best();
/// assert!(best.instruction_set().is_supported());
/// let scalar = Cpu::with(InstructionSet::Scalar).expect("every CPU runs it");
/// assert_eq!(scalar.instruction_set().name(), "scalar");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cpu(InstructionSet);

impl Cpu {
    /// Returns the proof for `set`, or `None` if this CPU does not have it.
    #[must_use]
    pub fn with(set: InstructionSet) -> Option<Self> {
        set.is_supported().then_some(Self(set))
    }

    /// Returns the proof for the fastest instruction set that this CPU has.
    #[must_use]
    pub fn best() -> Self {
        let mut fastest_first = InstructionSet::ALL.into_iter().rev();
        let best = fastest_first.find(|set| set.is_supported());
        Self(best.unwrap_or(InstructionSet::Scalar))
    }

    /// The proven instruction set.
    #[must_use]
    pub fn instruction_set(self) -> InstructionSet {
        self.0
    }

    /// The layout of int8 weights for the instruction set.
    pub(crate) fn panel_shape(self) -> PanelShape {
        struct Ask;
        impl Operation for Ask {
            type Output = PanelShape;

            #[inline(always)]
            fn run<I: Isa>(self, _: I) -> PanelShape {
                I::PANEL
            }
        }
        self.run(Ask)
    }

    /// Runs an operation compiled for the instruction set.
    pub(crate) fn run<O: Operation>(self, operation: O) -> O::Output {
        // The standard library caches detection: to prove it again costs a load and a branch.
        macro_rules! run_on {
            ($isa:ty) => {
                if let Some(isa) = <$isa>::detect() {
                    return isa.run(operation);
                }
            };
        }
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx2 => run_on!(Ymm<Avx2>),
            #[cfg(target_arch = "x86_64")]
            InstructionSet::AvxVnni => {
                run_on!(Ymm<Vnni<Vex>>);
                run_on!(Ymm<Vnni<Evex>>);
            }
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx512Vnni => run_on!(Avx512Vnni),
            #[cfg(target_arch = "aarch64")]
            InstructionSet::Neon => run_on!(Neon<Smull>),
            #[cfg(target_arch = "aarch64")]
            InstructionSet::NeonDotprod => run_on!(Neon<Sdot>),
            #[cfg(target_arch = "aarch64")]
            InstructionSet::NeonI8mm => run_on!(Neon<Smmla>),
            _ => {}
        }
        operation.run(Scalar)
    }
}
