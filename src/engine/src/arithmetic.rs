//! What linear layers are computed in.

use std::fmt;

/// What linear layers are computed in. Everything between them is f32 always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Arithmetic {
    /// 32-bit numbers; int8 weights are turned into them.
    F32,
    /// int8 weights times activations quantised to int8 row by row; f32 weights stay f32.
    Int8,
}

impl fmt::Display for Arithmetic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::Int8 => "int8",
        })
    }
}
