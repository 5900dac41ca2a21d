//! The switch of the fusion rules.

/// Whether rules put fused operators in the place of ONNX operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rules {
    /// Fused operators on the kernels of coca-kernels wherever a rule matches.
    #[default]
    On,
    /// tract alone, in f32: slow, and the reference that fused operators are compared with.
    Off,
}
