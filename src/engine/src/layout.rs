//! How a graph takes an input: as its file says, or laid out for what the graph does with it.

use coca_kernels::{PANEL_COLUMNS, pack_keys, pack_values, static_int8::Quantization};
use ndarray::{ArrayD, IxDyn};

/// The layout of one input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Layout {
    /// As the file declares it.
    AsDeclared,
    /// A paged KV cache: rows `[C, width]` of any tokens, found by their slots.
    PagedCache,
    /// Keys `[1, keys, heads × head_width]` packed as `[heads, panels, head_width, 16]`.
    PackedKeys { heads: usize, head_width: usize },
    /// Values `[1, keys, heads × head_width]` packed as `[heads, panels, keys, 16]`.
    PackedValues { heads: usize, head_width: usize },
    /// A picture `[N, 3, H, W]` as codes `[N, H, W, 3]`.
    PixelCodes(Quantization),
}

impl Layout {
    /// The axes of so many packed keys or values; `None` for what is not packed.
    pub(crate) fn packed_axes(self, keys: usize) -> Option<[usize; 4]> {
        let (heads, columns, rows) = match self {
            Self::AsDeclared | Self::PagedCache | Self::PixelCodes(_) => return None,
            Self::PackedKeys { heads, head_width } => (heads, keys, head_width),
            Self::PackedValues { heads, head_width } => (heads, head_width, keys),
        };
        Some([heads, columns.div_ceil(PANEL_COLUMNS), rows, PANEL_COLUMNS])
    }

    /// The packed form of a tensor that is as the file says; any other is given back as it is.
    pub(crate) fn pack(self, tensor: ArrayD<f32>) -> ArrayD<f32> {
        let (Self::PackedKeys { heads, head_width } | Self::PackedValues { heads, head_width }) =
            self
        else {
            return tensor;
        };
        let &[1, keys, width] = tensor.shape() else { return tensor };
        let Some(axes) = self.packed_axes(keys).filter(|_| width == heads * head_width) else {
            return tensor;
        };
        let tensor = tensor.as_standard_layout();
        let Some(rows) = tensor.as_slice() else { return tensor.into_owned() };
        let packed = match self {
            Self::PackedKeys { .. } => pack_keys(rows, heads, head_width),
            _ => pack_values(rows, heads, head_width),
        };
        let packed = packed.and_then(|packed| ArrayD::from_shape_vec(IxDyn(&axes), packed).ok());
        packed.unwrap_or_else(|| tensor.into_owned())
    }
}
