//! What a graph does with a weight: which layers can be stored as int8, and why others cannot.

use std::fmt;

use tract_onnx::pb::{NodeProto, TensorProto, tensor_proto::DataType};

use super::{
    part::{Part, Reader, Wiring, attribute},
    source,
};

/// How the nodes that read a weight need it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// The matrix `[in, out]` of a `MatMul` or `Gemm`.
    Columns,
    /// Stored `[out, in]`, and transposed before a `MatMul` or `Gemm` reads it.
    Transposed,
    /// The matrix `[out, in]` of a `Gemm` that transposes it itself.
    Rows,
    /// The kernel `[out, in, …]` of a convolution.
    Kernel,
    /// Rows that a `Gather` looks up.
    Table,
    /// Rows that several nodes need, each in its way: a token embedding that is the output head too.
    Tied,
}

impl Form {
    /// The form that serves two uses.
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

/// Why a weight keeps its numbers.
#[derive(Debug, Clone, PartialEq)]
pub enum Reason {
    /// The user named it.
    Asked,
    /// It is read by this operator, which is no layer.
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
    /// Rounded, its signal would be this many decibels above the noise, which is too few.
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
    pub(super) reader: Reader,
    /// The tensor it reads: the weight itself, or what a cast or transposition makes of it.
    pub(super) value: String,
    /// The cast that widens the rows of a table of 16-bit numbers.
    pub(super) widened_by: Option<usize>,
}

/// What a graph does with a weight.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Uses {
    pub(super) form: Result<Form, Reason>,
    pub(super) nodes: Vec<Use>,
    /// Casts and transpositions between the weight and its uses.
    pub(super) between: Vec<usize>,
}

/// The weight, or what casts and transpositions made of it.
#[derive(Clone)]
struct Value {
    name: String,
    transposed: bool,
    f16: bool,
}

impl Uses {
    /// What `part` does with a weight of two or more dimensions.
    pub(super) fn of(weight: &TensorProto, part: &Part, wiring: &Wiring) -> Self {
        let mut uses = Self { form: Err(Reason::SeveralForms), nodes: Vec::new(), between: vec![] };
        let mut forms: Vec<Result<Form, Reason>> = Vec::new();
        let mut values = vec![Value {
            name: weight.name.clone(),
            transposed: false,
            f16: weight.data_type == DataType::Float16 as i32,
        }];
        while let Some(value) = values.pop() {
            if wiring.is_read_outside(&value.name) {
                forms.push(Err(Reason::NotALayer("another graph".to_owned())));
            }
            for (reader, node) in wiring.readers(&value.name) {
                match passed_on(node, &value, weight.dims.len()) {
                    Some(next) => {
                        uses.between.push(reader.node);
                        values.push(next);
                    }
                    None => {
                        forms.push(form(weight, node, reader, &value, wiring));
                        let widened_by = if value.f16 { widened(node, wiring) } else { None };
                        uses.nodes.push(Use { reader, value: value.name.clone(), widened_by });
                    }
                }
            }
        }
        uses.nodes.sort_by_key(|use_| (use_.reader.node, use_.reader.input));
        uses.form = common(forms).and_then(|form| {
            let first = uses.nodes.first().map(|use_| &part.graph.node[use_.reader.node]);
            let convolution = first.filter(|_| form == Form::Kernel);
            match small(weight, form, convolution, part, wiring) {
                Some(reason) => Err(reason),
                None => Ok(form),
            }
        });
        uses
    }
}

/// The form that serves all, or the first reason against any.
fn common(forms: Vec<Result<Form, Reason>>) -> Result<Form, Reason> {
    let forms = forms.into_iter().collect::<Result<Vec<_>, _>>()?;
    let Some((&first, rest)) = forms.split_first() else {
        return Err(Reason::NotALayer("nothing".to_owned()));
    };
    rest.iter().try_fold(first, |form, &next| form.and(next)).ok_or(Reason::SeveralForms)
}

/// What a node makes of a weight that it neither computes with nor rearranges beyond a transposition.
fn passed_on(node: &NodeProto, value: &Value, rank: usize) -> Option<Value> {
    let name = node.output.first()?.clone();
    let next = Value { name, ..value.clone() };
    match node.op_type.as_str() {
        "Identity" => Some(next),
        "Cast" => attribute(node, "to")
            .filter(|to| to.i == DataType::Float as i64)
            .map(|_| Value { f16: false, ..next }),
        "Transpose" if rank == 2 => {
            let order = attribute(node, "perm").map_or(&[1, 0][..], |perm| &perm.ints);
            Some(Value { transposed: value.transposed != (order == [1, 0]), ..next })
        }
        _ => None,
    }
}

fn form(
    weight: &TensorProto,
    node: &NodeProto,
    reader: Reader,
    value: &Value,
    wiring: &Wiring,
) -> Result<Form, Reason> {
    let rank = weight.dims.len();
    let transposes = attribute(node, "transB").is_some_and(|attribute| attribute.i != 0);
    let found = match (node.op_type.as_str(), reader.input, value.transposed) {
        ("MatMul", 1, false) if rank == 2 => Some(Form::Columns),
        ("MatMul", 1, true) if rank == 2 => Some(Form::Transposed),
        ("Gemm", 1, false) if rank == 2 && transposes => Some(Form::Rows),
        ("Gemm", 1, false) if rank == 2 => Some(Form::Columns),
        ("Gemm", 1, true) if rank == 2 && !transposes => Some(Form::Transposed),
        ("Conv", 1, false) if rank >= 3 => Some(Form::Kernel),
        ("Gather", 0, false) if rank == 2 && is_lookup(node, wiring) => Some(Form::Table),
        _ => None,
    };
    // Numbers of 16 bits that no cast widens first are computed with in 16 bits.
    let narrow = value.f16 && !(found == Some(Form::Table) && widened(node, wiring).is_some());
    found
        .filter(|_| node.domain.is_empty() && !narrow)
        .ok_or_else(|| Reason::NotALayer(node.op_type.clone()))
}

/// Whether rows are looked up by ids that are only known at run time.
fn is_lookup(node: &NodeProto, wiring: &Wiring) -> bool {
    let rows = attribute(node, "axis").is_none_or(|axis| axis.i == 0);
    let ids = node.input.get(1).map_or("", String::as_str);
    rows && !wiring.is_constant(ids)
}

/// The only reader of a lookup's rows, if it casts them to 32 bits.
fn widened(lookup: &NodeProto, wiring: &Wiring) -> Option<usize> {
    let rows = lookup.output.first()?;
    let mut readers = wiring.readers(rows);
    let (reader, node) = readers.next()?;
    let to = attribute(node, "to").filter(|_| node.op_type == "Cast")?;
    let only = readers.next().is_none() && !wiring.is_read_outside(rows);
    (only && to.i == DataType::Float as i64).then_some(reader.node)
}

/// Why a weight is too small to be worth its rounding: it would save next to nothing, and the first and the
/// depthwise convolutions of a network lose more by rounding than all its other layers.
fn small(
    weight: &TensorProto,
    form: Form,
    convolution: Option<&NodeProto>,
    part: &Part,
    wiring: &Wiring,
) -> Option<Reason> {
    let (count, all) = (source::count(weight), part.numbers());
    let hundredth = count * 100 < all;
    match (form, convolution) {
        (Form::Table, _) => hundredth.then_some(Reason::SmallTable),
        (Form::Kernel, Some(node)) if is_depthwise(weight, node) => {
            hundredth.then_some(Reason::Depthwise)
        }
        (Form::Kernel, Some(node)) if is_patch_embedding(weight, node) => None,
        (Form::Kernel, Some(node)) if hundredth && is_first(node, wiring) => Some(Reason::First),
        (Form::Kernel, _) => (count * 1000 < all).then_some(Reason::SmallConvolution),
        _ => None,
    }
}

fn is_depthwise(weight: &TensorProto, convolution: &NodeProto) -> bool {
    let groups = attribute(convolution, "group").map_or(1, |group| group.i);
    groups > 1 && weight.dims.get(1) == Some(&1)
}

/// Windows that do not overlap and are wider than a pixel: a linear layer over patches.
fn is_patch_embedding(weight: &TensorProto, convolution: &NodeProto) -> bool {
    let kernel = weight.dims.get(2..).unwrap_or_default();
    let strides = attribute(convolution, "strides").map(|strides| strides.ints.as_slice());
    strides == Some(kernel) && kernel.iter().all(|&size| size > 1)
}

/// Whether no other convolution stands in front.
fn is_first(convolution: &NodeProto, wiring: &Wiring) -> bool {
    let mut values: Vec<&str> = convolution.input.iter().take(1).map(String::as_str).collect();
    let mut seen = std::collections::HashSet::new();
    while let Some(value) = values.pop() {
        let Some((_, node)) = wiring.maker(value).filter(|(at, _)| seen.insert(*at)) else {
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
    use super::*;
    use crate::onnx::int;

    fn node(operator: &str, input: [&str; 2], transposes: i64) -> NodeProto {
        NodeProto {
            op_type: operator.to_owned(),
            input: input.map(str::to_owned).to_vec(),
            output: vec![format!("{operator} of {}", input[0])],
            attribute: vec![int("transB", transposes)],
            ..NodeProto::default()
        }
    }

    /// What a graph of these nodes does with the weight `embedding` `[vocabulary, width]`.
    fn form_of(nodes: Vec<NodeProto>) -> Result<Form, Reason> {
        let weight = TensorProto {
            name: "embedding".to_owned(),
            dims: vec![100, 8],
            data_type: DataType::Float as i32,
            ..TensorProto::default()
        };
        let mut part = Part::empty("decoder.onnx");
        part.graph.node = nodes;
        part.graph.initializer.push(weight.clone());
        Uses::of(&weight, &part, &Wiring::of(&part.graph)).form
    }

    #[test]
    fn a_token_embedding_that_is_the_output_head_too_serves_both() {
        let lookup = || node("Gather", ["embedding", "ids"], 0);
        let head = |transposes| node("Gemm", ["last", "embedding"], transposes);
        assert_eq!(form_of(vec![lookup()]), Ok(Form::Table));
        assert_eq!(form_of(vec![head(1)]), Ok(Form::Rows));
        assert_eq!(form_of(vec![lookup(), head(1)]), Ok(Form::Tied));
        assert_eq!(form_of(vec![lookup(), head(0)]), Err(Reason::SeveralForms));
        let turned = || node("Transpose", ["embedding", ""], 0);
        let product = || node("MatMul", ["last", "Transpose of embedding"], 0);
        assert_eq!(form_of(vec![turned(), product()]), Ok(Form::Transposed));
        assert_eq!(form_of(vec![lookup(), turned(), product()]), Ok(Form::Tied));
    }

    #[test]
    fn what_one_part_looks_up_another_may_multiply_with() {
        assert_eq!(Form::Table.and(Form::Rows), Some(Form::Tied));
        assert_eq!(Form::Tied.and(Form::Table), Some(Form::Tied));
        assert_eq!(Form::Kernel.and(Form::Kernel), Some(Form::Kernel));
        assert_eq!(Form::Table.and(Form::Columns), None);
    }
}
