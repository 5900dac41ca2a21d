//! Layers with weights, however the graph spells them.

use std::borrow::Borrow;

use tract_onnx::pb::{GraphProto, NodeProto};

use crate::{GraphIndex, attribute, opset::is};

/// A node that computes with a weight.
#[derive(Debug, Clone, PartialEq)]
pub enum Layer<'g> {
    /// `MatMul` or `Gemm`, whose second factor is the weight.
    Linear(Linear<'g>),
    /// `Conv`.
    Convolution(Convolution<'g>),
    /// `Gather` of rows.
    Lookup(Lookup<'g>),
}

/// `alpha × input × weight + beta × bias`
#[derive(Debug, Clone, PartialEq)]
pub struct Linear<'g> {
    /// Input features, `[…, K]`.
    pub input: &'g str,
    /// The weight, `[K, N]`, or `[N, K]` if it is transposed.
    pub weight: &'g str,
    /// Whether the node itself transposes the weight, as `Gemm` may.
    pub transposes_weight: bool,
    /// The bias that the node adds, which broadcasts to `[…, N]`.
    pub bias: Option<&'g str>,
    /// Whether the node does more than multiply and add: factors other than 1, or a transposed input.
    pub is_general: bool,
}

/// A convolution, `[N, C, spatial…]` → `[N, M, spatial…]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Convolution<'g> {
    /// The input, `[N, C, spatial…]`.
    pub input: &'g str,
    /// The weight, `[M, C / groups, kernel…]`.
    pub weight: &'g str,
    /// The bias, `[M]`.
    pub bias: Option<&'g str>,
    /// Parts that channels are divided into, each convolved alone.
    pub groups: usize,
    node: &'g NodeProto,
}

/// How a kernel moves over `D` spatial axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spatial<const D: usize> {
    /// Steps between outputs.
    pub strides: [usize; D],
    /// Zeros in front of each axis.
    pub pads_begin: [usize; D],
    /// Zeros behind each axis.
    pub pads_end: [usize; D],
    /// Steps between the taps of the kernel.
    pub dilations: [usize; D],
}

/// Rows of a table `[entries, width]`, found by their indices.
#[derive(Debug, Clone, PartialEq)]
pub struct Lookup<'g> {
    /// The table.
    pub table: &'g str,
    /// The indices, of any shape.
    pub indices: &'g str,
}

impl<'g> Layer<'g> {
    /// The layer that `node` is, if its weight is where a layer has it. That the weight is constant is another matter.
    #[must_use]
    pub fn of(node: &'g NodeProto) -> Option<Self> {
        Linear::of(node)
            .map(Layer::Linear)
            .or_else(|| Convolution::of(node).map(Layer::Convolution))
            .or_else(|| Lookup::of(node).map(Layer::Lookup))
    }

    /// Which input of the node the weight is.
    #[must_use]
    pub fn weight_input(&self) -> usize {
        usize::from(!matches!(self, Self::Lookup(_)))
    }

    /// The axis of the weight whose entries are the layer's outputs, or a table's rows: the one that int8 has scales
    /// for.
    #[must_use]
    pub fn output_axis(&self) -> usize {
        match self {
            Self::Linear(linear) => usize::from(!linear.transposes_weight),
            Self::Convolution(_) | Self::Lookup(_) => 0,
        }
    }
}

impl<'g> Linear<'g> {
    /// The product that `node` is.
    #[must_use]
    pub fn of(node: &'g NodeProto) -> Option<Self> {
        let is_gemm = is(node, "Gemm");
        (is_gemm || is(node, "MatMul")).then_some(())?;
        let flag = |name: &str| is_gemm && attribute::integer(node, name, 0) != 0;
        let scaled = |name: &str| is_gemm && attribute::float(node, name, 1.0) != 1.0;
        let bias = input(node, 2).filter(|_| is_gemm);
        Some(Self {
            input: input(node, 0)?,
            weight: input(node, 1)?,
            transposes_weight: flag("transB"),
            bias,
            is_general: flag("transA") || scaled("alpha") || (bias.is_some() && scaled("beta")),
        })
    }
}

impl<'g> Convolution<'g> {
    /// The convolution that `node` is.
    #[must_use]
    pub fn of(node: &'g NodeProto) -> Option<Self> {
        is(node, "Conv").then_some(())?;
        Some(Self {
            input: input(node, 0)?,
            weight: input(node, 1)?,
            bias: input(node, 2),
            groups: usize::try_from(attribute::integer(node, "group", 1)).ok()?,
            node,
        })
    }

    /// How its kernel moves; `None` if that depends on the input's size (`auto_pad`), or is not of `D` axes.
    #[must_use]
    pub fn spatial<const D: usize>(&self) -> Option<Spatial<D>> {
        let auto_pad = attribute::string(self.node, "auto_pad").unwrap_or(b"NOTSET");
        let pads = match auto_pad {
            b"NOTSET" | b"" => self.sizes("pads", 2 * D, 0)?,
            b"VALID" => vec![0; 2 * D],
            _ => return None,
        };
        let strides = self.sizes("strides", D, 1)?;
        strides.iter().all(|&stride| stride > 0).then_some(())?;
        Some(Spatial {
            strides: strides.try_into().ok()?,
            pads_begin: pads[..D].try_into().ok()?,
            pads_end: pads[D..].try_into().ok()?,
            dilations: self.sizes("dilations", D, 1)?.try_into().ok()?,
        })
    }

    fn sizes(&self, name: &str, length: usize, default: usize) -> Option<Vec<usize>> {
        let Some(stated) = attribute::integers(self.node, name).filter(|s| !s.is_empty()) else {
            return Some(vec![default; length]);
        };
        let sizes = stated.iter().map(|&size| usize::try_from(size).ok());
        sizes.collect::<Option<Vec<_>>>().filter(|sizes| sizes.len() == length)
    }
}

impl<const D: usize> Spatial<D> {
    /// Whether the taps of the kernel lie side by side.
    #[must_use]
    pub fn is_dense(&self) -> bool {
        self.dilations == [1; D]
    }

    /// Whether nothing is added around the input.
    #[must_use]
    pub fn is_unpadded(&self) -> bool {
        self.pads_begin == [0; D] && self.pads_end == [0; D]
    }
}

impl<'g> Lookup<'g> {
    /// The look-up of rows that `node` is.
    #[must_use]
    pub fn of(node: &'g NodeProto) -> Option<Self> {
        (is(node, "Gather") && attribute::integer(node, "axis", 0) == 0).then_some(())?;
        Some(Self { table: input(node, 0)?, indices: input(node, 1)? })
    }
}

impl<G: Borrow<GraphProto>> GraphIndex<G> {
    /// Whether the indices of a look-up are only known at run time.
    #[must_use]
    pub fn is_dynamic(&self, lookup: &Lookup<'_>) -> bool {
        !self.is_constant(lookup.indices)
    }
}

/// Input `at` of a node; `None` if it is left out.
fn input(node: &NodeProto, at: usize) -> Option<&str> {
    node.input.get(at).map(String::as_str).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        attribute::{of_float, of_integer, of_integers, of_string},
        builder::node,
    };

    #[test]
    fn a_gemm_that_transposes_its_weight_has_outputs_first() {
        let gemm = node("Gemm", &["x", "w", "b"], "y", vec![of_integer("transB", 1)]);
        let layer = Layer::of(&gemm).unwrap();
        assert_eq!((layer.output_axis(), layer.weight_input()), (0, 1));
        let Layer::Linear(linear) = layer else { panic!("a linear layer") };
        assert_eq!((linear.bias, linear.is_general), (Some("b"), false));
        let scaled = node("Gemm", &["x", "w"], "y", vec![of_float("alpha", 2.0)]);
        assert!(Linear::of(&scaled).unwrap().is_general);
        assert_eq!(Layer::of(&node("MatMul", &["x", "w"], "y", vec![])).unwrap().output_axis(), 1);
    }

    #[test]
    fn padding_that_depends_on_the_input_is_no_geometry() {
        let conv = |attributes| node("Conv", &["x", "w"], "y", attributes);
        let same = conv(vec![of_string("auto_pad", "SAME_UPPER")]);
        assert_eq!(Convolution::of(&same).unwrap().spatial::<2>(), None);
        let valid = conv(vec![of_string("auto_pad", "VALID"), of_integers("strides", &[2, 3])]);
        let spatial = Convolution::of(&valid).unwrap().spatial::<2>().unwrap();
        assert_eq!((spatial.strides, spatial.is_unpadded()), ([2, 3], true));
        assert_eq!(Convolution::of(&valid).unwrap().spatial::<3>(), None);
    }

    #[test]
    fn a_gather_along_another_axis_looks_no_rows_up() {
        assert!(Layer::of(&node("Gather", &["table", "ids"], "y", vec![])).is_some());
        let columns = node("Gather", &["table", "ids"], "y", vec![of_integer("axis", 1)]);
        assert_eq!(Layer::of(&columns), None);
    }
}
