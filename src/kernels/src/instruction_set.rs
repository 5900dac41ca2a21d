//! Which instruction sets there are kernels for, which of them this CPU has, and how an operation reaches one.

use std::str::FromStr;

use crate::{lanes::Lanes, rows::QuantizedRow, scalar::Scalar, static_int8::Codes};

/// An instruction set that the int8 products are written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InstructionSet {
    /// Plain Rust: the reference, and what every other CPU runs.
    Scalar,
    /// x86-64 with AVX2 and FMA: `vpmaddubsw`, `vpmaddwd`.
    Avx2,
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
    /// From the slowest to the fastest.
    pub const ALL: [Self; 6] =
        [Self::Scalar, Self::Avx2, Self::Avx512Vnni, Self::Neon, Self::NeonDotprod, Self::NeonI8mm];

    /// The name that `coca info` prints and `COCA_CPU` takes.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Avx2 => "avx2",
            Self::Avx512Vnni => "avx512-vnni",
            Self::Neon => "neon",
            Self::NeonDotprod => "dotprod",
            Self::NeonI8mm => "i8mm",
        }
    }

    /// Whether this CPU has it.
    #[must_use]
    pub fn is_supported(self) -> bool {
        match self {
            Self::Scalar => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => super::avx2::Avx2::detect().is_some(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni => super::avx512::Avx512Vnni::detect().is_some(),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => super::neon::Neon::detect().is_some(),
            #[cfg(target_arch = "aarch64")]
            Self::NeonDotprod => super::dotprod::Dotprod::detect().is_some(),
            #[cfg(target_arch = "aarch64")]
            Self::NeonI8mm => super::i8mm::I8mm::detect().is_some(),
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

/// A name that no instruction set has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no instruction set: there are scalar, avx2, avx512-vnni, neon, dotprod and i8mm")]
pub struct UnknownInstructionSet(String);

/// Proof that this CPU has an instruction set: every kernel asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cpu(InstructionSet);

impl Cpu {
    /// The proof, if the CPU has the instruction set.
    #[must_use]
    pub fn with(set: InstructionSet) -> Option<Self> {
        set.is_supported().then_some(Self(set))
    }

    /// The fastest instruction set that this CPU has.
    #[must_use]
    pub fn best() -> Self {
        let fastest_first = InstructionSet::ALL.into_iter().rev();
        Self(
            fastest_first
                .into_iter()
                .find(|set| set.is_supported())
                .unwrap_or(InstructionSet::Scalar),
        )
    }

    /// What is proved.
    #[must_use]
    pub fn instruction_set(self) -> InstructionSet {
        self.0
    }

    /// Runs an operation compiled for the instruction set.
    pub(crate) fn run<O: Operation>(self, operation: O) -> O::Output {
        // Detection is cached by the standard library: proving it again costs a load and a branch.
        macro_rules! run_on {
            ($isa:ty) => {
                if let Some(isa) = <$isa>::detect() {
                    return isa.run(operation);
                }
            };
        }
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx2 => run_on!(super::avx2::Avx2),
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx512Vnni => run_on!(super::avx512::Avx512Vnni),
            #[cfg(target_arch = "aarch64")]
            InstructionSet::Neon => run_on!(super::neon::Neon),
            #[cfg(target_arch = "aarch64")]
            InstructionSet::NeonDotprod => run_on!(super::dotprod::Dotprod),
            #[cfg(target_arch = "aarch64")]
            InstructionSet::NeonI8mm => run_on!(super::i8mm::I8mm),
            _ => {}
        }
        operation.run(Scalar)
    }
}

/// Something to compute, written once for every instruction set.
pub(crate) trait Operation {
    /// Its result.
    type Output;

    /// Computes it. Implementations are `#[inline(always)]`, so that they are compiled for the caller's instruction set.
    fn run<I: Isa>(self, isa: I) -> Self::Output;
}

/// How int8 weights stand in memory: panels of some columns, in each the inputs in groups,
/// `[group][column][input of the group]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PanelShape {
    /// Outputs of a panel.
    pub(crate) columns: usize,
    /// Inputs of a group.
    pub(crate) depth: usize,
    /// Added to every weight, modulo 256, where the instruction takes unsigned weights.
    pub(crate) offset: u8,
}

/// Inputs of a layer are padded with zeros to a multiple of this, which every panel's depth divides.
pub(crate) const INPUT_PADDING: usize = 16;

/// An instruction set's float operations and its int8 product.
pub(crate) trait Isa: Copy {
    /// Its floats.
    type Lanes: Lanes;
    /// Its operations on codes of static int8 layers.
    type Codes: Codes;
    /// The weights as its product reads them.
    const PANEL: PanelShape;
    /// How many rows its int8 product takes at most.
    const INT8_ROWS: usize;
    /// How many rows of sixteen f32 accumulators its registers hold.
    const F32_ROWS: usize;

    /// Its floats.
    fn lanes(self) -> Self::Lanes;

    /// Its operations on codes.
    fn codes(self) -> Self::Codes;

    /// The products of at most [`Isa::INT8_ROWS`] rows with a panel of weights: `sums` is `[rows][columns]`.
    ///
    /// Meanwhile the weights `ahead` may be asked for, which will be needed next.
    fn int8_products(self, rows: &[QuantizedRow<'_>], panel: &[i8], ahead: &[i8], sums: &mut [i32]);
}
