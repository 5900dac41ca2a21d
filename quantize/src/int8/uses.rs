//! The uses of a weight in a graph: which layers can be stored as int8, and why others cannot.

use std::{collections::HashSet, fmt};

use coca_onnx::{
    Consumer, Convolution, GraphIndex, Layer, NodeId, WeightUse, attribute, element_count,
    pb::{GraphProto, NodeProto, TensorProto, tensor_proto::DataType},
};

/// The layout in which layers read a weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// The matrix `[in, out]` of a `MatMul` or `Gemm`.
    Columns,
    /// The matrix `[out, in]`, which a `Transpose` makes `[in, out]` for a `MatMul` or `Gemm`.
    Transposed,
    /// The matrix `[out, in]` of a `Gemm` that transposes it itself.
    Rows,
    /// The kernel `[out, in, …]` of a convolution.
    Kernel,
    /// Rows that a `Gather` looks up.
    Table,
    /// Rows that are both looked up and multiplied with: a token embedding that is the output head too.
    Tied,
}

impl Form {
    /// The form that serves both uses; `None` if there is none.
    pub(super) fn and(self, other: Self) -> Option<Self> {
        let outputs_first =
            |form| matches!(form, Self::Transposed | Self::Rows | Self::Table | Self::Tied);
        match (self, other) {
            (a, b) if a == b => Some(a),
            (a, b) if outputs_first(a) && outputs_first(b) => Some(Self::Tied),
            _ => None,
        }
    }
}

/// Why a weight is not stored as int8.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Reason {
    /// A pattern of [`Options::keep_f32`](super::Options::keep_f32) matches its name.
    Asked,
    /// This operator, which is no known layer, reads it.
    NotALayer(String),
    /// Two layers need it in different forms.
    SeveralForms,
    /// A table of less than a hundredth of the part.
    SmallTable,
    /// A depthwise convolution of less than a hundredth of the part.
    Depthwise,
    /// The first convolution, of less than a hundredth of the part.
    First,
    /// A convolution of less than a thousandth of the part.
    SmallConvolution,
    /// Its signal-to-noise ratio as int8, in decibels, is below [`FLOOR`](super::FLOOR).
    Noisy(f64),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked => f.write_str("named by --keep-f32"),
            Self::NotALayer(operator) => write!(f, "read by {operator}: no layer that is known"),
            Self::SeveralForms => f.write_str("read by different kinds of layers"),
            Self::SmallTable => f.write_str("a small table"),
            Self::Depthwise => f.write_str("a small depthwise convolution"),
            Self::First => f.write_str("a small first convolution"),
            Self::SmallConvolution => f.write_str("a small convolution"),
            Self::Noisy(decibels) => write!(f, "{decibels:.1} dB above the noise of rounding"),
        }
    }
}

/// A node that computes with a weight.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Use {
    pub(super) consumer: Consumer,
    /// The tensor that it reads: the weight itself, or a cast or transpose of it.
    pub(super) value: String,
    /// The cast that widens the rows of a table of 16-bit elements.
    pub(super) widened_by: Option<NodeId>,
}

/// All uses of a weight in a graph.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Uses {
    pub(super) form: Result<Form, Reason>,
    pub(super) nodes: Vec<Use>,
    /// Casts and transpositions between the weight and its uses.
    pub(super) between: Vec<NodeId>,
}

/// The uses of `weight`, of two or more dimensions, in a part whose weights have `all` elements.
pub(super) fn of(weight: &TensorProto, index: &GraphIndex<GraphProto>, all: usize) -> Uses {
    let found = index.weight_uses(&weight.name);
    let elsewhere = found.is_read_elsewhere.then(|| Reason::NotALayer("another graph".to_owned()));
    let forms = found.uses.iter().map(|use_| form(weight, use_, index));
    let form = match elsewhere {
        Some(reason) => Err(reason),
        None => common(forms).and_then(|form| {
            let first = found.uses.first().map(|use_| use_.node).filter(|_| form == Form::Kernel);
            small(weight, form, first, all, index).map_or(Ok(form), Err)
        }),
    };
    let nodes = found.uses.iter().map(|use_| Use {
        consumer: use_.consumer,
        value: use_.value.to_owned(),
        widened_by: if use_.is_f16 { widened(use_.node, index) } else { None },
    });
    Uses { form, nodes: nodes.collect(), between: found.between }
}

/// The form that serves all, or the first reason against any.
fn common(forms: impl Iterator<Item = Result<Form, Reason>>) -> Result<Form, Reason> {
    let forms = forms.collect::<Result<Vec<_>, _>>()?;
    let Some((&first, rest)) = forms.split_first() else {
        return Err(Reason::NotALayer("nothing".to_owned()));
    };
    rest.iter().try_fold(first, |form, &next| form.and(next)).ok_or(Reason::SeveralForms)
}

fn form(
    weight: &TensorProto,
    use_: &WeightUse<'_>,
    index: &GraphIndex<GraphProto>,
) -> Result<Form, Reason> {
    let rank = weight.dims.len();
    let found = match (use_.layer(), use_.transposed) {
        (Some(Layer::Linear(linear)), transposed) if rank == 2 => {
            match (linear.transposes_weight, transposed) {
                (false, false) => Some(Form::Columns),
                (false, true) => Some(Form::Transposed),
                (true, false) => Some(Form::Rows),
                (true, true) => None,
            }
        }
        (Some(Layer::Convolution(_)), false) if rank >= 3 => Some(Form::Kernel),
        (Some(Layer::Lookup(lookup)), false) if rank == 2 && index.is_dynamic(&lookup) => {
            Some(Form::Table)
        }
        _ => None,
    };
    // 16-bit elements that no cast widens first are computed with in 16 bits.
    let widened = found == Some(Form::Table) && widened(use_.node, index).is_some();
    found
        .filter(|_| !use_.is_f16 || widened)
        .ok_or_else(|| Reason::NotALayer(use_.node.op_type.clone()))
}

/// The only consumer of a lookup's rows, if it casts them to 32 bits.
fn widened(lookup: &NodeProto, index: &GraphIndex<GraphProto>) -> Option<NodeId> {
    let (id, cast) = index.only_consumed_by("Cast", lookup.output.first()?)?;
    (attribute::integer(cast, "to", 0) == DataType::Float as i64).then_some(id)
}

/// Why a weight is too small to be worth its rounding: it would save next to nothing, and the first and the
/// depthwise convolutions of a network lose more by rounding than all its other layers.
fn small(
    weight: &TensorProto,
    form: Form,
    convolution: Option<&NodeProto>,
    all: usize,
    index: &GraphIndex<GraphProto>,
) -> Option<Reason> {
    // A weight whose elements cannot be counted is refused when its part is parsed.
    let count = element_count(weight)?;
    let hundredth = count * 100 < all;
    match (form, convolution) {
        (Form::Table, _) => hundredth.then_some(Reason::SmallTable),
        (Form::Kernel, Some(node)) if is_depthwise(weight, node) => {
            hundredth.then_some(Reason::Depthwise)
        }
        (Form::Kernel, Some(node)) if is_patch_embedding(weight, node) => None,
        (Form::Kernel, Some(node)) if hundredth && is_first(node, index) => Some(Reason::First),
        (Form::Kernel, _) => (count * 1000 < all).then_some(Reason::SmallConvolution),
        _ => None,
    }
}

fn is_depthwise(weight: &TensorProto, node: &NodeProto) -> bool {
    let groups = Convolution::of(node).map_or(1, |convolution| convolution.groups);
    groups > 1 && weight.dims.get(1) == Some(&1)
}

/// Whether windows do not overlap and are wider than a pixel: a linear layer over patches.
pub(super) fn is_patch_embedding(weight: &TensorProto, convolution: &NodeProto) -> bool {
    let kernel = weight.dims.get(2..);
    let strides = attribute::integers(convolution, "strides");
    strides == kernel && kernel.is_some_and(|kernel| kernel.iter().all(|&size| size > 1))
}

/// Whether no other convolution precedes it.
fn is_first(convolution: &NodeProto, index: &GraphIndex<GraphProto>) -> bool {
    let mut values: Vec<&str> = convolution.input.iter().take(1).map(String::as_str).collect();
    let mut seen = HashSet::new();
    while let Some(value) = values.pop() {
        let Some((_, node)) = index.producer(value).filter(|(id, _)| seen.insert(*id)) else {
            continue;
        };
        if node.op_type == "Conv" {
            return false;
        }
        values.extend(node.input.iter().map(String::as_str));
    }
    true
}

#[cfg(test)]
mod tests {
    use coca_onnx::{Opset, builder};

    use super::*;

    fn node(operator: &str, input: [&str; 2], transposes: i64) -> NodeProto {
        let output = format!("{operator} of {}", input[0]);
        let attributes = vec![attribute::of_integer("transB", transposes)];
        builder::node(operator, &input, &output, attributes)
    }

    /// The form in which a graph of these nodes reads the weight `embedding` `[vocabulary, width]`.
    fn form_of(nodes: Vec<NodeProto>) -> Result<Form, Reason> {
        let weight = TensorProto {
            name: "embedding".to_owned(),
            dims: vec![100, 8],
            data_type: DataType::Float as i32,
            ..TensorProto::default()
        };
        let graph =
            GraphProto { node: nodes, initializer: vec![weight.clone()], ..GraphProto::default() };
        of(&weight, &GraphIndex::new(graph, Opset::new(17)), 800).form
    }

    #[test]
    fn a_token_embedding_that_is_the_output_head_too_serves_both() {
        let lookup = || node("Gather", ["embedding", "ids"], 0);
        let head = |transposes| node("Gemm", ["last", "embedding"], transposes);
        assert_eq!(form_of(vec![lookup()]), Ok(Form::Table));
        assert_eq!(form_of(vec![head(1)]), Ok(Form::Rows));
        assert_eq!(form_of(vec![lookup(), head(1)]), Ok(Form::Tied));
        assert_eq!(form_of(vec![lookup(), head(0)]), Err(Reason::SeveralForms));
        let transposed = || node("Transpose", ["embedding", ""], 0);
        let product = || node("MatMul", ["last", "Transpose of embedding"], 0);
        assert_eq!(form_of(vec![transposed(), product()]), Ok(Form::Transposed));
        assert_eq!(form_of(vec![lookup(), transposed(), product()]), Ok(Form::Tied));
    }

    #[test]
    fn a_table_of_one_part_may_be_a_matrix_of_another() {
        assert_eq!(Form::Table.and(Form::Rows), Some(Form::Tied));
        assert_eq!(Form::Tied.and(Form::Table), Some(Form::Tied));
        assert_eq!(Form::Kernel.and(Form::Kernel), Some(Form::Kernel));
        assert_eq!(Form::Table.and(Form::Columns), None);
    }
}
